"""Numbers about the whole installation, each from an index and bounded, however long send lists are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.database.dialect import force_index
from coldsend.database.tables import campaigns, task_contacts, tasks
from coldsend.domain.states import RowStatus
from coldsend.stores.ledger import BUCKETS

rows = task_contacts.c

_by_lease_index = force_index(task_contacts, "ix_task_contacts_lease")


def campaigns_by_status(connection: Connection) -> dict[str, int]:
    return _by_status(connection, campaigns)


def tasks_by_status(connection: Connection) -> dict[str, int]:
    return _by_status(connection, tasks)


def _by_status(connection: Connection, table: sa.Table) -> dict[str, int]:
    counted = sa.select(table.c.status, sa.func.count()).group_by(table.c.status)
    return {row[0]: row[1] for row in connection.execute(counted)}


def recipients_of(connection: Connection, task_ids: Sequence[int]) -> int:
    """Rows on the send lists of these tasks, as their expansion has counted them."""
    total = sa.select(sa.func.coalesce(sa.func.sum(tasks.c.expanded_count), 0))
    return int(connection.execute(total.where(tasks.c.id.in_(task_ids))).scalar_one())


def last_begun(connection: Connection, limit: int) -> list[int]:
    """Ids of the newest tasks that have begun to send."""
    begun = sa.select(tasks.c.id).where(tasks.c.actual_start_time.is_not(None))
    return list(connection.execute(begun.order_by(tasks.c.id.desc()).limit(limit)).scalars())


def rows_in(connection: Connection, task_ids: Sequence[int], status: RowStatus, limit: int) -> int:
    """Rows of these tasks in this status; ``limit`` where there are more."""
    if not task_ids:
        return 0
    found = _by_lease_index(
        sa.select(rows.id).where(rows.task_id.in_(task_ids), rows.status == status.value).limit(limit)
    ).subquery()
    return int(connection.execute(sa.select(sa.func.count()).select_from(found)).scalar_one())


def oldest_due(connection: Connection, task_ids: Sequence[int], now: datetime) -> datetime | None:
    """The earliest due time of the pending rows of these tasks that are due; None where there is none.

    One step into the index for each task and bucket: within these two the rows are in order of their time.
    """
    if not task_ids:
        return None
    numbers: list[sa.Select[Any]] = [
        sa.select(sa.literal_column(str(number)).label("bucket")) for number in range(BUCKETS)
    ]
    buckets = sa.union_all(*numbers).subquery("buckets")
    earliest = _by_lease_index(
        sa.select(rows.scheduled_send_at)
        .where(
            rows.task_id == tasks.c.id,
            rows.status == RowStatus.PENDING.value,
            rows.bucket == buckets.c.bucket,
            rows.scheduled_send_at <= now,
        )
        .order_by(rows.scheduled_send_at)
        .limit(1)
        .correlate(tasks, buckets)
    ).scalar_subquery()
    each = sa.select(earliest.label("due")).select_from(tasks.join(buckets, sa.true()))
    found = each.where(tasks.c.id.in_(task_ids)).subquery()
    first: datetime | None = connection.execute(sa.select(sa.func.min(found.c.due))).scalar_one()
    return first
