"""Expansion against the bare INSERT .. SELECT of the same rows.

    python -m benchmarks.expansion [--contacts N] [--rounds N] [--sqlite] [--mariadb] [--json]

Contacts carry tags a (90 %), b (80 %), c (70 %) and d (10 %); 20 % were sent an earlier task. The rule is
``tag:a and tag:b and tag:c and not tag:d and not sent:bench/earlier``. In each round one task is expanded
by coldsend, and the very rows it made are then inserted for another task by a single statement from a table
that holds nothing but them: the same target table with all its indexes and foreign keys, no rule, no
suppressions, no chunks. MariaDB is a server of its own; commits are durable on both databases.
Prints a line per database and round: seconds of both, their ratio, the ratio of processor time (of this
process and the server; steadier on a busy machine), and what the expansion added to this process's memory.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import sqlalchemy as sa

from benchmarks import result, stage
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


def main() -> int:
    parser = result.parser(__doc__)
    parser.add_argument("--contacts", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--chunk", type=int, default=CHUNK)
    parser.add_argument("--sqlite", action="store_true")
    parser.add_argument("--mariadb", action="store_true")
    options = parser.parse_args()
    findings = result.Findings("expansion", options.json)
    both = not options.sqlite and not options.mariadb
    if options.sqlite or both:
        with tempfile.TemporaryDirectory() as folder:
            measure(f"sqlite:///{folder}/bench.db", "SQLite", Meter(None), options, findings)
    if options.mariadb or both:
        server = MariaDB(durable=True)
        try:
            server.execute("CREATE DATABASE bench CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
            assert server.process is not None
            measure(server.url("bench"), "MariaDB", Meter(server.process.pid), options, findings)
        finally:
            server.remove()
    return findings.finish()


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock, and of processor time in this process and the server."""

    wall: float
    cpu: float


class Meter:
    def __init__(self, server_pid: int | None) -> None:
        self._server = server_pid

    def measure(self, work: Callable[[], int]) -> tuple[Cost, int]:
        wall, cpu = time.perf_counter(), self._cpu()
        result = work()
        return Cost(time.perf_counter() - wall, self._cpu() - cpu), result

    def _cpu(self) -> float:
        own = time.process_time()
        if self._server is None:
            return own
        fields = Path(f"/proc/{self._server}/stat").read_text().rpartition(")")[2].split()
        return own + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(
    url: str, name: str, meter: Meter, options: argparse.Namespace, findings: result.Findings
) -> None:
    database = Database(url)
    migrate.upgrade(database)
    started = time.perf_counter()
    task_ids = fill(database, options.contacts, options.rounds)
    findings.say(f"{name}: {options.contacts:,} contacts made in {time.perf_counter() - started:.0f} s")
    rounds: list[dict[str, float]] = []
    for task, bare_task in task_ids:
        stage.forget_peak_memory()
        before = stage.peak_memory(os.getpid())
        ours, rows = meter.measure(lambda task=task: expanded(database, task, options.chunk))
        grown = stage.peak_memory(os.getpid()) - before
        pick(database, task)
        bare, inserted = meter.measure(lambda task=bare_task: bare_insert(database, task))
        assert inserted == rows
        rounds.append({"rows": rows, "ours": ours.wall, "bare": bare.wall, "ratio": ours.wall / bare.wall})
        rounds[-1] |= {"cpu_ratio": ours.cpu / bare.cpu, "grown_mb": grown}
        findings.say(
            f"{name}: {rows:,} rows, expansion {ours.wall:.2f} s ({rows / ours.wall:,.0f}/s), "
            f"bare {bare.wall:.2f} s ({rows / bare.wall:,.0f}/s), ratio {ours.wall / bare.wall:.2f}, "
            f"of processor time {ours.cpu / bare.cpu:.2f}, +{grown:.1f} MB"
        )
    findings.figures[name] = rounds
    write_rows(findings, name, options.contacts)
    database.dispose()


def write_rows(findings: result.Findings, name: str, contacts: int) -> None:
    rounds = findings.figures[name]
    ratios = result.Ratios([found["ratio"] for found in rounds])
    ours, bare, cpu = (
        statistics.median(found[key] for found in rounds) for key in ("ours", "bare", "cpu_ratio")
    )
    findings.row(
        f"expansion, {name}, {contacts:,} contacts to {rounds[0]['rows']:,} rows",
        ratios.median,
        measured=f"{ours:.1f} s",
        reference=f"bare INSERT .. SELECT: {bare:.1f} s",
        goal=result.at_most(2),
        note=f"{ratios.note()}; of processor time {cpu:.2f}",
    )
    findings.row(
        f"memory that expansion adds, {name}",
        max(found["grown_mb"] for found in rounds),
        measured=f"{max(found['grown_mb'] for found in rounds):.1f} MB",
        unit="MB",
        goal=result.at_most(20),
        note="flat: windows of contact ids, no row passes through Python",
    )


def expanded(database: Database, task_id: int, chunk: int) -> int:
    """Expand a task; the rows it got."""
    result = expand_task(database, task_id, clock.now(), chunk=chunk)
    assert result.done
    return result.count


def pick(database: Database, task_id: int) -> None:
    """Put the rows of a task into a table that holds nothing else."""
    rows = task_contacts.c
    with database.begin() as connection:
        connection.execute(sa.delete(picked))
        source = sa.select(rows.contact_id, rows.selected_template_id).where(rows.task_id == task_id)
        connection.execute(sa.insert(picked).from_select(["contact_id", "template_id"], source))


def bare_insert(database: Database, task_id: int) -> int:
    """Insert the picked rows for another task; how many there were."""
    prefix = f"'t{task_id}c'"
    is_sqlite = database.dialect_name == "sqlite"
    uid = f"{prefix} || contact_id" if is_sqlite else f"CONCAT({prefix}, contact_id)"
    statement = (
        "INSERT INTO task_contacts (task_id, contact_id, status, selected_template_id, scheduled_send_at, "
        f"event_tracking_uid, bucket) SELECT {task_id}, contact_id, 'pending', template_id, "
        f"'2027-01-01 00:00:00', {uid}, contact_id % 61 FROM picked ORDER BY contact_id"
    )
    with database.begin() as connection:
        return connection.execute(sa.text(statement)).rowcount


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


if __name__ == "__main__":
    sys.exit(main())
