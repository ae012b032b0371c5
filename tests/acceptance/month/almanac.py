"""Zones, windows, holidays and days, by the checker's own arithmetic. Imports nothing of coldsend.

Written from the wall clock: whether a moment is in a window is asked of the local weekday and hour, never of
spans that were worked out beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

import holidays

from tests.acceptance.month.script import Hours, Place, Step

DAY = timedelta(days=1)


@cache
def zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=200_000)
def local(moment: datetime, name: str) -> datetime:
    return moment.astimezone(zone(name))


@cache
def days_off(country: str) -> frozenset[date]:
    return frozenset(holidays.country_holidays(country, years=(2023, 2024, 2025)))


def is_holiday(day: date, place: Place) -> bool:
    return place.holidays is not None and day in days_off(place.holidays)


def is_open(moment: datetime, place: Place, window: Sequence[Hours]) -> bool:
    """Whether somebody at a place may be written to at a moment: weekday, hour and holidays."""
    here = local(moment, place.zone)
    return (
        any(here.weekday() in hours.weekdays and hours.start <= here.hour < hours.end for hours in window)
        if not is_holiday(here.date(), place)
        else False
    )


def opens(moment: datetime, place: Place, window: Sequence[Hours]) -> datetime:
    """The moment itself where somebody at a place may be written to then, else the next hour in which."""
    here = local(moment, place.zone)
    for ahead in range(30):
        day = here.date() + ahead * DAY
        starts = sorted(hours.start for hours in window if day.weekday() in hours.weekdays)
        begun = [moment] if not ahead else []
        wall = (datetime(day.year, day.month, day.day, start, tzinfo=zone(place.zone)) for start in starts)
        for at in (*begun, *(each.astimezone(UTC) for each in wall)):
            if at >= moment and is_open(at, place, window):
                return at
    raise AssertionError("a window opens every week, and nobody has a month of holidays")


def follow_up_due(before: datetime, step: Step, place: Place) -> datetime:
    """The earliest moment of a follow-up: the same local time so many (working) days later.

    An hour that clocks leave out is the hour after it.
    """
    here = local(before, place.zone)
    day, left = here.date(), step.days
    while left:
        day += DAY
        working = day.weekday() < 5 and not is_holiday(day, place)
        left -= 1 if working or not step.business_days else 0
    wall = datetime.combine(day, here.time())
    return wall.replace(tzinfo=zone(place.zone)).astimezone(UTC)


def day_of(moment: datetime, name: str) -> date:
    return local(moment, name).date()


def hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
