"""Who leads, and who owns a throttled service."""

from __future__ import annotations

from datetime import datetime, timedelta

from coldsend.database.engine import Database
from coldsend.stores import leases, workers
from tests.planning.world import NOW

MINUTE = timedelta(minutes=1)


def register(database: Database) -> int:
    return database.run(
        lambda c: workers.register(c, kind="sender", host="h", host_id="x", pid=1, now=NOW, lease_seconds=60)
    )


def lead(database: Database, worker: int, now: datetime = NOW) -> bool:
    return database.run(lambda c: leases.lead(c, "scheduler", worker, now, 20))


def test_one_leads_and_the_other_waits(database: Database) -> None:
    one, two = register(database), register(database)
    assert lead(database, one)
    assert lead(database, one), "renewing"
    assert not lead(database, two)


def test_the_lead_passes_on_when_it_runs_out_is_given_up_or_its_holder_stops(database: Database) -> None:
    one, two, three = register(database), register(database), register(database)
    assert lead(database, one)
    assert lead(database, two, NOW + MINUTE), "ran out"
    database.run(lambda c: leases.resign(c, "scheduler", two))
    assert lead(database, three, NOW + MINUTE), "given up"
    database.run(lambda c: workers.stop(c, three, NOW))
    assert lead(database, one, NOW + MINUTE), "its holder has stopped"


def test_a_clock_that_jumped_back_does_not_leave_the_lead_for_days(database: Database) -> None:
    one, two = register(database), register(database)
    assert lead(database, one, NOW + timedelta(days=3))
    assert lead(database, two, NOW)


def take(database: Database, worker: int) -> bool:
    return database.run(lambda c: leases.take_sender(c, 5, worker, NOW, 2.5))


def next_send(database: Database) -> object:
    with database.read() as connection:
        return leases.sender_leases_all(connection)[5]["next_send_at"]


def test_a_throttled_service_has_one_owner(database: Database) -> None:
    one, two = register(database), register(database)
    assert take(database, one)
    assert take(database, one)
    assert not take(database, two)
    database.run(lambda c: leases.release_sender(c, 5, two))
    assert not take(database, two), "only its owner gives it up"
    database.run(lambda c: leases.release_sender(c, 5, one))
    assert take(database, two)


def test_a_gap_outlives_its_owner(database: Database) -> None:
    one, two = register(database), register(database)
    take(database, one)
    database.run(lambda c: leases.set_next_send(c, 5, one, NOW + MINUTE))
    database.run(lambda c: leases.release_sender(c, 5, one))
    take(database, two)
    assert next_send(database) == NOW + MINUTE
    database.run(lambda c: leases.set_next_send(c, 5, one, NOW))
    assert next_send(database) == NOW + MINUTE, "a former owner writes no gap"


def test_after_a_dead_owner_the_gap_starts_anew(database: Database) -> None:
    one, two = register(database), register(database)
    take(database, one)
    database.run(lambda c: workers.stop(c, one, NOW))
    assert take(database, two)
    assert next_send(database) == NOW + timedelta(seconds=2.5)


def test_a_worker_that_was_declared_dead_cannot_beat(database: Database) -> None:
    one = register(database)
    assert database.run(lambda c: workers.beat(c, one, NOW, 60, {}))
    assert database.run(lambda c: workers.stop(c, one, NOW))
    assert not database.run(lambda c: workers.beat(c, one, NOW, 60, {}))
    assert not database.run(lambda c: workers.stop(c, one, NOW))


def test_after_a_hand_over_the_gap_begins_anew_whatever_the_clock_says(database: Database) -> None:
    one, two = register(database), register(database)
    assert take(database, one)
    assert next_send(database) is None, "it has never sent: nothing to wait for"
    long_ago = NOW - timedelta(days=1)
    database.run(lambda c: leases.set_next_send(c, 5, one, long_ago))
    database.run(lambda c: leases.release_sender(c, 5, one))
    assert take(database, two)
    assert next_send(database) == NOW + timedelta(seconds=2.5)
