"""The geometry of the page's charts: plain numbers in a square of 100 by 100 that the page stretches.

Words stand beside the drawings as text of the page, so that they keep their size on a phone. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from coldsend.analytics.reports import words
from coldsend.analytics.reports.sections import Section

MOST_DAYS = 92  # above that weeks are drawn
GAP = 0.2  # of a column's width


@dataclass(frozen=True, slots=True)
class Bar:
    """A column of a series, from the bottom; label says what and how many."""

    x: float
    width: float
    height: float
    label: str


@dataclass(frozen=True, slots=True)
class Series:
    """One measure over time. summary: the same in a sentence, for who cannot see it."""

    name: str
    bars: tuple[Bar, ...]
    most: int
    total: int
    summary: str


@dataclass(frozen=True, slots=True)
class Moments:
    """Series over the same moments; first, middle, last: how the moments are named."""

    series: tuple[Series, ...]
    ticks: tuple[str, ...]
    each: str


@dataclass(frozen=True, slots=True)
class Span:
    """A rate with its interval on the scale that all rates of a table share; per cent of its length."""

    low: float
    high: float
    at: float


def moments_of(section: Section) -> Moments:
    """The series of a table by days or by hours."""
    assert section.chart is not None
    key = section.chart.of
    names = section.chart.columns
    if section.chart.kind == "days":
        rows, each = _without_gaps(section.rows, names)
    else:
        known = {row[key]: dict(row) for row in section.rows}
        hours = [f"{hour:02}" for hour in range(24)]
        rows = [known.get(hour, {"hour": hour, **dict.fromkeys(names, 0)}) for hour in hours]
        each = "hour"
    labels = [str(row[key]) for row in rows]
    series = tuple(_series(name, labels, [row[name] for row in rows], each) for name in names)
    middle = labels[len(labels) // 2]
    ticks = (labels[0],) if len(labels) == 1 else (labels[0], middle, labels[-1])
    return Moments(tuple(one for one in series if one.total), tuple(dict.fromkeys(ticks)), each)


def _series(name: str, labels: Sequence[str], numbers: Sequence[int], each: str) -> Series:
    most, width = max(numbers), 100 / len(numbers)
    bars = tuple(
        Bar(
            round(place * width + width * GAP / 2, 3),
            round(width * (1 - GAP), 3),
            round(100 * number / most, 3) if most else 0,
            f"{label}: {words.count(number)}",
        )
        for place, (label, number) in enumerate(zip(labels, numbers, strict=True))
    )
    total = sum(numbers)
    top = labels[numbers.index(most)]
    summary = f"{name}, {words.count(total)} in all; the most in one {each}: {words.count(most)}, {top}"
    return Series(name, bars, most, total, summary)


def _without_gaps(
    rows: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> tuple[list[dict[str, Any]], str]:
    """Every day from the first to the last, or every week where these are too many."""
    known: dict[date, Mapping[str, Any]] = {row["day"]: row for row in rows}
    first, last = min(known), max(known)
    step = 1 if (last - first).days < MOST_DAYS else 7
    found = []
    while first <= last:
        mine = [known[day] for offset in range(step) if (day := first + timedelta(days=offset)) in known]
        found.append({"day": first, **{name: sum(row[name] for row in mine) for name in names}})
        first += timedelta(days=step)
    return found, "day" if step == 1 else "week"


def shares_of(section: Section) -> list[float]:
    """How long each row's bar is, per cent of the longest."""
    assert section.chart is not None
    numbers = [row[section.chart.columns[0]] or 0 for row in section.rows]
    most = max(numbers, default=0)
    return [round(100 * number / most, 3) if most else 0 for number in numbers]


def spans_of(section: Section, key: str) -> list[Span | None]:
    """Each row's rate on a scale from nothing to the highest end of an interval.

    Rows that say ``undrawn`` have none: what is so much larger would press the others together.
    """
    found = [None if row.get("undrawn") else row.get(key) for row in section.rows]
    most = max((rate["high"] for rate in found if rate and rate["rate"] is not None), default=0)
    return [
        Span(*(round(100 * rate[end] / most, 3) for end in ("low", "high", "rate")))
        if rate and rate["rate"] is not None and most
        else None
        for rate in found
    ]
