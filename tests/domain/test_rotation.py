"""Templates take turns as often as their weights say."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.domain.rotation import LONGEST_ROUND, Turn, require_weights, round_of
from coldsend.errors import InvalidInput


def test_equal_weights_are_each_template_once_in_order() -> None:
    assert round_of([Turn(7), Turn(3), Turn(5)]) == [7, 3, 5]
    assert round_of([Turn(7, 20), Turn(3, 20), Turn(5, 20)]) == [7, 3, 5]
    assert round_of([Turn(9, 4)]) == [9]
    assert round_of([]) == []


def test_turns_of_a_heavy_template_are_spread() -> None:
    assert round_of([Turn(1, 3), Turn(2, 1)]) == [1, 1, 2, 1]
    assert round_of([Turn(1, 5), Turn(2, 1), Turn(3, 1)]) == [1, 1, 2, 1, 3, 1, 1]


@pytest.mark.costly
@given(st.lists(st.integers(1, 16), min_size=1, max_size=6))
def test_a_round_has_exactly_the_shares_and_never_strays_far_from_them(weights: list[int]) -> None:
    found = round_of([Turn(template_id, weight) for template_id, weight in enumerate(weights)])
    total = sum(weights)
    counts: Counter[int] = Counter()
    for length, template_id in enumerate(found, start=1):
        counts[template_id] += 1
        for other, weight in enumerate(weights):
            assert abs(counts[other] - length * weight / total) < 2
    for template_id, weight in enumerate(weights):
        assert counts[template_id] * total == weight * len(found)


@pytest.mark.parametrize("weights", [[0, 1], [-1], [LONGEST_ROUND, 1], [2**31]])
def test_weights_that_make_no_round_are_refused(weights: list[int]) -> None:
    with pytest.raises(InvalidInput):
        require_weights(weights)


def test_only_proportions_count_for_the_length_of_a_round() -> None:
    require_weights([900, 100])
    require_weights([LONGEST_ROUND - 1, 1])
    require_weights([])
