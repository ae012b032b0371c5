"""Counting queries over send lists. Each walks one index range per task."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database.tables import (
    campaigns,
    sender_quota,
    sender_services,
    task_contacts,
    tasks,
    templates,
)
from coldsend.domain.states import ROW_WAITING, RowStatus
from coldsend.stores.experiments import templates_of

FEEDBACK = ("delivered", "opened", "clicked", "replied", "bounced", "unsubscribed", "complained")


def counts_by_status(connection: Connection, task_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """Rows of each task by status, in the order of RowStatus; read from the lease index alone."""
    found: dict[int, dict[str, int]] = {task_id: {} for task_id in task_ids}
    if not found:
        return found
    rows = task_contacts
    query = (
        sa.select(rows.c.task_id, rows.c.status, sa.func.count())
        .where(rows.c.task_id.in_(task_ids))
        .group_by(rows.c.task_id, rows.c.status)
    )
    for task_id, status, count in connection.execute(query):
        found[task_id][status] = count
    return {task_id: in_order(counts) for task_id, counts in found.items()}


def waiting_counts(connection: Connection, task_ids: Sequence[int]) -> dict[int, int]:
    """Rows of each task that are pending or sending."""
    counted = counts_by_status(connection, task_ids)
    return {task_id: sum(counts.get(s, 0) for s in ROW_WAITING) for task_id, counts in counted.items()}


def in_order(counts: dict[str, int]) -> dict[str, int]:
    return {status.value: counts[status.value] for status in RowStatus if status.value in counts}


def breakdown(
    connection: Connection,
    task_id: int,
    now: datetime,
    *,
    service_id: int | None = None,
    template_id: int | None = None,
) -> list[RowMapping]:
    """Rows of one task counted by status, reason, template, service and what replies want, in one pass.

    Also per group: first and last acceptance, how many are due only later and the first of these moments,
    and how many have each feedback time. service_id: only rows that went to this service last. template_id:
    only rows with this template.
    """
    rows = task_contacts
    later = rows.c.scheduled_send_at > now
    keys = [rows.c.status, rows.c.reason, rows.c.selected_template_id, rows.c.sender_service_id]
    keys.append(rows.c.reply_category)
    query = (
        sa.select(
            *keys,
            sa.func.count().label("rows"),
            sa.func.min(rows.c.sent_at).label("first_sent_at"),
            sa.func.max(rows.c.sent_at).label("last_sent_at"),
            sa.func.count(sa.case((later, 1))).label("later"),
            sa.func.min(sa.case((later, rows.c.scheduled_send_at))).label("next_due_at"),
            *(sa.func.count(rows.c[f"{name}_at"]).label(name) for name in FEEDBACK),
        )
        .where(rows.c.task_id == task_id)
        .group_by(*keys)
    )
    if service_id is not None:
        query = query.where(rows.c.sender_service_id == service_id)
    if template_id is not None:
        query = query.where(rows.c.selected_template_id == template_id)
    return list(connection.execute(query).mappings())


def template_names(connection: Connection) -> dict[int, str]:
    return {row.id: row.name for row in connection.execute(sa.select(templates.c.id, templates.c.name))}


def tasks_with_template(
    connection: Connection, template_id: int, owner: int | None = None
) -> list[RowMapping]:
    """Tasks whose rotation this template is in, the oldest first. owner: of this user's campaigns."""
    columns = (tasks.c.id, tasks.c.name, tasks.c.template_ids, tasks.c.experiment)
    query = (
        sa.select(*columns, campaigns.c.name.label("campaign"))
        .join_from(tasks, campaigns)
        .where(tasks.c.template_ids.is_not(None))
    )
    if owner is not None:
        query = query.where(campaigns.c.created_by == owner)
    found = connection.execute(query.order_by(tasks.c.id)).mappings()
    return [task for task in found if template_id in templates_of(task)]


def all_tasks(connection: Connection, owner: int | None = None) -> list[RowMapping]:
    """Every task, the oldest first. owner: of this user's campaigns."""
    columns = (tasks.c.id, tasks.c.name, campaigns.c.name.label("campaign"))
    query = sa.select(*columns).join_from(tasks, campaigns)
    if owner is not None:
        query = query.where(campaigns.c.created_by == owner)
    return list(connection.execute(query.order_by(tasks.c.id)).mappings())


def service_names(connection: Connection) -> dict[int, str]:
    query = sa.select(sender_services.c.id, sender_services.c.name)
    return {row.id: row.name for row in connection.execute(query)}


def quota_days(connection: Connection, service_id: int, limit: int) -> list[RowMapping]:
    """The service's latest quota days with what was used, oldest first."""
    quota = sender_quota
    query = sa.select(quota.c.quota_day, quota.c.used).where(quota.c.sender_service_id == service_id)
    return list(connection.execute(query.order_by(quota.c.quota_day.desc()).limit(limit)).mappings())[::-1]


def tasks_sending_since(
    connection: Connection, since: datetime, owner: int | None = None
) -> list[RowMapping]:
    """Tasks that have sent, or may have, after ``since``; oldest first."""
    query = (
        sa.select(tasks.c.id, tasks.c.name, campaigns.c.name.label("campaign"))
        .join_from(tasks, campaigns)
        .where(
            tasks.c.actual_start_time.is_not(None),
            sa.or_(tasks.c.actual_end_time.is_(None), tasks.c.actual_end_time >= since),
        )
        .order_by(tasks.c.id)
    )
    if owner is not None:
        query = query.where(campaigns.c.created_by == owner)
    return list(connection.execute(query).mappings())
