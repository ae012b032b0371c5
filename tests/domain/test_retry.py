"""Retries: waits grow, spread only to later, and end with the lifetime."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.domain.answers import Action, Outcome, Verdict
from coldsend.domain.retry import SPREAD, next_attempt

NOW = datetime(2027, 3, 28, 0, 30, tzinfo=UTC)
DELAYS = (5.0, 15.0, 30.0, 60.0, 120.0, 240.0)
RETRY = Verdict(Outcome.TEMPORARY, Action.RETRY, "temporary")


@pytest.mark.parametrize(("retries", "minutes"), [(0, 5), (1, 15), (2, 30), (5, 240), (6, 240), (99, 240)])
def test_waits_grow_and_the_last_one_repeats(retries: int, minutes: float) -> None:
    assert next_attempt(NOW, NOW, retries, DELAYS, 5, RETRY) == NOW + timedelta(minutes=minutes)


def test_the_lifetime_counts_from_the_first_attempt() -> None:
    begun = NOW - timedelta(days=5) + timedelta(minutes=5)
    assert next_attempt(NOW, begun, 0, DELAYS, 5, RETRY) == NOW + timedelta(minutes=5)
    assert next_attempt(NOW, begun - timedelta(seconds=1), 0, DELAYS, 5, RETRY) is None


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict(Outcome.ACCEPTED, Action.NONE, "accepted"),
        Verdict(Outcome.UNKNOWN, Action.RECORD_UNKNOWN, "lost_after_final_dot"),
        Verdict(Outcome.PERMANENT, Action.FAIL, "refused"),
        Verdict(Outcome.PERMANENT, Action.SUPPRESS, "unknown_recipient"),
        Verdict(Outcome.PERMANENT, Action.FAIL_CONTENT, "content_refused"),
        Verdict(Outcome.PERMANENT, Action.FAIL_TEMPLATE, "too_big"),
    ],
)
def test_what_is_decided_is_not_tried_again(verdict: Verdict) -> None:
    assert next_attempt(NOW, NOW, 0, DELAYS, 5, verdict) is None


def test_a_refusal_that_blames_the_sender_is_tried_again() -> None:
    verdict = Verdict(Outcome.PERMANENT, Action.PAUSE_PROVIDER, "bad_reputation", blames_sender=True)
    assert next_attempt(NOW, NOW, 0, DELAYS, 5, verdict) is not None


@pytest.mark.costly
@given(st.integers(0, 10), st.floats(-1, 2), st.lists(st.floats(0.01, 1000), min_size=1, max_size=6))
def test_the_spread_only_makes_later(retries: int, fraction: float, delays: list[float]) -> None:
    plain = next_attempt(NOW, NOW, retries, delays, 60, RETRY)
    spread = next_attempt(NOW, NOW, retries, delays, 60, RETRY, fraction=fraction)
    assert plain is not None
    assert spread is not None
    assert plain <= spread <= NOW + (plain - NOW) * (1 + SPREAD) + timedelta(microseconds=1)
