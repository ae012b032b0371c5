"""Servers that refuse recipients pause the campaign, as bounces do; asking costs senders next to nothing."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from coldsend import clock
from coldsend.database.engine import Database
from coldsend.database.tables import campaigns, event_log, suppressions, task_contacts
from coldsend.delivery import refusals
from coldsend.delivery.refusals import Refusals
from coldsend.domain.answers import Answer, Phase
from coldsend.feedback import breaker
from coldsend.feedback.breaker import Limits
from tests.delivery.test_turn import Sending, accepted, answered
from tests.planning.world import NOW

NOBODY = Answer(Phase.RCPT, 550, "5.1.1", "no such user")
DISABLED = Answer(Phase.RCPT, 550, "5.2.1", "account disabled")
FULL = Answer(Phase.RCPT, 452, "4.2.2", "mailbox full")


@pytest.fixture
def world(database: Database, monkeypatch: pytest.MonkeyPatch) -> Sending:
    monkeypatch.setattr(refusals, "LEAST_WAIT", 0.0)
    monkeypatch.setattr(refusals, "SELDOM", 0)
    return Sending(database)


def status(world: Sending) -> tuple[str, str | None]:
    row = world.row(campaigns, world.campaign_id)
    return str(row["status"]), row["status_reason"]


@pytest.mark.costly
def test_refusals_at_once_pause_the_campaign_from_the_turn_that_records_them(world: Sending) -> None:
    world.rows(world.task_id, "pending", 55)
    claims = world.take(60).claims
    world.take(results=[*(accepted(c) for c in claims[:50]), *(answered(c, NOBODY) for c in claims[50:52])])
    assert status(world)[0] == "active"
    world.take(results=[answered(c, NOBODY) for c in claims[52:]])
    assert status(world)[0] == "paused"
    assert str(status(world)[1]).startswith("5 of 55 recipients bounced")


def test_refusals_that_are_ours_or_pass_do_not_ask(world: Sending, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(breaker, "tripped", lambda c, campaign, *_: asked.append(campaign))
    world.rows(world.task_id, "pending", 3)
    [full, big, nobody] = world.take(3).claims
    too_big = Answer(Phase.DATA, 552, "5.3.4", "message too big")
    world.take(results=[answered(full, FULL), answered(big, too_big)])
    assert asked == []
    world.take(results=[answered(nobody, NOBODY)])
    assert asked == [world.campaign_id]


class TestAsking:
    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """Campaigns the breaker was asked about; each look takes a second."""
        found: list[int] = []

        def tripped(_connection: Any, campaign_id: int, *_: Any) -> None:
            found.append(campaign_id)
            self.time += 1

        self.time = 100.0
        monkeypatch.setattr(clock, "monotonic", lambda: self.time)
        monkeypatch.setattr(breaker, "tripped", tripped)
        return found

    def test_it_is_not_asked_before_fifty_times_what_the_last_look_took(
        self, sqlite_url: str, asked: list[int]
    ) -> None:
        database = Database(sqlite_url)
        seldom = Refusals(database, Limits())
        seldom.look([1])
        for _ in range(49):
            seldom.look([1, 2])
            self.time += 1
        assert asked == [1]
        self.time += 1
        seldom.look([])
        assert asked == [1, 1, 2], "what waited is asked about, also by a turn without refusals"
        self.time += 1000
        seldom.look([])
        assert asked == [1, 1, 2], "and once"
        database.dispose()

    def test_a_database_that_is_away_is_asked_again_and_breaks_no_turn(
        self, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        database = Database(sqlite_url)
        seldom = Refusals(database, Limits())

        def away(*_: Any) -> None:
            raise OperationalError("SELECT", None, Exception("database is locked"))

        with monkeypatch.context() as patched:
            patched.setattr(breaker, "tripped", away)
            seldom.look([1])
        asked: list[int] = []
        monkeypatch.setattr(breaker, "tripped", lambda _c, campaign, *_: asked.append(campaign))
        seldom._next = 0.0
        seldom.look([])
        assert asked == [1]
        database.dispose()


class Again:
    """One recipient whom task after task writes to."""

    def __init__(self, world: Sending) -> None:
        self.world = world
        [self.first] = world.rows(world.task_id, "pending")
        self.contact = world.row(task_contacts, self.first)["contact_id"]

    def meets(self, answer: Answer) -> list[str]:
        """What is due meets this answer, another task follows; the reasons of what is suppressed then."""
        [claim] = self.world.take(1).claims
        self.world.take(results=[answered(claim, answer)])
        return [row["reason"] for row in rows_of(self.world, suppressions)]

    def written_to_again(self) -> None:
        task = self.world.task(self.world.campaign_id, f"task{clock.now()}", "sending", actual_start_time=NOW)
        row = {"task_id": task, "contact_id": self.contact, "status": "pending", "bucket": self.contact % 61}
        self.world.insert(task_contacts, **row, scheduled_send_at=clock.now())


def rows_of(world: Sending, table: sa.Table) -> list[sa.RowMapping]:
    with world.database.read() as connection:
        return list(connection.execute(sa.select(table)).mappings())


@pytest.mark.parametrize(("answer", "times"), [(DISABLED, 2), (FULL, 3)])
def test_what_says_little_alone_gives_an_address_up_when_it_comes_again(
    world: Sending, answer: Answer, times: int
) -> None:
    recipient = Again(world)
    for _ in range(times - 1):
        assert recipient.meets(answer) == []
        recipient.written_to_again()
    assert recipient.meets(answer) == ["hard_bounce"]


@pytest.mark.costly
def test_retries_of_one_message_are_one(world: Sending) -> None:
    recipient = Again(world)
    for _ in range(4):
        assert recipient.meets(FULL) == []
        world.change(task_contacts, recipient.first, scheduled_send_at=clock.now())
    assert len(rows_of(world, event_log)) == 8
