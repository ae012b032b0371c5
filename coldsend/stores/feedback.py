"""Rows of the send list as feedback sees them, and what is noted of it there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database import bulk
from coldsend.database.dialect import force_index
from coldsend.database.tables import contacts, event_log, task_contacts, tasks, unmatched_events
from coldsend.domain.feedback import FURTHEST, OUT
from coldsend.domain.states import EventType, RowReason, RowStatus
from coldsend.stores.ledger import chunks

rows = task_contacts.c
log = event_log.c

TIMES = tuple(column for column, _status in FURTHEST)

_SEEN = (
    sa.select(
        rows.id,
        rows.task_id,
        rows.contact_id,
        rows.status,
        rows.reason,
        rows.attempt_at,
        rows.sent_at,
        rows.sender_service_id,
        rows.message_id,
        rows.event_tracking_uid,
        *(rows[column] for column in TIMES),
        tasks.c.campaign_id,
        contacts.c.email_key,
        contacts.c.email_domain,
        contacts.c.erased_at,
    )
    .select_from(task_contacts)
    .join(tasks, tasks.c.id == rows.task_id)
    .join(contacts, contacts.c.id == rows.contact_id)
)
_MOVED = ("id", "status", *TIMES)


class SentTo(NamedTuple):
    """A message that went to an address, or may have. at: when."""

    row_id: int
    service_id: int | None
    at: datetime


def seen(connection: Connection, row_ids: Collection[int]) -> dict[int, RowMapping]:
    """id -> row with its campaign and address; locks the rows of the send list, in the order of their ids."""
    found: dict[int, RowMapping] = {}
    for chunk in chunks(sorted(row_ids)):
        # Locked by a statement of its own: of a join, every table's rows would be.
        mine = bulk.among(rows.id, chunk)
        connection.execute(sa.select(rows.id).where(mine).order_by(rows.id).with_for_update()).all()
        for row in connection.execute(_SEEN.where(mine)).mappings():
            found[row["id"]] = row
    return found


def sent_to(connection: Connection, email_keys: Collection[str], since: datetime) -> dict[str, list[SentTo]]:
    """email_key -> what was sent there since, the newest first; what may have been is among it."""
    found: dict[str, list[SentTo]] = {}
    moment = sa.func.coalesce(rows.sent_at, rows.attempt_at)
    out = [status.value for status in (*OUT, RowStatus.UNKNOWN, RowStatus.SENDING)]
    given_up = sa.and_(rows.status == RowStatus.FAILED_TO_SEND.value, rows.reason == RowReason.GIVEN_UP.value)
    for chunk in chunks(sorted(email_keys)):
        statement = (
            sa.select(
                contacts.c.email_key,
                rows.id,
                rows.sender_service_id,
                sa.type_coerce(moment, rows.sent_at.type),
            )
            .select_from(contacts.join(task_contacts, rows.contact_id == contacts.c.id))
            .where(contacts.c.email_key.in_(chunk), sa.or_(rows.status.in_(out), given_up), moment >= since)
            .order_by(moment.desc(), rows.id.desc())
        )
        for key, *sent in connection.execute(statement):
            found.setdefault(key, []).append(SentTo(*sent))
    return found


def told_before(connection: Connection, keys: Collection[str]) -> set[str]:
    """Which of these keys stand in the event log, or among what matched nobody."""
    known: set[str] = set()
    for chunk in chunks(sorted(keys)):
        for column in (log.dedup_key, unmatched_events.c.dedup_key):
            among = bulk.among(column, chunk)
            known |= set(connection.execute(sa.select(column).where(among)).scalars())
    return known


def move(connection: Connection, row_id: int, values: Mapping[str, Any]) -> None:
    """Set columns of one row, which the caller has locked."""
    connection.execute(sa.update(task_contacts).where(rows.id == row_id).values(dict(values)))


def move_many(connection: Connection, moved: Mapping[int, tuple[str, Mapping[str, datetime | None]]]) -> None:
    """Set status and times of rows, which the caller has locked. moved: id -> (status, column -> time)."""
    values = [
        (row_id, status, *(times[column] for column in TIMES))
        for row_id, (status, times) in sorted(moved.items())
    ]
    assignments = {column: f"v.{column}" for column in _MOVED[1:]}
    for chunk in chunks(values):
        bulk.update_many(connection, task_contacts, assignments, _MOVED, chunk, "1 = 1")


def postpone(connection: Connection, contact_id: int, until: datetime, now: datetime) -> int:
    """Let a contact's waiting rows wait until then, never shorter; returns how many wait longer now."""
    connection.execute(
        sa.update(contacts)
        .where(
            contacts.c.id == contact_id,
            sa.or_(contacts.c.away_until.is_(None), contacts.c.away_until < until),
        )
        .values(away_until=until, updated_at=now)
    )
    waiting = sa.and_(rows.contact_id == contact_id, rows.status == RowStatus.PENDING.value)
    due = sa.or_(rows.scheduled_send_at.is_(None), rows.scheduled_send_at < until)
    later = sa.update(task_contacts).where(waiting, due)
    values = {"scheduled_send_at": until, "reason": RowReason.AWAY.value}
    return connection.execute(later.values(values)).rowcount


def refused_by(
    connection: Connection, contact_id: int, rule: str, since: datetime
) -> list[tuple[datetime, int]]:
    """(when, task id) of a contact's messages that met this reply rule since, by bounce or at once."""
    kinds = [EventType.BOUNCE.value, EventType.SEND_API_FAIL.value]
    mine = sa.and_(log.task_id == rows.task_id, log.contact_id == rows.contact_id)
    statement = (
        sa.select(log.ts, log.task_id, log.details)
        .select_from(task_contacts.join(event_log, mine))
        .where(rows.contact_id == contact_id, log.type.in_(kinds), log.ts >= since)
    )
    return [
        (at, task_id)
        for at, task_id, details in connection.execute(statement)
        if rule in ((details or {}).get("rule"), (details or {}).get("reason"))
    ]


def task_ids_of(connection: Connection, campaign_id: int) -> list[int]:
    return list(connection.execute(sa.select(tasks.c.id).where(tasks.c.campaign_id == campaign_id)).scalars())


def count_events(
    connection: Connection,
    task_ids: Sequence[int],
    event_type: EventType,
    since: datetime,
    limit: int | None = None,
) -> int:
    """How many such events these tasks have had since; stops at ``limit``. Reads one index, no rows."""
    some = sa.select(sa.literal(1)).where(
        log.type == event_type.value, log.task_id.in_(task_ids), log.ts >= since
    )
    counted = sa.select(sa.func.count()).select_from(some.limit(limit).subquery())
    return int(connection.execute(counted).scalar_one())


def count_came_back(
    connection: Connection, task_ids: Sequence[int], event_type: EventType, since: datetime
) -> int:
    """How many recipients, accepted by a server since then, have such an event."""
    accepted = sa.func.coalesce(rows.sent_at, rows.attempt_at) >= since
    out = rows.status.in_([status.value for status in OUT])
    found = (
        sa.select(rows.id)
        .distinct()
        .select_from(event_log)
        .join(task_contacts, sa.and_(rows.task_id == log.task_id, rows.contact_id == log.contact_id))
        .where(log.type == event_type.value, log.task_id.in_(task_ids), log.ts >= since, out, accepted)
    )
    return int(connection.execute(sa.select(sa.func.count()).select_from(found.subquery())).scalar_one())


def count_refused(
    connection: Connection, task_ids: Sequence[int], reasons: Collection[str], since: datetime
) -> int:
    """How many recipients of these tasks failed for one of these reasons, tried since then."""
    hinted = force_index(task_contacts, "ix_task_contacts_lease")
    query = sa.select(sa.func.count()).where(
        rows.task_id.in_(task_ids),
        rows.status == RowStatus.FAILED_TO_SEND.value,
        rows.attempt_at >= since,
        rows.reason.in_(sorted(reasons)),
    )
    return int(connection.execute(hinted(query)).scalar_one())
