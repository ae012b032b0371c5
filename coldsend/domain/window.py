"""Send windows: at which hours of which weekdays recipients are written to, in their own time.

A window is a list of entries, each some weekdays and hours of the wall clock: ``mon-fri 09:00-17:00``,
``sat,sun 10:00-12:30``, ``mon-fri 22:00-02:00`` (the night belongs to the day it begins on), ``sun
00:00-24:00``. A moment is open where the wall clock says so: in a night in which clocks are set forward what
does not exist is not sent in, in one in which they are set back an hour that comes twice is open twice.

A *share* lets a recipient's window open later on each day, once that part of the day's open time has passed;
by it messages are spread over the window. Shares are whole numbers out of ``SHARES``, so that the database
divides as Python does. Nothing here ever yields a moment before the one that was asked for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from coldsend.errors import InvalidInput

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EXAMPLE = "write it like 'mon-fri 09:00-17:00', 'sat,sun 10:00-12:30' or 'mon-fri 22:00-02:00'"

SHARES = 11_081
SHARE_MODULUS, SHARE_STEP = 9_973, 6_163  # primes: neighbours are far apart, and a tenth is left at the end

_MIDNIGHT = 24 * 60
_DAY = timedelta(days=1)
_LOOK_AHEAD = 400  # days: windows are weekly, and no country keeps holidays for a year
_FULL_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ENTRY = re.compile(r"\s*(?P<days>[a-z,\s-]+?)\s+(?P<start>[0-9:]+)\s*-\s*(?P<end>[0-9:]+)\s*", re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})")

IsHoliday = Callable[[date], bool]
Span = tuple[datetime, datetime]  # from, to (excluded); aware UTC


def never(_day: date) -> bool:
    return False


def share_of(contact_id: int) -> int:
    """A contact's own share, the same every day. stores/expansion.py has the same in SQL."""
    return contact_id * SHARE_STEP % SHARE_MODULUS


@dataclass(frozen=True, slots=True)
class Hours:
    """One entry. days: 0 is Monday. start, end: minutes since midnight; end <= start: of the next day."""

    days: frozenset[int]
    start: int
    end: int

    def __str__(self) -> str:
        return f"{_days_text(self.days)} {_clock_text(self.start)}-{_clock_text(self.end)}"

    def on(self, day: date) -> tuple[datetime, datetime]:
        """From and to on the wall clock, of the window that begins on ``day``."""
        midnight = datetime.combine(day, time.min)
        length = self.end - self.start if self.end > self.start else self.end - self.start + _MIDNIGHT
        begins = midnight + timedelta(minutes=self.start)
        return begins, begins + timedelta(minutes=length)


@dataclass(frozen=True, slots=True)
class SendWindow:
    """When recipients may be written to. Immutable; compares and hashes by its entries."""

    hours: tuple[Hours, ...]

    @classmethod
    def parse(cls, entries: Iterable[str]) -> SendWindow:
        """The window of these entries; InvalidInput names the one that is none, or that there is none."""
        hours = tuple(dict.fromkeys(_parse_entry(entry) for entry in entries))
        if not hours:
            raise InvalidInput("a send window needs at least one entry", hint=EXAMPLE)
        return cls(hours)

    @property
    def entries(self) -> list[str]:
        """The entries in the form they are stored in; :meth:`parse` reads them back."""
        return [str(one) for one in self.hours]

    def opens(
        self, moment: datetime, zone: ZoneInfo, is_holiday: IsHoliday = never, share: int = 0
    ) -> datetime:
        """``moment`` itself if the window is open then, else the next moment it is. In UTC."""
        moment = moment.astimezone(UTC)
        for _day, spans in self._days_from(moment, zone, is_holiday):
            for start, end in _after_share(spans, share):
                if end > moment:
                    return max(start, moment)
        raise AssertionError("a window has an entry, so it opens every week")

    def closes(self, moment: datetime, zone: ZoneInfo, is_holiday: IsHoliday = never) -> datetime:
        """When the window ends that is open at ``moment`` or opens next; one without end, at midnight."""
        return self.rest_of_day(moment, zone, is_holiday)[0][1]

    def rest_of_day(
        self, moment: datetime, zone: ZoneInfo, is_holiday: IsHoliday = never
    ) -> tuple[Span, ...]:
        """What is left of the day in which the window is open at ``moment`` or opens next; never empty."""
        moment = moment.astimezone(UTC)
        for _day, spans in self._days_from(moment, zone, is_holiday):
            rest = tuple((max(start, moment), end) for start, end in spans if end > moment)
            if rest:
                return rest
        raise AssertionError("a window has an entry, so it opens every week")

    def _days_from(
        self, moment: datetime, zone: ZoneInfo, is_holiday: IsHoliday
    ) -> Iterator[tuple[date, tuple[Span, ...]]]:
        """The days from the one before ``moment`` on, whose night may last into it, with their spans."""
        day = moment.astimezone(zone).date() - _DAY
        for ahead in range(2 * _LOOK_AHEAD):
            # A calendar that knows nothing but holidays must not hold a message for ever.
            if not is_holiday(day) or ahead > _LOOK_AHEAD:
                yield day, spans_of_day(self, day, zone)
            day += _DAY


ALWAYS = SendWindow((Hours(frozenset(range(7)), 0, _MIDNIGHT),))  # mon-sun 00:00-24:00


def point_in(spans: tuple[Span, ...], share: int) -> datetime:
    """The moment once this share of the open time of ``spans`` has passed."""
    left = timedelta(seconds=open_seconds(spans) * share // SHARES)
    for start, end in spans:
        if left < end - start:
            return start + left
        left -= end - start
    return spans[-1][1]


def open_seconds(spans: tuple[Span, ...]) -> int:
    """Open time in whole seconds, rounded up."""
    return math.ceil(sum((end - start).total_seconds() for start, end in spans))


@lru_cache(maxsize=4096)
def spans_of_day(window: SendWindow, day: date, zone: ZoneInfo) -> tuple[Span, ...]:
    """When the window is open that begins on this day of the wall clock; in order, without overlaps."""
    found: list[Span] = []
    for hours in window.hours:
        if day.weekday() in hours.days:
            found += _in_utc(*hours.on(day), zone)
    merged: list[Span] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def _after_share(spans: tuple[Span, ...], share: int) -> Iterator[Span]:
    if not share or not spans:
        yield from spans
        return
    begins = point_in(spans, share)
    for start, end in spans:
        if end > begins:
            yield max(start, begins), end


def _in_utc(begins: datetime, ends: datetime, zone: ZoneInfo) -> list[Span]:
    """All moments at which the wall clock of ``zone`` is within [begins, ends), as spans in UTC."""
    # No zone is further than a day from UTC.
    regimes = _regimes(begins.replace(tzinfo=UTC) - _DAY, ends.replace(tzinfo=UTC) + _DAY, zone)
    spans = []
    for since, until, offset in regimes:
        start = max(begins.replace(tzinfo=UTC) - offset, since)
        end = min(ends.replace(tzinfo=UTC) - offset, until)
        if start < end:
            spans.append((start, end))
    return spans


def _regimes(since: datetime, until: datetime, zone: ZoneInfo) -> list[tuple[datetime, datetime, timedelta]]:
    """(from, to, offset from UTC) over the time given, split where clocks are set forward or back."""
    found = []
    start = since
    while start < until:
        end = min(start + _DAY, until)
        offset = _offset(start, zone)
        if _offset(end, zone) != offset:
            end = _change(start, end, zone)
        found.append((start, end, offset))
        start = end
    return found


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first moment, to the second, at which the offset is not that of ``before`` any more."""
    offset = _offset(before, zone)
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) / 2).replace(microsecond=0)
        before, after = (middle, after) if _offset(middle, zone) == offset else (before, middle)
    return after


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


def _parse_entry(entry: str) -> Hours:
    found = _ENTRY.fullmatch(entry)
    if found is None:
        raise InvalidInput(f"{entry!r} is not a send window", hint=EXAMPLE)
    days = frozenset(day for part in found["days"].split(",") for day in _parse_days(part, entry))
    start, end = _parse_clock(found["start"], entry), _parse_clock(found["end"], entry)
    if start in {end, _MIDNIGHT}:
        raise InvalidInput(
            f"the send window {entry!r} is empty", hint="the whole day is 00:00-24:00, a night 22:00-02:00"
        )
    return Hours(days, start, end or _MIDNIGHT)


def _parse_days(text: str, entry: str) -> list[int]:
    first, dash, last = (part.strip().lower() for part in text.partition("-"))
    begin = _parse_day(first, entry)
    end = _parse_day(last, entry) if dash else begin
    return [day % 7 for day in range(begin, end + (7 if end < begin else 0) + 1)]


def _parse_day(name: str, entry: str) -> int:
    for names in (DAYS, _FULL_NAMES):
        if name in names:
            return names.index(name)
    raise InvalidInput(
        f"{name!r} in the send window {entry!r} is not a weekday", hint=f"weekdays are {', '.join(DAYS)}"
    )


def _parse_clock(text: str, entry: str) -> int:
    found = _CLOCK.fullmatch(text)
    minutes = int(found[1]) * 60 + int(found[2]) if found else -1
    if found is None or int(found[2]) > 59 or minutes > _MIDNIGHT:
        raise InvalidInput(f"{text!r} in the send window {entry!r} is not a time of day", hint=EXAMPLE)
    return minutes


def _clock_text(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _days_text(days: frozenset[int]) -> str:
    """Runs of three or more as ``mon-fri``, else one by one."""
    parts: list[str] = []
    ordered = sorted(days)
    while ordered:
        run = 1
        while run < len(ordered) and ordered[run] == ordered[0] + run:
            run += 1
        names = [DAYS[day] for day in ordered[:run]]
        parts += [f"{names[0]}-{names[-1]}"] if run > 2 else names
        ordered = ordered[run:]
    return ",".join(parts)
