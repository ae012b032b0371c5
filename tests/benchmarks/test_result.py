"""Goals, rounds, and the document a benchmark prints."""

from __future__ import annotations

import json

import pytest

from benchmarks.result import Findings, Ratios, at_least, at_most, interleaved


@pytest.mark.parametrize(("value", "met"), [(0.5, "yes"), (0.49, "floor"), (0.4, "floor"), (0.39, "no")])
def test_a_goal_with_a_floor_has_three_answers(value: float, met: str) -> None:
    assert at_least(0.5, floor=0.4).met(value) == met


def test_a_goal_from_above_includes_its_bound() -> None:
    assert [at_most(1.3).met(value) for value in (1.0, 1.3, 1.31)] == ["yes", "yes", "no"]


def test_rounds_that_agree_are_not_repeated() -> None:
    ratios = iter([0.50, 0.51, 0.52])
    assert interleaved(lambda: next(ratios), 3).median == 0.51


def test_noisy_rounds_are_repeated_at_most_as_often_again() -> None:
    ratios = iter([0.3, 0.5, 0.7, 0.5, 0.6, 0.4, 9.0])
    found = interleaved(lambda: next(ratios), 3)
    assert (len(found.each), found.median) == (6, 0.5)
    assert found.note() == "median of 6 interleaved rounds, 0.30 to 0.70"


def test_one_round_that_was_asked_for_stays_one() -> None:
    assert interleaved(lambda: 2.0, 1) == Ratios([2.0])


def test_the_document_stands_alone_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    findings = Findings("speed", as_json=True)
    findings.row("sending", 0.45, measured="45 msg/s", reference="100 msg/s", goal=at_least(0.5, floor=0.4))
    findings.row("memory", 120.4, measured="120 MB", unit="MB")
    findings.finish()
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert [(row["what"], row["goal"], row["met"]) for row in document["rows"]] == [
        ("sending", ">= 0.5 (floor 0.4)", "floor"),
        ("memory", None, None),
    ]
    assert "sending: 45 msg/s against 100 msg/s: 0.45 x" in said.err


def test_a_value_is_shown_with_its_unit() -> None:
    findings = Findings("speed", as_json=True)
    for value, unit in ((0.456, "x"), (0.4567, "us"), (93.81, "MB"), (17655.2, "/s")):
        findings.row("it", value, measured="", unit=unit)
    assert [row.shown() for row in findings.rows] == ["0.46 x", "0.457 us", "93.8 MB", "17,655 /s"]
