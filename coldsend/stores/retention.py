"""Deleting what has been kept long enough, a batch at a time. Times are the application's."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.database import bulk
from coldsend.database.tables import (
    alert_deliveries,
    alerts,
    audit_log,
    event_log,
    inbox_messages,
    unmatched_events,
    webhook_payloads,
)
from coldsend.stores import rollups


def drop_events(connection: Connection, after: int, before: datetime, limit: int) -> tuple[int, int]:
    """Delete those of the next events, ids above ``after``, that happened before then.

    By id, the only order the log is stored in: what was logged first happened first, but for a few that were
    heard of late. What is not in the roll-ups yet stays, so that reports keep their numbers. Returns (how
    many were deleted, the id to go on from).
    """
    counted = rollups.locked_position(connection)
    query = sa.select(event_log.c.id, event_log.c.ts).where(event_log.c.id > after, event_log.c.id <= counted)
    rows = connection.execute(query.order_by(event_log.c.id).limit(limit)).all()
    ids = [row.id for row in rows if row.ts < before]
    if ids:
        rollups.note_dropped(connection, before)
    return _drop(connection, event_log, ids), rows[-1].id if rows else after


def drop_unmatched(connection: Connection, before: datetime, limit: int) -> int:
    """Delete what came in before then and is about nobody we know; returns how many."""
    return _drop_by(connection, unmatched_events.c.received_at, before, limit)


def drop_messages(connection: Connection, before: datetime, limit: int) -> int:
    """Delete messages of mailboxes that were stored before then; returns how many."""
    return _drop_by(connection, inbox_messages.c.created_at, before, limit)


def drop_payloads(connection: Connection, before: datetime, limit: int) -> int:
    """Delete payloads of webhooks that came in before then; returns how many."""
    return _drop_by(connection, webhook_payloads.c.received_at, before, limit)


def drop_audit(connection: Connection, before: datetime, limit: int) -> int:
    """Delete what the audit log has of the time before then; returns how many."""
    return _drop_by(connection, audit_log.c.at, before, limit)


def drop_alerts(connection: Connection, before: datetime, limit: int) -> int:
    """Delete alerts that began before then and are over, with their deliveries; returns how many."""
    over = sa.select(alerts.c.id).where(alerts.c.raised_at < before, alerts.c.open_key.is_(None))
    ids = list(connection.execute(over.order_by(alerts.c.raised_at).limit(limit)).scalars())
    if ids:
        connection.execute(sa.delete(alert_deliveries).where(bulk.among(alert_deliveries.c.alert_id, ids)))
    return _drop(connection, alerts, ids)


def clear_raw(connection: Connection, after: int, before: datetime, limit: int) -> tuple[int, int]:
    """Forget the octets of messages that were stored before then; of the next ones, ids above ``after``.

    Returns (how many had them, the id to go on from; ``after`` itself where there is nothing more).
    """
    messages = inbox_messages.c
    query = sa.select(messages.id, messages.created_at).where(messages.id > after)
    rows = connection.execute(query.order_by(messages.id).limit(limit)).all()
    ids = [row.id for row in rows if row.created_at < before]
    if not ids:
        return 0, after
    cleared = sa.update(inbox_messages).where(bulk.among(messages.id, ids), messages.raw.is_not(None))
    return connection.execute(cleared.values(raw=None)).rowcount, max(ids)


def _drop_by(connection: Connection, moment: sa.Column[datetime], before: datetime, limit: int) -> int:
    """Delete the oldest rows of a table by a time that is indexed."""
    table = moment.table
    assert isinstance(table, sa.Table)
    query = sa.select(table.c.id).where(moment < before).order_by(moment).limit(limit)
    return _drop(connection, table, list(connection.execute(query).scalars()))


def _drop(connection: Connection, table: sa.Table, ids: list[int]) -> int:
    if not ids:
        return 0
    return connection.execute(sa.delete(table).where(bulk.among(table.c.id, ids))).rowcount
