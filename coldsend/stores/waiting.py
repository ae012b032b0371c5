"""Pending rows before their intent: who they are for, putting them off, how many wait for a service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database import bulk, dialect
from coldsend.database.expressions import json_text
from coldsend.database.tables import campaigns, contacts, task_contacts, tasks
from coldsend.domain.gates import Gate
from coldsend.domain.states import RowStatus
from coldsend.stores.ledger import BUCKETS, chunks

rows = task_contacts.c
_PUT_OFF = 500  # rows one statement puts off


class Recipient(NamedTuple):
    """What decides when and through which service a row may go out. country: as it was written."""

    contact_id: int
    time_zone: str | None
    country: str | None
    email_domain: str


class PutOff(NamedTuple):
    """A row that may not be sent before ``until``. reason: a stable code, shown by ``why``."""

    row_id: int
    until: datetime
    reason: str


def recipients(connection: Connection, row_ids: Sequence[int]) -> dict[int, Recipient]:
    """row id -> its recipient."""
    found = sa.select(
        rows.id,
        contacts.c.id,
        contacts.c.time_zone,
        json_text(contacts.c.fields, '$."country"'),
        contacts.c.email_domain,
    ).select_from(task_contacts.join(contacts, contacts.c.id == rows.contact_id))
    return {
        row[0]: Recipient(*row[1:])
        for ids in chunks(row_ids)
        for row in connection.execute(found.where(bulk.among(rows.id, ids)))
    }


def limited(connection: Connection, row_ids: Sequence[int]) -> dict[int, RowMapping]:
    """row id -> what decides which limits it takes of: its domain, its task's and its campaign's settings."""
    settings = ("time_zone", "send_window", "holidays", "spread", "new_per_day")
    found = sa.select(
        rows.id,
        contacts.c.email_domain,
        tasks.c.campaign_id,
        tasks.c.follows_task_id,
        *(campaigns.c[name] for name in settings),
    ).select_from(task_contacts.join(contacts, contacts.c.id == rows.contact_id).join(tasks).join(campaigns))
    return {
        row["id"]: row
        for ids in chunks(row_ids)
        for row in connection.execute(found.where(bulk.among(rows.id, ids))).mappings()
    }


def put_off(connection: Connection, wanted: Sequence[PutOff]) -> int:
    """Let rows that are still pending wait; how many were."""
    changed = 0
    for start in range(0, len(wanted), _PUT_OFF):
        chunk = wanted[start : start + _PUT_OFF]
        changed += bulk.update_each(
            connection,
            task_contacts,
            {},
            {"scheduled_send_at": [one.until for one in chunk], "reason": [one.reason for one in chunk]},
            [one.row_id for one in chunk],
            f"status = '{RowStatus.PENDING.value}'",
        )
    return changed


def due_by_service(
    connection: Connection, task_ids: Sequence[int], service_ids: Sequence[int], before: datetime
) -> dict[tuple[int, int | None], int]:
    """(task id, service id) -> pending rows of the task that wait for the service and are due before then.

    Under None those that are free for any service. Who was put off because the service rests for their
    provider is left out: that may last for ever.
    """
    hinted = dialect.force_index(task_contacts, "ix_task_contacts_lease")
    counted = (
        sa.select(rows.task_id, rows.sender_service_id, sa.func.count())
        .where(
            rows.task_id.in_(task_ids),
            rows.status == RowStatus.PENDING.value,
            rows.bucket.in_(range(BUCKETS)),  # so that only what is due is walked
            rows.scheduled_send_at < before,
            sa.or_(rows.sender_service_id.in_(service_ids), rows.sender_service_id.is_(None)),
            sa.func.coalesce(rows.reason, "") != Gate.PROVIDER_PAUSED.value,
        )
        .group_by(rows.task_id, rows.sender_service_id)
    )
    return {(row[0], row[1]): row[2] for row in connection.execute(hinted(counted))}


def kept(connection: Connection, task_ids: Sequence[int], service_id: int) -> dict[int, int]:
    """task id -> pending rows of the task that wait for the service, due or not; tasks without are absent."""
    counted = sa.select(rows.task_id, sa.func.count()).where(*_kept(task_ids, service_id))
    hinted = dialect.force_index(task_contacts, "ix_task_contacts_lease")
    return {row[0]: row[1] for row in connection.execute(hinted(counted.group_by(rows.task_id)))}


def release(connection: Connection, task_id: int, service_id: int, limit: int) -> tuple[int, int]:
    """Free pending rows of a task that wait for the service for any other: (how many were found, are free).

    At most ``limit``. One that a worker takes at the same moment stays its own.
    """
    hinted = dialect.force_index(task_contacts, "ix_task_contacts_lease")
    query = hinted(sa.select(rows.id).where(*_kept([task_id], service_id)).limit(limit))
    found = list(connection.execute(query).scalars())
    changed = 0
    for ids in chunks(found):
        update = sa.update(task_contacts).where(
            bulk.among(rows.id, ids),
            rows.status == RowStatus.PENDING.value,
            rows.sender_service_id == service_id,
        )
        changed += connection.execute(update.values(sender_service_id=None)).rowcount
    return len(found), changed


def _kept(task_ids: Sequence[int], service_id: int) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        rows.task_id.in_(task_ids),
        rows.status == RowStatus.PENDING.value,
        rows.sender_service_id == service_id,
    )
