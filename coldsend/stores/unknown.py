"""Rows whose outcome nobody knows: found through the lease index, decided by compare-and-set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database.dialect import force_index
from coldsend.database.tables import campaigns, contacts, sender_services, task_contacts, tasks
from coldsend.domain.states import RowReason, RowStatus

T = TypeVar("T")

_CHUNK = 500  # values one statement names: MariaDB turns a longer list into a join, and forgets the index

rows = task_contacts.c

_SHOWN = (
    sa.select(
        rows.id,
        rows.task_id,
        rows.contact_id,
        rows.status,
        rows.claim_token,
        rows.attempt,
        rows.attempt_at,
        rows.message_id,
        rows.reason,
        rows.error_message,
        rows.event_tracking_uid,
        rows.sender_service_id,
        contacts.c.email,
        contacts.c.email_key,
        contacts.c.email_domain,
        contacts.c.deleted_at,
        sender_services.c.name.label("service"),
        tasks.c.name,
        campaigns.c.name.label("campaign"),
        campaigns.c.created_by.label("owner"),
        tasks.c.campaign_id,
    )
    .select_from(task_contacts)
    .join(contacts, contacts.c.id == rows.contact_id)
    .join(tasks, tasks.c.id == rows.task_id)
    .join(campaigns, campaigns.c.id == tasks.c.campaign_id)
    .outerjoin(sender_services, sender_services.c.id == rows.sender_service_id)
)


def ids(connection: Connection, task_ids: Sequence[int], service_id: int | None = None) -> list[int]:
    """Ids of the unknown rows of these tasks, the oldest attempt first; only one service's if it is given.

    One index range per task; reads nothing but unknown rows, whatever else a send list holds.
    """
    hinted = force_index(task_contacts, "ix_task_contacts_lease")
    found: list[tuple[Any, int]] = []
    for chunk in _chunks(task_ids):
        query = sa.select(rows.attempt_at, rows.id).where(
            rows.task_id.in_(chunk), rows.status == RowStatus.UNKNOWN.value
        )
        if service_id is not None:
            query = query.where(rows.sender_service_id == service_id)
        found += [(row[0], row[1]) for row in connection.execute(hinted(query))]
    found.sort(key=lambda row: (row[0] is None, row[0], row[1]))
    return [row[1] for row in found]


def shown(connection: Connection, row_ids: Sequence[int]) -> list[RowMapping]:
    """These rows in the order asked for, in whatever state, with contact, task, campaign and service."""
    found = {
        row["id"]: row
        for chunk in _chunks(row_ids)
        for row in connection.execute(_SHOWN.where(rows.id.in_(chunk))).mappings()
    }
    return [found[row_id] for row_id in row_ids if row_id in found]


def of_contacts(connection: Connection, task_id: int, contact_ids: Sequence[int]) -> list[RowMapping]:
    """The rows of these contacts in one send list, in whatever state."""
    mine = [
        row_id
        for chunk in _chunks(contact_ids)
        for row_id in connection.execute(
            sa.select(rows.id).where(rows.task_id == task_id, rows.contact_id.in_(chunk))
        ).scalars()
    ]
    return shown(connection, mine)


def make_sent(connection: Connection, row_ids: Sequence[int], now: datetime, reason: RowReason) -> int:
    """Unknown rows become sent, at the time of their attempt; returns how many were unknown."""
    sent_at = sa.func.coalesce(rows.attempt_at, sa.literal(now, rows.attempt_at.type))
    values = {
        "status": RowStatus.SENT.value,
        "sent_at": sent_at,
        "reason": reason.value,
        "error_message": None,
    }
    return _decide(connection, row_ids, values)


def make_failed(connection: Connection, row_ids: Sequence[int], reason: RowReason) -> int:
    """Unknown rows become failed, what was known last stays; returns how many were unknown."""
    return _decide(connection, row_ids, {"status": RowStatus.FAILED_TO_SEND.value, "reason": reason.value})


def make_pending(connection: Connection, row_ids: Sequence[int], now: datetime) -> int:
    """Unknown rows become pending, due at once, free for any service; returns how many were unknown.

    Follow-ups keep the service of the message before.

    They lose their claim token: whatever the old attempt still learns has no say any more.
    """
    values = {
        "status": RowStatus.PENDING.value,
        "scheduled_send_at": now,
        "claim_token": None,
        "retries": 0,
        "first_attempt_at": None,
        "sender_service_id": sa.case((rows.follows_id.is_not(None), rows.sender_service_id)),
        "reason": None,
        "error_message": None,
    }
    return _decide(connection, row_ids, values)


def _decide(connection: Connection, row_ids: Sequence[int], values: Mapping[str, Any]) -> int:
    changed = connection.execute(
        sa.update(task_contacts)
        .where(rows.id.in_(row_ids), rows.status == RowStatus.UNKNOWN.value)
        .values(dict(values))
    )
    return changed.rowcount


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
