"""Enrolment of a follow-up: who was sent the message before it, and the rows that come of that.

Columns of ``tasks``: messages accepted up to ``enrolled_to`` have been looked at; ``expand_to`` is set while
the whole list of the task before is gone through, ``expand_cursor`` tells how far; ``expanded_count`` counts
the rows, on which turn the templates; ``expanded_at`` closes it. They move before rows are added, in the same
transaction: who finds them moved adds nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database import bulk
from coldsend.database.dialect import force_index
from coldsend.database.expressions import json_text
from coldsend.database.tables import contacts, event_log, task_contacts, tasks
from coldsend.domain.states import ROW_SENT, EventType, TaskStatus
from coldsend.stores import sequence_stops
from coldsend.stores.ledger import BUCKETS, chunks
from coldsend.stores.suppressions import suppressed_condition

rows = task_contacts.c
log = event_log.c

_by_contact = force_index(task_contacts, "uq_task_contacts_task_id_contact_id")
_COLUMNS = (
    "task_id",
    "contact_id",
    "status",
    "reason",
    "selected_template_id",
    "scheduled_send_at",
    "event_tracking_uid",
    "bucket",
    "follows_id",
    "sender_service_id",
)
# The whole list of the task before is to be gone through.
_ANEW = {"expand_cursor": 0, "expand_to": None, "expanded_at": None, "enrolled_to": None}


class Recipient(NamedTuple):
    """Who was sent the message before and has no follow-up yet. stops: why the address is stopped, by address
    and by domain, as the database has it."""

    row_id: int
    contact_id: int
    service_id: int | None
    sent_at: datetime
    time_zone: str | None
    country: str | None
    suppressed: bool
    stops: tuple[str, ...]


class NewRow(NamedTuple):
    """A row of the follow-up's send list. reason: why it comes in skipped; None: it is pending."""

    recipient: Recipient
    template_id: int
    due: datetime
    reason: str | None


def followers(connection: Connection, task_id: int) -> list[int]:
    """Ids of the tasks that follow a task."""
    query = sa.select(tasks.c.id).where(tasks.c.follows_task_id == task_id).order_by(tasks.c.id)
    return list(connection.execute(query).scalars())


def move(connection: Connection, task: RowMapping, now: datetime, **values: Any) -> bool:
    """Change the columns of enrolment where they still are as in ``task``; keeps the row locked.

    False where somebody else has moved them, or the task does not send any more.
    """
    t = tasks.c
    unmoved = [
        t.id == task["id"],
        t.status == TaskStatus.SENDING.value,
        t.expanded_at.is_(None),
        t.expand_cursor == task["expand_cursor"],
        t.expanded_count == task["expanded_count"],
        t.expand_to.is_(None) if task["expand_to"] is None else t.expand_to == task["expand_to"],
        t.enrolled_to.is_(None) if task["enrolled_to"] is None else t.enrolled_to == task["enrolled_to"],
    ]
    change = sa.update(tasks).where(*unmoved).values(updated_at=now, **values)
    return connection.execute(change).rowcount == 1


def count(connection: Connection, task_id: int, added: int) -> None:
    """Count rows that were added, behind the lock of :func:`move`."""
    counted = tasks.c.expanded_count + added
    connection.execute(sa.update(tasks).where(tasks.c.id == task_id).values(expanded_count=counted))


def open_again(connection: Connection, task_id: int, now: datetime) -> None:
    """Let enrolment go through the whole list of the task before once more; rows there are stay."""
    connection.execute(sa.update(tasks).where(tasks.c.id == task_id).values(updated_at=now, **_ANEW))


def look_again(connection: Connection, row_ids: Sequence[int], now: datetime) -> None:
    """These messages were sent after all: let what follows their tasks, has not ended and was complete
    without them, or is about to be, go through its list once more."""
    found = set()
    for some in chunks(row_ids):
        found |= set(connection.execute(sa.select(rows.task_id).where(bulk.among(rows.id, some))).scalars())
    if not found:
        return
    t = tasks.c
    last_time = sa.and_(t.expand_to.is_not(None), t.enrolled_to.is_(None))  # may have passed them
    complete = (
        t.follows_task_id.in_(sorted(found)),
        t.status.in_([TaskStatus.SENDING.value, TaskStatus.PAUSED.value]),
        sa.or_(t.expanded_at.is_not(None), last_time),
    )
    connection.execute(sa.update(tasks).where(*complete).values(updated_at=now, **_ANEW))


def accepted_by(
    connection: Connection, task_id: int, since: datetime, now: datetime, limit: int
) -> tuple[list[int], datetime]:
    """(contacts whose message of a task was accepted after ``since``, until when): about ``limit``.

    Whole moments: what was accepted at the same time is told together. Reads a range of one index.
    """
    success = EventType.SEND_API_SUCCESS.value
    mine = [log.type == success, log.task_id == task_id, log.ts > since, log.ts <= now]
    last = connection.execute(
        sa.select(log.ts).where(*mine).order_by(log.ts).offset(limit - 1).limit(1)
    ).scalar()
    upto = now if last is None else last
    found = connection.execute(sa.select(log.contact_id).where(*mine, log.ts <= upto)).scalars()
    return sorted(set(found)), upto


def reach(connection: Connection, task_id: int, after: int, upto: int, size: int) -> int:
    """The contact id that a task's send list gets to in ``size`` rows from ``after``, ``upto`` at most."""
    listed = sa.select(rows.contact_id).where(
        rows.task_id == task_id, rows.contact_id > after, rows.contact_id <= upto
    )
    last = connection.execute(
        _by_contact(listed.order_by(rows.contact_id).offset(size - 1).limit(1))
    ).scalar()
    return upto if last is None else int(last)


def recipients(
    connection: Connection, task: RowMapping, contact_ids: Sequence[int], rule: ColumnElement[bool]
) -> list[Recipient]:
    """Who of these contacts was sent the message before ``task``, matches its rule, and is not on its list.

    By contact id. task: its row; rule: a condition on ``contacts``. Three small queries for each thousand: in
    one, both databases go through whole send lists.
    """
    found: list[Recipient] = []
    for some in chunks(contact_ids):
        sent = _sent(connection, task["follows_task_id"], some)
        for contact_id in _listed(connection, task["id"], sent):
            del sent[contact_id]
        for person in _people(connection, task, sent, rule):
            contact_id, time_zone, country, suppressed = person[:4]
            row_id, service_id, sent_at = sent[contact_id]
            stops = tuple(stop for stop in person[4:] if stop is not None)
            found.append(
                Recipient(
                    row_id, contact_id, service_id, sent_at, time_zone, country, bool(suppressed), stops
                )
            )
    return sorted(found, key=lambda one: one.contact_id)


def contacts_between(connection: Connection, task_id: int, after: int, upto: int) -> list[int]:
    """Contacts of a task's send list with ids above ``after``, at most ``upto``."""
    listed = sa.select(rows.contact_id).where(
        rows.task_id == task_id, rows.contact_id > after, rows.contact_id <= upto
    )
    return list(connection.execute(_by_contact(listed)).scalars())


def _sent(
    connection: Connection, task_id: int, contact_ids: Sequence[int]
) -> dict[int, tuple[int, int | None, datetime]]:
    """contact id -> row, service and time of its message, where it was sent."""
    query = sa.select(rows.id, rows.contact_id, rows.sender_service_id, rows.sent_at, rows.status).where(
        rows.task_id == task_id, bulk.among(rows.contact_id, contact_ids)
    )
    # The status is not asked for in SQL, where it leads SQLite to another index.
    return {
        row[1]: (row[0], row[2], row[3])
        for row in connection.execute(_by_contact(query))
        if row[4] in ROW_SENT and row[3] is not None
    }


def _listed(connection: Connection, task_id: int, contact_ids: Collection[int]) -> list[int]:
    query = sa.select(rows.contact_id).where(
        rows.task_id == task_id, bulk.among(rows.contact_id, list(contact_ids))
    )
    return list(connection.execute(_by_contact(query)).scalars())


def _people(
    connection: Connection, task: RowMapping, contact_ids: Collection[int], rule: ColumnElement[bool]
) -> Sequence[Any]:
    """Id, time zone, country, whether suppressed and why stopped, of those that match the rule."""
    campaign_id, c = task["campaign_id"], contacts.c
    stops = []
    if sequence_stops.in_force(connection, [campaign_id]):
        stops = [
            sequence_stops.reason_of(campaign_id, "a:", c.email_key),
            sequence_stops.reason_of(campaign_id, "d:", c.email_domain),
        ]
    query = sa.select(
        c.id,
        c.time_zone,
        json_text(c.fields, "$.country"),
        sa.case((suppressed_condition(campaign_id), 1), else_=0),
        *stops,
    ).where(bulk.among(c.id, list(contact_ids)), rule)
    return connection.execute(query).all()


def add(connection: Connection, task_id: int, new: Sequence[NewRow]) -> None:
    """Add rows to a follow-up's send list."""
    bulk.insert_many(connection, task_contacts, _COLUMNS, (_values(task_id, row) for row in new))


def _values(task_id: int, row: NewRow) -> tuple[Any, ...]:
    whom = row.recipient
    return (
        task_id,
        whom.contact_id,
        "pending" if row.reason is None else "skipped",
        row.reason,
        row.template_id,
        row.due,
        f"t{task_id}c{whom.contact_id}",
        whom.contact_id % BUCKETS,
        whom.row_id,
        whom.service_id,
    )
