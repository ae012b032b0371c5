"""Rows of the send list as feedback sees them, and what is noted of it there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database.dialect import insert_ignore
from coldsend.database.tables import contacts, event_log, task_contacts, tasks, unmatched_events
from coldsend.domain.feedback import FURTHEST, OUT
from coldsend.stores.ledger import chunks

rows = task_contacts.c

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
    )
    .select_from(task_contacts)
    .join(tasks, tasks.c.id == rows.task_id)
    .join(contacts, contacts.c.id == rows.contact_id)
)


def seen(connection: Connection, row_ids: Collection[int]) -> dict[int, RowMapping]:
    """id -> row with its campaign and address; locks the rows of the send list, in the order of their ids."""
    found: dict[int, RowMapping] = {}
    for chunk in chunks(sorted(row_ids)):
        # Locked by a statement of its own: of a join, every table's rows would be.
        locked = sa.select(rows.id).where(rows.id.in_(chunk)).order_by(rows.id).with_for_update()
        connection.execute(locked).all()
        for row in connection.execute(_SEEN.where(rows.id.in_(chunk))).mappings():
            found[row["id"]] = row
    return found


def newest_of(
    connection: Connection, email_keys: Collection[str], since: datetime
) -> dict[str, list[tuple[int, int | None]]]:
    """email_key -> (row id, service id) of what was sent there since, the newest first."""
    found: dict[str, list[tuple[int, int | None]]] = {}
    moment = sa.func.coalesce(rows.sent_at, rows.attempt_at)
    out = [str(status) for status in OUT] + ["unknown", "failed_to_send"]
    for chunk in chunks(sorted(email_keys)):
        statement = (
            sa.select(contacts.c.email_key, rows.id, rows.sender_service_id)
            .select_from(contacts.join(task_contacts, rows.contact_id == contacts.c.id))
            .where(contacts.c.email_key.in_(chunk), rows.status.in_(out), moment >= since)
            .order_by(moment.desc(), rows.id.desc())
        )
        for key, row_id, service_id in connection.execute(statement):
            found.setdefault(key, []).append((row_id, service_id))
    return found


def told_before(connection: Connection, keys: Collection[str]) -> set[str]:
    """Which of these keys stand in the event log, or among what matched nobody."""
    known: set[str] = set()
    for chunk in chunks(sorted(keys)):
        for column in (event_log.c.dedup_key, unmatched_events.c.dedup_key):
            known |= set(connection.execute(sa.select(column).where(column.in_(chunk))).scalars())
    return known


def move(connection: Connection, row_id: int, values: Mapping[str, Any]) -> None:
    """Set columns of one row, which the caller has locked."""
    connection.execute(sa.update(task_contacts).where(rows.id == row_id).values(dict(values)))


def keep_unmatched(connection: Connection, found: Sequence[Mapping[str, Any]]) -> None:
    """Store what is about nobody we know: source, received_at, dedup_key, details."""
    if found:
        insert = insert_ignore(unmatched_events, connection.dialect.name)
        connection.execute(insert, [dict(row) for row in found])


def postpone(connection: Connection, contact_id: int, until: datetime, pending: str) -> int:
    """Let a contact's waiting rows wait until then, never shorter; returns how many wait longer now."""
    connection.execute(
        sa.update(contacts)
        .where(
            contacts.c.id == contact_id,
            sa.or_(contacts.c.away_until.is_(None), contacts.c.away_until < until),
        )
        .values(away_until=until, updated_at=contacts.c.updated_at)
    )
    later = sa.update(task_contacts).where(
        rows.contact_id == contact_id, rows.status == pending, rows.scheduled_send_at < until
    )
    return connection.execute(later.values(scheduled_send_at=until, reason="away")).rowcount


def bounces_of_address(
    connection: Connection, contact_id: int, since: datetime
) -> list[tuple[datetime, Mapping[str, Any]]]:
    """(when, details) of a contact's bounces since then, the oldest first."""
    statement = (
        sa.select(event_log.c.ts, event_log.c.details)
        .select_from(
            event_log.join(
                task_contacts,
                sa.and_(event_log.c.task_id == rows.task_id, event_log.c.contact_id == rows.contact_id),
            )
        )
        .where(rows.contact_id == contact_id, event_log.c.type == "bounce", event_log.c.ts >= since)
        .order_by(event_log.c.ts)
    )
    return [(row[0], row[1] or {}) for row in connection.execute(statement)]


def task_ids_of(connection: Connection, campaign_id: int) -> list[int]:
    return list(connection.execute(sa.select(tasks.c.id).where(tasks.c.campaign_id == campaign_id)).scalars())


def count_events(
    connection: Connection, task_ids: Sequence[int], types: Iterable[str], since: datetime, limit: int
) -> int:
    """How many recipients of these tasks have such an event since then; stops counting at ``limit``."""
    log = event_log.c
    some = (
        sa.select(log.task_id, log.contact_id)
        .where(log.type.in_(list(types)), log.task_id.in_(list(task_ids)), log.ts >= since)
        .distinct()
        .limit(limit)
        .subquery()
    )
    return int(connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one())
