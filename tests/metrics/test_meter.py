"""What a process counts, and that counts survive the way to another process."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import timedelta
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend import meter
from coldsend.delivery.attempt import Result
from coldsend.domain.answers import Answer, Phase
from coldsend.domain.gates import ServiceFacts
from coldsend.domain.outcome import RowOutcome
from coldsend.domain.service import Service
from coldsend.domain.states import RowStatus
from coldsend.meter import Counts, Durations, Meter
from tests.planning.world import NOW

pytestmark = pytest.mark.costly

CLAIM: Any = None  # counting does not look at it


def outcome(status: RowStatus, seconds: float = 0.03, service_id: int = 1, **values: Any) -> RowOutcome:
    at = NOW + timedelta(seconds=seconds)
    return RowOutcome(1, 1, service_id, status, at, **{"attempt_at": NOW, **values})


def result(status: RowStatus, phase: Phase | None = None, **values: Any) -> Result:
    answer = None if phase is None else Answer(phase, 550)
    render_error = values.pop("render_error", False)
    return Result(CLAIM, outcome(status, **values), answer, render_error=render_error)


def named(meter: Meter) -> Meter:
    facts = ServiceFacts(Service(1, "main", "smtp", "a@sender.example"), used=0, next_quota_day=NOW)
    meter.look({1: facts}, rows_held=7, journal_bytes=99)
    return meter


def test_results_are_counted_by_what_became_of_the_row() -> None:
    counting = named(Meter())
    results = [
        result(RowStatus.SENT),
        result(RowStatus.SENT),
        result(RowStatus.FAILED_TO_SEND, Phase.RCPT),
        result(RowStatus.UNKNOWN, Phase.FINAL),
        result(RowStatus.PENDING, Phase.CONNECT),
        result(RowStatus.PENDING, tried=False),
        result(RowStatus.SKIPPED, tried=False, render_error=True),
    ]
    counting.turn(results, 3, 0.004)
    counters = counting.read().counters
    outcomes = {
        key[2]: count for key, count in counters.items() if key[:2] == ("coldsend_messages_total", "main")
    }
    assert outcomes == {
        "sent": 2, "failed_to_send": 1, "unknown": 1, "retry": 1, "put_back": 1, "skipped": 1,
    }  # fmt: skip
    phases = {key[2]: count for key, count in counters.items() if key[0] == "coldsend_failures_total"}
    assert phases == {"rcpt": 1, "final": 1, "connect": 1}
    assert counters["coldsend_compose_failures_total", "main"] == 1
    assert counters["coldsend_rows_claimed_total",] == 3


def test_durations_fall_into_their_bucket_and_what_was_not_tried_into_none() -> None:
    counting = named(Meter())
    tried = [result(RowStatus.SENT, seconds=seconds) for seconds in (0.01, 0.011, 400)]
    counting.turn([*tried, result(RowStatus.PENDING, tried=False)], 0, 0.004)
    durations = counting.read().durations["coldsend_send_duration_seconds", "main"]
    assert durations.buckets == [1, 1, *[0] * (len(meter.SEND_BUCKETS) - 2), 1]
    assert durations.seconds == pytest.approx(400.021)


def test_a_clock_that_was_set_back_takes_nothing_from_a_sum() -> None:
    counting = named(Meter())
    counting.turn([result(RowStatus.SENT, seconds=-3600)], 0, 0.004)
    durations = counting.read().durations["coldsend_send_duration_seconds", "main"]
    assert (durations.buckets[0], durations.seconds) == (1, 0)


def test_a_service_that_has_no_name_yet_is_called_by_its_id() -> None:
    counting = Meter()
    counting.connection_opened(9)
    assert counting.read().counters["coldsend_connections_opened_total", "#9"] == 1


def test_what_is_in_hand_is_a_state_not_a_sum() -> None:
    counting = named(named(Meter()))
    assert counting.read().gauges["coldsend_rows_held",] == 7


def test_what_was_read_does_not_change_any_more() -> None:
    counting = named(Meter())
    counting.turn([result(RowStatus.SENT)], 1, 0.004)
    before = counting.read()
    copied = before.as_json()
    counting.turn([result(RowStatus.SENT)], 1, 0.004)
    assert before.as_json() == copied


numbers = st.integers(min_value=0, max_value=10**12)
keys = st.tuples(st.sampled_from(["coldsend_messages_total", "x"]), st.text())
durations = st.builds(Durations, st.lists(numbers, min_size=3, max_size=3), st.floats(0, 1e9))
counts = st.builds(
    Counts,
    st.dictionaries(keys, numbers.map(float)),
    st.dictionaries(keys, durations),
    st.dictionaries(keys, numbers.map(float)),
)


@given(counts)
def test_counts_survive_the_way_to_another_process(found: Counts) -> None:
    assert meter.from_json(found.as_json()) == found


@given(counts, counts)
def test_a_sum_is_the_same_in_either_order(one: Counts, other: Counts) -> None:
    forward, backward = Counts(), Counts()
    for each in (one, other):
        forward.add(each)
    for each in (other, one):
        backward.add(each)
    assert forward == backward


def test_a_sum_of_one_that_has_ended_leaves_out_what_it_held() -> None:
    found = Counts()
    found.add(Counts({("a",): 1}, {}, {("b",): 1}), gauges=False)
    assert (found.counters, found.gauges) == ({("a",): 1}, {})


def test_adding_up_changes_only_the_sum() -> None:
    part = Counts({}, {("a",): Durations([1, 2], 3.0)}, {})
    found = Counts()
    found.add(part)
    found.add(part)
    assert part.durations["a",] == Durations([1, 2], 3.0)
    assert found.durations["a",] == Durations([2, 4], 6.0)


def test_counting_costs_a_few_calls_a_message() -> None:
    """Calls, not time: what else the machine does has no part in it."""
    counting = named(Meter())
    sent = outcome(RowStatus.SENT)
    turn = [Result(CLAIM, replace(sent, service_id=1 + number % 2)) for number in range(1000)]
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        counting.turn(turn, 1000, 0.01)
    finally:
        sys.setprofile(None)
    assert calls / len(turn) < 6
