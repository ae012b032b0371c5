"""Daily quotas: what a service may still send today, and the roll to its next day.

A service's day runs from midnight to midnight in its own time zone. ``sender_quota`` is the truth and needs
no reset: a new day is a new row. ``sender_services.used_today`` is a mirror for people who read the table;
:func:`roll_days` brings it up to date and closes past days. Late, repeated or missed runs change nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from coldsend.database.engine import Connection, Database
from coldsend.domain.service import Service
from coldsend.domain.states import CountKind
from coldsend.stores import quota, send_counts, services

# A message may be refused, and its share given back, days after it was reserved: where a database was away.
COUNTS_KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class QuotaDay:
    """One service's day: how much of ``limit`` messages is ``used``, and when the next day begins (UTC).

    ramp_limit: what its ramp allows on this day, None where there is none. hour_used: messages of the current
    hour of the clock, where those are limited.
    """

    service: Service
    day: date
    used: int
    next_day_begins: datetime
    ramp_limit: int | None = None
    hour_used: int = 0

    @property
    def limit(self) -> int:
        """The daily quota, or what the ramp allows of it."""
        quota = self.service.daily_quota
        return quota if self.ramp_limit is None else min(quota, self.ramp_limit)

    @property
    def left(self) -> int:
        """Messages that may still be sent; 0 also where the quota was lowered below what is used."""
        return max(0, self.limit - self.used)


@dataclass(frozen=True, slots=True)
class Rolled:
    """What a roll did to one service: the mirror's new value where it was out of date, days closed."""

    service: Service
    day: date
    used: int
    mirror_changed: bool
    days_closed: int


def next_quota_day_start(service: Service, now: datetime) -> datetime:
    """The moment (UTC) at which the service's next quota day begins: midnight in its time zone.

    Where summer time begins at midnight, the day begins with the first moment there is.
    """
    tomorrow = service.quota_day(now) + timedelta(days=1)
    return datetime.combine(tomorrow, time.min, ZoneInfo(service.time_zone)).astimezone(UTC)


def quota_days(connection: Connection, wanted: Sequence[Service], now: datetime) -> list[QuotaDay]:
    """The current day of each service, read in one query, and one more each for ramps and hourly quotas."""
    used = quota.used_on(connection, [(service.id, service.quota_day(now)) for service in wanted])
    ramps = ramp_limits(connection, wanted, now)
    hourly = [(service.id, hour_of(now)) for service in wanted if service.hourly_quota is not None]
    hours = send_counts.used_by(connection, CountKind.SERVICE_HOUR, hourly)
    return [
        QuotaDay(
            service,
            service.quota_day(now),
            used[service.id],
            next_quota_day_start(service, now),
            ramps.get(service.id),
            hours.get(service.id, 0),
        )
        for service in wanted
    ]


def ramp_limits(connection: Connection, wanted: Sequence[Service], now: datetime) -> dict[int, int]:
    """service id -> messages its ramp allows on the current day; services without a ramp are absent.

    Yesterday's count may still be looked at a moment after midnight: it never allows more than today's.
    """
    ramps = {service.id: service.ramp for service in wanted if service.ramp is not None}
    today = {service.id: service.quota_day(now) for service in wanted}
    days = quota.days_used(connection, {sid: (ramp.since, today[sid]) for sid, ramp in ramps.items()})
    return {sid: ramp.limit(days[sid]) for sid, ramp in ramps.items()}


def hour_of(moment: datetime) -> datetime:
    """The hour of the clock (UTC) an hourly quota counts ``moment`` for, named by its beginning."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def period_of(day: date) -> datetime:
    """The name of a day among the periods of ``send_counts``."""
    return datetime.combine(day, time.min, UTC)


def roll_days(connection: Connection, now: datetime, only: int | None = None) -> list[Rolled]:
    """Refresh the mirrors and close past days, of all services or of the one with id ``only``.

    For the daemon's job and for `quota reset`: idempotent, and it grants no further sends on the same day.
    """
    rolled = []
    for service in services.all_services(connection):
        if only is not None and service.id != only:
            continue
        day = service.quota_day(now)
        used = quota.used(connection, service.id, day)
        changed = services.set_used_today(connection, service.id, used, now)
        closed = quota.close_before(connection, service.id, day, now)
        rolled.append(Rolled(service, day, used, changed, closed))
    return rolled


def forget_counts(database: Database, now: datetime, should_stop: Callable[[], bool] = lambda: False) -> int:
    """Delete the counts of hours and days that are long over, each in a transaction; how many."""
    total = 0
    while not should_stop():
        gone = database.run(lambda connection: send_counts.remove_before(connection, now - COUNTS_KEPT))
        total += gone
        if not gone:
            break
    return total
