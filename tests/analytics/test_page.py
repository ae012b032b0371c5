"""The page of a report: self-contained, escaped, and its drawings true to its numbers."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import pytest

from coldsend.analytics.reports import charts, measures, page
from coldsend.analytics.reports.sections import Chart, Column, Section, sections_of
from tests.planning.world import NOW

FIRST = date(2027, 3, 1)
NOTHING = dict.fromkeys(measures.MEASURES, 0)


def document(**more: Any) -> dict[str, Any]:
    """A domain's report, the smallest there is."""
    counts = {**NOTHING, "sent": 200, "replied": 5, "opened": 80}
    return {
        "domain": "acme.com",
        "provider": "acme.com",
        "funnel": {**counts, "delivered": None},
        "rates": measures.rates(counts),
        "events": [],
        "tasks": [],
        **more,
    }


def days(*sent: tuple[int, int]) -> Section:
    """A table by day: (days after the first, sent)."""
    rows = [{"day": FIRST + timedelta(days=day), "sent": count} for day, count in sent]
    return Section(
        "days", "by day", (Column("day", "day", "text"),), rows, "", Chart("days", ("sent",), "day")
    )


def test_a_page_asks_for_nothing_from_elsewhere() -> None:
    made = page.made(document(links=[{"url": "https://shop.example/", "template": "t"}]), NOW)
    assert "https://shop.example/" in made, "as text"
    assert not re.search(r"<(script|link|img|iframe|object|base)\b|\b(src|href)=|url\(|@import", made)
    assert "default-src 'none'" in made
    assert 'name="viewport"' in made
    assert "prefers-color-scheme: dark" in made
    assert "@media print" in made


def test_names_cannot_break_out_of_the_page() -> None:
    made = page.made(document(domain='<img src=x onerror="alert(1)">'), NOW)
    assert "<img" not in made
    assert "&lt;img" in made


def test_every_drawing_has_words_beside_it() -> None:
    counts = {"sent": 3, "opened": 1, "clicked": 0, "replied": 0, "bounced": 0, "unsubscribed": 0}
    hours = [{"hour": hour, **counts} for hour in range(24)]
    by_day = [{"day": FIRST, **counts}]
    made = page.made(document(by_day=by_day, by_hour=hours, time_zone="UTC"), NOW)
    for drawing in re.findall(r"<svg[^>]*>", made):
        assert 'aria-hidden="true"' in drawing or "aria-label=" in drawing
    assert "sent, 72 in all; the most in one hour: 3, 00" in made


def test_columns_are_as_high_as_their_numbers_and_days_without_any_are_there() -> None:
    found = charts.moments_of(days((0, 10), (3, 5)))
    [sent] = found.series
    assert [bar.height for bar in sent.bars] == [100, 0, 0, 50]
    assert [bar.label for bar in sent.bars][:2] == ["2027-03-01: 10", "2027-03-02: 0"]
    assert sum(bar.width for bar in sent.bars) == pytest.approx(100 * (1 - charts.GAP), abs=0.1)
    assert (found.ticks, found.each) == (("2027-03-01", "2027-03-03", "2027-03-04"), "day")


def test_a_long_time_is_drawn_in_weeks() -> None:
    found = charts.moments_of(days((0, 1), (6, 2), (7, 4), (100, 3)))
    assert found.each == "week"
    assert [round(bar.height / 100 * 4) for bar in found.series[0].bars] == [3, 4, *[0] * 12, 3]


def test_rates_share_a_scale_and_keep_their_order() -> None:
    rows = [{"rate": measures.rate(count, 100)} for count in (1, 10)] + [{"rate": measures.rate(0, 0)}]
    section = Section("rates", "", (), [*rows, {"rate": measures.rate(90, 100), "undrawn": True}])
    small, large, none, undrawn = charts.spans_of(section, "rate")
    assert (none, undrawn) == (None, None)
    assert small is not None
    assert large is not None
    assert small.low < small.at < large.low < large.at < large.high == 100


def test_a_part_without_anything_in_it_is_left_out() -> None:
    assert [section.key for section in sections_of(document())] == ["funnel", "rates"]


def test_what_no_provider_tells_is_not_none() -> None:
    [funnel, _rates] = sections_of(document())
    assert "delivered, as providers tell" not in {row["step"] for row in funnel.rows}
    assert funnel.note
    told = document(funnel={**NOTHING, "delivered": 7})
    [row] = [row for row in sections_of(told)[0].rows if row["step"] == "delivered, as providers tell"]
    assert row["count"] == 7
