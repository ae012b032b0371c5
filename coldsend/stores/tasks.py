"""Rows of ``tasks`` and ``task_services``, and the rows of a send list that a task's own moves touch.

A task is named ``campaign/task`` or by its id. Rows come with their campaign's name (``campaign``), status
(``campaign_status``), start (``campaign_start_time``) and creator (``owner``).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from datetime import datetime
from shlex import quote
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database.dialect import force_index
from coldsend.database.tables import (
    campaigns,
    sender_services,
    task_contacts,
    task_services,
    tasks,
    user_sender_service_access,
    users,
)
from coldsend.domain.service import Service
from coldsend.domain.states import (
    RETRYABLE,
    ROW_WAITING,
    CampaignStatus,
    Role,
    RowReason,
    RowStatus,
    TaskStatus,
)
from coldsend.errors import InvalidInput, NotFound, Refused
from coldsend.stores import campaigns as campaign_rows
from coldsend.stores import lookup, services

_by_lease_index = force_index(task_contacts, "ix_task_contacts_lease")
_with_campaign = sa.select(
    tasks,
    campaigns.c.name.label("campaign"),
    campaigns.c.status.label("campaign_status"),
    campaigns.c.start_time.label("campaign_start_time"),
    campaigns.c.created_by.label("owner"),
).join_from(tasks, campaigns)


def reference(row: RowMapping) -> str:
    """``campaign/task``, as operators name it."""
    return f"{row['campaign']}/{row['name']}"


def find(connection: Connection, given: str | int) -> RowMapping:
    """The task named ``campaign/task`` (both names or ids) or by its id; NotFound names what is missing."""
    text = str(given).strip()
    if text.isdecimal():
        row = connection.execute(_with_campaign.where(tasks.c.id == lookup.id_of(text))).mappings().first()
        if row is None:
            raise NotFound(f"task {text} does not exist", hint="see: coldsend task list")
        return row
    campaign_name, slash, name = text.partition("/")
    if not slash or not name.strip():
        raise InvalidInput(
            f"{text!r} does not name a task", hint="name it CAMPAIGN/TASK or by its id: coldsend task list"
        )
    campaign = campaign_rows.find(connection, campaign_name)
    name = name.strip()
    matches = tasks.c.id == lookup.id_of(name) if name.isdecimal() else tasks.c.name == name
    query = _with_campaign.where(tasks.c.campaign_id == campaign["id"], matches)
    row = connection.execute(query).mappings().first()
    if row is None:
        names = [task["name"] for task in listed(connection, campaign_id=campaign["id"])]
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"see: coldsend task list {quote(campaign['name'])}"
        raise NotFound(f"campaign {campaign['name']!r} has no task {name!r}", hint=hint)
    return row


def get(connection: Connection, task_id: int) -> RowMapping:
    """The task with this id, which exists."""
    return connection.execute(_with_campaign.where(tasks.c.id == task_id)).mappings().one()


def insert(connection: Connection, values: dict[str, Any], service_ids: Iterable[int], now: datetime) -> int:
    """A new task with the services it is limited to (none: all its creator may use). Returns its id."""
    name = lookup.checked_name(values["name"], "task")
    same = sa.select(tasks.c.id).where(tasks.c.campaign_id == values["campaign_id"], tasks.c.name == name)
    if connection.execute(same).first():
        raise Refused(f"this campaign has a task {name!r} already", hint="see: coldsend task list")
    row = {**values, "name": name, "created_at": now, "updated_at": now}
    task_id = lookup.inserted_id(connection.execute(sa.insert(tasks).values(row)))
    _limit_to(connection, task_id, service_ids)
    return task_id


def rewrite(
    connection: Connection, task_id: int, values: dict[str, Any], service_ids: Iterable[int], now: datetime
) -> None:
    """Give a task other values, and other services that it is limited to."""
    connection.execute(sa.update(tasks).where(tasks.c.id == task_id).values(**values, updated_at=now))
    connection.execute(sa.delete(task_services).where(task_services.c.task_id == task_id))
    _limit_to(connection, task_id, service_ids)


def _limit_to(connection: Connection, task_id: int, service_ids: Iterable[int]) -> None:
    links = [{"task_id": task_id, "sender_service_id": service} for service in sorted(set(service_ids))]
    if links:
        connection.execute(sa.insert(task_services), links)


def listed(
    connection: Connection, *, campaign_id: int | None = None, owner: int | None = None
) -> list[RowMapping]:
    """Tasks in the order they were made; of one campaign, or of the campaigns one user created."""
    query = _with_campaign.order_by(tasks.c.campaign_id, tasks.c.id)
    if campaign_id is not None:
        query = query.where(tasks.c.campaign_id == campaign_id)
    if owner is not None:
        query = query.where(campaigns.c.created_by == owner)
    return list(connection.execute(query).mappings())


def in_status(connection: Connection, *statuses: TaskStatus) -> list[RowMapping]:
    query = _with_campaign.where(tasks.c.status.in_([status.value for status in statuses]))
    return list(connection.execute(query.order_by(tasks.c.id)).mappings())


def move(
    connection: Connection,
    task_id: int,
    before: Iterable[TaskStatus],
    after: TaskStatus,
    now: datetime,
    **also: Any,
) -> bool:
    """Set status and other columns where the status still is one of ``before``; whether it was.

    The row stays locked to the end of the transaction, also where the status stays the same.
    """
    changed = connection.execute(
        sa.update(tasks)
        .where(tasks.c.id == task_id, tasks.c.status.in_([status.value for status in before]))
        .values(status=after.value, updated_at=now, **also)
    )
    return changed.rowcount == 1


def service_names(connection: Connection, task_ids: Sequence[int]) -> dict[int, list[str]]:
    """Names of the services each task is limited to; tasks without a limit are absent."""
    query = (
        sa.select(task_services.c.task_id, sender_services.c.name)
        .join_from(task_services, sender_services)
        .where(task_services.c.task_id.in_(task_ids))
        .order_by(sender_services.c.id)
    )
    found: dict[int, list[str]] = {}
    for task_id, name in connection.execute(query):
        found.setdefault(task_id, []).append(name)
    return found


def allowed_services(connection: Connection, task_ids: Sequence[int]) -> dict[int, frozenset[int]]:
    """Ids of the services each task is limited to; tasks without a limit are absent.

    A follow-up is limited to those of the first task of its sequence: it has none of its own.
    """
    own = sa.select(tasks.c.id.label("task_id"), tasks.c.id.label("step_id")).where(tasks.c.id.in_(task_ids))
    chain = own.cte("chain", recursive=True)
    before = sa.select(chain.c.task_id, tasks.c.follows_task_id).join(tasks, tasks.c.id == chain.c.step_id)
    chain = chain.union_all(before.where(tasks.c.follows_task_id.is_not(None)))
    query = sa.select(chain.c.task_id, task_services.c.sender_service_id).join(
        task_services, task_services.c.task_id == chain.c.step_id
    )
    found: dict[int, set[int]] = {}
    for task_id, service_id in connection.execute(query):
        found.setdefault(task_id, set()).add(service_id)
    return {task_id: frozenset(services) for task_id, services in found.items()}


def usable_services(connection: Connection, task: RowMapping) -> list[Service]:
    """The services a task may use now: those it is limited to, or all, as far as granted to its creator.

    Admins need no grant. Frozen services and such without quota are among them.
    """
    limit = allowed_services(connection, [task["id"]]).get(task["id"])
    granted = sa.select(user_sender_service_access.c.sender_service_id).where(
        user_sender_service_access.c.user_id == task["created_by"]
    )
    is_admin = sa.exists().where(users.c.id == task["created_by"], users.c.role == Role.ADMIN.value)
    query = (
        sa.select(sender_services)
        .where(sa.or_(sender_services.c.id.in_(granted), is_admin))
        .order_by(sender_services.c.id)
    )
    if limit is not None:
        query = query.where(sender_services.c.id.in_(sorted(limit)))
    return [services.as_service(row) for row in connection.execute(query).mappings()]


def open_tasks(connection: Connection) -> list[dict[str, Any]]:
    """Tasks that may send now: in `sending`, their campaign active. In the order they started.

    ``services``: ids of the services a task is limited to, or None for all that ``created_by`` may use. With
    what its campaign says of time and pace.
    """
    pacing = ("time_zone", "send_window", "holidays", "spread", "followups_first", "new_per_day")
    query = (
        sa.select(
            tasks.c.id,
            tasks.c.campaign_id,
            tasks.c.created_by,
            tasks.c.follows_task_id,
            *(campaigns.c[name] for name in pacing),
        )
        .join_from(tasks, campaigns)
        .where(
            tasks.c.status == TaskStatus.SENDING.value,
            campaigns.c.status == CampaignStatus.ACTIVE.value,
        )
        .order_by(tasks.c.actual_start_time, tasks.c.id)
    )
    found = [dict(row) for row in connection.execute(query).mappings()]
    limits = allowed_services(connection, [task["id"] for task in found]) if found else {}
    return [{**task, "services": limits.get(task["id"])} for task in found]


def due(connection: Connection, now: datetime) -> list[int]:
    """Scheduled tasks of active campaigns whose start time and plan time have both come.

    Follow-ups only when the task before them has begun, or has ended without.
    """
    before = tasks.alias("before")
    has_begun = sa.or_(before.c.actual_start_time.is_not(None), before.c.actual_end_time.is_not(None))
    followed = sa.select(before.c.id).where(before.c.id == tasks.c.follows_task_id, has_begun)
    query = (
        sa.select(tasks.c.id)
        .join_from(tasks, campaigns)
        .where(
            tasks.c.status == TaskStatus.SCHEDULED.value,
            campaigns.c.status == CampaignStatus.ACTIVE.value,
            sa.or_(tasks.c.plan_time.is_(None), tasks.c.plan_time <= now),
            sa.or_(campaigns.c.start_time.is_(None), campaigns.c.start_time <= now),
            sa.or_(tasks.c.follows_task_id.is_(None), followed.correlate(tasks).exists()),
        )
        .order_by(tasks.c.id)
    )
    return list(connection.execute(query).scalars())


def hold_open(connection: Connection, task_id: int, now: datetime) -> bool:
    """Keep a task from being closed until this transaction ends; False where it is closed already.

    For whoever makes rows pending again. A real UPDATE: closing a task locks its row first.
    """
    change = sa.update(tasks).where(tasks.c.id == task_id, tasks.c.actual_end_time.is_(None))
    return connection.execute(change.values(updated_at=now)).rowcount == 1


def unwound(connection: Connection) -> list[RowMapping]:
    """Cancelled and failed tasks that are not closed yet: recipients may still be waiting."""
    query = _with_campaign.where(
        tasks.c.status.in_([TaskStatus.CANCELLED.value, TaskStatus.FAILED.value]),
        tasks.c.actual_end_time.is_(None),
    )
    return list(connection.execute(query.order_by(tasks.c.id)).mappings())


def has_waiting(connection: Connection, task_id: int) -> bool:
    """Whether any row is pending or sending.

    One statement, so one snapshot: a row that moves between the two states meanwhile is seen in one of them.
    """
    waiting = [status.value for status in sorted(ROW_WAITING)]
    query = sa.select(task_contacts.c.task_id).where(
        task_contacts.c.task_id == task_id, task_contacts.c.status.in_(waiting)
    )
    return connection.execute(_by_lease_index(query.limit(1))).first() is not None


def pending_ids(connection: Connection, task_id: int, limit: int) -> list[int]:
    """Ids of some pending rows, found through the lease index."""
    rows = task_contacts
    query = sa.select(rows.c.id).where(rows.c.task_id == task_id, rows.c.status == RowStatus.PENDING.value)
    return sorted(connection.execute(_by_lease_index(query.limit(limit))).scalars())


def retryable_ids(connection: Connection, task_id: int, limit: int) -> list[int]:
    """Ids of some rows that failed, but only for passing reasons."""
    query = sa.select(task_contacts.c.id).where(*_retryable(task_id))
    return sorted(connection.execute(query.limit(limit)).scalars())


def count_retryable(connection: Connection, task_id: int) -> int:
    query = sa.select(sa.func.count()).select_from(task_contacts).where(*_retryable(task_id))
    return int(connection.execute(query).scalar_one())


def _retryable(task_id: int) -> list[sa.ColumnElement[bool]]:
    rows = task_contacts
    return [
        rows.c.task_id == task_id,
        rows.c.status == RowStatus.FAILED_TO_SEND.value,
        rows.c.reason.in_([reason.value for reason in RETRYABLE]),
    ]


def skip_rows(connection: Connection, ids: Sequence[int], reason: RowReason) -> int:
    """Skip those of the rows that are still pending; how many were."""
    rows = task_contacts
    changed = connection.execute(
        sa.update(rows)
        .where(rows.c.id.in_(ids), rows.c.status == RowStatus.PENDING.value)
        .values(status=RowStatus.SKIPPED.value, reason=reason.value)
    )
    return changed.rowcount


def retry_rows(connection: Connection, task_id: int, ids: Sequence[int], now: datetime) -> int:
    """Make those of the rows pending again that still count as failed in passing; how many did."""
    rows = task_contacts
    changed = connection.execute(
        sa.update(rows)
        .where(rows.c.id.in_(ids), *_retryable(task_id))
        .values(
            status=RowStatus.PENDING.value,
            scheduled_send_at=now,
            retries=0,
            first_attempt_at=None,
            # Follow-ups go out through the service of the message before.
            sender_service_id=sa.case((rows.c.follows_id.is_not(None), rows.c.sender_service_id)),
            reason=None,
            error_message=None,
        )
    )
    return changed.rowcount
