"""Many contacts and events at once, made by the database itself: what benchmarks of large tables start from.

Contact n has the id n, the address ``p<n>@company<n % 997>.example``, the tags ``lead`` and ``part<n % 10>``.
Works on an empty, migrated database.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
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
TOGETHER = 200  # rows accepted at the same moment, as a turn of a sender process writes them


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
    """Every pending row becomes sent by service 1, TOGETHER at a time, evenly over a span of time."""
    rows = task_contacts.c
    with database.read() as connection:
        last = connection.execute(sa.select(sa.func.max(rows.id))).scalar_one()
    with database.begin() as connection:
        for above in range(0, last, TOGETHER):
            at = began + span * (min(last, above + TOGETHER) / last)
            mine = [rows.id > above, rows.id <= above + TOGETHER, rows.status == RowStatus.PENDING.value]
            connection.execute(
                sa.update(task_contacts)
                .where(*mine)
                .values(
                    status=RowStatus.SENT.value,
                    attempt=1,
                    first_attempt_at=at,
                    attempt_at=at,
                    sent_at=at,
                    sender_service_id=1,
                    message_id="<" + rows.event_tracking_uid + "@sender.example>",
                )
            )


def add_events(database: Database, kind: EventType, each: int, apart: timedelta) -> None:
    """``each`` events of a kind for every row that was sent: so far apart, the first so long after it."""
    rows = task_contacts.c
    together = sa.select(rows.sent_at, sa.func.min(rows.id), sa.func.max(rows.id)).group_by(rows.sent_at)
    with database.read() as connection:
        spans = list(connection.execute(together.where(rows.sent_at.is_not(None))))
    for some in (spans[number : number + 100] for number in range(0, len(spans), 100)):
        with database.begin() as connection:
            for moment, first, last in some:
                times = [moment + apart * (number + 1) for number in range(each)]
                connection.execute(_events(kind, times, first, last))


def _events(kind: EventType, times: Sequence[datetime], first: int, last: int) -> sa.Insert:
    """An event at each of these times for each row of a span of ids."""
    rows = task_contacts.c
    moment = sa.union_all(*(sa.select(sa.literal(at, rows.sent_at.type).label("ts")) for at in times))
    moments = moment.subquery("moments")
    values = {
        "task_id": rows.task_id,
        "contact_id": rows.contact_id,
        "sender_service_id": rows.sender_service_id,
        "event_tracking_uid": rows.event_tracking_uid,
        "type": sa.literal(kind.value),
        "ts": moments.c.ts,
    }
    made = sa.select(*values.values()).select_from(task_contacts.join(moments, sa.true()))
    made = made.where(rows.id.between(first, last), rows.sent_at.is_not(None))
    return sa.insert(event_log).from_select([*values], made, include_defaults=False)


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
