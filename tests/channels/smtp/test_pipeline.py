"""The fast path against a server that does everything wrong, at random but the same each time.

The server's own record is the truth: what we take for accepted it has accepted once, what the engine would
send again or give up it has not, and what stays open it has accepted at most once.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from coldsend.channels.smtp import SmtpChannel
from coldsend.channels.smtp import channel as smtp_channel
from coldsend.channels.smtp.connection import Connection
from coldsend.channels.smtp.handshake import open_connection
from coldsend.config.settings import SmtpSettings
from coldsend.domain.answers import Answer, Outcome, Phase
from coldsend.domain.message import Message
from coldsend.domain.replies import judge
from tests.channels.messages import message
from tests.channels.smtp.scripted import USUAL, Deed, ScriptedServer
from tests.channels.smtp.sending import PATIENT, impatient, service

# For runs whose checks hold whether an answer came too late or not at all.
HASTY = replace(
    PATIENT, mail_timeout=0.05, rcpt_timeout=0.05, data_timeout=0.05, final_timeout=0.05, greeting_timeout=0.5
)
SEEDS = 150


_TOO_LITTLE = {"silence", "silent refusal", "discards"}
_TOO_MUCH = {"twice", "yes and no", "no and yes", "many"}
_ENDS = {"closing", "refuses and closes", "cut before", "cut behind", "goodbye"}


class NotNow(Exception):
    """What a before_commit raises that does not let the message go."""


class Deeds:
    """What goes wrong in one run: each kind with a probability of its own, none in most runs."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._kinds = chance.sample(sorted(self._all()), chance.randint(0, 4))
        if _TOO_LITTLE & set(self._kinds):
            # One answer too many and one too few: nobody can tell that from none of either.
            self._kinds = [kind for kind in self._kinds if kind not in _TOO_MUCH]
            if self.swallows:
                self._kinds = [kind for kind in self._kinds if kind != "silence"]
        if {"silence", "silent refusal"} & set(self._kinds):
            # Nor an answer that is missing where the connection ends before the others show it.
            self._kinds = [kind for kind in self._kinds if kind not in _ENDS]
        self._rate = chance.choice((0.01, 0.03, 0.1, 0.3))

    def __call__(self, at: str, _connection: int) -> Deed | None:
        if at == "quit" or self._chance.random() > self._rate or not self._kinds:
            return None
        return self._all()[self._chance.choice(self._kinds)](at)

    def _all(self) -> dict[str, Callable[[str], Deed | None]]:
        chance = self._chance
        envelope = ("mail", "rcpt", "data")
        return {
            "refusal": lambda at: (
                Deed(chance.choice(("450 4.2.0 later", "550-5.1.1 no\r\n550 5.1.1 never")))
                if at in (*envelope, "final", "lone")
                else None
            ),
            "unknown recipient": lambda at: Deed("550 5.1.1 no such user") if at == "rcpt" else None,
            "data for nobody": lambda at: Deed("354 go on") if at == "data" else None,
            "closing": lambda at: Deed("421 4.3.2 bye", closes=chance.choice(("", "fin", "rst"))),
            "refuses and closes": lambda at: Deed("451 4.3.0 no", closes="fin") if at != "greeting" else None,
            "silence": lambda at: Deed("") if at != "greeting" else None,
            "silent refusal": lambda at: Deed("", meant=451) if at == "final" else None,
            "cut before": lambda at: Deed("", closes=chance.choice(("fin", "rst"))),
            "cut behind": lambda at: Deed(closes=chance.choice(("fin", "rst"))),
            "twice": lambda at: Deed(extra=USUAL[at]),
            "yes and no": lambda at: Deed(extra="451 4.3.0 or rather not"),
            "no and yes": lambda at: (
                Deed(before="451 4.3.0 or rather") if at in (*envelope, "final") else None
            ),
            "many": lambda at: Deed(extra="250 a\r\n250 b\r\n250 c\r\n354 d"),
            "wrong": lambda at: (
                Deed(chance.choice(("354 go on", "334 more", "250 fine", "220 hm")))
                if at in ("mail", "rcpt", "rset")
                else None
            ),
            "goodbye": lambda at: Deed(extra="421 4.4.2 idle", closes="fin"),
            "garbage": lambda at: Deed("what?", meant=500) if at in envelope else None,
            "discards": lambda at: Deed(discards=True) if at == "final" else None,
        }

    @property
    def swallows(self) -> bool:
        return "silent refusal" in self._kinds

    @property
    def two_answers(self) -> bool:
        return "no and yes" in self._kinds


@dataclass
class Run:
    """One run's messages: what was committed, and what came of them."""

    commits: Counter[str] = field(default_factory=Counter)
    answers: dict[str, Answer | None] = field(default_factory=dict)  # None: cancelled, or it was not to go
    open_dots: set[str] = field(default_factory=set)
    late_commits: list[str] = field(default_factory=list)
    most_open_dots: int = 0

    def before_commit(self, recipient: str, *, fails: bool) -> None:
        if recipient in self.answers:
            self.late_commits.append(recipient)
        if fails:
            raise NotNow
        self.commits[recipient] += 1
        self.open_dots.add(recipient)
        self.most_open_dots = max(self.most_open_dots, len(self.open_dots))


async def play(seed: int) -> None:
    """One run, checked."""
    chance = random.Random(seed)
    deeds = Deeds(chance)
    capacity, count = chance.randint(1, 4), chance.randint(20, 60)
    cancels, fails = 0 if deeds.swallows else chance.choice((0, 0, 0.1)), chance.choice((0, 0, 0.1))
    big = chance.choice((0, 0, 0, 0.1))
    settings = replace(HASTY, idle_seconds=chance.choice((0, 20, 20, 20)))
    extensions = USUAL["ehlo"] if chance.random() < 0.85 else "250-hello\r\n250 8BITMIME"
    run = Run()
    # Two answers to one dot can be told from one only where they come together.
    async with ScriptedServer(deeds, chance, extensions, pieces=not deeds.two_answers) as server:
        channel = SmtpChannel(service(server.port, connections=capacity), {}, settings)
        recipients = iter([f"p{number}@example.org" for number in range(count)])

        async def sender() -> None:
            for recipient in recipients:
                await one(channel, recipient, chance, run, cancels=cancels, fails=fails, big=big)

        async with asyncio.timeout(120):
            await asyncio.gather(*(sender() for _ in range(channel.appetite + chance.randint(0, 2))))
            await channel.close()
        assert channel._connections == 0
        for left in (channel._waiting, channel._idle, channel._pipelines, channel._leaving):
            assert not left
        # What was said last is read before a connection that ends is counted as closed.
        async with asyncio.timeout(60):
            while server.open:
                await asyncio.sleep(0)
    check(run, server, capacity)
    assert len(asyncio.all_tasks()) == 1


async def one(
    channel: SmtpChannel,
    recipient: str,
    chance: random.Random,
    run: Run,
    *,
    cancels: float,
    fails: float,
    big: float,
) -> None:
    fail = chance.random() < fails
    body = b"x" * 70_000 if chance.random() < big else b"Hello"
    data = b"To: " + recipient.encode() + b"\r\n\r\n" + body + b"\r\n"
    one_message = message(1, rcpt_to=recipient, data=data)

    async def send() -> None:
        answer: Answer | None = None
        try:
            answer = await channel.send(one_message, lambda: run.before_commit(recipient, fails=fail))
            assert isinstance(answer, Answer)
        except NotNow:
            pass
        finally:
            run.answers[recipient] = answer
            run.open_dots.discard(recipient)

    task = asyncio.create_task(send())
    if chance.random() < cancels:
        for _ in range(chance.randint(0, 60)):
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.wait([task])
    assert task.cancelled() or task.exception() is None, task.exception()


def check(run: Run, server: ScriptedServer, capacity: int) -> None:
    assert run.late_commits == []
    assert set(server.for_nobody) <= {b".\r\n"}, "a body for nobody"
    assert set(run.commits.values()) <= {1}
    # The journal lives by this: who has its answer has noted it before the next dot of its connection.
    assert run.most_open_dots <= capacity
    for recipient, answer in run.answers.items():
        accepted, committed = server.accepted[recipient], run.commits[recipient]
        where = f"{recipient}: {answer}, committed {committed}, accepted {accepted}"
        assert server.dots[recipient] <= committed, where
        for body in server.bodies.get(recipient, []):
            assert body.startswith(f"To: {recipient}\r\n".encode()), f"another one's body: {where}"
        outcome = judge(answer).outcome if answer is not None else None
        if outcome is Outcome.ACCEPTED:
            assert accepted == 1, where
        elif answer is None or outcome is Outcome.UNKNOWN:
            assert accepted <= committed, where
        else:
            assert accepted == 0, where
    assert len(run.answers) > 0


@dataclass
class Scene:
    """A few messages through one channel, at a server that follows a script."""

    server: ScriptedServer
    answers: list[Answer]
    seconds: float

    @property
    def codes(self) -> list[int]:
        return [answer.code for answer in self.answers]


def scene(
    count: int,
    deed: Callable[[str, int], Deed | None],
    *,
    connections: int = 1,
    settings: SmtpSettings = PATIENT,
) -> Scene:
    """``count`` messages at once, in order."""

    async def run() -> Scene:
        async with ScriptedServer(deed, random.Random(1), pieces=False) as server:
            channel = SmtpChannel(service(server.port, connections=connections), {}, settings)
            begun = time.monotonic()
            async with asyncio.timeout(200):
                answers = await asyncio.gather(*(channel.send(person(n), nothing) for n in range(count)))
                seconds = time.monotonic() - begun
                await channel.close()
            return Scene(server, answers, seconds)

    return asyncio.run(run())


def person(number: int) -> Message:
    return message(number, rcpt_to=f"p{number}@example.org")


def nothing() -> None:
    pass


def nth(wanted: dict[tuple[str, int], Deed]) -> Callable[[str, int], Deed | None]:
    """Deeds by what is answered, and the how-manieth of its kind it is, over all connections."""
    seen: Counter[str] = Counter()

    def deed(at: str, _connection: int) -> Deed | None:
        seen[at] += 1
        return wanted.get((at, seen[at]))

    return deed


def test_many_messages_take_one_connection_and_each_has_its_own_envelope() -> None:
    played = scene(50, nth({}))
    assert played.codes == [250] * 50
    assert (played.server.connections, set(played.server.accepted.values())) == (1, {1})


def test_a_refused_recipient_costs_no_connection_and_nobody_else() -> None:
    refused = {("rcpt", number): Deed("550 5.1.1 no such user") for number in (1, 5, 6, 20)}
    played = scene(20, nth(refused))
    assert [number for number, code in enumerate(played.codes, 1) if code != 250] == [1, 5, 6, 20]
    assert {answer.phase for answer in played.answers if answer.code == 550} == {Phase.RCPT}
    assert played.server.connections == 1


def test_a_refused_dot_is_a_refusal_though_the_recipient_behind_it_is_refused_too() -> None:
    deeds = {("final", 2): Deed("451 4.3.0 later"), ("rcpt", 3): Deed("550 5.1.1 no such user")}
    assert scene(4, nth(deeds)).codes == [250, 451, 550, 250]


def test_a_dot_whose_refusal_is_swallowed_is_unknown_though_the_next_answer_looks_like_its_own() -> None:
    deeds = {("final", 2): Deed("", meant=451), ("rcpt", 3): Deed("550 5.1.1 no such user")}
    # Nor does the answer to what comes behind it.
    hasty = replace(impatient("final", 1), mail_timeout=1, rcpt_timeout=1, data_timeout=1)
    played = scene(3, nth(deeds), settings=hasty)
    assert judge(played.answers[1]).outcome is Outcome.UNKNOWN
    plain = scene(3, nth({("final", 2): Deed("", meant=451)}), settings=impatient("final", 1))
    assert judge(plain.answers[1]).outcome is Outcome.UNKNOWN


def test_a_dot_with_no_and_then_yes_is_unknown_though_the_recipient_behind_it_is_refused() -> None:
    deeds = {("final", 2): Deed(before="451 4.3.0 or rather"), ("rcpt", 3): Deed("550 5.1.1 no such user")}
    played = scene(4, nth(deeds))
    assert judge(played.answers[1]).outcome is Outcome.UNKNOWN
    assert played.answers[3].code == 250


def test_an_answer_too_many_to_a_refused_envelope_is_not_taken_for_the_answer_to_rset() -> None:
    deeds = {
        ("rcpt", 2): Deed("550 5.1.1 no"),
        ("data", 2): Deed("503 5.5.1 no", extra="250 2.0.0 what else"),
    }
    played = scene(4, nth(deeds))
    assert played.codes[1:] == [550, 250, 250]
    assert judge(played.answers[0]).outcome is Outcome.UNKNOWN
    assert played.server.connections == 2


def test_a_server_that_hangs_up_right_after_its_introduction_is_lost_at_once() -> None:
    played = scene(1, nth({("ehlo", 1): Deed(closes="fin")}))
    assert played.answers[0].lost
    assert played.seconds < PATIENT.mail_timeout / 2


def test_a_server_that_talks_on_after_its_introduction_is_lost_at_once() -> None:
    played = scene(1, nth({("ehlo", 1): Deed(extra="250 2.0.0 and another thing")}))
    assert played.answers[0].lost
    assert played.seconds < PATIENT.mail_timeout / 2


def test_a_server_that_throws_away_what_follows_a_dot_is_found_out_by_one_connection_once() -> None:
    def deed(at: str, _connection: int) -> Deed | None:
        return Deed(discards=True) if at == "final" else None

    played = scene(200, deed, connections=4, settings=impatient("mail", 2))
    assert played.codes == [250] * 200
    assert played.server.connections == 5


def test_a_server_that_hangs_up_on_what_follows_a_dot_costs_one_unknown_message() -> None:
    async def run() -> list[Answer]:
        hung_up = False

        def deed(at: str, _connection: int) -> Deed | None:
            nonlocal hung_up
            if at == "final" and server.read_ahead:
                hung_up = True
                return Deed("", closes="rst")
            return None

        async with ScriptedServer(deed, random.Random(1), pieces=False) as server:
            channel = SmtpChannel(service(server.port, connections=4), {}, PATIENT)
            answers = await asyncio.gather(*(channel.send(person(n), nothing) for n in range(60)))
            await channel.close()
        assert hung_up
        return answers

    outcomes = Counter(judge(answer).outcome for answer in asyncio.run(run()))
    assert outcomes == {Outcome.UNKNOWN: 1, Outcome.ACCEPTED: 59}


def test_an_answer_before_the_dot_is_noticed_before_the_dot() -> None:
    played = scene(1, nth({("data", 1): Deed(extra="250 2.0.0 taken already")}))
    assert (played.answers[0].phase, played.answers[0].lost) == (Phase.DATA, True)
    assert not played.server.dots


def test_a_refused_recipient_with_an_accepted_data_ends_in_a_lone_dot() -> None:
    deeds = {("rcpt", 2): Deed("550 5.1.1 no such user"), ("data", 2): Deed("354 go on")}
    played = scene(3, nth(deeds))
    assert played.codes == [250, 550, 250]
    assert (played.server.for_nobody, played.server.connections) == ([b".\r\n"], 1)


def test_a_refused_sender_with_an_accepted_data_never_ends_in_a_dot() -> None:
    deeds = {("mail", 2): Deed("451 4.3.0 no"), ("data", 2): Deed("354 go on")}
    played = scene(3, nth(deeds))
    assert played.codes == [250, 451, 250]
    assert (played.server.for_nobody, played.server.connections) == ([], 2)


def test_a_connection_that_cannot_be_reset_is_replaced() -> None:
    deeds = {("rcpt", 2): Deed("550 5.1.1 no such user"), ("rset", 1): Deed("503 5.5.1 why?")}
    played = scene(3, nth(deeds))
    assert played.codes[1:] == [550, 250]
    assert played.server.connections == 2


def test_a_command_that_is_cut_behind_a_dot_refuses_nobody() -> None:
    played = scene(4, nth({("mail", 2): Deed("500 5.5.2 what?")}))
    assert played.codes == [250] * 4
    assert played.server.connections == 2


def test_a_connection_that_is_gone_before_its_first_message_is_lost_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def gone(*values: Any) -> Connection:
        connection = await open_connection(*values)
        connection.fail("gone")
        await connection.gone()
        return connection

    monkeypatch.setattr(smtp_channel, "open_connection", gone)
    played = scene(1, nth({}))
    assert (played.answers[0].phase, played.answers[0].lost) == (Phase.MAIL, True)
    assert played.seconds < PATIENT.mail_timeout / 2


def test_who_is_cancelled_between_the_354_and_the_body_commits_to_nothing() -> None:
    async def run() -> list[int]:
        commits: list[int] = []
        async with ScriptedServer(nth({}), random.Random(1), pieces=False) as server:
            channel = SmtpChannel(service(server.port), {}, PATIENT)
            sending = asyncio.create_task(channel.send(person(1), lambda: commits.append(1)))
            while not any(pipeline._then for pipeline in channel._pipelines.values()):
                await asyncio.sleep(0)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            async with asyncio.timeout(60):
                await channel.send(person(2), nothing)
                await channel.close()
            assert list(server.dots) == ["p2@example.org"]
        return commits

    assert asyncio.run(run()) == []


def test_a_closing_that_many_connections_meet_at_once_is_met_by_new_ones() -> None:
    count: Counter[int] = Counter()

    def deed(at: str, connection: int) -> Deed | None:
        count[connection] += at == "mail"
        return Deed("421 4.7.0 enough", closes="fin") if at == "mail" and count[connection] > 5 else None

    assert scene(60, deed, connections=3).codes == [250] * 60


def test_who_is_cancelled_while_its_connection_breaks_gives_its_place_back() -> None:
    async def run() -> list[int]:
        deed = nth({("mail", 2): Deed("", closes="fin")})
        async with ScriptedServer(deed, random.Random(1), pieces=False) as server:
            channel = SmtpChannel(service(server.port), {}, PATIENT)
            assert (await channel.send(person(0), nothing)).code == 250
            second = asyncio.create_task(channel.send(person(1), nothing))
            third = asyncio.create_task(channel.send(person(2), nothing))
            await asyncio.sleep(0)
            (broken,) = channel._pipelines
            while not broken.failure:
                await asyncio.sleep(0)
                if broken.failure:
                    second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            async with asyncio.timeout(60):
                answer = await third
                await channel.close()
            return [answer.code, channel._connections]

    assert asyncio.run(run()) == [250, 0]


def test_closing_answers_who_waits_and_lets_what_is_under_way_end() -> None:
    async def run() -> list[Answer]:
        async with ScriptedServer(nth({}), random.Random(1), pieces=False) as server:
            channel = SmtpChannel(service(server.port), {}, PATIENT)
            closing: list[asyncio.Task[None]] = []
            sends = [
                asyncio.create_task(
                    channel.send(person(n), lambda: closing.append(asyncio.create_task(channel.close())))
                )
                for n in range(4)
            ]
            async with asyncio.timeout(60):
                answers = await asyncio.gather(*sends)
                await asyncio.gather(*closing)
            assert sum(server.accepted.values()) == sum(answer.code == 250 for answer in answers)
            return answers

    answers = asyncio.run(run())
    assert answers[0].code == 250
    assert {answer.phase for answer in answers if answer.code != 250} == {Phase.CONNECT}


@pytest.mark.parametrize("part", range(10))
def test_what_the_server_says_it_took_is_what_we_know(part: int) -> None:
    for seed in range(part, SEEDS, 10):
        try:
            asyncio.run(play(seed))
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise


@pytest.mark.soak
def test_soak_what_the_server_says_it_took_is_what_we_know() -> None:
    ends = time.monotonic() + 60 * float(os.environ.get("SOAK_MINUTES", "1"))
    seed = random.SystemRandom().randrange(10**9)
    while time.monotonic() < ends:
        seed += 1
        try:
            asyncio.run(play(seed))
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
