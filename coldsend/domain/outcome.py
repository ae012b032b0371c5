"""What becomes of a row after an attempt: pure decision from verdict to row outcome.

An outcome is everything the ledger writes about one attempt, and is small enough to be journaled as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from coldsend.domain.answers import BEFORE_MESSAGE, Action, Answer, Outcome, Phase, Verdict
from coldsend.domain.states import RowStatus

_quoted = json.encoder.encode_basestring_ascii
# The rows of one claim have their time in common.
_iso = lru_cache(maxsize=64)(datetime.isoformat)
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode

SOON = timedelta(seconds=30)
SLOW_DOWN = timedelta(seconds=60)
PROVIDER_RETRY = timedelta(minutes=5)


@dataclass(slots=True)
class Attempt:
    """The claimed row as the decision needs it. Times are aware UTC."""

    row_id: int
    token: int
    service_id: int
    attempt_at: datetime
    retries: int = 0
    first_attempt_at: datetime | None = None
    keeps_service: bool = False  # greylisted, follow-up: no other service may have the row

    @property
    def kept_service(self) -> int | None:
        """The service the row waits for if it is put back; None: any."""
        return self.service_id if self.keeps_service else None


@dataclass(slots=True)  # not frozen: that would double the cost of making one
class RowOutcome:
    """What the ledger records for one attempt. Never changed once it is made.

    retries: value after this attempt. keep_service: the row waits for this service only (None: any).
    refund: the quota unit goes back, because the recipient was never accepted.
    tried: something was put on the wire, so the event log gets a try and its result.
    """

    row_id: int
    token: int
    service_id: int
    status: RowStatus
    at: datetime
    retries: int = 0
    reason: str | None = None
    error_message: str | None = None
    scheduled_send_at: datetime | None = None
    keep_service: int | None = None
    message_id: str | None = None  # ours, the header
    provider_message_id: str | None = None  # what an HTTP API called it
    refund: bool = False
    tried: bool = True
    code: int = 0
    enhanced: str = ""
    attempt_at: datetime | None = None
    first_attempt_at: datetime | None = (
        None  # the first one that concerned the recipient: lifetimes start there
    )
    subject: str | None = None  # as it was sent: what a follow-up answers

    @property
    def plain(self) -> bool:
        """Accepted by an SMTP server, and nothing else to tell: what nearly all of them are."""
        return (
            self.status is RowStatus.SENT
            and self.reason is None
            and self.error_message is None
            and self.message_id is not None
            and self.provider_message_id is None
            and self.scheduled_send_at is None
            and not self.refund
        )

    def to_json(self) -> str:
        """One line for the outcome journal; :func:`outcome_from_json` reads it back."""
        if self.plain:
            # By hand: a general encoder costs a tenth of the whole message.
            first = _iso(self.first_attempt_at) if self.first_attempt_at else ""
            return (
                f'{{"row_id":{self.row_id},"token":{self.token},"service_id":{self.service_id},"status":"sent",'
                f'"at":"{self.at.isoformat()}","retries":{self.retries},"code":{self.code},'
                f'"enhanced":{_quoted(self.enhanced)},"message_id":{_quoted(self.message_id or "")},'
                f'"keep_service":{self.keep_service or "null"},"subject":{_quoted(self.subject or "")},'
                f'"first_attempt_at":"{first}",'
                f'"attempt_at":"{_iso(self.attempt_at) if self.attempt_at else ""}"}}'
            )
        # Not dataclasses.asdict: its deep copies cost more than sending the message.
        found = ((name, getattr(self, name)) for name in self.__dataclass_fields__)
        return _encode(
            {
                name: value.isoformat() if isinstance(value, datetime) else value
                for name, value in found
                if value is not None
            }
        )


def outcome_from_json(document: dict[str, Any]) -> RowOutcome:
    """Inverse of :meth:`RowOutcome.to_json`; raises ValueError, TypeError or KeyError on anything else."""
    values = dict(document)
    for name in ("at", "scheduled_send_at", "attempt_at", "first_attempt_at"):
        if values.get(name) is not None:
            values[name] = datetime.fromisoformat(values[name]) if values[name] else None
    values["status"] = RowStatus(values["status"])
    values["subject"] = values.get("subject") or None
    return RowOutcome(**values)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """delays_minutes: waits between attempts, the last repeats. give_up_days: lifetime since the first."""

    delays_minutes: Sequence[float]
    give_up_days: float


def decide(
    attempt: Attempt,
    answer: Answer,
    verdict: Verdict,
    now: datetime,
    next_attempt: datetime | None,
    message_id: str,
    subject: str | None = None,
) -> RowOutcome:
    """The outcome of one answered (or failed) attempt.

    next_attempt: when the retry policy would try again, None where the row's lifetime is over. subject: of
    the message.
    """

    def outcome(status: RowStatus, **values: Any) -> RowOutcome:
        values.setdefault("retries", attempt.retries)
        values.setdefault("first_attempt_at", attempt.first_attempt_at or attempt.attempt_at)
        values.setdefault("keep_service", attempt.kept_service)
        return RowOutcome(
            attempt.row_id,
            attempt.token,
            attempt.service_id,
            status,
            now,
            message_id=message_id,
            provider_message_id=answer.provider_message_id or None,
            code=answer.code,
            enhanced=answer.enhanced,
            attempt_at=attempt.attempt_at,
            subject=subject,
            **values,
        )

    if verdict.outcome == Outcome.ACCEPTED:
        return accepted(attempt, answer, now, message_id, subject)
    if verdict.outcome == Outcome.UNKNOWN:
        return outcome(RowStatus.UNKNOWN, reason="no_final_answer", error_message=str(answer))
    refund = answer.phase not in (Phase.DATA, Phase.FINAL)
    failure = {"reason": verdict.rule, "error_message": str(answer), "refund": refund}
    if verdict.action in _FINAL_ACTIONS or (
        verdict.outcome == Outcome.PERMANENT and verdict.action not in _WAITING_ACTIONS
    ):
        return outcome(RowStatus.FAILED_TO_SEND, **failure)
    if answer.phase in BEFORE_MESSAGE or verdict.action in _SENDER_ACTIONS:
        # Nothing about this recipient: it is free for other services at once (but one that waits for this
        # service); no retry, no lifetime is used. A rest said behind RCPT may be about the recipient after
        # all: its lifetime begins, so that it cannot go on for ever.
        begun = attempt.first_attempt_at
        if verdict.action == Action.COOL_DOWN and answer.phase in _BEHIND_RCPT:
            begun = begun or attempt.attempt_at
        return outcome(RowStatus.PENDING, scheduled_send_at=now, first_attempt_at=begun, **failure)
    if next_attempt is None:
        return outcome(RowStatus.FAILED_TO_SEND, **{**failure, "reason": "expired"})
    wait = _UNCOUNTED_WAITS.get(verdict.action)
    if wait is not None:
        return outcome(RowStatus.PENDING, scheduled_send_at=now + wait, **failure)
    return outcome(
        RowStatus.PENDING,
        scheduled_send_at=next_attempt,
        keep_service=attempt.service_id
        if verdict.action == Action.RETRY_SAME_SERVICE
        else attempt.kept_service,
        **{**failure, "retries": attempt.retries + 1},
    )


def accepted(
    attempt: Attempt, answer: Answer, now: datetime, message_id: str, subject: str | None = None
) -> RowOutcome:
    """The server has taken the message over."""
    return RowOutcome(
        attempt.row_id,
        attempt.token,
        attempt.service_id,
        RowStatus.SENT,
        now,
        retries=attempt.retries,
        keep_service=attempt.kept_service,
        message_id=message_id,
        provider_message_id=answer.provider_message_id or None,
        code=answer.code,
        enhanced=answer.enhanced,
        attempt_at=attempt.attempt_at,
        first_attempt_at=attempt.first_attempt_at or attempt.attempt_at,
        subject=subject,
    )


_BEHIND_RCPT = (Phase.RCPT, Phase.DATA, Phase.FINAL)
_FINAL_ACTIONS = frozenset({Action.FAIL, Action.SUPPRESS, Action.FAIL_CONTENT, Action.FAIL_TEMPLATE})
_SENDER_ACTIONS = frozenset(
    {Action.FREEZE_SERVICE, Action.COOL_DOWN, Action.NEXT_QUOTA_DAY, Action.PAUSE_CAMPAIGN}
)
_UNCOUNTED_WAITS = {
    Action.RETRY_SOON: SOON,
    Action.SLOW_DOWN: SLOW_DOWN,
    Action.PAUSE_PROVIDER: PROVIDER_RETRY,
}
_WAITING_ACTIONS = (
    _SENDER_ACTIONS | frozenset(_UNCOUNTED_WAITS) | frozenset({Action.RETRY, Action.RETRY_SAME_SERVICE})
)


def released(attempt: Attempt, now: datetime, reason: str) -> RowOutcome:
    """Never put on the wire (shutdown, lease lost, service stopped): pending again as if nothing had been.

    It stays due when it was: ``now`` would let it wait where the clock is set back afterwards.
    """
    return RowOutcome(
        attempt.row_id,
        attempt.token,
        attempt.service_id,
        RowStatus.PENDING,
        now,
        retries=attempt.retries,
        reason=reason,
        keep_service=attempt.kept_service,
        refund=True,
        tried=False,
        attempt_at=attempt.attempt_at,
        first_attempt_at=attempt.first_attempt_at,
    )


def postponed(attempt: Attempt, now: datetime, until: datetime, reason: str) -> RowOutcome:
    """Not now (its provider is paused for the service): pending until then, free for other services."""
    return replace(released(attempt, now, reason), scheduled_send_at=until)


def skipped(attempt: Attempt, now: datetime, reason: str, detail: str) -> RowOutcome:
    """Declined by us before anything was sent."""
    return RowOutcome(
        attempt.row_id,
        attempt.token,
        attempt.service_id,
        RowStatus.SKIPPED,
        now,
        retries=attempt.retries,
        reason=reason,
        error_message=detail,
        refund=True,
        tried=False,
        attempt_at=attempt.attempt_at,
        first_attempt_at=attempt.first_attempt_at,
    )


def unknown(
    attempt: Attempt, now: datetime, detail: str, message_id: str | None = None, subject: str | None = None
) -> RowOutcome:
    """May have been delivered: never sent again by itself."""
    return RowOutcome(
        attempt.row_id,
        attempt.token,
        attempt.service_id,
        RowStatus.UNKNOWN,
        now,
        retries=attempt.retries,
        reason="no_final_answer",
        error_message=detail,
        message_id=message_id,
        attempt_at=attempt.attempt_at,
        first_attempt_at=attempt.first_attempt_at or attempt.attempt_at,
        subject=subject,
    )
