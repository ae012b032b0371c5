"""Formulas against published values, and properties that hold whatever the counts are."""

from __future__ import annotations

from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldsend.domain.statistics import (
    Interval,
    chance_of_difference,
    difference_interval,
    rate_interval,
    trials_needed,
)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Newcombe, Two-sided confidence intervals for the single proportion (1998), table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_a_rates_interval_is_wilsons(successes: int, trials: int, low: float, high: float) -> None:
    found = rate_interval(successes, trials)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    # Newcombe, Interval estimation for the difference between independent proportions (1998), table II,
    # method 10
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_a_differences_interval_is_newcombes(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    found = difference_interval(*one, *other)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


@pytest.mark.parametrize(
    ("one", "other", "tail"),
    [
        ((3, 4), (1, 4), 0.242857),  # Fisher's tea
        ((4, 4), (0, 4), 0.014286),
        ((10, 13), (2, 17), 0.000465),  # Fisher's convicted twins
    ],
)
def test_the_chance_of_a_difference_is_twice_fishers_tail(
    one: tuple[int, int], other: tuple[int, int], tail: float
) -> None:
    assert chance_of_difference(*one, *other) == pytest.approx(2 * tail, abs=2e-6)


def test_without_trials_nothing_is_known() -> None:
    assert rate_interval(0, 0) == Interval(0.0, 1.0)
    assert difference_interval(0, 0, 0, 0) == Interval(-1.0, 1.0)
    assert chance_of_difference(0, 0, 3, 10) == 1.0


def test_impossible_counts_are_refused() -> None:
    for successes, trials in ((2, 1), (-1, 3)):
        with pytest.raises(ValueError, match="is no rate"):
            rate_interval(successes, trials)
    with pytest.raises(ValueError, match="between 0 and 1"):
        rate_interval(1, 2, confidence=95)


def test_trials_needed_are_those_of_the_published_table() -> None:
    # Fleiss, Statistical Methods for Rates and Proportions, table A.3: alpha 0.05, power 0.80
    assert trials_needed(0.05, 0.10, 0.05) == 474
    assert trials_needed(0.60, 0.70, 0.05) == 376
    assert trials_needed(0.1, 0.1, 0.05) is None


def test_more_than_enough_trials_decide_and_a_large_task_costs_no_time() -> None:
    assert chance_of_difference(50_500, 1_000_000, 50_500, 1_000_000) == 1.0
    assert chance_of_difference(52_000, 1_000_000, 50_000, 1_000_000) < 1e-9


_side = st.integers(0, 60).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials)))


@pytest.mark.costly
@settings(max_examples=150, deadline=None)
@given(_side, _side)
def test_the_chance_agrees_with_counting_every_table(one: tuple[int, int], other: tuple[int, int]) -> None:
    marked, total = one[0] + other[0], one[1] + other[1]
    ways = {
        hits: comb(marked, hits) * comb(total - marked, one[1] - hits)
        for hits in range(max(0, one[1] - (total - marked)), min(one[1], marked) + 1)
    }
    all_ways = comb(total, one[1])
    above = sum(count for hits, count in ways.items() if hits >= one[0]) / all_ways
    below = sum(count for hits, count in ways.items() if hits <= one[0]) / all_ways
    assert chance_of_difference(*one, *other) == pytest.approx(min(1.0, 2 * min(above, below)), abs=1e-9)


@pytest.mark.costly
@settings(max_examples=150, deadline=None)
@given(_side, _side, st.floats(0.5, 0.999))
def test_intervals_hold_what_was_observed(
    one: tuple[int, int], other: tuple[int, int], confidence: float
) -> None:
    if not one[1] or not other[1]:
        return
    found = rate_interval(*one, confidence)
    assert 0 <= found.low <= one[0] / one[1] <= found.high <= 1
    between = difference_interval(*one, *other, confidence)
    assert -1 <= between.low <= one[0] / one[1] - other[0] / other[1] <= between.high <= 1
