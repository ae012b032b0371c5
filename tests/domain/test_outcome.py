"""From a verdict to what becomes of the row."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.domain import outcome as outcomes
from coldsend.domain.answers import BEFORE_MESSAGE, Action, Answer, Outcome, Phase, Verdict
from coldsend.domain.outcome import Attempt, RowOutcome, outcome_from_json
from coldsend.domain.states import RowStatus

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NEXT = NOW + timedelta(minutes=5)
ATTEMPT = Attempt(1, 2, 3, NOW - timedelta(seconds=1), retries=4)


def decided(
    phase: Phase, outcome: Outcome, action: Action, next_attempt: datetime | None = NEXT
) -> RowOutcome:
    answer = Answer(phase, 550, "5.0.0", "words")
    return outcomes.decide(ATTEMPT, answer, Verdict(outcome, action, "rule"), NOW, next_attempt, "<m@x>")


def test_an_accepted_message_is_sent_and_costs_its_quota() -> None:
    made = decided(Phase.FINAL, Outcome.ACCEPTED, Action.NONE)
    assert (made.status, made.refund, made.message_id) == (RowStatus.SENT, False, "<m@x>")


def test_an_unknown_outcome_is_never_pending() -> None:
    made = decided(Phase.FINAL, Outcome.UNKNOWN, Action.RECORD_UNKNOWN)
    assert (made.status, made.refund, made.scheduled_send_at) == (RowStatus.UNKNOWN, False, None)


@pytest.mark.parametrize("action", [Action.FAIL, Action.SUPPRESS, Action.FAIL_CONTENT, Action.FAIL_TEMPLATE])
def test_a_refused_recipient_fails_with_the_servers_words(action: Action) -> None:
    made = decided(Phase.RCPT, Outcome.PERMANENT, action)
    assert made.status == RowStatus.FAILED_TO_SEND
    assert made.reason == "rule"
    assert "550 5.0.0 words" in (made.error_message or "")


@pytest.mark.parametrize(
    ("phase", "refund"),
    [(phase, phase not in (Phase.DATA, Phase.FINAL)) for phase in Phase],
)
def test_quota_comes_back_only_if_the_recipient_was_never_accepted(phase: Phase, refund: bool) -> None:
    assert decided(phase, Outcome.TEMPORARY, Action.RETRY).refund == refund


def test_a_retry_waits_and_counts() -> None:
    made = decided(Phase.RCPT, Outcome.TEMPORARY, Action.RETRY)
    assert (made.status, made.scheduled_send_at, made.retries) == (RowStatus.PENDING, NEXT, 5)
    assert made.keep_service is None


def test_a_greylisted_row_keeps_its_service() -> None:
    assert decided(Phase.RCPT, Outcome.TEMPORARY, Action.RETRY_SAME_SERVICE).keep_service == 3


@pytest.mark.parametrize("action", [Action.RETRY_SOON, Action.SLOW_DOWN, Action.PAUSE_PROVIDER])
def test_some_waits_do_not_count_as_attempts(action: Action) -> None:
    made = decided(Phase.RCPT, Outcome.TEMPORARY, action)
    assert (made.status, made.retries) == (RowStatus.PENDING, 4)
    assert made.scheduled_send_at is not None
    assert made.scheduled_send_at > NOW


@pytest.mark.parametrize(
    "action", [Action.FREEZE_SERVICE, Action.COOL_DOWN, Action.NEXT_QUOTA_DAY, Action.PAUSE_CAMPAIGN]
)
@pytest.mark.parametrize("outcome", [Outcome.TEMPORARY, Outcome.PERMANENT])
def test_the_senders_failures_leave_the_row_free_for_others_at_once(action: Action, outcome: Outcome) -> None:
    made = decided(Phase.MAIL, outcome, action, next_attempt=None)
    assert (made.status, made.scheduled_send_at, made.retries) == (RowStatus.PENDING, NOW, 4)
    assert made.first_attempt_at is None, "its lifetime has not begun"


@pytest.mark.parametrize("phase", sorted(BEFORE_MESSAGE))
def test_a_server_out_of_reach_uses_up_nothing_of_the_row(phase: Phase) -> None:
    made = decided(phase, Outcome.TEMPORARY, Action.RETRY, next_attempt=None)
    assert (made.status, made.retries, made.refund) == (RowStatus.PENDING, 4, True)


def test_a_row_fails_when_its_lifetime_is_over() -> None:
    made = decided(Phase.RCPT, Outcome.TEMPORARY, Action.RETRY, next_attempt=None)
    assert (made.status, made.reason) == (RowStatus.FAILED_TO_SEND, "expired")


def test_a_released_row_is_as_if_nothing_had_been() -> None:
    made = outcomes.released(ATTEMPT, NOW, "stopped")
    assert (made.status, made.retries, made.refund, made.tried) == (RowStatus.PENDING, 4, True, False)


@pytest.mark.costly
@given(
    phase=st.sampled_from(Phase),
    outcome=st.sampled_from(Outcome),
    action=st.sampled_from(Action),
    next_attempt=st.sampled_from([None, NEXT]),
)
def test_whatever_is_answered_the_row_ends_or_waits_visibly(
    phase: Phase, outcome: Outcome, action: Action, next_attempt: datetime | None
) -> None:
    made = decided(phase, outcome, action, next_attempt)
    if made.status == RowStatus.PENDING:
        assert made.scheduled_send_at is not None
        assert made.scheduled_send_at >= NOW
    if made.status != RowStatus.SENT:
        assert made.reason
    assert outcome_from_json(json.loads(made.to_json())) == made, "the journal gives it back"


@pytest.mark.costly
@given(st.one_of(st.none(), st.text(min_size=1, max_size=200)))
def test_the_journal_gives_the_subject_back(subject: str | None) -> None:
    """Of the short form, written by hand, and of the general one."""
    answer = Answer(Phase.FINAL, 250, "2.0.0", "ok")
    plain = outcomes.accepted(ATTEMPT, answer, NOW, "<m@x>", subject)
    unknown = outcomes.unknown(ATTEMPT, NOW, "lost", "<m@x>", subject)
    assert plain.plain
    for made in (plain, unknown):
        assert outcome_from_json(json.loads(made.to_json())) == made
