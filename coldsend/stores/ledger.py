"""The send list as a ledger: candidates, intents, claims. Outcomes are in ``stores/row_outcomes.py``.

Every change of state is a compare-and-set: an intent takes rows that are still ``pending``.
``claim_token`` is ``worker id * 2**32 + batch number``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database import bulk, dialect
from coldsend.database.tables import (
    campaigns,
    contacts,
    sender_leases,
    sender_services,
    task_contacts,
    tasks,
)
from coldsend.domain.states import CampaignStatus, FreezeCode, HealthStatus, RowReason, RowStatus, TaskStatus

T = TypeVar("T")

BUCKETS = 61
_BATCHES = 2**32
_CHUNK = 1000  # rows one statement names: databases limit how many values a statement may have

rows = task_contacts.c


def token_of(worker_id: int, batch: int) -> int:
    return worker_id * _BATCHES + batch % _BATCHES


def worker_of(token: int) -> int:
    return token // _BATCHES


class ClaimedRow(NamedTuple):
    """A row in ``sending`` under our token, with its contact."""

    id: int
    task_id: int
    contact_id: int
    template_id: int
    service_id: int
    retries: int
    first_attempt_at: datetime | None
    email: str
    email_key: str
    nickname: str | None
    tags: tuple[str, ...]
    fields: Mapping[str, str]
    time_zone: str | None
    contact_removed: bool
    keeps_service: bool  # it waited for this service only, and does so again if it is not sent
    away_until: datetime | None = None  # the contact, by an automatic reply

    @property
    def email_domain(self) -> str:
        """The domain of the address, as A-labels."""
        return self.email_key.rpartition("@")[2]


def candidates(
    connection: Connection,
    task_id: int,
    buckets: Sequence[int],
    services: Collection[int],
    now: datetime,
    limit: int,
) -> list[tuple[int, int | None]]:
    """(row id, service it must keep or None) of due rows of a task that one of ``services`` may take.

    Walks the lease index bucket by bucket; within a bucket by due time.
    """
    hinted = dialect.force_index(task_contacts, "ix_task_contacts_lease")
    found = connection.execute(
        hinted(
            sa.select(rows.id, rows.sender_service_id)
            .where(
                rows.task_id == task_id,
                rows.status == RowStatus.PENDING.value,
                rows.bucket.in_(buckets),
                rows.scheduled_send_at <= now,
                sa.or_(rows.sender_service_id.is_(None), rows.sender_service_id.in_(services)),
            )
            .limit(limit)
        )
    )
    return [(row[0], row[1]) for row in found]


def row_of(connection: Connection, task_id: int, contact_id: int) -> RowMapping | None:
    """A contact's row in a task's send list."""
    found = sa.select(task_contacts).where(rows.task_id == task_id, rows.contact_id == contact_id)
    return connection.execute(found).mappings().first()


def has_sending(connection: Connection, task_id: int) -> bool:
    """Whether any row of the task is in ``sending``."""
    return _has(connection, task_id, RowStatus.SENDING)


def has_pending(connection: Connection, task_id: int) -> bool:
    """Whether any row of the task is ``pending``, due or not."""
    return _has(connection, task_id, RowStatus.PENDING)


def _has(connection: Connection, task_id: int, status: RowStatus) -> bool:
    found = sa.select(rows.id).where(rows.task_id == task_id, rows.status == status.value).limit(1)
    return connection.execute(found).first() is not None


def intend(
    connection: Connection,
    *,
    row_ids: Sequence[int],
    task_id: int,
    service_id: int,
    token: int,
    now: datetime,
    owner: int | None,
    probe: bool = False,
) -> int:
    """Move pending rows to ``sending``; returns how many. All guards are in the one statement:

    the rows are still pending, task and campaign still send, the service is active and rested (``probe``: it
    is frozen for errors, and this is the one message that may find out), and where ``owner`` is given
    (throttled services) that worker still owns it. 0 rows is a normal answer.
    """
    still_sending = (
        sa.select(sa.literal(1))
        .select_from(tasks.join(campaigns, campaigns.c.id == tasks.c.campaign_id))
        .where(
            tasks.c.id == task_id,
            tasks.c.status == TaskStatus.SENDING.value,
            campaigns.c.status == CampaignStatus.ACTIVE.value,
        )
        .exists()
    )
    of = sender_services.c
    throttled = sa.or_(of.throttle_sec > 0, of.jitter_sec > 0, sa.func.coalesce(of.spread_hours, 0) > 0)
    healthy = (
        [
            of.health_status == HealthStatus.FROZEN.value,
            of.frozen_code == FreezeCode.ERRORS.value,
        ]
        if probe
        else [
            of.health_status == HealthStatus.ACTIVE.value,
            sa.or_(of.cool_down_until.is_(None), of.cool_down_until <= now),
        ]
    )
    service_open = (
        sa.select(sa.literal(1))
        .select_from(sender_services)
        .where(
            of.id == service_id,
            throttled if owner is not None else sa.not_(throttled),
            *healthy,
        )
        .exists()
    )
    guards = [still_sending, service_open]
    if owner is not None:
        guards.append(
            sa.select(sa.literal(1))
            .select_from(sender_leases)
            .where(sender_leases.c.sender_service_id == service_id, sender_leases.c.worker_id == owner)
            .exists()
        )
    result = connection.execute(
        sa.update(task_contacts)
        .where(bulk.among(rows.id, row_ids), rows.status == RowStatus.PENDING.value, *guards)
        .ordered_values(
            (rows.status, RowStatus.SENDING.value),
            (rows.claim_token, token),
            (rows.attempt, rows.attempt + 1),
            (rows.attempt_at, now),
            # Before the service, because MySQL assigns from left to right.
            (rows.reason, sa.case((rows.sender_service_id.is_not(None), RowReason.KEEPS_SERVICE.value))),
            (rows.sender_service_id, service_id),
        )
    )
    return result.rowcount


def claimed(connection: Connection, row_ids: Sequence[int], token: int) -> list[ClaimedRow]:
    """The rows that really are ours, with everything composing needs. Send only these, only after COMMIT."""
    return [row for ids in chunks(row_ids) for row in _claimed(connection, ids, token)]


def _claimed(connection: Connection, row_ids: Sequence[int], token: int) -> Iterator[ClaimedRow]:
    c, keeps = contacts.c, RowReason.KEEPS_SERVICE
    found = connection.execute(
        sa.select(
            rows.id,
            rows.task_id,
            rows.contact_id,
            rows.selected_template_id,
            rows.sender_service_id,
            rows.retries,
            rows.first_attempt_at,
            c.email,
            # Most often the same: then only one of them crosses the wire.
            sa.func.nullif(c.email_key, c.email),
            c.nickname,
            # As text: the same tags stand on many contacts and are read once.
            sa.type_coerce(c.tags, sa.Text),
            sa.type_coerce(c.fields, sa.Text),
            c.time_zone,
            c.deleted_at,
            rows.reason,
            c.away_until,
        )
        .select_from(task_contacts.join(contacts, c.id == rows.contact_id))
        .where(
            bulk.among(rows.id, row_ids), rows.claim_token == token, rows.status == RowStatus.SENDING.value
        )
    )
    for row in found:
        row_id, task_id, contact_id, template_id, service_id, retries, first = row[:7]
        email, key, nickname, tags, fields, time_zone, removed, reason, away_until = row[7:]
        yield ClaimedRow(
            row_id,
            task_id,
            contact_id,
            template_id,
            service_id,
            retries,
            first,
            email,
            key or email,
            nickname,
            _tags(tags) if tags else (),
            json.loads(fields) if fields else {},
            time_zone,
            removed is not None,
            reason == keeps,
            away_until,
        )


@lru_cache(maxsize=1024)
def _tags(document: str) -> tuple[str, ...]:
    return tuple(json.loads(document) or ())


def lock(connection: Connection, row_ids: Sequence[int]) -> None:
    """Wait until no other transaction has changed these rows and is not committed (SQLite: there is none)."""
    for ids in chunks(row_ids):
        connection.execute(sa.select(rows.id).where(bulk.among(rows.id, ids)).with_for_update()).all()


def put_back(connection: Connection, row_ids: Sequence[int], token: int) -> int:
    """Undo intents of this very transaction that the quota does not cover."""
    if not row_ids:
        return 0
    return connection.execute(
        sa.update(task_contacts)
        .where(rows.id.in_(row_ids), rows.claim_token == token, rows.status == RowStatus.SENDING.value)
        .values(
            status=RowStatus.PENDING.value,
            attempt=rows.attempt - 1,
            sender_service_id=sa.case((rows.reason == RowReason.KEEPS_SERVICE.value, rows.sender_service_id)),
        )
    ).rowcount


def event_keys(connection: Connection, row_ids: Sequence[int]) -> dict[int, tuple[int, int, str | None]]:
    """row id -> (task id, contact id, tracking uid): what an event names its row by."""
    names = sa.select(rows.id, rows.task_id, rows.contact_id, rows.event_tracking_uid)
    return {
        row[0]: (row[1], row[2], row[3])
        for chunk in chunks(row_ids)
        for row in connection.execute(names.where(bulk.among(rows.id, chunk)))
    }


def chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
