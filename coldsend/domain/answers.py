"""What a channel reports about one message, and what the engine is to do about it.

A channel says *where* it got to (:class:`Phase`) and *what was answered* (:class:`Answer`);
``domain.replies.judge`` turns that into a :class:`Verdict`. Keeping the phase matters: a connection lost
before the final dot is a retry, after it the message may have been delivered and is never sent again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from coldsend.domain.states import FreezeCode


class Phase(StrEnum):
    """How far a transaction had come when the answer (or the failure) arrived."""

    CONNECT = "connect"  # DNS, TCP
    GREETING = "greeting"  # banner, EHLO
    TLS = "tls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"  # the DATA command and the body, before the final dot
    FINAL = "final"  # the final dot (or the HTTP request) has been written


BEFORE_MESSAGE = frozenset({Phase.CONNECT, Phase.GREETING, Phase.TLS, Phase.AUTH})


@dataclass(slots=True)
class Answer:
    """A server's answer, or the failure to get one.

    code: SMTP reply code or HTTP status; 0 where nothing was answered (timeout, lost connection, DNS).
    enhanced: RFC 3463 code such as ``5.1.1``, or "".
    text: the answer's text, or a description of the failure; free of credentials.
    lost: the connection broke or timed out instead of answering.
    provider_message_id: what an HTTP API called the message, or "".
    """

    phase: Phase
    code: int
    enhanced: str = ""
    text: str = ""
    lost: bool = False
    provider_message_id: str = ""

    def __str__(self) -> str:
        head = " ".join(part for part in (str(self.code or ""), self.enhanced, self.text) if part)
        return f"{head} (at {self.phase})"


class Outcome(StrEnum):
    ACCEPTED = "accepted"
    TEMPORARY = "temporary"
    PERMANENT = "permanent"
    UNKNOWN = "unknown"


class Action(StrEnum):
    """What the engine does besides recording the outcome."""

    NONE = "none"  # accepted, or nothing beyond the outcome
    FAIL = "fail"  # this recipient fails
    SUPPRESS = "suppress"  # fails, and the address is never mailed again
    RETRY = "retry"  # later, by any service; counts as an attempt
    RETRY_SAME_SERVICE = "retry_same_service"  # greylisted: same envelope, same service
    RETRY_SOON = "retry_soon"  # next transaction; does not count
    SLOW_DOWN = "slow_down"  # rate limited: later, does not count; the service slows down
    NEXT_QUOTA_DAY = "next_quota_day"  # the provider's own limit: service rests until its next day
    COOL_DOWN = "cool_down"  # service rests for a while (too many logins)
    FREEZE_SERVICE = "freeze_service"  # with ``freeze``; the row goes to other services
    PAUSE_PROVIDER = "pause_provider"  # this service rests for this provider; row stays pending
    FAIL_CONTENT = "fail_content"  # fails, and counts towards the campaign's breaker
    FAIL_TEMPLATE = "fail_template"  # too big: every row of the template would fail
    PAUSE_CAMPAIGN = "pause_campaign"  # our own fault: stop and tell the operator
    RECORD_UNKNOWN = "record_unknown"  # may have been delivered: never sent again by itself


@dataclass(frozen=True, slots=True)
class Verdict:
    """Decision about one answer.

    rule: stable name of the rule that matched, shown by ``explain`` and in logs.
    blames_sender: counts towards the service's ``consecutive_errors``.
    wait_seconds: how long the service (or service x provider) rests, 0 where that does not apply.
    freeze: with FREEZE_SERVICE, why.
    """

    outcome: Outcome
    action: Action
    rule: str
    blames_sender: bool = False
    wait_seconds: float = 0.0
    freeze: FreezeCode | None = None
