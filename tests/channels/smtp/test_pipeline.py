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

import pytest

from coldsend.channels.smtp import SmtpChannel
from coldsend.domain.answers import Answer, Outcome
from coldsend.domain.replies import judge
from tests.channels.messages import message
from tests.channels.smtp.scripted import USUAL, Deed, ScriptedServer
from tests.channels.smtp.sending import QUICK, service

HASTY = replace(
    QUICK, mail_timeout=0.05, rcpt_timeout=0.05, data_timeout=0.05, final_timeout=0.05, greeting_timeout=0.5
)
SEEDS = 300


class NotNow(Exception):
    """What a before_commit raises that does not let the message go."""


class Deeds:
    """What goes wrong in one run: each kind with a probability of its own, none in most runs."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._kinds = chance.sample(sorted(self._all()), chance.randint(0, 4))
        self._rate = chance.choice((0.01, 0.03, 0.1, 0.3))

    def __call__(self, at: str, _connection: int) -> Deed | None:
        if at in ("ehlo", "quit") or self._chance.random() > self._rate or not self._kinds:
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
            "goodbye": lambda at: Deed(extra="421 4.4.2 idle", closes=chance.choice(("", "fin"))),
            "garbage": lambda at: Deed("what?", meant=500) if at in envelope else None,
            "discards": lambda at: Deed(discards=True) if at == "final" else None,
        }

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
    cancels, fails = chance.choice((0, 0, 0.1)), chance.choice((0, 0, 0.1))
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

        async with asyncio.timeout(30):
            await asyncio.gather(*(sender() for _ in range(channel.appetite + chance.randint(0, 2))))
            await channel.close()
        assert channel._connections == 0
        for left in (channel._waiting, channel._idle, channel._pipelines, channel._leaving):
            assert not left
        # What was said last is read before a connection that ends is counted as closed.
        async with asyncio.timeout(5):
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
