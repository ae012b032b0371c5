"""``campaign plan``: how many go out on each day, through which service and why not more, when it ends, and
what will not go out at all.

It is assumed that nobody replies, opens, clicks, bounces or unsubscribes, that no service freezes or thaws,
and that servers take what they are given. ``forecast_demand`` counts what waits, ``forecast_run`` sends it in
memory by the rules of delivery; this module tells the result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection, RowMapping

from coldsend.composing.source import MISSING_VARIABLE
from coldsend.domain.gates import Gate
from coldsend.domain.states import CampaignStatus, RowReason, RowStatus, TaskStatus
from coldsend.pacing.calendar import Calendar
from coldsend.planning.forecast_demand import Demand, Reader
from coldsend.planning.forecast_hours import moment_of
from coldsend.planning.forecast_run import Day, Limits, Run
from coldsend.stores import forecast, reports, tasks

MOST_DAYS = 731
_UNWINDING = (TaskStatus.CANCELLED, TaskStatus.FAILED)

_DETAILS = {
    Gate.SUPPRESSED: "the address is suppressed",
    Gate.CONTACT_REMOVED: "the contact was removed",
    Gate.NO_SERVICE: "the task has no sender service that its creator may use",
    Gate.KEEPS_SERVICE: "must go out through a service that the task may not use: coldsend service release",
    Gate.SERVICE_FROZEN: "every service they may go out through is frozen: coldsend service thaw, or release",
    Gate.QUOTA: "every service they may go out through has a daily quota of 0",
    Gate.HOURLY_QUOTA: "every service they may go out through has an hourly quota of 0",
    Gate.PROVIDER_PAUSED: "the service rests for the recipient's provider until a person lifts it",
    Gate.TASK_STATE: "the task is paused: coldsend task resume",
    Gate.STOPPED: "the sequence has been stopped for the address or its domain",
    Gate.CONDITION: "the follow-up's condition does not hold for them as things stand",
    Gate.NEW_PER_DAY: "the campaign writes to no new recipients",
    MISSING_VARIABLE: "they lack a variable that the template needs",
    RowReason.CANCELLED: "its task was cancelled or has failed",
}


def plan(connection: Connection, campaign: RowMapping, now: datetime, days: int | None) -> dict[str, Any]:
    """The forecast of a campaign as a document.

    days: how many days of the campaign to look at, today among them; None: until it ends, at most MOST_DAYS.
    """
    calendar = Calendar.of(dict(campaign))
    demand = Reader(connection, campaign, now).read()
    run = Run(demand.world, demand.mine, now.timestamp(), demand.effort)
    run.until(_horizon(calendar, now, days or MOST_DAYS), demand.in_hand)
    later, stuck = _left_over(demand, run)
    listed = tasks.listed(connection, campaign_id=campaign["id"])
    names = {task["id"]: str(task["name"]) for task in listed}
    not_sent, unknown = _not_sent(connection, demand, stuck, listed)
    ends = None if run.last_send is None or later else moment_of(run.last_send).astimezone(calendar.zone)
    return {
        "campaign": campaign["name"],
        "status": campaign["status"],
        "time_zone": calendar.zone.key,
        "sends": sum(day.sends for day in run.days),
        "ends": ends,
        "days": [_day(day, demand, names, calendar.zone) for day in run.days if day.sends],
        "later": later,
        "unknown": unknown,
        "not_sent": not_sent,
        "assumes": _assumptions(campaign, demand),
    }


def _horizon(calendar: Calendar, now: datetime, days: int) -> float:
    """The end of the last day to look at."""
    end = now
    for _ in range(days):
        end = calendar.next_day(end)
    return end.timestamp()


def _day(day: Day, demand: Demand, names: dict[int, str], zone: ZoneInfo) -> dict[str, Any]:
    carriers = demand.world.carriers
    return {
        "date": moment_of(day.begins).astimezone(zone).date(),
        "sends": day.sends,
        "by_service": {carriers[one].name: count for one, count in sorted(day.by_carrier.items())},
        "by_task": {names[task_id]: count for task_id, count in sorted(day.by_step.items())},
        "new": day.new,
        "follow_ups": day.sends - day.new,
        "held": day.held,
        "limited_by": _limits(day.limits),
    }


def _limits(limits: Limits) -> list[dict[str, Any]]:
    return [
        {"gate": gate, "service": service or None, "detail": detail}
        for (gate, service), detail in sorted(limits.items())
    ]


def _left_over(demand: Demand, run: Run) -> tuple[int, Counter[tuple[int, str]]]:
    """(how many go out after the days looked at, (task, reason) -> how many never do)."""
    later = 0
    stuck: Counter[tuple[int, str]] = Counter()
    for line in demand.world.lines:
        waiting = line.ready + sum(line.coming.values())
        if not waiting or line.step.campaign is not demand.mine:
            continue
        if not run.ended:
            later += waiting
            continue
        limits = run.limits_of(line)
        reason = next((gate for gate, _ in limits), Gate.PROVIDER_PAUSED if line.domain else Gate.QUOTA)
        stuck[line.step.id, reason] += waiting
    return later, stuck


def _not_sent(
    connection: Connection, demand: Demand, stuck: Counter[tuple[int, str]], listed: Sequence[RowMapping]
) -> tuple[list[dict[str, Any]], int]:
    """Who gets nothing, by reason, ended rows included; and how many messages may have been delivered."""
    counted: Counter[tuple[int, str]] = Counter(stuck)
    for (task_id, gate), count in demand.world.lost.items():
        if task_id in demand.tasks:
            counted[task_id, gate] += count
    unknown = 0
    for task_id, status, reason, count in forecast.ended(connection, [task["id"] for task in listed]):
        if status == RowStatus.UNKNOWN:
            unknown += count
        else:
            counted[task_id, reason or status] += count
    unwinding = [task["id"] for task in listed if task["status"] in _UNWINDING]
    for task_id, count in reports.waiting_counts(connection, unwinding).items():
        counted[task_id, RowReason.CANCELLED] += count
    names = {task["id"]: task["name"] for task in listed}
    return _by_reason(counted, names), unknown


def _by_reason(counted: Counter[tuple[int, str]], names: dict[int, str]) -> list[dict[str, Any]]:
    reasons: Counter[str] = Counter()
    by_task: dict[str, dict[str, int]] = {}
    for (task_id, reason), count in sorted(counted.items()):
        if count:
            reasons[str(reason)] += count
            by_task.setdefault(str(reason), {})[names[task_id]] = count
    return [
        {
            "reason": reason,
            "count": count,
            "detail": _DETAILS.get(reason, reason.replace("_", " ")),
            "by_task": by_task[reason],
        }
        for reason, count in reasons.most_common()
    ]


def _assumptions(campaign: RowMapping, demand: Demand) -> list[str]:
    """What the forecast takes for granted, in words."""
    found = []
    if campaign["status"] == CampaignStatus.DRAFT:
        found.append("the campaign is started now")
    elif campaign["status"] == CampaignStatus.PAUSED:
        found.append("the campaign is resumed now")
    elif campaign["status"] in (CampaignStatus.COMPLETED, CampaignStatus.CANCELLED):
        return [f"nothing more goes out: the campaign is {campaign['status']}"]
    if not demand.tasks:
        return ["nothing goes out: the campaign has no task that sends"]
    found.append("everybody has what the templates need (`campaign dry-run` tells who lacks something)")
    if any(task["follows_task_id"] for task in demand.tasks.values()):
        found.append("nobody replies, opens, clicks, bounces or unsubscribes; that makes follow-ups fewer")
    closed = [(one.name, one.closed[0]) for one in demand.world.carriers.values() if one.closed]
    frozen = [name for name, gate in closed if gate == Gate.SERVICE_FROZEN]
    if frozen:
        found.append(f"frozen services stay so: {', '.join(sorted(frozen))}")
    return found
