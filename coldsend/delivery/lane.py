"""A lane: one open sender service in one worker, with its channel, its connections and its claimed rows.

As many runners as the channel has appetite take rows from the lane's queue. A failure that says nothing
about the recipient (connect, TLS, login; an answer lost after the final dot; all connections lost one after
another) empties the queue: those rows are pending again for other services, and the lane waits a little
longer each time before it asks for one more row, until one is accepted.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta

from coldsend import clock
from coldsend.channels.seam import Channel
from coldsend.composing.compose import Composer
from coldsend.delivery.attempt import Attempter, Claim, Result
from coldsend.domain import outcome as outcomes
from coldsend.domain.answers import BEFORE_MESSAGE, Action, Outcome
from coldsend.domain.message import Message
from coldsend.domain.outcome import PROVIDER_RETRY
from coldsend.domain.replies import provider_of
from coldsend.domain.service import Service

FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 60.0
VIEW_CATCHES_UP = 5.0  # a worker looks at pauses once a second, where the database lets it
AHEAD, AHEAD_SECONDS = 32, 0.005  # messages composed in one go, and how long that may hold up the rest
MOST_ROWS = 1000  # one claim: bounds the size of a transaction

_STOPS_LANE = frozenset({Action.FREEZE_SERVICE, Action.COOL_DOWN, Action.NEXT_QUOTA_DAY, Action.SLOW_DOWN})


@dataclass(slots=True)
class _Queued:
    """A claim that waits for a runner. message: once it is composed, or why that is not possible."""

    claim: Claim
    composer: Composer
    message: Message | Exception | None = None


class Lane:
    """See the module. ``report`` is called with every result, in the event loop.

    fraction: chance, 0 to 1; decides how much of a service's jitter is added to each gap.
    """

    def __init__(
        self,
        service: Service,
        channel: Channel,
        attempter: Attempter,
        report: Callable[[Result], None],
        last_answer: float = float("-inf"),
        gap: float = 0.0,
        fraction: Callable[[], float] = random.random,
    ) -> None:
        self.service = service
        self.gap = gap  # least seconds between two messages today, by the spread over hours
        self._fraction = fraction
        self._drawn = self._draw()  # the gap after the latest message
        self.channel = channel
        self._attempter = attempter
        self._report = report
        self._queue: asyncio.Queue[_Queued] = asyncio.Queue()
        self._uncomposed: deque[_Queued] = deque()  # those of the queue that have no message yet
        self._runners: list[asyncio.Task[None]] = []
        self.in_flight = 0
        self._rate = 0.0  # rows a second, smoothed
        self._measured_at = clock.monotonic()
        self._done_since = 0
        self._backoff = 0.0
        self._breaks = 0  # connections lost under a message since one was accepted
        self._closed_until = 0.0  # on the steady clock
        self._no_commit_until = 0.0  # on the steady clock: an answer stayed open
        self._turned_away: dict[str, float] = {}  # providers that paused us -> until the view knows it
        self.last_answer = last_answer  # on the steady clock: when a message through this service ended
        self._held_until = 0.0  # on the steady clock: end of the throttle gap that the database knows

    @property
    def waiting(self) -> int:
        return self._queue.qsize()

    @property
    def idle(self) -> bool:
        return self._queue.empty() and self.in_flight == 0

    @property
    def rate(self) -> float:
        """Rows a second of late; it falls while no result comes."""
        silence = clock.monotonic() - self._measured_at
        return min(self._rate, max(1, self._done_since) / silence) if silence > 1 else self._rate

    @property
    def next_send_at(self) -> float:
        """End of the throttle gap on the steady clock."""
        return max(self._held_until, self.last_answer + max(self._drawn, self._least))

    @property
    def _least(self) -> float:
        return max(self.service.throttle_sec, self.gap)

    def _draw(self) -> float:
        """Seconds from one message to the next; the jitter is another each time."""
        return self._least + self._fraction() * self.service.jitter_sec

    def want(self) -> int:
        """How many more rows this lane should claim now: up to a second of work, 1 if throttled."""
        moment = clock.monotonic()
        if moment < self._closed_until:
            return 0
        if self.service.throttled:
            return 1 if self.idle and moment >= self.next_send_at else 0
        if self._backoff:
            return 1 if self.idle else 0
        target, held = self._target(), self.waiting + self.in_flight
        return target - held if held <= target // 2 else 0

    def fed_for(self) -> int:
        """How many of its messages may end before it can want more."""
        if self.service.throttled or self._backoff:
            return 1
        return max(1, self.waiting + self.in_flight - self._target() // 2)

    def _target(self) -> int:
        return max(2 * self.channel.appetite, min(MOST_ROWS, int(self._rate)))

    def opens_in(self) -> float:
        """Seconds until ``want`` can be more than 0 again by itself."""
        wake = max(self._closed_until, self.next_send_at if self.service.throttled else 0.0)
        return max(0.0, wake - clock.monotonic())

    def put(self, claim: Claim, composer: Composer) -> None:
        """A committed claim to be sent; given back where the lane has closed since it was asked for."""
        if self._given_back(claim, clock.monotonic()):
            return
        if len(self._runners) < self.channel.appetite:
            self._runners.append(asyncio.create_task(self._run()))
        queued = _Queued(claim, composer)
        self._queue.put_nowait(queued)
        self._uncomposed.append(queued)

    def hold_until(self, moment: float) -> None:
        """The throttle gap, as the database remembers it: never before this moment of the steady clock."""
        self._held_until = max(self._held_until, moment)

    async def _run(self) -> None:
        runner = asyncio.current_task()
        assert runner is not None
        while not runner.cancelling():
            queued = await self._queue.get()
            if queued.message is None:
                self._compose_ahead()
            assert queued.message is not None
            self.in_flight += 1
            try:
                result = await self._attempter.attempt(
                    queued.claim, queued.message, self.channel, self._may_commit
                )
            finally:
                self.in_flight -= 1
            self._learn(result)
            self._report(result)

    def _compose_ahead(self) -> None:
        """Compose the next messages together, the first one in any case.

        One at a time, between steps of the protocol, costs a tenth of all a message costs more: by then the
        processor has the way to a message no longer in its caches.
        """
        ends = clock.monotonic() + AHEAD_SECONDS
        for _ in range(min(AHEAD, len(self._uncomposed))):
            queued = self._uncomposed.popleft()
            queued.message = self._attempter.composed(queued.claim, queued.composer)
            if clock.monotonic() > ends:
                return

    def _may_commit(self) -> bool:
        return clock.monotonic() >= self._no_commit_until

    def _learn(self, result: Result) -> None:
        moment = clock.monotonic()
        if not result.render_error:
            self.last_answer = moment
            self._drawn = result.gap = self._draw()
        self._done_since += 1
        if moment - self._measured_at >= 0.25:
            latest = self._done_since / (moment - self._measured_at)
            self._rate = latest if not self._rate else 0.5 * self._rate + 0.5 * latest
            self._measured_at, self._done_since = moment, 0
        if result.cannot_send:
            self._back_off(moment)
        if result.verdict is None or result.answer is None:
            return
        if result.verdict.outcome == Outcome.ACCEPTED:
            self._backoff, self._breaks = 0.0, 0
        elif result.answer.phase in BEFORE_MESSAGE or result.verdict.action in _STOPS_LANE:
            self._back_off(moment)
        elif result.verdict.action == Action.PAUSE_PROVIDER:
            self._turn_away(provider_of(result.claim.row.email_domain), moment)
        elif result.answer.lost and result.verdict.blames_sender:
            self._breaks += 1
            # In doubt: each further row would be, too. Before the dot: when every connection had its turn.
            in_doubt = result.verdict.outcome == Outcome.UNKNOWN
            if in_doubt or self._breaks > self.channel.capacity:
                self._back_off(moment)
            if in_doubt:
                self._no_commit_until = self._closed_until

    def _back_off(self, moment: float) -> None:
        if moment < self._closed_until:
            return  # the same failure on another connection
        self._backoff = min(LONGEST_BACKOFF, self._backoff * 2 or FIRST_BACKOFF)
        self._closed_until = moment + self._backoff
        self.release_waiting("service_failed")

    def _turn_away(self, provider: str, moment: float) -> None:
        """Send this provider nothing more of what is claimed; from the next view on nothing will be."""
        self._turned_away[provider] = moment + VIEW_CATCHES_UP
        self._sift(lambda claim: not self._given_back(claim, moment))

    def _given_back(self, claim: Claim, moment: float) -> bool:
        """Give a claim back untried where, since it was made, the lane closed or its provider was paused."""
        if moment < self._closed_until:
            self._report(Result(claim, outcomes.released(claim.attempt, clock.now(), "service_failed")))
            return True
        if self._turned_away and moment < self._turned_away.get(provider_of(claim.row.email_domain), 0.0):
            now = clock.now()
            postponed = outcomes.postponed(claim.attempt, now, now + PROVIDER_RETRY, "provider_paused")
            self._report(Result(claim, postponed))
            return True
        return False

    def release_waiting(self, reason: str, *, but_tasks: Collection[int] = ()) -> None:
        """Give back every row that no runner has taken up, but those of ``but_tasks``."""

        def keeps(claim: Claim) -> bool:
            if claim.row.task_id in but_tasks:
                return True
            self._report(Result(claim, outcomes.released(claim.attempt, clock.now(), reason)))
            return False

        self._sift(keeps)

    def _sift(self, keeps: Callable[[Claim], bool]) -> None:
        """Take out of the queue what ``keeps`` says no to."""
        self._uncomposed.clear()
        for _ in range(self._queue.qsize()):
            queued = self._queue.get_nowait()
            if keeps(queued.claim):
                self._queue.put_nowait(queued)
                if queued.message is None:
                    self._uncomposed.append(queued)

    async def close(self, patience: timedelta) -> None:
        """Give back what waits, let what is under way finish for ``patience``, then interrupt it."""
        self.release_waiting("stopped")
        deadline = clock.monotonic() + patience.total_seconds()
        while self.in_flight and clock.monotonic() < deadline:
            await asyncio.sleep(0.02)
        for runner in self._runners:
            runner.cancel()
        await asyncio.gather(*self._runners, return_exceptions=True)
        await self.channel.close()
