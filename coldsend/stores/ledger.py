"""The send list as a ledger: candidates, intents, claims, outcomes.

Every change of state is a compare-and-set: an intent takes rows that are still ``pending``, an outcome
writes rows that still carry the claim's token. ``claim_token`` is ``worker id * 2**32 + batch number``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database import dialect
from coldsend.database.tables import (
    campaigns,
    contacts,
    sender_leases,
    sender_services,
    task_contacts,
    tasks,
)
from coldsend.domain.outcome import RowOutcome
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


@dataclass(frozen=True, slots=True)
class ClaimedRow:
    """A row in ``sending`` under our token, with its contact."""

    id: int
    task_id: int
    contact_id: int
    template_id: int
    service_id: int
    attempt: int
    retries: int
    first_attempt_at: datetime | None
    email: str
    email_key: str
    email_domain: str
    nickname: str | None
    tags: tuple[str, ...]
    fields: dict[str, str]
    time_zone: str | None
    contact_removed: bool
    keeps_service: bool  # it waited for this service only, and does so again if it is not sent


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
    throttled = sender_services.c.throttle_sec > 0
    healthy = (
        [
            sender_services.c.health_status == HealthStatus.FROZEN.value,
            sender_services.c.frozen_code == FreezeCode.ERRORS.value,
        ]
        if probe
        else [
            sender_services.c.health_status == HealthStatus.ACTIVE.value,
            sa.or_(sender_services.c.cool_down_until.is_(None), sender_services.c.cool_down_until <= now),
        ]
    )
    service_open = (
        sa.select(sa.literal(1))
        .select_from(sender_services)
        .where(
            sender_services.c.id == service_id,
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
        .where(rows.id.in_(row_ids), rows.status == RowStatus.PENDING.value, *guards)
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
    return [row for ids in _chunks(row_ids) for row in _claimed(connection, ids, token)]


def _claimed(connection: Connection, row_ids: Sequence[int], token: int) -> list[ClaimedRow]:
    c, keeps = contacts.c, RowReason.KEEPS_SERVICE
    found = connection.execute(
        sa.select(
            rows.id,
            rows.task_id,
            rows.contact_id,
            rows.selected_template_id,
            rows.sender_service_id,
            rows.attempt,
            rows.retries,
            rows.first_attempt_at,
            c.email,
            c.email_key,
            c.email_domain,
            c.nickname,
            c.tags,
            c.fields,
            c.time_zone,
            c.deleted_at,
            rows.reason,
        )
        .select_from(task_contacts.join(contacts, c.id == rows.contact_id))
        .where(rows.id.in_(row_ids), rows.claim_token == token, rows.status == RowStatus.SENDING.value)
    )
    return [
        ClaimedRow(
            *(*row[:12], tuple(row[12] or ()), row[13] or {}, row[14], row[15] is not None, row[16] == keeps)
        )
        for row in found
    ]


def lock(connection: Connection, row_ids: Sequence[int]) -> None:
    """Wait until no other transaction has changed these rows and is not committed (SQLite: there is none)."""
    for ids in _chunks(row_ids):
        connection.execute(sa.select(rows.id).where(rows.id.in_(ids)).with_for_update()).all()


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


_ASSIGNMENTS = {
    "status": "v.status",
    "sent_at": "COALESCE(v.sent_at, t.sent_at)",
    "error_message": "v.error_message",
    "reason": "v.reason",
    "scheduled_send_at": "COALESCE(v.scheduled_send_at, t.scheduled_send_at)",
    "retries": "v.retries",
    "first_attempt_at": "v.first_attempt_at",
    "sender_service_id": "v.sender_service_id",
    "message_id": "COALESCE(v.message_id, t.message_id)",
}
# A row that rescue has given up as unknown still takes the true outcome from its own claim; whether it may be
# pending again depends on its task, see still_open().
_GUARD = (
    "t.claim_token = v.claim_token AND "
    "(t.status = 'sending' OR (t.status = 'unknown' AND v.status NOT IN ('unknown', 'pending')))"
)


def record(connection: Connection, outcomes: Sequence[RowOutcome]) -> int:
    """Write outcomes to the rows that still carry their token; returns how many did."""
    return sum(
        dialect.update_many(
            connection, task_contacts, _ASSIGNMENTS, [_values(outcome) for outcome in chunk], _GUARD
        )
        for chunk in _chunks(outcomes)
    )


def still_open(connection: Connection, outcomes: Sequence[RowOutcome]) -> set[tuple[int, int]]:
    """(row, token) of those outcomes that :func:`record` will write in this transaction; locks their rows.

    A row given up as unknown that was never sent after all goes back to ``sending`` here, if its task has not
    ended: nothing may wait in a task that nobody works on.
    """
    at: dict[tuple[int, int], tuple[str, int]] = {}
    for chunk in _chunks(outcomes):
        found = connection.execute(
            sa.select(rows.id, rows.claim_token, rows.status, rows.task_id)
            .where(rows.id.in_([outcome.row_id for outcome in chunk]))
            .with_for_update()
        )
        at |= {(row[0], row[1]): (row[2], row[3]) for row in found}
    open_keys = set()
    for outcome in outcomes:
        key = (outcome.row_id, outcome.token)
        status, task_id = at.get(key, ("", 0))
        late = status == RowStatus.UNKNOWN and outcome.status != RowStatus.UNKNOWN
        if late and outcome.status == RowStatus.PENDING:
            late = _claim_again(connection, outcome, task_id)
        if status == RowStatus.SENDING or late:
            open_keys.add(key)
    return open_keys


def _claim_again(connection: Connection, outcome: RowOutcome, task_id: int) -> bool:
    """From unknown back to sending under the same token; False where the task has ended meanwhile."""
    # A real UPDATE of the task's row: closing a task locks it first, so one of the two sees the other.
    task_is_open = sa.update(tasks).where(tasks.c.id == task_id, tasks.c.actual_end_time.is_(None))
    if connection.execute(task_is_open.values(updated_at=outcome.at)).rowcount == 0:
        return False
    connection.execute(
        sa.update(task_contacts)
        .where(rows.id == outcome.row_id, rows.claim_token == outcome.token)
        .values(status=RowStatus.SENDING.value)
    )
    return True


def _values(outcome: RowOutcome) -> dict[str, Any]:
    pending = outcome.status == RowStatus.PENDING
    return {
        "id": outcome.row_id,
        "claim_token": outcome.token,
        "status": outcome.status.value,
        "sent_at": outcome.at if outcome.status == RowStatus.SENT else None,
        "error_message": outcome.error_message,
        "reason": outcome.reason[:100] if outcome.reason else None,
        "scheduled_send_at": outcome.scheduled_send_at,
        "retries": outcome.retries,
        "first_attempt_at": outcome.first_attempt_at,
        "sender_service_id": outcome.keep_service if pending else outcome.service_id,
        "message_id": outcome.message_id,
    }


def event_keys(connection: Connection, row_ids: Sequence[int]) -> dict[int, tuple[int, int, str | None]]:
    """row id -> (task id, contact id, tracking uid): what an event names its row by."""
    names = sa.select(rows.id, rows.task_id, rows.contact_id, rows.event_tracking_uid)
    return {
        row[0]: (row[1], row[2], row[3])
        for chunk in _chunks(row_ids)
        for row in connection.execute(names.where(rows.id.in_(chunk)))
    }


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))
