"""What one lane learns from its answers: to hold back dots, to slow down, to leave a provider alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from coldsend.delivery.attempt import Attempter, Claim, Result
from coldsend.delivery.journal import Journal
from coldsend.delivery.lane import Lane
from coldsend.domain.answers import Answer, Phase
from coldsend.domain.message import Message
from coldsend.domain.outcome import RetryPolicy
from tests.delivery.test_lanes import NOW, SERVICE, Plain, claim, until

ACCEPTED = Answer(Phase.FINAL, 250, "2.0.0", "ok")
LOST_AT_THE_END = Answer(Phase.FINAL, 0, "", "reset", lost=True)
LOST_BEFORE = Answer(Phase.RCPT, 0, "", "reset", lost=True)
LISTED = Answer(Phase.RCPT, 554, "5.7.1", "client host blocked using zen.spamhaus.org")


class Scripted:
    """A channel that gives each row the answer it is told to; rows in ``slow`` wait before their dot."""

    def __init__(self, capacity: int) -> None:
        self.capacity = self.appetite = capacity
        self.answers: dict[int, Answer] = {}
        self.slow: set[int] = set()
        self.go_on = asyncio.Event()
        self.dots: list[int] = []

    async def send(self, message: Message, before_commit: Callable[[], None]) -> Answer:
        answer = self.answers.get(message.row_id, ACCEPTED)
        await asyncio.sleep(0)
        if message.row_id in self.slow:
            await self.go_on.wait()
        if answer.phase is Phase.FINAL:
            before_commit()
            self.dots.append(message.row_id)
        return answer

    async def close(self) -> None:
        pass


class Bench:
    """A lane, its channel and its results."""

    def __init__(self, folder: Path, capacity: int = 2) -> None:
        self.results: dict[int, Result] = {}
        self.channel = Scripted(capacity)
        attempter = Attempter(Journal(folder, 7, NOW), RetryPolicy((5.0,), 5), lambda: True)
        self.lane = Lane(SERVICE, self.channel, attempter, self._report)

    def _report(self, result: Result) -> None:
        self.results[result.claim.row.id] = result

    def put(self, *claims: Claim) -> None:
        for one in claims:
            self.lane.put(one, Plain())  # type: ignore[arg-type]

    def reasons(self) -> dict[int, str | None]:
        return {row: result.outcome.reason for row, result in self.results.items()}


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 120))


def at(claimed: Claim, domain: str) -> Claim:
    email = f"p{claimed.row.id}@{domain}"
    return replace(claimed, row=claimed.row._replace(email=email, email_key=email))


def test_after_a_lost_final_answer_no_further_dot_goes_out(tmp_path: Path, steady: list[float]) -> None:
    async def test() -> None:
        bench = Bench(tmp_path)
        bench.channel.answers[1] = LOST_AT_THE_END
        bench.channel.slow = {2}
        bench.put(claim(1), claim(2), claim(3), claim(4))
        await until(lambda: 1 in bench.results)
        bench.channel.go_on.set()
        bench.put(claim(5))
        await until(lambda: len(bench.results) == 5)
        assert bench.channel.dots == [1]
        assert bench.reasons() == {1: "no_final_answer", **dict.fromkeys((2, 3, 4, 5), "service_failed")}
        assert bench.lane.want() == 0, "it waits a little"
        steady[0] += 60
        assert bench.lane.want() == 1
        bench.put(claim(6))
        await until(lambda: 6 in bench.results)
        assert bench.channel.dots == [1, 6]
        assert bench.lane.want() > 1, "an accepted message ends it"

    run(test())


def test_a_connection_lost_before_the_dot_slows_down_only_when_all_are_lost(
    tmp_path: Path, steady: list[float]
) -> None:
    async def test() -> None:
        bench = Bench(tmp_path)
        bench.channel.answers = {1: LOST_BEFORE, 3: LOST_BEFORE, 5: LOST_BEFORE}
        for row in range(1, 7):  # every other one is accepted
            bench.put(claim(row))
            await until(lambda row=row: row in bench.results)
        assert bench.lane.want() > 1
        bench.channel.answers = dict.fromkeys(range(7, 10), LOST_BEFORE)
        for row in range(7, 10):  # more in a row than there are connections
            bench.put(claim(row))
            await until(lambda row=row: row in bench.results)
        assert bench.lane.want() == 0

    run(test())


def test_a_recipient_who_was_tried_before_does_not_slow_a_lane_down(tmp_path: Path) -> None:
    async def test() -> None:
        bench = Bench(tmp_path)
        for row in range(1, 9):
            bench.channel.answers[row] = LOST_BEFORE
            tried = claim(row)
            bench.put(replace(tried, row=tried.row._replace(first_attempt_at=NOW, retries=1)))
            await until(lambda row=row: row in bench.results)
        assert bench.lane.want() > 1

    run(test())


def test_a_provider_that_turns_the_service_away_gets_nothing_more_of_what_is_claimed(tmp_path: Path) -> None:
    async def test() -> None:
        bench = Bench(tmp_path, capacity=1)
        bench.channel.answers[1] = LISTED
        google = [at(claim(row), "gmail.com") for row in (1, 2, 3)]
        other = at(claim(4), "example.org")
        bench.put(*google, other)
        await until(lambda: len(bench.results) == 4)
        bench.put(at(claim(5), "googlemail.com"), at(claim(6), "example.org"))
        await until(lambda: len(bench.results) == 6)
        assert bench.channel.dots == [4, 6]
        postponed = [bench.results[row].outcome for row in (2, 3, 5)]
        assert {outcome.reason for outcome in postponed} == {"provider_paused"}
        assert all(outcome.scheduled_send_at > NOW and not outcome.tried for outcome in postponed)  # type: ignore[operator]

    run(test())


def test_messages_are_composed_ahead_and_one_that_cannot_be_costs_only_itself(tmp_path: Path) -> None:
    async def test() -> None:
        bench = Bench(tmp_path, capacity=1)
        composed: list[int] = []

        class Poison(Plain):
            def compose(self, recipient: Any, now: Any) -> Message:
                composed.append(recipient.row_id)
                if recipient.row_id == 3:
                    raise RuntimeError("poison")
                return super().compose(recipient, now)

        for row in range(1, 201):
            bench.lane.put(claim(row), Poison())  # type: ignore[arg-type]
        await until(lambda: len(bench.results) > 5)
        # Nothing is sifted out: what waits is composed all the same.
        bench.lane.release_waiting("stopped", but_tasks={claim(1).row.task_id})
        await until(lambda: len(bench.results) > 60)
        # What is sifted out is not composed any more, and what comes in after it is.
        before = set(composed)
        bench.lane.release_waiting("stopped")
        bench.put(claim(201), claim(202))
        await until(lambda: len(bench.results) == 202)
        reasons = bench.reasons()
        assert reasons[3] == "internal_error"
        assert reasons[201] is reasons[202] is reasons[1] is None
        given_back = [row for row, reason in reasons.items() if reason == "stopped"]
        assert set(bench.channel.dots) == set(range(1, 203)) - {3, *given_back}
        assert len(composed) == len(set(composed)), "each once"
        assert set(composed) == before, "nothing of what was sifted out"

    run(test())


def test_a_gap_is_never_shorter_than_throttle_or_spread_and_has_the_jitter_of_its_draw(
    tmp_path: Path,
) -> None:
    draws = iter([0.0, 0.5, 1.0, 0.0])
    gaps = []

    async def body() -> None:
        service = replace(SERVICE, throttle_sec=30, jitter_sec=20)
        attempter = Attempter(Journal(tmp_path, 7, NOW), RetryPolicy((5.0,), 5), lambda: True)
        results: list[Result] = []
        lane = Lane(service, Scripted(1), attempter, results.append, gap=40, fraction=lambda: next(draws))
        for row_id in (1, 2, 3):
            lane.put(claim(row_id), Plain())
            await until(lambda wanted=row_id: len(results) == wanted)
            assert lane.want() == 0
            gaps.append((results[-1].gap, round(lane.next_send_at - lane.last_answer)))
            if row_id == 2:
                lane.gap = 10  # a day on which the service may send more
        await lane.close(timedelta(0))

    asyncio.run(body())
    assert gaps == [(50, 50), (60, 60), (30, 30)]
