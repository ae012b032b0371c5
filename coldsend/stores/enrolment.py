"""Enrolment of a follow-up: who was sent the message before it, and the rows that come of that.

Columns of ``tasks``: messages accepted up to ``enrolled_to`` have been looked at; ``expand_to`` is set while
the whole list of the task before is gone through, ``expand_cursor`` tells how far; ``expanded_count`` counts
the rows, on which turn the templates; ``expanded_at`` closes it. They move before rows are added, in the same
transaction: who finds them moved adds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database import bulk
from coldsend.database.expressions import json_text
from coldsend.database.tables import contacts, event_log, task_contacts, tasks
from coldsend.domain.states import ROW_SENT, EventType, TaskStatus
from coldsend.stores import sequence_stops
from coldsend.stores.ledger import BUCKETS, chunks
from coldsend.stores.suppressions import suppressed_condition

rows = task_contacts.c
log = event_log.c

_SENT = [status.value for status in sorted(ROW_SENT)]
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
    anew = {"expand_cursor": 0, "expand_to": None, "expanded_at": None, "enrolled_to": None}
    connection.execute(sa.update(tasks).where(tasks.c.id == task_id).values(updated_at=now, **anew))


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
    last = connection.execute(listed.order_by(rows.contact_id).offset(size - 1).limit(1)).scalar()
    return upto if last is None else int(last)


def among(contact_ids: Sequence[int]) -> list[ColumnElement[bool]]:
    """Conditions for :func:`recipients`, each for some of these contacts."""
    return [bulk.among(rows.contact_id, some) for some in chunks(contact_ids)]


def between(after: int, upto: int) -> list[ColumnElement[bool]]:
    """The condition for :func:`recipients` that contact ids are above ``after``, at most ``upto``."""
    return [sa.and_(rows.contact_id > after, rows.contact_id <= upto)]


def recipients(
    connection: Connection, task: RowMapping, where: Iterable[ColumnElement[bool]], rule: ColumnElement[bool]
) -> list[Recipient]:
    """Who of ``where`` was sent the message before ``task``, matches its rule, and is not on its list.

    By contact id. task: its row; rule: a condition on ``contacts``.
    """
    found = [row for some in where for row in connection.execute(_query(connection, task, some, rule))]
    return sorted(
        (
            Recipient(*row[:6], bool(row[6]), tuple(stop for stop in row[7:] if stop is not None))
            for row in found
        ),
        key=lambda one: one.contact_id,
    )


def _query(
    connection: Connection, task: RowMapping, where: ColumnElement[bool], rule: ColumnElement[bool]
) -> sa.Select[Any]:
    campaign_id = task["campaign_id"]
    mine = task_contacts.alias("mine")
    listed = sa.select(mine.c.id).where(mine.c.task_id == task["id"], mine.c.contact_id == rows.contact_id)
    c = contacts.c
    stops = []
    if sequence_stops.in_force(connection, [campaign_id]):
        stops = [
            sequence_stops.reason_of(campaign_id, "a:", c.email_key),
            sequence_stops.reason_of(campaign_id, "d:", c.email_domain),
        ]
    return (
        sa.select(
            rows.id,
            rows.contact_id,
            rows.sender_service_id,
            rows.sent_at,
            c.time_zone,
            json_text(c.fields, "$.country"),
            sa.case((suppressed_condition(campaign_id), 1), else_=0),
            *stops,
        )
        .select_from(task_contacts.join(contacts, c.id == rows.contact_id))
        .where(
            rows.task_id == task["follows_task_id"],
            where,
            rows.status.in_(_SENT),
            rows.sent_at.is_not(None),
            ~listed.correlate(task_contacts).exists(),
            rule,
        )
    )


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
