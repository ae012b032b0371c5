"""What every channel must do. A new channel proves itself by a subclass in its own test folder.

The subclass says how the other side is set up and what it received::

    class TestMyChannel(ChannelConformance):
        @contextmanager
        def other_side(self) -> Iterator[OtherSide]: ...

Tests whose situation cannot arise with a channel (a console is never out of reach) are skipped where
``OtherSide`` leaves the corresponding field at None.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import pytest

from coldsend.channels.seam import Channel
from coldsend.domain.answers import Answer, Outcome, Phase
from coldsend.domain.message import Message
from coldsend.domain.replies import judge
from tests.channels.messages import message


@dataclass
class OtherSide:
    """A provider under the test's control.

    channel: makes a new channel that reaches it. received: ids of the messages it took, in any order.
    refuse: from now on it refuses every message for good. lose: from now on it takes messages and cuts the
    connection instead of answering. disappear: from now on nobody listens.
    secret: a credential the channel was given, "" if it needs none.
    """

    channel: Callable[[], Channel]
    received: Callable[[], list[str]]
    refuse: Callable[[], None] | None = None
    lose: Callable[[], None] | None = None
    disappear: Callable[[], None] | None = None
    secret: str = ""


class NotNow(Exception):
    """What a before_commit raises that does not let the message go."""


class ChannelConformance(ABC):
    """The contract of ``coldsend.channels.seam.Channel``."""

    @abstractmethod
    def other_side(self) -> AbstractContextManager[OtherSide]:
        """The provider that this channel's tests talk to."""

    def test_a_message_is_handed_over_once_and_accepted(self) -> None:
        with self.other_side() as side:
            answer = send(side, message(1))
            assert judge(answer).outcome == Outcome.ACCEPTED
            assert answer.phase == Phase.FINAL
            assert side.received() == [message(1).message_id]

    def test_before_commit_is_called_once_and_nothing_has_arrived_by_then(self) -> None:
        with self.other_side() as side:
            calls: list[list[str]] = []
            send(side, message(1), lambda: calls.append(side.received()))
            assert calls == [[]]

    def test_nothing_goes_out_when_before_commit_raises_and_the_channel_stays_usable(self) -> None:
        with self.other_side() as side:

            def no() -> None:
                raise NotNow

            async def both() -> Answer:
                channel = side.channel()
                try:
                    with pytest.raises(NotNow):
                        await channel.send(message(1), no)
                    return await channel.send(message(2), _yes)
                finally:
                    await channel.close()

            assert judge(asyncio.run(both())).outcome == Outcome.ACCEPTED
            assert side.received() == [message(2).message_id]

    def test_as_many_tasks_as_its_capacity_may_send_at_once(self) -> None:
        with self.other_side() as side:

            async def crowd() -> tuple[int, list[Answer]]:
                channel = side.channel()
                try:
                    count = 3 * channel.capacity
                    numbers = iter(range(1, count + 1))

                    async def one() -> list[Answer]:
                        return [await channel.send(message(number), _yes) for number in numbers]

                    answers = await asyncio.gather(*(one() for _ in range(channel.capacity)))
                    return count, [answer for some in answers for answer in some]
                finally:
                    await channel.close()

            count, answers = asyncio.run(crowd())
            assert {judge(answer).outcome for answer in answers} == {Outcome.ACCEPTED}
            assert sorted(side.received()) == sorted(message(n).message_id for n in range(1, count + 1))

    def test_a_refusal_is_an_answer_and_is_not_lost(self) -> None:
        with self.other_side() as side:
            refuse = _possible(side.refuse)
            refuse()
            answer = send(side, message(1))
            assert not answer.lost
            assert judge(answer).outcome == Outcome.PERMANENT
            assert side.received() == []

    def test_a_loss_after_the_commit_is_unknown(self) -> None:
        with self.other_side() as side:
            lose = _possible(side.lose)
            lose()
            calls: list[int] = []
            answer = send(side, message(1), lambda: calls.append(1))
            assert (answer.phase, answer.lost, calls) == (Phase.FINAL, True, [1])
            assert judge(answer).outcome == Outcome.UNKNOWN

    def test_nobody_there_is_a_connect_failure_without_a_commit(self) -> None:
        with self.other_side() as side:
            disappear = _possible(side.disappear)
            disappear()
            calls: list[int] = []
            answer = send(side, message(1), lambda: calls.append(1))
            assert (answer.phase, answer.lost, calls) == (Phase.CONNECT, True, [])
            assert judge(answer).outcome == Outcome.TEMPORARY

    def test_answers_and_the_channel_itself_never_show_the_secret(self) -> None:
        with self.other_side() as side:
            if not side.secret:
                pytest.skip("needs no credentials")
            if side.refuse:
                side.refuse()
            channel = side.channel()
            assert side.secret not in repr(channel)
            assert side.secret not in str(send(side, message(1)))

    def test_closing_twice_is_as_good_as_once(self) -> None:
        with self.other_side() as side:

            async def twice() -> None:
                channel = side.channel()
                await channel.send(message(1), _yes)
                await channel.close()
                await channel.close()

            asyncio.run(twice())


def send(side: OtherSide, one: Message, before_commit: Callable[[], None] | None = None) -> Answer:
    """Send one message through a channel of its own."""

    async def alone() -> Answer:
        channel = side.channel()
        try:
            return await channel.send(one, before_commit or _yes)
        finally:
            await channel.close()

    return asyncio.run(alone())


def _yes() -> None:
    pass


def _possible(situation: Callable[[], None] | None) -> Callable[[], None]:
    if situation is None:
        pytest.skip("cannot happen with this channel")
    return situation
