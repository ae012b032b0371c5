"""The limits a task meets now, as delivery would find them: its services' and its campaign's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection, RowMapping

from coldsend.domain import gates
from coldsend.domain.gates import Blocked, ServiceFacts
from coldsend.domain.states import CountKind
from coldsend.pacing.calendar import Calendar
from coldsend.pacing.facts import service_facts
from coldsend.pacing.followups import FollowupsDue
from coldsend.pacing.limits import domains_used
from coldsend.pacing.quota import period_of
from coldsend.stores import access, send_counts, tasks


def services_of(
    connection: Connection, task: RowMapping, now: datetime, domain: str | None = None
) -> list[ServiceFacts]:
    """The services a task may use, with what they keep for follow-ups and have sent to a domain today."""
    usable = tasks.usable_services(connection, task)
    # All of them: what was released is shared among services that this task may not use.
    every = service_facts(connection, now)
    follow = [row for row in tasks.open_tasks(connection) if goes_first(row, row)]
    may_use = access.usable_by(connection, {row["created_by"] for row in follow})
    first = {row["id"]: access.allowed(may_use, row) for row in follow}
    due = FollowupsDue().by_service(connection, first, every)
    facts = [replace(every[one.id], followups_due=due.get(one.id, 0)) for one in usable if one.id in every]
    if domain is None:
        return facts
    return [replace(one, domains_used=domains_used(connection, one, [domain], now)) for one in facts]


def goes_first(task: Mapping[Any, Any], campaign: Mapping[Any, Any]) -> bool:
    """Whether a task's messages take the quota that is kept for follow-ups."""
    return task["follows_task_id"] is not None and bool(campaign["followups_first"])


def new_per_day(
    connection: Connection, task: RowMapping, campaign: RowMapping, now: datetime
) -> list[Blocked]:
    """The campaign's limit of new recipients, where the task writes to such."""
    if task["follows_task_id"] is not None or campaign["new_per_day"] is None:
        return []
    calendar = Calendar.of(dict(campaign))
    today = [(campaign["id"], period_of(calendar.day_of(now)))]
    used = send_counts.used_by(connection, CountKind.CAMPAIGN_NEW, today)[campaign["id"]]
    return gates.new_per_day_gate(campaign["new_per_day"], used, calendar.next_day(now))
