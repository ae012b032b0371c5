"""A database that was filled from a backup: it does not know what was done since, and must not guess.

Campaigns that were active are paused, rows of messages that were under way become ``unknown``, tokens are
forgotten, so that a journal of the time since cannot decide about a row by what it does not tell, the
processes of then are gone, and alerts that were on their way are not told any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.database.tables import alert_deliveries, campaigns, leases, task_contacts, workers
from coldsend.domain.alert import DeliveryStatus
from coldsend.domain.states import CampaignStatus, RowStatus

IN_DOUBT = "under way when the backup was taken: what became of it is not known"


@dataclass(frozen=True, slots=True)
class Changes:
    """What was done to make it safe: names of campaigns paused, and rows that became ``unknown``."""

    paused: tuple[str, ...] = ()
    unknown: int = 0


def make_safe(connection: Connection, taken_at: datetime, now: datetime) -> Changes:
    """Do what the module says; ``taken_at``: when the backup was taken."""
    active = campaigns.c.status == CampaignStatus.ACTIVE.value
    names = connection.execute(
        sa.select(campaigns.c.name).where(active).order_by(campaigns.c.id)
    ).scalars().all()  # fmt: skip
    reason = f"restored from the backup of {taken_at:%Y-%m-%d %H:%M} UTC: what was sent since is not known"
    connection.execute(
        sa.update(campaigns)
        .where(active)
        .values(status=CampaignStatus.PAUSED.value, status_reason=reason, updated_at=now)
    )
    r = task_contacts.c
    doubtful = connection.execute(
        sa.update(task_contacts)
        .where(r.status == RowStatus.SENDING.value)
        .values(status=RowStatus.UNKNOWN.value, error_message=IN_DOUBT, reason="restored")
    ).rowcount
    connection.execute(
        sa.update(task_contacts)
        .where(r.status == RowStatus.UNKNOWN.value, r.claim_token.is_not(None))
        .values(claim_token=None)
    )
    told = alert_deliveries.c  # to whom it concerned then; what holds now is found anew
    connection.execute(
        sa.update(alert_deliveries)
        .where(told.status == DeliveryStatus.PENDING.value)
        .values(status=DeliveryStatus.GIVEN_UP.value, last_error="restored from a backup", done_at=now)
    )
    connection.execute(sa.update(workers).where(workers.c.stopped_at.is_(None)).values(stopped_at=now))
    connection.execute(sa.delete(leases))
    return Changes(tuple(names), doubtful)
