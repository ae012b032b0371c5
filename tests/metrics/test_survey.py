"""The survey of the database: its numbers, on both databases, and that they cost the same at any size."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from coldsend.database.engine import Database
from coldsend.database.tables import contacts, provider_pauses, sender_quota, task_contacts, workers
from coldsend.domain.states import RowStatus
from coldsend.metrics import survey
from coldsend.metrics.catalogue import METRICS, OF_DATABASE
from coldsend.stores import gauges, leases
from tests.planning.world import NOW, World

MINUTE = timedelta(minutes=1)
LEASE = 60.0


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def numbers(world: World, name: str) -> dict[tuple[str, ...], float]:
    return dict(survey.of_database(world.database, NOW, LEASE)[f"coldsend_{name}"])


def sending(world: World, campaign_status: str = "active", **values: object) -> int:
    campaign = world.campaign(f"c{campaign_status}{len(values)}", status=campaign_status)
    return world.task(campaign, status="sending", actual_start_time=NOW, expanded_at=NOW, **values)


def test_an_empty_installation_has_every_number_that_needs_no_service(world: World) -> None:
    found = survey.of_database(world.database, NOW, LEASE)
    missing = {metric.name for metric in OF_DATABASE} - found.keys()
    assert all(name.startswith("coldsend_service_") for name in missing)
    assert dict(found["coldsend_database_up"]) == {(): 1}
    assert dict(found["coldsend_schema_current"]) == {(): 1}
    assert dict(found["coldsend_oldest_due_seconds"]) == {(): 0}
    assert dict(found["coldsend_workers"])["scheduler", "alive"] == 0


def test_samples_have_as_many_labels_as_the_catalogue_says(world: World) -> None:
    world.service()
    world.process()
    found = survey.of_database(world.database, NOW, LEASE)
    assert {metric.name for metric in OF_DATABASE} == found.keys()
    for name, samples in found.items():
        assert {len(labels) for labels, _ in samples} == {len(METRICS[name].labels)}, name


def test_processes_are_alive_or_silent_and_those_that_signed_off_are_neither(world: World) -> None:
    world.process("sender")
    world.change(workers, world.process("sender"), heartbeat_at=NOW - 5 * MINUTE)
    world.change(workers, world.process("sender"), stopped_at=NOW)
    assert numbers(world, "workers") == {
        ("scheduler", "alive"): 0, ("scheduler", "silent"): 0,
        ("sender", "alive"): 1, ("sender", "silent"): 1,
    }  # fmt: skip
    assert numbers(world, "heartbeat_age_seconds") == {("sender",): 0}


def test_the_age_is_that_of_the_latest_heartbeat(world: World) -> None:
    for minutes in (3, 2):
        world.change(workers, world.process("scheduler"), heartbeat_at=NOW - minutes * MINUTE)
    assert numbers(world, "heartbeat_age_seconds") == {("scheduler",): 120}


def test_a_scheduler_leads_as_long_as_its_lease_lasts_and_it_lives(world: World) -> None:
    assert numbers(world, "scheduler_leads") == {(): 0}
    scheduler = world.process("scheduler")
    with world.database.begin() as connection:
        leases.lead(connection, leases.SCHEDULER, scheduler, NOW, 20)
    assert numbers(world, "scheduler_leads") == {(): 1}
    late = survey.of_database(world.database, NOW + MINUTE, LEASE)
    assert dict(late["coldsend_scheduler_leads"]) == {(): 0}
    world.change(workers, scheduler, stopped_at=NOW)
    assert numbers(world, "scheduler_leads") == {(): 0}


@pytest.mark.costly
def test_rows_are_counted_of_tasks_that_send_and_unknown_ones_of_tasks_that_have_ended_too(
    world: World,
) -> None:
    task, paused = sending(world, expanded_count=6), sending(world, "paused")
    world.rows(task, "pending", 3)
    world.rows(task, "sending", 2)
    world.rows(task, "sent", 1)
    world.rows(paused, "pending", 4)
    ended = world.task(world.campaign("old", "completed"), status="finished", actual_start_time=NOW)
    world.rows(ended, "unknown", 2)
    assert numbers(world, "rows") == {("pending",): 3, ("sending",): 2, ("unknown",): 2}
    assert numbers(world, "open_tasks") == {(): 1}
    assert numbers(world, "open_task_recipients") == {(): 6}
    assert numbers(world, "tasks")["sending",] == 2
    assert numbers(world, "campaigns")["completed",] == 1


def test_rows_are_counted_no_further_than_the_bound(world: World) -> None:
    task = sending(world)
    world.rows(task, "pending", 5)
    with world.database.read() as connection:
        assert gauges.rows_in(connection, [task], RowStatus.PENDING, 3) == 3
        assert gauges.rows_in(connection, [], RowStatus.PENDING, 3) == 0


@pytest.mark.costly
def test_the_oldest_due_row_is_found_whatever_its_bucket_and_those_due_later_do_not_count(
    world: World,
) -> None:
    one, other = sending(world), sending(world, "active", expanded_count=1)
    world.rows(one, "pending", 70, scheduled_send_at=NOW - MINUTE)
    world.rows(one, "pending", 1, scheduled_send_at=NOW - 3 * MINUTE)
    world.rows(one, "sent", 1, scheduled_send_at=NOW - 90 * MINUTE)
    world.rows(other, "pending", 1, scheduled_send_at=NOW + MINUTE)
    assert numbers(world, "oldest_due_seconds") == {(): 180}
    world.rows(other, "pending", 1, scheduled_send_at=NOW - 4 * MINUTE)
    assert numbers(world, "oldest_due_seconds") == {(): 240}


def test_rows_that_are_due_later_are_not_late(world: World) -> None:
    world.rows(sending(world), "pending", 3, scheduled_send_at=NOW + MINUTE)
    assert numbers(world, "oldest_due_seconds") == {(): 0}


def test_services_show_quota_health_and_pauses(world: World) -> None:
    main = world.service("main", daily_quota=100, throttle_sec=1.5)
    world.service("bad", health_status="frozen", frozen_code="manual", consecutive_errors=4)
    world.service("tired", cool_down_until=NOW + MINUTE)
    world.insert(sender_quota, sender_service_id=main, quota_day=NOW.date(), used=30)
    world.insert(provider_pauses, sender_service_id=main, provider="google", paused_until=NOW + MINUTE)
    found = survey.of_database(world.database, NOW, LEASE)

    def of(name: str) -> dict[str, float]:
        return {labels[0]: value for labels, value in found[f"coldsend_service_{name}"]}

    assert (of("quota")["main"], of("quota_used")["main"], of("quota_left")["main"]) == (100, 30, 70)
    assert of("frozen") == {"main": 0, "bad": 1, "tired": 0}
    assert of("consecutive_errors")["bad"] == 4
    assert of("rest_seconds") == {"main": 0, "bad": 0, "tired": 60}
    assert of("paused_providers")["main"] == 1
    assert of("throttle_seconds")["main"] == 1.5


def test_a_database_out_of_reach_is_a_number_too() -> None:
    away = Database("mysql://nobody@127.0.0.1:1/nothing", connect_timeout=1)
    assert survey.taken(away, NOW, LEASE) == {"coldsend_database_up": [((), 0)]}


def test_a_schema_that_is_not_there_is_a_number_too(empty_database: Database) -> None:
    found = survey.taken(empty_database, NOW, LEASE)
    assert (found["coldsend_database_up"], found["coldsend_schema_current"]) == ([((), 1)], [((), 0)])


def fill(world: World, task: int, count: int) -> None:
    """``count`` more contacts, each a pending row of the task that is due."""
    with world.database.begin() as connection:
        first = connection.execute(sa.select(sa.func.coalesce(sa.func.max(contacts.c.id), 0))).scalar_one()
        people = [
            {"id": number, "email": f"q{number}@example.com", "email_key": f"q{number}@example.com"}
            | {"email_domain": "example.com"}
            for number in range(first + 1, first + count + 1)
        ]
        connection.execute(sa.insert(contacts), people)
        rows = [
            {"task_id": task, "contact_id": person["id"], "status": "pending", "bucket": person["id"] % 61}
            | {"scheduled_send_at": NOW - MINUTE}
            for person in people
        ]
        connection.execute(sa.insert(task_contacts), rows)


def work_of_sqlite(database: Database, task: int) -> int:
    """Hundreds of steps of SQLite's machine."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    with database.read() as connection:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        raw.set_progress_handler(step, 100)
        _all(connection, task)
        raw.set_progress_handler(None, 100)
    return steps


def work_of_mariadb(database: Database, task: int) -> int:
    """Rows and index entries that were read."""
    with database.read() as connection:
        connection.exec_driver_sql("FLUSH STATUS")
        _all(connection, task)
        status = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler_read%%'").all()
        return sum(int(value) for _, value in status)


def _all(connection: sa.Connection, task: int) -> None:
    assert gauges.oldest_due(connection, [task], NOW) == NOW - MINUTE
    assert gauges.rows_in(connection, [task], RowStatus.PENDING, 500) == 500
    assert gauges.rows_in(connection, [task], RowStatus.UNKNOWN, 500) == 0


@pytest.mark.slow
def test_a_survey_costs_the_same_for_ten_times_the_rows(world: World) -> None:
    work = work_of_sqlite if world.database.dialect_name == "sqlite" else work_of_mariadb
    task = sending(world)
    fill(world, task, 1_000)
    few = work(world.database, task)
    fill(world, task, 9_000)
    many = work(world.database, task)
    assert few > 0
    assert many <= few * 1.2
