"""What the recipients of a task wait for that are not sent yet: the gates that delivery asks, too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from shlex import quote

from sqlalchemy.engine import Connection, RowMapping

from coldsend.analytics import task_limits
from coldsend.analytics.tally import Tally
from coldsend.domain import gates
from coldsend.domain.gates import Blocked, Gate
from coldsend.domain.states import TASK_ENDED, HealthStatus, TaskStatus
from coldsend.stores import campaigns, tasks, workers


def of_task(connection: Connection, task: RowMapping, tally: Tally, now: datetime) -> list[Blocked]:
    """Every closed gate before the pending rows of a task, or before a send list that is still to be made.

    All services the task may use are looked at, also when another one is open: the one whose quota is used
    up explains why things are slower than they were.
    """
    closed = closed_gates(connection, task, now, tally.pending, tally.later, tally.next_due_at)
    return closed + (_kept(connection, task, tally.kept) if tally.kept else [])


def closed_gates(
    connection: Connection,
    task: RowMapping,
    now: datetime,
    pending: int,
    later: int,
    next_due_at: datetime | None,
) -> list[Blocked]:
    """The same, of counted rows: how many are pending, how many of these only later, the first when."""
    to_be_made = task["expanded_at"] is None and task["status"] not in TASK_ENDED
    if not (pending or to_be_made):
        return []
    blocked = gates.state_gates(task["campaign_status"], task["status"])
    if to_be_made and task["follows_task_id"] is not None:
        step = tasks.get(connection, task["follows_task_id"])
        words = f"recipients come in as {step['name']!r} is sent to them"
        blocked.append(Blocked(Gate.WAITS_FOR_STEP, words))
    if to_be_made:
        blocked += _before_it_begins(connection, task, now)
    if later:
        blocked.append(Blocked(Gate.NOT_DUE, f"due later: {later:,}", next_due_at))
    if pending:
        blocked += _services(connection, task, now)
        blocked += gates.worker_gate(_alive(connection, "sender", now))
    return blocked


def _before_it_begins(connection: Connection, task: RowMapping, now: datetime) -> list[Blocked]:
    blocked = []
    times = [moment for moment in (task["campaign_start_time"], task["plan_time"]) if moment is not None]
    if times and max(times) > now:
        blocked.append(Blocked(Gate.NOT_DUE, "its time has not come", max(times)))
    if task["status"] != TaskStatus.DRAFT and not _alive(connection, "scheduler", now):
        blocked.append(Blocked(Gate.NO_WORKER, "no scheduler is running: coldsend scheduler run"))
    return blocked


def _services(connection: Connection, task: RowMapping, now: datetime) -> list[Blocked]:
    services = task_limits.services_of(connection, task, now)
    if not services:
        return gates.carrier_gates([], None, now)
    campaign = campaigns.find(connection, task["campaign_id"])
    first = task_limits.goes_first(task, campaign)
    closed = task_limits.new_per_day(connection, task, campaign, now)
    for facts in services:
        for provider in ["", *(facts.paused_providers or {})]:
            found = gates.service_gates(facts, now, provider, follows=first)
            closed += [gate for gate in found if gate not in closed]
    # A throttle gap is over in moments and explains nothing here.
    return [gate for gate in closed if gate.gate != Gate.THROTTLE]


def _kept(connection: Connection, task: RowMapping, kept: Mapping[str, int]) -> list[Blocked]:
    """Who waits for one service that a person must see to."""
    usable = {service.name: service for service in tasks.usable_services(connection, task)}
    blocked = []
    for name, count in sorted(kept.items()):
        service = usable.get(name)
        if service is not None and service.health_status == HealthStatus.ACTIVE:
            continue
        why = "the task may not use" if service is None else "is frozen"
        free = f"free them for others: coldsend service release {quote(name)}"
        blocked.append(Blocked(Gate.KEEPS_SERVICE, f"{count:,} wait for {name!r}, which {why}; {free}"))
    return blocked


def _alive(connection: Connection, kind: str, now: datetime) -> list[int]:
    return [row["id"] for row in workers.unstopped(connection, kind) if row["lease_until"] > now]
