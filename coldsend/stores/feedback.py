"""Rows of the send list as feedback sees them, and what is noted of it there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.database import bulk
from coldsend.database.dialect import force_index
from coldsend.database.expressions import json_text
from coldsend.database.tables import (
    campaigns,
    contacts,
    event_log,
    task_contacts,
    tasks,
    unmatched_events,
)
from coldsend.domain.feedback import FURTHEST, OUT
from coldsend.domain.states import EventType, RowReason, RowStatus
from coldsend.stores.ledger import chunks

rows = task_contacts.c
log = event_log.c

TIMES = tuple(column for column, _status in FURTHEST)

# Reading a column of a row takes the driver as long as the database: no more of them than every row needs.
_SEEN = (
    rows.id,
    rows.task_id,
    rows.contact_id,
    sa.type_coerce(rows.status, sa.String).label("status"),  # not looked up in the enumeration
    rows.attempt_at,
    rows.sender_service_id,
    rows.event_tracking_uid,
    *(rows[column] for column in TIMES),
)
_NAMES = tuple(column.name for column in _SEEN)
_ATTEMPT = (rows.id, rows.reason, rows.sent_at, rows.message_id)
_PERSON = (contacts.c.id, contacts.c.email_key, contacts.c.email_domain)
_UNSETTLED = frozenset({RowStatus.UNKNOWN.value, RowStatus.FAILED_TO_SEND.value})

_AT_ONCE = 250  # rows of one UPDATE that gives each its own value

Row = dict[str, Any]


class SentTo(NamedTuple):
    """A message that went to an address, or may have. at: when."""

    row_id: int
    service_id: int | None
    at: datetime


def seen(connection: Connection, row_ids: Collection[int], plain: Collection[int] = ()) -> dict[int, Row]:
    """id -> row; locks the rows of the send list, in the order of their ids.

    A row is the columns of ``_SEEN`` and ``erased``: whether its contact is. Rows that no outcome is known of
    have ``reason``, ``sent_at`` and ``message_id`` besides, and those that are not among ``plain``
    ``campaign_id``, ``email_key`` and ``email_domain``.
    """
    found: dict[int, Row] = {}
    for chunk in chunks(sorted(row_ids)):
        locked = sa.select(*_SEEN).where(bulk.among(rows.id, chunk)).order_by(rows.id).with_for_update()
        for values in connection.execute(locked).all():
            found[values[0]] = dict(zip(_NAMES, values, strict=True))
    people = {row["contact_id"] for row in found.values()}
    # Read behind the lock, each by a statement of its own: of a join, every table's rows would be locked.
    erased: set[int] = set()
    for chunk in chunks(sorted(people)):
        gone = sa.select(contacts.c.id).where(
            bulk.among(contacts.c.id, chunk), contacts.c.erased_at.is_not(None)
        )
        erased.update(connection.execute(gone).scalars())
    for row in found.values():
        row["erased"] = row["contact_id"] in erased
    _add_attempts(connection, [row for row in found.values() if row["status"] in _UNSETTLED])
    _add_people(connection, [row for row in found.values() if row["id"] not in plain])
    return found


def _add_attempts(connection: Connection, unsettled: Sequence[Row]) -> None:
    for some in chunks(unsettled):
        by_id = {row["id"]: row for row in some}
        statement = sa.select(*_ATTEMPT).where(bulk.among(rows.id, list(by_id)))
        for attempt in connection.execute(statement).mappings():
            by_id[attempt["id"]].update(attempt)


def _add_people(connection: Connection, wanted: Sequence[Row]) -> None:
    for some in chunks(wanted):
        people = sa.select(*_PERSON).where(bulk.among(contacts.c.id, {row["contact_id"] for row in some}))
        known = {row_id: person for row_id, *person in connection.execute(people)}
        tasks_of = sa.select(tasks.c.id, tasks.c.campaign_id)
        tasks_of = tasks_of.where(bulk.among(tasks.c.id, {row["task_id"] for row in some}))
        campaigns: dict[int, int] = {row[0]: row[1] for row in connection.execute(tasks_of)}
        for row in some:
            row["email_key"], row["email_domain"] = known[row["contact_id"]]
            row["campaign_id"] = campaigns[row["task_id"]]


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


def told_before(connection: Connection, keys: Collection[str], proven: Collection[str] = ()) -> set[str]:
    """Which of these keys stand in the event log, or, but those that are proven, among what matched nobody.

    proven: of happenings whose row a token told and which is there, as it was whenever they were told.
    """
    known: set[str] = set()
    for column, wanted in (
        (log.dedup_key, set(keys)),
        (unmatched_events.c.dedup_key, set(keys).difference(proven)),
    ):
        for chunk in chunks(sorted(wanted)):
            known.update(connection.execute(sa.select(column).where(bulk.among(column, chunk))).scalars())
    return known


def move(connection: Connection, row_id: int, values: Mapping[str, Any]) -> None:
    """Set columns of one row, which the caller has locked."""
    connection.execute(sa.update(task_contacts).where(rows.id == row_id).values(dict(values)))


def move_many(connection: Connection, moved: Mapping[int, tuple[str, Mapping[str, datetime | None]]]) -> None:
    """Set status and some times of rows that the caller has locked. moved: id -> (status, column -> time)."""
    alike: dict[tuple[str, ...], list[int]] = {}
    for row_id, (status, times) in sorted(moved.items()):
        alike.setdefault((status, *times), []).append(row_id)
    for (status, *columns), row_ids in alike.items():
        for start in range(0, len(row_ids), _AT_ONCE):
            some = row_ids[start : start + _AT_ONCE]
            each = {column: [moved[row_id][1][column] for row_id in some] for column in columns}
            bulk.update_each(connection, task_contacts, {"status": f"'{status}'"}, each, some, "1 = 1")


def reply_category(connection: Connection, row_id: int) -> str | None:
    """What the replies to a row's message want, as far as it is known; the caller has locked the row."""
    return connection.execute(sa.select(rows.reply_category).where(rows.id == row_id)).scalar()


def whereabouts(connection: Connection, row_id: int) -> tuple[sa.RowMapping, str | None, str | None]:
    """The settings of a row's campaign that say when it writes, and the recipient's time zone and country."""
    settings = [campaigns.c[name] for name in ("time_zone", "send_window", "holidays", "spread")]
    of_contact = (contacts.c.time_zone, json_text(contacts.c.fields, '$."country"'))
    query = sa.select(*settings, *(column.label(f"contact_{n}") for n, column in enumerate(of_contact)))
    joined = task_contacts.join(contacts, contacts.c.id == rows.contact_id).join(tasks).join(campaigns)
    found = connection.execute(query.select_from(joined).where(rows.id == row_id)).mappings().one()
    return found, found["contact_0"], found["contact_1"]


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
