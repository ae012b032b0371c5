"""coldsend worker list."""

from __future__ import annotations

from datetime import timedelta

import pytest

from coldsend import clock
from coldsend.database.tables import workers
from coldsend.stores import leases
from tests.conftest import Project
from tests.planning.world import World


@pytest.fixture
def world(project: Project) -> World:
    """A leading scheduler, a sender that works, and one that has been dead for ten minutes."""
    made = World(project.database)
    now = clock.now()
    fresh = {"heartbeat_at": now, "lease_until": now + timedelta(seconds=60), "host": "mail1"}
    scheduler = made.process("scheduler")
    made.change(workers, scheduler, **fresh)
    assert made.database.run(lambda connection: leases.lead(connection, "scheduler", scheduler, now, 20))
    details = {"services": ["main", "backup"], "held": 40, "rate": 812.437, "sent": 123_456}
    made.change(workers, made.process(), **fresh, details=details)
    ten = now - timedelta(minutes=10)
    made.change(workers, made.process(), heartbeat_at=ten, lease_until=ten + timedelta(seconds=60))
    return made


def test_it_shows_what_each_process_does_and_which_are_dead(project: Project, world: World) -> None:
    result = project.run("worker", "list")
    heading, scheduler, sender, dead = result.out.splitlines()
    for word in ("HOST", "PID", "STATE", "PART", "SERVICES", "HELD", "RATE/S", "SENT", "BEAT", "LEASE"):
        assert word in heading
    assert "leads" in scheduler
    for word in ("mail1", "running", "31/61", "main, backup", "40", "812", "123,456"):
        assert word in sender, word
    assert "dead" in dead
    assert "10 min" in dead
    assert "out" in dead
    assert "is dead" in result.err


def test_scripts_get_all_of_it(project: Project, world: World) -> None:
    scheduler, sender, dead = project.json("worker", "list")
    assert (scheduler["kind"], scheduler["leads"], scheduler["buckets"]) == ("scheduler", True, [])
    assert (sender["state"], sender["rate"], sender["held"], sender["sent"]) == (
        "running",
        812.437,
        40,
        123_456,
    )
    assert len(sender["buckets"]) == 31
    assert (dead["state"], dead["rate"]) == ("dead", 0)
    assert sender["heartbeat_age_seconds"] < 60
    assert 590 < dead["heartbeat_age_seconds"] < 700
    assert {"id", "host", "pid", "services", "started_at", "heartbeat_at", "lease_until"} <= dead.keys()


def test_ended_ones_are_listed_with_all(project: Project, world: World) -> None:
    world.change(workers, 3, stopped_at=clock.now())
    assert len(project.json("worker", "list")) == 2
    assert [row["state"] for row in project.json("worker", "list", "--all")] == [
        "running",
        "running",
        "ended",
    ]


def test_where_nothing_runs_the_way_out_is_told(project: Project) -> None:
    assert "coldsend scheduler run" in project.run("worker", "list").err
    assert project.json("worker", "list") == []
