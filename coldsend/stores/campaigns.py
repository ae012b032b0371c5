"""Rows of ``campaigns``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from shlex import quote
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database.tables import campaigns, tasks
from coldsend.domain.states import TASK_ENDED, CampaignStatus
from coldsend.errors import Refused
from coldsend.stores import lookup

# What a campaign says of time and pace, and of how its tasks follow each other.
SETTINGS = (
    "time_zone",
    "send_window",
    "holidays",
    "spread",
    "stop_on_reply",
    "stop_domain_on_reply",
    "followups_first",
    "new_per_day",
)


def find(connection: Connection, given: str | int) -> RowMapping:
    return lookup.by_name_or_id(connection, campaigns, given, "campaign")


def insert(
    connection: Connection, name: str, start_time: datetime | None, created_by: int, now: datetime
) -> int:
    """A new campaign in draft; Refused where the name is taken. Returns its id."""
    name = lookup.checked_name(name, "campaign")
    if connection.execute(sa.select(campaigns.c.id).where(campaigns.c.name == name)).first():
        raise Refused(f"campaign {name!r} exists already", hint=f"see: coldsend campaign show {quote(name)}")
    insertion = sa.insert(campaigns).values(
        name=name,
        start_time=start_time,
        status=CampaignStatus.DRAFT.value,
        created_by=created_by,
        created_at=now,
        updated_at=now,
    )
    return lookup.inserted_id(connection.execute(insertion))


def change(connection: Connection, campaign_id: int, values: Mapping[str, Any], now: datetime) -> None:
    """Give a campaign other settings."""
    changed = sa.update(campaigns).where(campaigns.c.id == campaign_id)
    connection.execute(changed.values(**values, updated_at=now))


def listed(connection: Connection, created_by: int | None = None) -> list[RowMapping]:
    """All campaigns, oldest first; only one creator's where ``created_by`` is given."""
    query = sa.select(campaigns).order_by(campaigns.c.id)
    if created_by is not None:
        query = query.where(campaigns.c.created_by == created_by)
    return list(connection.execute(query).mappings())


def move(
    connection: Connection,
    campaign_id: int,
    before: Iterable[CampaignStatus],
    after: CampaignStatus,
    now: datetime,
    status_reason: str | None = None,
) -> bool:
    """Set the status where it still is one of ``before``; whether it was. The row stays locked."""
    states = [status.value for status in before]
    values: dict[str, Any] = {"status": after.value, "status_reason": status_reason, "updated_at": now}
    if after is CampaignStatus.ACTIVE:
        values["resumed_at"] = now
    changed = connection.execute(
        sa.update(campaigns)
        .where(campaigns.c.id == campaign_id, campaigns.c.status.in_(states))
        .values(values)
    )
    return changed.rowcount == 1


def touch(
    connection: Connection, campaign_id: int, expected: Iterable[CampaignStatus], now: datetime
) -> bool:
    """Lock the row as it is; False where its status is none of ``expected``.

    A real UPDATE and not FOR UPDATE: only changes conflict across the nodes of a cluster.
    """
    states = [status.value for status in expected]
    changed = connection.execute(
        sa.update(campaigns)
        .where(campaigns.c.id == campaign_id, campaigns.c.status.in_(states))
        .values(updated_at=now)
    )
    return changed.rowcount == 1


def has_open_tasks(connection: Connection, campaign_id: int) -> bool:
    """Whether a task has not ended yet, or has ended with recipients still to be wound up."""
    ended = [status.value for status in TASK_ENDED]
    open_task = sa.or_(tasks.c.status.not_in(ended), tasks.c.actual_end_time.is_(None))
    query = sa.select(tasks.c.id).where(tasks.c.campaign_id == campaign_id, open_task).limit(1)
    return connection.execute(query).first() is not None


def active(connection: Connection) -> list[RowMapping]:
    """Active campaigns, for the scheduler."""
    query = sa.select(campaigns).where(campaigns.c.status == CampaignStatus.ACTIVE.value)
    return list(connection.execute(query.order_by(campaigns.c.id)).mappings())
