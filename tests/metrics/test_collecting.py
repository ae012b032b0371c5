"""The formats that are served: both can be read back, and say what was counted."""

from __future__ import annotations

import threading

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from coldsend.meter import SEND_BUCKETS, Counts, Durations
from coldsend.metrics import collecting, survey
from coldsend.metrics.catalogue import METRICS
from coldsend.metrics.collecting import OfDatabase
from coldsend.metrics.survey import Readings

UP: Readings = {"coldsend_database_up": [((), 1.0)]}


def counts() -> Counts:
    buckets = [2, 3, *[0] * (len(SEND_BUCKETS) - 2), 1]
    return Counts(
        {("coldsend_messages_total", 'a "b" \\ ü\n', "sent"): 6.0, ("coldsend_events_total", "leading"): 1},
        {("coldsend_send_duration_seconds", "main"): Durations(buckets, 4.5)},
        {("coldsend_rows_held",): 3},
    )


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def served(look: Readings | None = None) -> CollectorRegistry:
    return collecting.registry(counts, None if look is None else lambda: look)


def test_the_text_format_can_be_read_back() -> None:
    found = samples(generate_latest(served(UP)).decode())
    assert found["coldsend_messages_total", (("outcome", "sent"), ("service", 'a "b" \\ ü\n'))] == 6
    assert found["coldsend_rows_held", ()] == 3
    assert found["coldsend_database_up", ()] == 1


def test_openmetrics_can_be_read_back() -> None:
    families = {family.name for family in read_openmetrics(generate_openmetrics(served(UP)).decode())}
    assert {"coldsend_messages", "coldsend_send_duration_seconds", "coldsend_database_up"} <= families


def test_buckets_are_cumulated_and_the_last_is_the_count() -> None:
    found = samples(generate_latest(served()).decode())
    name = "coldsend_send_duration_seconds"

    def bucket(le: str) -> float:
        return found[f"{name}_bucket", (("le", le), ("service", "main"))]

    assert [bucket("0.01"), bucket("0.025"), bucket("300"), bucket("+Inf")] == [2, 5, 5, 6]
    assert found[f"{name}_count", (("service", "main"),)] == 6
    assert found[f"{name}_sum", (("service", "main"),)] == 4.5


def test_every_family_says_what_it_is() -> None:
    text = generate_latest(served(UP)).decode()
    for metric in METRICS.values():
        if f"# TYPE {metric.name} " in text:
            assert f"# TYPE {metric.name} {metric.kind}\n" in text
            assert f"# HELP {metric.name} {metric.help}\n" in text


def test_what_is_shown_once_is_what_is_served() -> None:
    assert samples(collecting.text_of(UP)) == {("coldsend_database_up", ()): 1}


def test_a_survey_is_not_taken_at_each_scrape() -> None:
    taken = []

    def look() -> Readings:
        taken.append(1)
        return UP

    collector = OfDatabase(look)
    for _ in range(5):
        assert [family.name for family in collector.collect()] == ["coldsend_database_up"]
    assert len(taken) == 1


def test_a_survey_that_is_not_fresh_is_taken_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "FRESH_SECONDS", 0.0)
    values = iter([1.0, 2.0])
    collector = OfDatabase(lambda: {"coldsend_open_tasks": [((), next(values))]})
    assert [next(iter(collector.collect())).samples[0].value for _ in range(2)] == [1, 2]


def test_a_database_that_hangs_is_away_and_is_not_asked_twice_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collecting, "FRESH_SECONDS", 0.0)
    go_on = threading.Event()
    asked = []

    def look() -> Readings:
        asked.append(1)
        assert go_on.wait(120)
        return UP

    collector = OfDatabase(look, patience=0.01)
    for _ in range(3):
        assert [family.samples[0].value for family in collector.collect()] == [0]
    assert len(asked) == 1
    go_on.set()
    assert collector._asked is not None
    assert collector._asked.result(120) == UP
    assert len(asked) == 1, "and nothing has piled up"
    assert survey.of_silence() != UP


def test_a_bug_in_a_survey_is_logged_and_spares_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    from coldsend import logbook

    logbook.configure("info", "text")

    def look() -> Readings:
        raise ZeroDivisionError

    [family] = OfDatabase(look).collect()
    assert family.samples[0].value == 0
    assert "unexpected_error" in capsys.readouterr().err
