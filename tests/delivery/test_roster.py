"""The processes as `worker list` shows them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import pytest

from coldsend import clock
from coldsend.channels.seam import Channel
from coldsend.database.engine import Database
from coldsend.database.tables import workers
from coldsend.delivery import roster
from coldsend.delivery.attempt import Attempter, Claim, Result
from coldsend.delivery.lane import Lane
from coldsend.delivery.view import View, own_buckets
from coldsend.domain import outcome as outcomes
from coldsend.domain.outcome import Attempt
from coldsend.domain.service import Service
from coldsend.stores import leases
from coldsend.stores.ledger import BUCKETS
from tests.planning.world import NOW, World

LEASE = timedelta(seconds=60)


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def shown(world: World, seconds: float = 0, ended: int = 0) -> list[dict[str, Any]]:
    with world.database.read() as connection:
        return roster.processes(connection, NOW + timedelta(seconds=seconds), LEASE, ended)


@pytest.mark.parametrize(
    ("seconds", "state"), [(1, "running"), (14, "running"), (20, "late"), (61, "dead"), (9000, "dead")]
)
def test_a_process_is_late_and_then_dead_when_its_heartbeat_stands_still(
    world: World, seconds: float, state: str
) -> None:
    world.process()
    [one] = shown(world, seconds)
    assert (one["state"], one["heartbeat_age_seconds"]) == (state, seconds)


def test_a_process_whose_lease_ran_out_is_dead_however_long_the_lease_is_now(world: World) -> None:
    worker = world.process()
    world.change(workers, worker, lease_until=NOW)
    assert shown(world)[0]["state"] == "dead"


def test_a_dead_process_has_no_rate_but_what_it_held_is_told(world: World) -> None:
    worker = world.process()
    world.change(workers, worker, details={"rate": 80.5, "held": 20, "sent": 7, "services": ["main"]})
    [alive], [dead] = shown(world), shown(world, 90)
    assert [one["rate"] for one in (alive, dead)] == [80.5, 0]
    assert [(one["held"], one["sent"], one["services"]) for one in (alive, dead)] == [(20, 7, ["main"])] * 2


def test_senders_split_the_buckets_as_delivery_does_and_schedulers_have_none(world: World) -> None:
    scheduler, one, two = world.process("scheduler"), world.process(), world.process()
    found = {row["id"]: row["buckets"] for row in shown(world)}
    assert found[scheduler] == []
    assert sorted(found[one] + found[two]) == list(range(BUCKETS))
    assert found[one] == own_buckets(View(senders=[one, two]), one)


def test_the_scheduler_that_holds_the_lease_leads_and_no_other(world: World) -> None:
    first, second = world.process("scheduler"), world.process("scheduler")
    assert world.database.run(lambda connection: leases.lead(connection, "scheduler", second, NOW, 20))
    assert {row["id"]: row["leads"] for row in shown(world)} == {first: False, second: True}
    assert not any(row["leads"] for row in shown(world, 30)), "its lease ran out"


def test_those_that_signed_off_are_shown_only_when_asked_for(world: World) -> None:
    living, gone = world.process(), world.process()
    world.change(workers, gone, stopped_at=NOW)
    assert [row["id"] for row in shown(world)] == [living]
    assert [(row["id"], row["state"]) for row in shown(world, ended=5)] == [
        (living, "running"),
        (gone, "ended"),
    ]
    assert shown(world, ended=5)[1]["buckets"] == []


def test_a_heartbeat_from_a_clock_that_is_ahead_is_no_negative_age(world: World) -> None:
    world.process()
    assert shown(world, -5)[0]["heartbeat_age_seconds"] == 0


def test_the_rate_of_a_lane_is_smoothed_and_falls_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = [1000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: moment[0])
    service = Service(id=3, name="alpha", type="test", from_email="a@sender.example", daily_quota=1000)
    attempter = cast(Attempter, None)
    lane = Lane(service, cast(Channel, None), attempter, lambda _: None)
    result = Result(cast(Claim, None), outcomes.released(Attempt(1, 1, 3, NOW), NOW, "tested"))
    for _ in range(50):
        moment[0] += 0.1
        lane._learn(result)
    assert lane.rate == pytest.approx(10, rel=0.01)
    moment[0] += 0.5
    assert lane.rate == pytest.approx(10, rel=0.01), "a moment without a result says nothing"
    moment[0] += 19.5
    assert lane.rate <= 0.1, "one result in twenty seconds at most"
