"""Expansion against the bare INSERT .. SELECT of the same rows.

    python -m benchmarks.expansion [--contacts N] [--rounds N] [--sqlite] [--mariadb]

Contacts carry tags a (90 %), b (80 %), c (70 %) and d (10 %); 20 % were sent an earlier task. The rule is
``tag:a and tag:b and tag:c and not tag:d and not sent:bench/earlier``. In each round one task is expanded
by coldsend, and the very rows it made are then inserted for another task by a single statement from a table
that holds nothing but them: the same target table with all its indexes and foreign keys, no rule, no
suppressions, no chunks. MariaDB is the server in TESTS_MARIADB, else one of its own; commits are durable.
Prints a row per database and round: seconds of both, their ratio, and what the expansion added to the
memory of this process.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from coldsend import clock
from coldsend.audience import rule
from coldsend.database import migrate
from coldsend.database.engine import Connection, Database
from coldsend.database.tables import (
    campaigns,
    contact_tags,
    contacts,
    metadata,
    task_contacts,
    tasks,
    template_set_items,
    template_sets,
    templates,
    users,
)
from coldsend.planning.expand import CHUNK, expand_task
from coldsend.stores.lookup import inserted_id
from tests.servers.mariadb import MariaDB

RULE = "tag:a and tag:b and tag:c and not tag:d and not sent:bench/earlier"
SHARES = {"a": 90, "b": 80, "c": 70, "d": 10}  # percent of the contacts
TEMPLATES = 3

picked = sa.Table(
    "picked",
    sa.MetaData(),
    sa.Column("contact_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
    sa.Column("template_id", sa.BigInteger()),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contacts", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--chunk", type=int, default=CHUNK)
    parser.add_argument("--sqlite", action="store_true")
    parser.add_argument("--mariadb", action="store_true")
    options = parser.parse_args()
    both = not options.sqlite and not options.mariadb
    if options.sqlite or both:
        with tempfile.TemporaryDirectory() as folder:
            measure(f"sqlite:///{folder}/bench.db", "SQLite", options)
    if options.mariadb or both:
        with mariadb() as url:
            measure(url, "MariaDB", options)


def measure(url: str, name: str, options: argparse.Namespace) -> None:
    database = Database(url)
    migrate.upgrade(database)
    started = time.perf_counter()
    task_ids = fill(database, options.contacts, options.rounds)
    print(f"{name}: {options.contacts:,} contacts made in {time.perf_counter() - started:.0f} s")
    ratios = []
    for ours, bare in task_ids:
        before = peak_memory()
        seconds, rows = timed_expansion(database, ours, options.chunk)
        grown = peak_memory() - before
        baseline = timed_baseline(database, ours, bare)
        ratios.append(seconds / baseline)
        print(
            f"{name}: {rows:,} rows, expansion {seconds:.2f} s ({rows / seconds:,.0f}/s), "
            f"bare {baseline:.2f} s ({rows / baseline:,.0f}/s), ratio {ratios[-1]:.2f}, +{grown:.1f} MB"
        )
    print(f"{name}: median ratio {statistics.median(ratios):.2f}")
    database.dispose()


def timed_expansion(database: Database, task_id: int, chunk: int) -> tuple[float, int]:
    started = time.perf_counter()
    expanded = expand_task(database, task_id, clock.now(), chunk=chunk)
    assert expanded.done
    return time.perf_counter() - started, expanded.count


def timed_baseline(database: Database, expanded: int, bare: int) -> float:
    """Insert the rows of one task for another one from a table that holds nothing else."""
    rows = task_contacts.c
    with database.begin() as connection:
        connection.execute(sa.delete(picked))
        source = sa.select(rows.contact_id, rows.selected_template_id).where(rows.task_id == expanded)
        connection.execute(sa.insert(picked).from_select(["contact_id", "template_id"], source))
    uid = "'t{}c' || contact_id" if database.dialect_name == "sqlite" else "CONCAT('t{}c', contact_id)"
    statement = (
        "INSERT INTO task_contacts (task_id, contact_id, status, selected_template_id, scheduled_send_at, "
        f"event_tracking_uid, bucket) SELECT {bare}, contact_id, 'pending', template_id, "
        f"'2027-01-01 00:00:00', {uid.format(bare)}, contact_id % 61 FROM picked ORDER BY contact_id"
    )
    started = time.perf_counter()
    with database.begin() as connection:
        connection.execute(sa.text(statement))
    return time.perf_counter() - started


def fill(database: Database, size: int, rounds: int) -> list[tuple[int, int]]:
    """Contacts, their tags, an earlier task, and a pair of tasks per round: (to expand, for the baseline)."""
    now = clock.now()
    with database.begin() as connection:
        picked.create(connection)
        owner = inserted_id(connection.execute(sa.insert(users).values(username="bench")))
        made = {"created_by": owner}
        campaign = inserted_id(
            connection.execute(sa.insert(campaigns).values(name="bench", status="active", **made))
        )
        template_set = inserted_id(connection.execute(sa.insert(template_sets).values(name="three", **made)))
        for n in range(TEMPLATES):
            template = inserted_id(
                connection.execute(sa.insert(templates).values(name=f"t{n}x", subject="s", body="b", **made))
            )
            connection.execute(
                sa.insert(template_set_items).values(
                    template_set_id=template_set, template_id=template, order=n
                )
            )
        common = {"campaign_id": campaign, "template_set_id": template_set, "status": "sending", **made}
        parsed = rule.to_json(rule.read(RULE))

        def task(name: str) -> int:
            return inserted_id(
                connection.execute(sa.insert(tasks).values(name=name, recipient_rule=parsed, **common))
            )

        earlier = task("earlier")
        pairs = [(task(f"ours{n}"), task(f"bare{n}")) for n in range(rounds)]
    for start in range(0, size, 50_000):
        with database.begin() as connection:
            _fill_span(connection, range(start + 1, min(start + 50_000, size) + 1), earlier, now)
    if database.dialect_name != "sqlite":
        with database.begin() as connection:
            for table in metadata.sorted_tables:
                connection.exec_driver_sql(f"ANALYZE TABLE {table.name}").fetchall()
    return pairs


def _fill_span(connection: Connection, ids: range, earlier: int, now: object) -> None:
    people = [
        {
            "id": n,
            "email": f"user{n}@d{n % 5000}.example",
            "email_key": f"user{n}@d{n % 5000}.example",
            "email_domain": f"d{n % 5000}.example",
            "nickname": f"User {n}",
            "fields": {"country": "DE", "company": f"Company {n}"},
            "tags": [tag for tag, share in SHARES.items() if has(n, tag, share)],
        }
        for n in ids
    ]
    connection.execute(sa.insert(contacts), people)
    pairs = [{"tag": tag, "contact_id": one["id"]} for one in people for tag in one["tags"]]
    connection.execute(sa.insert(contact_tags), pairs)
    sent = [
        {
            "task_id": earlier,
            "contact_id": n,
            "status": "sent",
            "sent_at": now,
            "event_tracking_uid": f"t{earlier}c{n}",
            "bucket": n % 61,
        }
        for n in ids
        if has(n, "sent", 20)
    ]
    connection.execute(sa.insert(task_contacts), sent)


def has(n: int, what: str, share: int) -> bool:
    """Whether contact n belongs to a share (percent); the shares do not follow one another."""
    return (n * 2654435761 + sum(map(ord, what)) * 40503) % 2**32 % 9973 % 100 < share


def peak_memory() -> float:
    """Peak resident memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextlib.contextmanager
def mariadb() -> Iterator[str]:
    """URL of an empty database, dropped at the end."""
    given = os.environ.get("TESTS_MARIADB")
    server = None if given else MariaDB(durable=True)
    base = (given or server.url("")).rstrip("/")  # type: ignore[union-attr]
    name = f"bench_{os.getpid()}"
    admin = sa.create_engine(base.replace("mysql://", "mysql+pymysql://"), isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        yield f"{base}/{name}"
    finally:
        with admin.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")
        admin.dispose()
        if server is not None:
            server.remove()


if __name__ == "__main__":
    assert Path("coldsend").is_dir(), "run it from the repository: python -m benchmarks.expansion"
    main()
