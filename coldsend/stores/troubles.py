"""What may be worth an alert, as it stands now: each question a bounded query over an index or a small table.

Nothing is decided here; ``alerts/conditions.py`` makes conditions of what is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database.dialect import force_index
from coldsend.database.tables import campaigns, mailboxes, sender_services, task_contacts, tasks, workers
from coldsend.domain.states import CampaignStatus, FreezeCode, HealthStatus, RowStatus, TaskStatus

SCHEDULERS = 50  # the newest ones that the last sign of life is looked for in

_by_lease_index = force_index(task_contacts, "ix_task_contacts_lease")


def frozen_services(connection: Connection) -> list[RowMapping]:
    """Services that were not frozen by hand."""
    s = sender_services.c
    query = sa.select(s.id, s.name, s.frozen_code, s.frozen_reason, s.cool_down_until).where(
        s.health_status == HealthStatus.FROZEN.value,
        sa.func.coalesce(s.frozen_code, "") != FreezeCode.MANUAL.value,
    )
    return list(connection.execute(query.order_by(s.id)).mappings())


def paused_campaigns(connection: Connection) -> list[RowMapping]:
    """Campaigns that the engine paused: it gives a reason, people give none."""
    c = campaigns.c
    query = sa.select(c.id, c.name, c.status_reason).where(
        c.status == CampaignStatus.PAUSED.value, c.status_reason.is_not(None)
    )
    return list(connection.execute(query.order_by(c.id)).mappings())


def stopped_tasks(connection: Connection, failed_since: datetime) -> list[RowMapping]:
    """Tasks that the engine paused, and those that failed since then."""
    t = tasks.c
    paused = sa.and_(t.status == TaskStatus.PAUSED.value, t.status_reason.is_not(None))
    failed = sa.and_(t.status == TaskStatus.FAILED.value, t.updated_at >= failed_since)
    query = (
        sa.select(t.id, t.name, t.status, t.status_reason, t.campaign_id, campaigns.c.name.label("campaign"))
        .join_from(tasks, campaigns)
        .where(sa.or_(paused, failed))
    )
    return list(connection.execute(query.order_by(t.id)).mappings())


def completed_campaigns(connection: Connection, since: datetime) -> list[RowMapping]:
    """Campaigns that were completed since then, with how many recipients their tasks had (``recipients``)."""
    c = campaigns.c
    count = sa.select(sa.func.coalesce(sa.func.sum(tasks.c.expanded_count), 0)).where(
        tasks.c.campaign_id == c.id
    )
    query = sa.select(c.id, c.name, count.scalar_subquery().label("recipients")).where(
        c.status == CampaignStatus.COMPLETED.value, c.updated_at >= since
    )
    return list(connection.execute(query.order_by(c.id)).mappings())


def unknown_rows(
    connection: Connection, task_ids: Sequence[int], before: datetime, limit: int
) -> list[RowMapping]:
    """Of these tasks, how many rows (``count``) have been unknown since before then; ``limit`` in all."""
    if not task_ids:
        return []
    rows = task_contacts.c
    found = _by_lease_index(
        sa.select(rows.task_id)
        .where(
            rows.task_id.in_(task_ids),
            rows.status == RowStatus.UNKNOWN.value,
            sa.or_(rows.attempt_at.is_(None), rows.attempt_at <= before),
        )
        .limit(limit)
    ).subquery()
    counted = sa.select(found.c.task_id, sa.func.count().label("count")).group_by(found.c.task_id).subquery()
    query = (
        sa.select(
            tasks.c.id,
            tasks.c.name,
            tasks.c.campaign_id,
            campaigns.c.name.label("campaign"),
            counted.c.count,
        )
        .select_from(counted)
        .join(tasks, tasks.c.id == counted.c.task_id)
        .join(campaigns, campaigns.c.id == tasks.c.campaign_id)
    )
    return list(connection.execute(query.order_by(tasks.c.id)).mappings())


def last_heartbeat(connection: Connection) -> datetime | None:
    """When a scheduler gave its last sign of life, whether it has signed off since or not."""
    w = workers.c
    newest = sa.select(w.heartbeat_at).where(w.kind == "scheduler").order_by(w.id.desc()).limit(SCHEDULERS)
    return max(connection.execute(newest).scalars(), default=None)


def begun_campaigns(connection: Connection, now: datetime) -> list[RowMapping]:
    """Active campaigns whose start time has come."""
    c = campaigns.c
    query = sa.select(c.id, c.name, c.resumed_at, c.start_time, c.created_at).where(
        c.status == CampaignStatus.ACTIVE.value, sa.or_(c.start_time.is_(None), c.start_time <= now)
    )
    return list(connection.execute(query.order_by(c.id)).mappings())


def failing_mailboxes(connection: Connection, before: datetime) -> list[RowMapping]:
    """Enabled mailboxes that fail, and were not read to their end since then."""
    m = mailboxes.c
    query = sa.select(
        m.id, m.name, m.sender_service_id, m.polled_at, m.created_at, m.last_error, m.error_code
    ).where(m.enabled, m.consecutive_errors > 0, sa.func.coalesce(m.polled_at, m.created_at) <= before)
    return list(connection.execute(query.order_by(m.id)).mappings())
