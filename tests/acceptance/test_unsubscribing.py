"""Whoever unsubscribes while ten thousand are queued gets nothing more, by the SMTP server's own record.

Rows that were handed to a connection already are excepted: those that are not pending any more once the
unsubscribe is committed. To know which, each row is locked after the commit: an intent that is being made is
waited for, and one made later finds the suppression.
"""

from __future__ import annotations

import random
import socket
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from coldsend import clock
from coldsend.composing.tokens import Kind as TokenKind
from coldsend.config.loading import load
from coldsend.config.secrets import load_key_ring
from coldsend.database.tables import campaigns, contacts, task_contacts, tasks
from coldsend.domain.feedback import Feedback, Kind
from coldsend.feedback.applier import Applier, applier_of
from coldsend.feedback.apply import announce, apply
from coldsend.stores import suppressions
from tests.acceptance.scenario import Scenario, assert_nobody_twice
from tests.conftest import Project
from tests.servers.ports import free_port
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

QUEUED = 10_000
LEAVING = 320  # in so many batches, while the others are sent:
BATCHES = 8


@dataclass(frozen=True)
class Person:
    """waiting: the row of the campaign being sent; earlier: the one whose message brought the link."""

    email: str
    waiting: int
    earlier: int


@dataclass
class Crowd:
    """Everybody in the queue, and what they got last month: a message with an unsubscribe link each."""

    project: Project

    def __post_init__(self) -> None:
        settings = load(str(self.project.config), environ={})
        with self.project.database.read() as connection:
            self.applier: Applier = applier_of(connection, settings, load_key_ring(settings))

    def leaving(self) -> list[Person]:
        """Some of those who wait, in any order, with a row in last month's send list."""
        database, chance = self.project.database, random.Random(4)
        with database.begin() as connection:
            task = connection.execute(sa.select(tasks)).mappings().one()
            autumn = connection.execute(
                sa.insert(campaigns).values(name="autumn", status="completed", created_by=task["created_by"])
            ).inserted_primary_key[0]  # type: ignore[index]
            copied = {name: task[name] for name in ("recipient_rule", "template_set_id", "created_by")}
            earlier = connection.execute(
                sa.insert(tasks).values(name="intro", campaign_id=autumn, status="finished", **copied)
            ).inserted_primary_key[0]  # type: ignore[index]
            mine = sa.select(task_contacts.c.id, contacts.c.id.label("contact"), contacts.c.email).join(
                contacts, contacts.c.id == task_contacts.c.contact_id
            )
            waiting = connection.execute(mine.where(task_contacts.c.status == "pending")).all()
            chosen = chance.sample(waiting, LEAVING)
            month_ago = clock.now() - timedelta(days=30)
            made = []
            for row in chosen:
                known = connection.execute(
                    sa.insert(task_contacts).values(
                        task_id=earlier,
                        contact_id=row.contact,
                        status="sent",
                        attempt_at=month_ago,
                        sent_at=month_ago,
                    )
                )
                made.append(Person(row.email, row.id, known.inserted_primary_key[0]))  # type: ignore[index]
        return made

    def applied(self, people: Sequence[Person]) -> None:
        """Unsubscribe them as whoever hears of it does: in one transaction."""
        items = [
            Feedback(Kind.UNSUBSCRIBE, datetime.now(UTC), "test", key=f"u:{p.earlier}", row_id=p.earlier)
            for p in people
        ]
        now = clock.now()
        announce(self.project.database.run(lambda connection: apply(connection, items, now, self.applier)))

    def posted(self, people: Sequence[Person], port: int) -> None:
        """Unsubscribe them as mail programs do (RFC 8058), and wait until that is committed."""
        for person in people:
            token = self.applier.tokens.issue(TokenKind.UNSUBSCRIBE, person.earlier)
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/u/{token}", data=b"List-Unsubscribe=One-Click", method="POST"
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                assert answer.status == 200
        ends = time.monotonic() + 120
        while len(self.suppressed(people)) < len(people):
            assert time.monotonic() < ends, "what was posted has not been applied"
            time.sleep(0.02)

    def suppressed(self, people: Sequence[Person]) -> set[str]:
        with self.project.database.read() as connection:
            return set(suppressions.matching(connection, [f"a:{p.email.lower()}" for p in people], 0))

    def still_queued(self, people: Sequence[Person]) -> set[str]:
        """Whose row was not on its way when the unsubscribe was committed: it waits or was declined."""
        rows = {person.waiting: person.email for person in people}
        asked = sa.select(task_contacts.c.id, task_contacts.c.status).where(
            task_contacts.c.id.in_(list(rows))
        )
        locked = asked.order_by(task_contacts.c.id).with_for_update()
        found = self.project.database.run(lambda connection: connection.execute(locked).all())
        return {rows[row.id] for row in found if row.status in ("pending", "skipped")}


@pytest.fixture
def queue(scenario: Scenario, server: RecordingServer) -> Scenario:
    """Ten thousand recipients of a campaign that is being sent."""
    server.control(latency={"final": 0.04})
    scenario.service("alpha", server, connections=4)
    scenario.service("beta", server, connections=4)
    scenario.templates(2)
    scenario.contacts(QUEUED)
    scenario.campaign()
    return scenario


def test_whoever_unsubscribes_while_ten_thousand_are_queued_gets_nothing_more(
    queue: Scenario, server: RecordingServer
) -> None:
    """Half of them through the web part, half as any source of feedback does."""
    crowd, port = Crowd(queue.project), free_port()
    queue.command("web", "run", "--port", str(port))
    queue.until(lambda: _answers(port), "the web part answers")
    run = queue.command("scheduler", "run", "--until-idle", "--workers", "2")
    server.wait_for(300)
    people = crowd.leaving()
    spared: set[str] = set()
    for number in range(BATCHES):
        batch = people[number::BATCHES]
        if number % 2:
            crowd.posted(batch, port)
        else:
            crowd.applied(batch)
        spared |= crowd.still_queued(batch)
    assert queue.count("pending") > 0, "the last unsubscribe, too, was in the middle of the run"
    assert len(spared) > LEAVING // 4
    server.control(latency={})
    assert run.wait(600) == 0, queue.logs.read_text()[-3000:]

    messages = server.messages()
    assert_nobody_twice(messages)
    got = {message.rcpt_to[0] for message in messages}
    assert got & spared == set(), "they had unsubscribed"
    assert len(got) == QUEUED - len(spared), "everybody else got the message"
    report = queue.project.json("report", "campaign", "spring")
    assert report["by_status"] == {"sent": QUEUED - len(spared), "skipped": len(spared)}
    one = sorted(spared)[0]
    assert queue.project.json("why", "spring/intro", one)["state"] == "skipped"


def _answers(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0
