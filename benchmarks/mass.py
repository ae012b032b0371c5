"""Many contacts and events at once, made by the database itself: what benchmarks of large tables start from.

Contact n has the id n, the address ``p<n>@company<n % 997>.example``, the tags ``lead`` and ``part<n % 10>``.
Works on an empty, migrated database.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import sqlalchemy as sa

from coldsend.database.engine import Database
from coldsend.database.tables import contact_tags, contacts, event_log, metadata, task_contacts
from coldsend.domain.states import EventType, RowStatus

CHUNK = 100_000  # rows a transaction
PARTS = 10  # tags part0 .. part9
MOMENTS = 100  # at which rows were sent


def add_contacts(database: Database, count: int) -> None:
    """Contacts 1 to ``count`` with their tags."""
    for offset in range(0, count, CHUNK):
        numbers = _numbers(offset, min(count, offset + CHUNK))
        with database.begin() as connection:
            connection.execute(_contacts(numbers.c.n))
            one = numbers.c.n
            for tag in (sa.literal("lead"), "part" + _text(one % PARTS)):
                made = sa.select(tag, one)
                connection.execute(
                    sa.insert(contact_tags).from_select(["tag", "contact_id"], made, include_defaults=False)
                )
    settle(database)


def _numbers(above: int, last: int) -> sa.Subquery:
    """above + 1 to last, at most CHUNK of them, as the column n: all ways to combine five digits."""
    digits = " UNION ALL ".join(f"SELECT {digit} AS d" for digit in range(10))
    tables = ", ".join(f"({digits}) AS digits{power}" for power in range(5))
    total = " + ".join([str(above + 1), *(f"{10**power} * digits{power}.d" for power in range(5))])
    combined = sa.text(f"SELECT n FROM (SELECT {total} AS n FROM {tables}) AS combined WHERE n <= {last}")
    return combined.columns(n=sa.Integer).subquery("numbers")


def _text(number: sa.ColumnElement[int]) -> sa.ColumnElement[str]:
    return sa.cast(number, sa.String(20))


def _contacts(n: sa.ColumnElement[int]) -> sa.Insert:
    company = _text(n % 997)
    email = "p" + _text(n) + "@company" + company + ".example"
    values: dict[str, sa.ColumnElement[Any]] = {
        "id": n,
        "email": email,
        "email_key": email,
        "email_domain": "company" + company + ".example",
        "nickname": "Zoë " + _text(n),
        "tags": '["lead","part' + _text(n % PARTS) + '"]',
        "fields": '{"company":"Company ' + company + '","city":"Köln"}',
    }
    return sa.insert(contacts).from_select([*values], sa.select(*values.values()), include_defaults=False)


def mark_sent(database: Database, began: datetime, span: timedelta) -> None:
    """Every pending row becomes sent by service 1, evenly over a span of time."""
    rows = task_contacts.c
    with database.read() as connection:
        last = connection.execute(sa.select(sa.func.max(rows.id))).scalar_one()
    for part in range(MOMENTS):
        at = began + span * ((part + 1) / MOMENTS)
        mine = rows.id.between(last * part // MOMENTS + 1, last * (part + 1) // MOMENTS)
        change = sa.update(task_contacts).where(mine, rows.status == RowStatus.PENDING.value)
        with database.begin() as connection:
            connection.execute(
                change.values(
                    status=RowStatus.SENT.value,
                    attempt=1,
                    first_attempt_at=at,
                    attempt_at=at,
                    sent_at=at,
                    sender_service_id=1,
                    message_id="<" + rows.event_tracking_uid + "@sender.example>",
                )
            )


def add_events(database: Database, kind: EventType, each: int) -> None:
    """``each`` events of a kind for every row that was sent, at the time of its acceptance."""
    rows = task_contacts.c
    repeats = sa.union_all(*(sa.select(sa.literal_column(str(n)).label("n")) for n in range(each))).subquery()
    values = {
        "task_id": rows.task_id,
        "contact_id": rows.contact_id,
        "sender_service_id": rows.sender_service_id,
        "event_tracking_uid": rows.event_tracking_uid,
        "type": sa.literal(kind.value),
        "ts": rows.sent_at,
    }
    made = sa.select(*values.values()).select_from(task_contacts.join(repeats, sa.true()))
    with database.read() as connection:
        last = connection.execute(sa.select(sa.func.max(rows.id))).scalar_one()
    step = max(1, CHUNK // each)
    for above in range(0, last, step):
        mine = made.where(rows.id > above, rows.id <= above + step, rows.sent_at.is_not(None))
        with database.begin() as connection:
            connection.execute(sa.insert(event_log).from_select([*values], mine, include_defaults=False))


def settle(database: Database) -> None:
    """What a server does by itself in the minutes after: count its indexes anew; SQLite: close its log."""
    connection = database.engine.raw_connection()  # SQLite does neither within a transaction
    try:
        for statement in _chores(database.dialect_name):
            cursor = connection.cursor()
            cursor.execute(statement)
            cursor.fetchall()
            cursor.close()
    finally:
        connection.close()


def _chores(dialect: str) -> Iterator[str]:
    if dialect == "sqlite":
        yield "PRAGMA wal_checkpoint(TRUNCATE)"
    else:
        yield from (f"ANALYZE TABLE {table.name}" for table in metadata.sorted_tables)
