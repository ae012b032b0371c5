"""How fast a task is being sent, and when it will be done if that goes on: a simple estimate that says so.

The rate is what servers accepted within the last minute, where that was little the last hour, read from the
event log's index. Time left is what is due now at this rate, day by day as the quotas of the services allow
that may send now, and never before the last retry is due. Other tasks that use the same services are not
foreseen, nor send windows, limits of the campaign and follow-ups (`campaign plan` foresees these), nor a
service that freezes. Rates are messages a second; times are seconds or aware UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection, RowMapping

from coldsend.analytics import task_limits, waiting
from coldsend.domain.gates import Blocked, Gate, ServiceFacts, service_gates
from coldsend.domain.states import TASK_ENDED, CampaignStatus, RowStatus, TaskStatus
from coldsend.stores import pace
from coldsend.stores.pace import Accepted, Later

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
ENOUGH = 10  # messages within the last minute that tell a rate
STILL = 3  # so many times the usual gap without a message: nothing is being sent any more
LONGEST_DAYS = 366
# What a service waits for that comes by itself, with its next message, hour or quota day.
_OF_THE_DAY = {Gate.THROTTLE, Gate.QUOTA, Gate.RAMP, Gate.HOURLY_QUOTA, Gate.FOLLOWUPS_FIRST}


@dataclass(frozen=True, slots=True)
class Quotas:
    """What the services that may send now have left today, have on each later day, and when that begins."""

    left_today: int
    a_day: int
    next_day: datetime


@dataclass(frozen=True, slots=True)
class Forecast:
    """seconds: until all is sent. quota_ends_in: seconds until today's quota is used up, with ``for_later``
    messages left for other days; None where the quota suffices.
    """

    seconds: float
    quota_ends_in: float | None = None
    for_later: int = 0


def of_task(
    connection: Connection, task: RowMapping, by_status: Mapping[str, int], now: datetime
) -> dict[str, Any]:
    """``rate_per_second`` and ``seconds_left`` (None while nothing is sent), ``pace`` and ``blocked_by``."""
    ended = task["status"] in TASK_ENDED
    pending = by_status.get(RowStatus.PENDING.value, 0)
    later = pace.due_later(connection, task["id"], now) if pending and not ended else Later()
    services = [] if ended else task_limits.services_of(connection, task, now)
    closed = waiting.closed_gates(connection, task, now, pending, later.count, later.first)
    hour = Accepted() if ended else pace.accepted_since(connection, task["id"], now - HOUR)
    minute = pace.accepted_since(connection, task["id"], now - MINUTE) if hour.count else Accepted()
    alive = not any(gate.gate == Gate.NO_WORKER for gate in closed)
    sends = task["status"] == TaskStatus.SENDING and task["campaign_status"] == CampaignStatus.ACTIVE
    due = pending + by_status.get(RowStatus.SENDING.value, 0) - later.count
    rate = rate_of(minute, hour, now) if sends and alive and due > 0 else None
    seconds, words = None, None
    if sends:
        making = task["expanded_at"] is None and task["follows_task_id"] is None
        seconds, words = _estimate(due, rate, None if making else quotas(services, now), later, now)
        words = "its send list is still being made" if making else words
    return {
        "rate_per_second": None if rate is None else round(rate, 4),
        "seconds_left": None if seconds is None else round(seconds, 1),
        "pace": {
            "estimate": words,
            "ends_at": None if seconds is None else now + timedelta(seconds=seconds),
            "sent_last_minute": minute.count,
            "sent_last_hour": hour.count,
            "counted_all": hour.is_all,
            "due_now": due,
            "due_later": later.count,
            "last_due_at": later.last,
            "services": [_service(facts, now) for facts in services],
        },
        "blocked_by": _documents(closed),
    }


def rate_of(minute: Accepted, hour: Accepted, now: datetime) -> float | None:
    """Messages a second now, from what was accepted in the last minute and hour; None where that is over."""
    if minute.count >= ENOUGH and minute.oldest is not None:
        return minute.count / max(1.0, (now - minute.oldest).total_seconds())
    if hour.count < 2 or hour.oldest is None or hour.newest is None:
        return None
    gap = (hour.newest - hour.oldest).total_seconds() / (hour.count - 1)
    silence = (now - hour.newest).total_seconds()
    if silence > max(MINUTE.total_seconds(), STILL * gap):
        return None
    return 1 / max(gap, silence, 1 / ENOUGH)


def quotas(services: Sequence[ServiceFacts], now: datetime) -> Quotas | None:
    """Of the services that may send now or wait for their next quota day only; None where there is none."""
    usable = []
    for facts in services:
        closed = {gate.gate for gate in service_gates(facts, now)} - _OF_THE_DAY
        if not closed and facts.service.daily_quota > 0 and facts.next_quota_day is not None:
            usable.append((facts.quota_left, _tomorrow(facts), facts.next_quota_day))
    if not usable:
        return None
    return Quotas(
        sum(left for left, _, _ in usable),
        sum(a_day for _, a_day, _ in usable),
        min(day for *_, day in usable),
    )


def _tomorrow(facts: ServiceFacts) -> int:
    """Messages of the next quota day, at least: a ramp goes on growing after it."""
    ramp, quota = facts.service.ramp, facts.service.daily_quota
    return quota if ramp is None else min(quota, facts.limit_today + ramp.step * (facts.used > 0))


def forecast(rows: int, rate: float, within: Quotas, now: datetime) -> Forecast | None:
    """When ``rows`` messages will have gone out at ``rate`` within the quotas; None: not within a year."""
    left, begins, ends = float(within.left_today), now, within.next_day
    remaining = float(rows)
    for _ in range(LONGEST_DAYS):
        sent = min(left, rate * max(0.0, (ends - begins).total_seconds()))
        if remaining <= sent:
            seconds = (begins - now).total_seconds() + remaining / rate
            break
        remaining -= sent
        left, begins, ends = float(within.a_day), ends, ends + DAY
    else:
        return None
    today = (within.next_day - now).total_seconds()
    if rows <= within.left_today or within.left_today / rate >= today:
        return Forecast(seconds)
    return Forecast(seconds, within.left_today / rate, rows - within.left_today)


def duration(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3 h 20 min``, ``5 days``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 36 * 60:
        hours, rest = divmod(minutes, 60)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{round(seconds / DAY.total_seconds())} days"


def _estimate(
    due: int, rate: float | None, within: Quotas | None, later: Later, now: datetime
) -> tuple[float | None, str]:
    """Seconds left, and the same in words; None where nothing is sent that could tell."""
    waits = f"{later.count:,} due later, the last {_moment(later.last)}" if later.last else ""
    if due <= 0:
        return None, f"nothing is due now: {waits}" if waits else "nothing is left to send"
    if rate is None:
        return None, "nothing is being sent now"
    found = forecast(due, rate, within, now) if within else None
    if found is None:
        return None, "no service may send now" if within is None else "at this pace more than a year"
    words = f"at this pace about {duration(found.seconds)}"
    if found.quota_ends_in is not None:
        words = (
            f"today's quota ends first, in about {duration(found.quota_ends_in)}: {found.for_later:,} left "
            f"for later days, done about {_moment(now + timedelta(seconds=found.seconds))}"
        )
    seconds = found.seconds
    if later.last is not None:
        seconds = max(seconds, (later.last - now).total_seconds())
        words += f"; {waits}"
    return seconds, words


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _service(facts: ServiceFacts, now: datetime) -> dict[str, Any]:
    """One service that the task may use: what it has left, and what keeps it from sending."""
    return {
        "name": facts.service.name,
        "quota_left": facts.quota_left,
        "daily_quota": facts.service.daily_quota,
        "limit_today": facts.limit_today,
        "next_quota_day": facts.next_quota_day,
        "throttle_sec": facts.service.throttle_sec,
        "next_send_at": facts.next_send_at if facts.service.throttled else None,
        # The end of a gap that every message has says nothing about the service.
        "blocked_by": _documents([gate for gate in service_gates(facts, now) if gate.gate != Gate.THROTTLE]),
    }


def _documents(closed: Sequence[Blocked]) -> list[dict[str, Any]]:
    return [{"gate": gate.gate.value, "detail": gate.detail, "until": gate.until} for gate in closed]
