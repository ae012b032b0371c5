"""Lanes: one at a time for a service, the throttle gap whatever happens to it, rows given back in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend import clock
from coldsend.config.secrets import KeyRing
from coldsend.config.settings import Settings
from coldsend.database.engine import Database
from coldsend.database.tables import sender_leases
from coldsend.delivery import lanes as lanes_module
from coldsend.delivery.attempt import Attempter, Claim, Result
from coldsend.delivery.composers import Composers
from coldsend.delivery.journal import Journal
from coldsend.delivery.lanes import Lanes, Opening
from coldsend.delivery.view import OpenTask, View
from coldsend.domain.answers import Answer, Phase
from coldsend.domain.gates import ServiceFacts
from coldsend.domain.message import Contents, Message, Recipient
from coldsend.domain.outcome import RetryPolicy
from coldsend.domain.service import Service
from coldsend.domain.states import FreezeCode, HealthStatus, RowStatus
from coldsend.stores.ledger import ClaimedRow
from tests.planning.world import World

pytestmark = pytest.mark.servers

SERVICE = Service(id=3, name="alpha", type="test", from_email="a@sender.example", daily_quota=1000)
THROTTLED = replace(SERVICE, throttle_sec=0.3)
NOW = clock.now()


class Held:
    """A channel whose messages wait before and after the final dot until the test lets them go."""

    def __init__(self, capacity: int = 2) -> None:
        self.capacity = self.appetite = capacity
        self.begun: list[tuple[int, float]] = []  # (row, moment) of each message
        self.ended: list[tuple[int, float]] = []
        self.dot = asyncio.Event()
        self.answer = asyncio.Event()
        self.closed = False

    async def send(self, message: Message, before_commit: Callable[[], None]) -> Answer:
        assert not self.closed
        self.begun.append((message.row_id, clock.monotonic()))
        await self.dot.wait()
        before_commit()
        await self.answer.wait()
        self.ended.append((message.row_id, clock.monotonic()))
        return Answer(Phase.FINAL, 250, "2.0.0", "ok")

    async def close(self) -> None:
        self.closed = True

    def let_go(self) -> None:
        self.dot.set()
        self.answer.set()


class Plain:
    """Composes the same text for everybody."""

    def compose(self, recipient: Recipient, _at: object) -> Message:
        to = recipient.email
        contents = Contents("", to, "", "", "", {})
        return Message(recipient.row_id, "a@sender.example", to, "<m@x>", b"hello\r\n", lambda: contents)


class Worker:
    """Lanes with what a worker has around them; ``channels`` are those it opened, in order."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capacity: int = 2) -> None:
        self.results: list[Result] = []
        self.channels: list[Held] = []
        self.lease = True
        self.journal = Journal(folder, 7, NOW)
        attempter = Attempter(self.journal, RetryPolicy((5.0,), 5), lambda: self.lease)

        def open_channel(*_: object) -> Held:
            self.channels.append(Held(capacity))
            return self.channels[-1]

        monkeypatch.setattr("coldsend.channels.registry.open_channel", open_channel)
        monkeypatch.setattr(Composers, "get", lambda *_: Plain())
        composers = Composers(None)  # type: ignore[arg-type]
        database = Database(f"sqlite:///{folder / 'never-opened.db'}")
        keys = KeyRing([b"k" * 32])
        self.lanes = Lanes(Settings(), keys, database, composers, attempter, self.results.append, 7)

    def arrange(self, service: Service, **opening: Any) -> None:
        made = Opening(service.type, {}, service.throttle_sec, None)
        self.lanes.arrange({service.id: (service, replace(made, **opening))}, {})

    def put(self, *rows: int, task: int = 1) -> None:
        for row in rows:
            self.lanes.put(claim(row, task))

    def wants(self, service: Service, owner: int = 7) -> int:
        view = View({service.id: ServiceFacts(service)}, owners={service.id: owner})
        return self.lanes.wants(view, clock.now()).get(service.id, 0)

    def view(self, service: Service, *tasks: int) -> View:
        return View(
            {service.id: ServiceFacts(service)},
            [OpenTask(task, 1, frozenset({service.id})) for task in tasks],
        )

    def outcomes(self) -> dict[int, str]:
        return {result.claim.row.id: result.outcome.status for result in self.results}

    def reasons(self) -> dict[int, str | None]:
        return {result.claim.row.id: result.outcome.reason for result in self.results}


def claim(row: int, task: int = 1) -> Claim:
    email = f"p{row}@example.com"
    claimed = ClaimedRow(row, task, row, 1, 3, 0, None, email, email, None, (), {}, None, False, False)
    return Claim(claimed, 9, 1, NOW)


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Worker:
    return Worker(tmp_path, monkeypatch)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 120))


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.002)


def test_an_edited_service_is_opened_anew_only_when_its_messages_under_way_have_ended(
    worker: Worker, steady: list[float]
) -> None:
    async def body() -> None:
        worker.arrange(THROTTLED)
        worker.put(1)
        await until(lambda: bool(worker.channels[0].begun))
        assert worker.lanes.busy() == {3}
        worker.arrange(THROTTLED, settings={"host": "another"})
        assert len(worker.channels) == 1, "two lanes would send side by side"
        assert worker.lanes.busy() == {3}, "its lane is closed, but its message has no answer yet"
        worker.channels[0].let_go()
        await until(lambda: worker.channels[0].closed and not worker.lanes.busy())
        steady[0] += 0.9 * THROTTLED.throttle_sec
        worker.arrange(THROTTLED, settings={"host": "another"})
        assert worker.wants(THROTTLED) == 0, "the gap began with the answer that the old lane got"
        steady[0] += 0.2 * THROTTLED.throttle_sec
        assert worker.wants(THROTTLED) == 1
        await worker.lanes.close()

    run(body())


def test_a_throttle_that_begins_counts_from_the_last_message(worker: Worker, steady: list[float]) -> None:
    async def body() -> None:
        worker.arrange(SERVICE)
        worker.put(1, 2)
        worker.channels[0].let_go()
        await until(lambda: len(worker.results) == 2)
        worker.arrange(THROTTLED)
        await until(lambda: not worker.lanes.busy())
        steady[0] += 0.9 * THROTTLED.throttle_sec
        worker.arrange(THROTTLED)
        assert worker.wants(THROTTLED) == 0
        steady[0] += 0.2 * THROTTLED.throttle_sec
        assert worker.wants(THROTTLED) == 1
        await worker.lanes.close()

    run(body())


def test_a_longer_throttle_counts_from_the_last_message(worker: Worker, steady: list[float]) -> None:
    async def body() -> None:
        worker.arrange(THROTTLED)
        worker.put(1)
        worker.channels[0].let_go()
        await until(lambda: len(worker.results) == 1)
        steady[0] += 1.1 * THROTTLED.throttle_sec
        assert worker.wants(THROTTLED) == 1
        longer = replace(THROTTLED, throttle_sec=0.8)
        worker.arrange(longer)
        await until(lambda: not worker.lanes.busy())
        worker.arrange(longer)
        assert worker.wants(longer) == 0
        steady[0] += longer.throttle_sec - THROTTLED.throttle_sec
        assert worker.wants(longer) == 1
        await worker.lanes.close()

    run(body())


@pytest.mark.parametrize(
    "stopped",
    [
        {"health_status": HealthStatus.FROZEN, "frozen_code": FreezeCode.MANUAL},
        {"cool_down_until": NOW + timedelta(hours=1)},
    ],
)
def test_a_service_that_was_stopped_gives_back_what_no_connection_has(
    worker: Worker, stopped: dict[str, Any]
) -> None:
    async def body() -> None:
        worker.arrange(SERVICE)
        worker.put(1, 2, 3, 4)
        await until(lambda: len(worker.channels[0].begun) == 2)
        worker.lanes.withdraw(worker.view(SERVICE, 1), clock.now())
        assert worker.results == []
        worker.lanes.withdraw(worker.view(replace(SERVICE, **stopped), 1), clock.now())
        assert worker.reasons() == {3: "service_stopped", 4: "service_stopped"}
        worker.channels[0].let_go()
        await until(lambda: len(worker.results) == 4)
        assert worker.outcomes() == {1: "sent", 2: "sent", 3: "pending", 4: "pending"}
        await worker.lanes.close()

    run(body())


def test_rows_of_a_task_that_was_stopped_are_given_back_and_those_of_others_go_on(worker: Worker) -> None:
    async def body() -> None:
        worker.arrange(SERVICE)
        worker.put(1, 2)
        worker.put(3, 4, task=1)
        worker.put(5, task=2)
        await until(lambda: len(worker.channels[0].begun) == 2)
        worker.lanes.withdraw(worker.view(SERVICE, 2), clock.now())
        assert worker.reasons() == {3: "task_stopped", 4: "task_stopped"}
        worker.channels[0].let_go()
        await until(lambda: len(worker.results) == 5)
        assert worker.outcomes()[5] == "sent"
        await worker.lanes.close()

    run(body())


def test_closing_interrupts_what_hangs_and_only_a_row_whose_dot_went_out_is_in_doubt(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes_module, "DRAIN", timedelta(seconds=0.05))

    async def body() -> None:
        worker.arrange(SERVICE)
        worker.put(1)
        await until(lambda: len(worker.channels[0].begun) == 1)
        worker.channels[0].dot.set()
        await until(lambda: worker.journal.has_dot(1, 9))
        worker.channels[0].dot.clear()
        worker.put(2, 3)
        await until(lambda: len(worker.channels[0].begun) == 2)
        await worker.lanes.close()
        assert worker.outcomes() == {1: "unknown", 2: "pending", 3: "pending"}

    run(body())


def test_a_throttled_service_of_another_worker_is_not_asked_for(worker: Worker) -> None:
    async def body() -> None:
        worker.arrange(THROTTLED)
        assert worker.wants(THROTTLED) == 1
        assert worker.wants(THROTTLED, owner=8) == 0
        await worker.lanes.close()

    run(body())


def test_a_throttled_service_is_given_up_only_when_its_gap_is_written(
    worker: Worker, database: Database
) -> None:
    world = World(database)
    service = world.service(throttle_sec=5)
    world.insert(sender_leases, sender_service_id=service, worker_id=7)
    owned = View(owners={service: 7}, senders=[7])  # no task wants it any more

    def owner() -> object:
        with database.read() as connection:
            return connection.execute(sa.select(sender_leases.c.worker_id)).scalar_one()

    database.run(lambda c: worker.lanes.own_throttled(c, owned, NOW, busy={service}))
    assert owner() == 7
    database.run(lambda c: worker.lanes.own_throttled(c, owned, NOW, busy=()))
    assert owner() is None


def test_a_gap_that_ends_days_ahead_was_written_by_a_wrong_clock_and_begins_anew_once(
    worker: Worker, database: Database
) -> None:
    world = World(database)
    service = world.service(throttle_sec=5)
    world.insert(sender_leases, sender_service_id=service, worker_id=7, next_send_at=NOW + timedelta(days=2))
    facts = {service: ServiceFacts(replace(THROTTLED, id=service, throttle_sec=5))}
    task = OpenTask(1, 1, frozenset({service}))
    owned = View(facts, [task], owners={service: 7}, senders=[7])

    def gap(at: datetime) -> float:
        return database.run(lambda c: worker.lanes.own_throttled(c, owned, at, busy=()))[service]

    assert gap(NOW) == 5, "whenever the last message was, that is enough"
    assert gap(NOW + timedelta(seconds=1)) == 4, "and it passes"
    assert gap(NOW + timedelta(seconds=6)) < 0


def test_a_row_for_a_lane_that_was_closed_meanwhile_is_given_back(worker: Worker) -> None:
    async def body() -> None:
        worker.put(1)
        assert worker.reasons() == {1: "service_closed"}

    run(body())


def test_nothing_goes_out_while_the_journal_cannot_be_written_and_nobody_is_skipped(
    worker: Worker, steady: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    async def body() -> None:
        worker.arrange(SERVICE)
        with monkeypatch.context() as patched:
            patched.setattr(Journal, "dot", full)
            worker.put(1, 2, 3)
            worker.channels[0].let_go()
            await until(lambda: len(worker.results) == 3)
        assert set(worker.outcomes().values()) == {RowStatus.PENDING}
        assert worker.channels[0].ended == []
        assert worker.wants(SERVICE) == 0, "it does not try again and again"
        steady[0] += 60
        assert worker.wants(SERVICE) == 1
        worker.put(4)
        await until(lambda: len(worker.results) == 4)
        assert worker.outcomes()[4] == "sent"
        await worker.lanes.close()

    run(body())


def test_a_lost_lease_stops_a_message_at_the_final_dot(worker: Worker) -> None:
    async def body() -> None:
        worker.arrange(SERVICE)
        worker.put(1)
        await until(lambda: len(worker.channels[0].begun) == 1)
        worker.lease = False
        worker.channels[0].let_go()
        worker.put(2)
        await until(lambda: len(worker.results) == 2)
        assert set(worker.reasons().values()) == {"lease_lost"}
        assert worker.channels[0].ended == []
        await worker.lanes.close()

    run(body())
