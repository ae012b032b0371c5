"""Rates, words and the CSV form of reports."""

from __future__ import annotations

import csv
import io

import pytest

from coldsend.analytics.reports import measures, table, words
from tests.analytics.test_page import NOTHING, document


def test_a_rate_without_anything_sent_says_nothing() -> None:
    assert measures.rate(0, 0) == {"count": 0, "of": 0, "rate": None, "low": None, "high": None}
    assert words.interval(measures.rate(0, 0)) == ""


def test_more_may_come_back_than_is_known_to_be_sent() -> None:
    found = measures.rate(3, 2)
    assert (found["count"], found["of"], found["rate"]) == (3, 2, 1.0)


def test_those_refused_at_once_count_as_bounced() -> None:
    counts = {**NOTHING, "sent": 90, "bounced": 4, "refused_hard": 7, "refused_soft": 3}
    assert (measures.rates(counts)["bounce"]["count"], measures.rates(counts)["bounce"]["of"]) == (14, 100)


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (None, ""),
        (0.0, "0.0 %"),
        (0.00002, "< 0.01 %"),
        (0.00006, "0.01 %"),
        (0.0012, "0.12 %"),
        (0.013, "1.3 %"),
        (1.0, "100.0 %"),
    ],
)
def test_small_shares_have_more_digits(share: float | None, shown: str) -> None:
    assert words.percent(share) == shown


def test_an_interval_in_words() -> None:
    assert words.interval(measures.rate(5, 200)) == "1.1 to 5.7 %"


def test_a_csv_line_is_one_number() -> None:
    out = io.StringIO()
    count = table.write(document(), out)
    rows = list(csv.DictReader(io.StringIO(out.getvalue())))
    assert len(rows) == count
    found = {(row["section"], row["item"], row["measure"]): row["value"] for row in rows}
    assert found["funnel", "accepted by a server", "count"] == "200"
    assert found["rates", "replies", "rate"] == "0.025"
    assert (
        float(found["rates", "replies", "rate_low"]) < 0.025 < float(found["rates", "replies", "rate_high"])
    )


def test_no_spreadsheet_takes_a_name_for_a_formula() -> None:
    out = io.StringIO()
    part = {"name": "=cmd()", "sent": 1}
    table.write(document(tasks=[part]), out)
    items = {row["item"] for row in csv.DictReader(io.StringIO(out.getvalue())) if row["section"] == "tasks"}
    assert items == {"'=cmd()"}
