"""One attempt at one row: compose, hand over, judge. Knows the phase it is in at any moment.

Everything that can happen ends in a :class:`Result` with the row's outcome; a cancelled attempt (shutdown)
becomes ``pending`` again if the final dot had not gone out, else ``unknown``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from coldsend import clock, logbook
from coldsend.channels.limits import OwnLimit
from coldsend.channels.seam import Channel
from coldsend.composing.compose import CannotCompose, Composer
from coldsend.delivery.journal import Journal
from coldsend.domain import outcome as outcomes
from coldsend.domain.answers import Answer, Verdict
from coldsend.domain.message import Message, Recipient, Thread
from coldsend.domain.outcome import Attempt, RetryPolicy, RowOutcome
from coldsend.domain.replies import ACCEPTED, accepted, judge, provider_of, repeated
from coldsend.domain.retry import next_attempt
from coldsend.stores.ledger import ClaimedRow


class LeaseLost(Exception):
    """This process may have been declared dead: nothing more may go out."""


class HeldBack(Exception):
    """The service has turned out to leave answers open: one more final dot would be one more doubt."""


class JournalFailed(Exception):
    """The journal cannot be written, so what comes after it must not happen."""


# The values of the hot path are not frozen, which would double the cost of making one; nobody changes them.
@dataclass(slots=True)
class Claim:
    """A row in ``sending`` under our token, committed. thread: what it answers, if it is a follow-up."""

    row: ClaimedRow
    token: int
    campaign_id: int
    attempt_at: datetime
    thread: Thread | None = None

    @property
    def attempt(self) -> Attempt:
        row = self.row
        return Attempt(
            row.id,
            self.token,
            row.service_id,
            self.attempt_at,
            row.retries,
            row.first_attempt_at,
            row.keeps_service,
        )


@dataclass(slots=True)
class Result:
    """An attempt's outcome, and what was answered if anything was.

    render_error: composing failed. cannot_send: nothing can be sent for now, by no fault of row or service.
    broken: why nobody's message can be composed from this template for this service; its task pauses.
    gap: seconds until the service's next message, jitter included; 0 where it is not throttled.
    """

    claim: Claim
    outcome: RowOutcome
    answer: Answer | None = None
    verdict: Verdict | None = None
    render_error: bool = False
    cannot_send: bool = False
    broken: str = ""
    gap: float = 0.0


@dataclass(frozen=True, slots=True)
class Attempter:
    """What attempts share. lease_valid: False as soon as others may take this process for dead."""

    journal: Journal
    policy: RetryPolicy
    lease_valid: Callable[[], bool]

    def composed(self, claim: Claim, composer: Composer) -> Message | Exception:
        """The message for a claim, or why there is none: a template must not stop what sends others."""
        try:
            return composer.compose(recipient_of(claim), claim.attempt_at)
        except Exception as error:
            return error

    async def attempt(
        self,
        claim: Claim,
        message: Message | Exception,
        channel: Channel,
        may_commit: Callable[[], bool],
    ) -> Result:
        """Try to send one claimed row; never raises, also not when cancelled.

        message: see :meth:`composed`. may_commit: asked just before the step whose outcome may stay open;
        False: the row is given back.
        """
        made: Message | None = None
        try:
            if not self.lease_valid():
                return self._released(claim, "lease_lost")
            if isinstance(message, Exception):
                return self._not_made(claim, message, None)
            made = message
            answer = await channel.send(message, lambda: self._before_commit(claim, may_commit))
            return self._judged(claim, answer, message)
        except LeaseLost:
            return self._released(claim, "lease_lost")
        except HeldBack:
            return self._released(claim, "service_failed")
        except OwnLimit as error:
            logbook.own_limit(str(error))
            return replace(self._released(claim, "own_limit"), cannot_send=True)
        except JournalFailed as error:
            logbook.journal_failed(str(error.__cause__))
            return replace(self._released(claim, "journal_failed"), cannot_send=True)
        except asyncio.CancelledError:
            return self._interrupted(claim, "stopped while the server had not answered yet", made)
        except Exception as error:
            return self._not_made(claim, error, made)

    def _before_commit(self, claim: Claim, may_commit: Callable[[], bool]) -> None:
        if not self.lease_valid():
            raise LeaseLost
        if not may_commit():
            raise HeldBack
        try:
            self.journal.dot(claim.row.id, claim.token)
        except OSError as error:
            raise JournalFailed from error

    def _judged(self, claim: Claim, answer: Answer, message: Message) -> Result:
        now, about = clock.now(), (message.message_id, message.heading)
        if accepted(answer):
            verdict = ACCEPTED
            decided = outcomes.accepted(claim.attempt, answer, now, *about)
        else:
            verdict = judge(answer, provider=provider_of(claim.row.email_domain))
            if claim.row.first_attempt_at is not None:
                verdict = repeated(verdict, answer)
            again = next_attempt(
                now,
                claim.row.first_attempt_at or claim.attempt_at,
                claim.row.retries,
                self.policy.delays_minutes,
                self.policy.give_up_days,
                verdict,
                fraction=_spread(claim.row.id),
            )
            decided = outcomes.decide(claim.attempt, answer, verdict, now, again, *about)
        self.journal.outcome(decided)
        return Result(claim, decided, answer, verdict)

    def _released(self, claim: Claim, reason: str) -> Result:
        return Result(claim, outcomes.released(claim.attempt, clock.now(), reason))

    def _interrupted(self, claim: Claim, detail: str, made: Message | None) -> Result:
        """Stopped half-way: only a row whose dot went out is in doubt."""
        if self.journal.has_dot(claim.row.id, claim.token):
            return self._unknown(claim, detail, made)
        return self._released(claim, "interrupted")

    def _unknown(self, claim: Claim, detail: str, made: Message | None) -> Result:
        about = (made.message_id, made.heading) if made is not None else ()
        return Result(claim, outcomes.unknown(claim.attempt, clock.now(), detail, *about))

    def _not_made(self, claim: Claim, error: Exception, made: Message | None) -> Result:
        """No message, or not to its end: its recipient's or template's fault, or ours."""
        if isinstance(error, CannotCompose):
            skipped = outcomes.skipped(claim.attempt, clock.now(), error.reason, error.detail)
            return Result(claim, skipped, render_error=True)
        logbook.unexpected_error(f"attempt at row {claim.row.id}", error)
        return self._failed_unexpectedly(claim, error, made)

    def _failed_unexpectedly(self, claim: Claim, error: Exception, made: Message | None) -> Result:
        """A bug of ours must neither send twice nor loop: in doubt unknown, else skipped with its reason."""
        detail = f"{type(error).__name__}: {error}"
        if self.journal.has_dot(claim.row.id, claim.token):
            return self._unknown(claim, detail, made)
        skipped = outcomes.skipped(claim.attempt, clock.now(), "internal_error", detail)
        return Result(claim, skipped, render_error=True)


def _spread(row_id: int) -> float:
    """A fraction of its own for each row, so that rows refused together do not all come back together."""
    return row_id * 0.6180339887 % 1


def recipient_of(claim: Claim) -> Recipient:
    """Whom a claim is for, as composing sees it."""
    row = claim.row
    return Recipient(
        row_id=row.id,
        task_id=row.task_id,
        contact_id=row.contact_id,
        email=row.email,
        nickname=row.nickname,
        tags=row.tags,
        fields=row.fields,
        time_zone=row.time_zone,
        thread=claim.thread,
    )
