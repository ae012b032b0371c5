"""How fast a task is sent, and what of it is due only later.

Whatever a task has sent and has still to send: each query reads a range of one index, at most MOST entries.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.database.dialect import force_index
from coldsend.database.tables import event_log, task_contacts
from coldsend.domain.states import EventType, RowStatus
from coldsend.stores.ledger import BUCKETS

MOST = 50_000

rows = task_contacts.c


@dataclass(frozen=True, slots=True)
class Accepted:
    """Messages that servers accepted since some moment; with ``count`` = MOST only the newest of them."""

    count: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None

    @property
    def is_all(self) -> bool:
        """Whether there are no older ones in the span that was asked for."""
        return self.count < MOST


@dataclass(frozen=True, slots=True)
class Later:
    """Pending rows that are due only later: how many (at most MOST are counted), the first and the last."""

    count: int = 0
    first: datetime | None = None
    last: datetime | None = None


def accepted_since(connection: Connection, task_id: int, since: datetime) -> Accepted:
    """What servers accepted of a task since then, from the event log's index alone."""
    events = event_log.c
    newest = force_index(event_log, "ix_event_log_type_task_ts")(
        sa.select(events.ts)
        .where(events.type == EventType.SEND_API_SUCCESS.value, events.task_id == task_id, events.ts >= since)
        .order_by(events.ts.desc())
        .limit(MOST)
    ).subquery()
    query = sa.select(sa.func.count(), sa.func.min(newest.c.ts), sa.func.max(newest.c.ts))
    return Accepted(*connection.execute(query.select_from(newest)).one())


def due_later(connection: Connection, task_id: int, now: datetime) -> Later:
    """Pending rows of a task that are due only after ``now``; looks into each bucket's end of the index."""
    hinted = force_index(task_contacts, "ix_task_contacts_lease")
    mine = [rows.task_id == task_id, rows.status == RowStatus.PENDING.value]
    some = hinted(
        sa.select(rows.scheduled_send_at)
        .where(*mine, rows.bucket.in_(range(BUCKETS)), rows.scheduled_send_at > now)
        .limit(MOST)
    ).subquery()
    query = sa.select(sa.func.count(), sa.func.min(some.c.scheduled_send_at))
    count, first = connection.execute(query.select_from(some)).one()
    if not count:
        return Later()
    buckets = sa.select(sa.literal(0).label("bucket")).cte("buckets", recursive=True)
    buckets = buckets.union_all(sa.select(buckets.c.bucket + 1).where(buckets.c.bucket < BUCKETS - 1))
    last_of_bucket = (
        hinted(sa.select(rows.scheduled_send_at).where(*mine, rows.bucket == buckets.c.bucket))
        .order_by(rows.scheduled_send_at.desc())
        .limit(1)
        .correlate(buckets)
        .scalar_subquery()
    )
    ends = sa.select(last_of_bucket.label("due")).select_from(buckets).subquery()
    last = connection.execute(sa.select(sa.func.max(ends.c.due))).scalar()
    return Later(count, first, last)
