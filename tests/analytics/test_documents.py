"""The documents behind `report`, on both databases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.analytics.reports import documents
from coldsend.database.engine import Database
from coldsend.database.tables import event_log, provider_pauses, sender_quota, workers
from coldsend.stores import campaigns, services, tasks
from tests.planning.world import NOW, World

HOUR = timedelta(hours=1)


@pytest.fixture
def world(database: Database) -> World:
    """With a scheduler and a sender running."""
    made = World(database)
    made.process("scheduler")
    made.process("sender")
    return made


def campaign_report(world: World, campaign: int) -> dict[str, Any]:
    with world.database.read() as connection:
        return documents.campaign_report(connection, campaigns.find(connection, campaign), NOW)


def task_report(world: World, task: int) -> dict[str, Any]:
    with world.database.read() as connection:
        return documents.task_report(connection, tasks.get(connection, task), NOW)


def used(world: World, service: int, count: int) -> None:
    with world.database.begin() as connection:
        row = {"sender_service_id": service, "quota_day": NOW.date(), "used": count}
        connection.execute(sa.insert(sender_quota).values(row))


def test_a_campaign_reports_the_sum_of_its_tasks_and_each_of_them(world: World) -> None:
    campaign = world.campaign("spring", "active")
    one, two = world.task(campaign, "one", "finished"), world.task(campaign, "two", "sending")
    world.rows(one, "sent", 2)
    world.rows(two, "sent", 1)
    world.rows(two, "skipped", 1, reason="suppressed")
    report = campaign_report(world, campaign)
    assert (report["campaign"], report["status"], report["recipients"]) == ("spring", "active", 4)
    assert report["by_status"] == {"sent": 3, "skipped": 1}
    assert [(task["name"], task["status"], task["recipients"]) for task in report["tasks"]] == [
        ("one", "finished", 2),
        ("two", "sending", 2),
    ]


def test_waiting_rows_name_the_service_whose_quota_is_used_up_and_until_when(world: World) -> None:
    service = world.service("main", daily_quota=5)
    task = world.task(world.campaign(status="active"), status="sending")
    world.rows(task, "pending", 3)
    used(world, service, 5)
    [gate] = task_report(world, task)["waiting"]
    assert gate["gate"] == "quota"
    assert "'main'" in gate["detail"]
    assert gate["until"] == NOW.replace(hour=0) + timedelta(days=1)


def test_a_service_without_quota_is_named_although_another_one_is_open(world: World) -> None:
    world.service("open")
    used(world, world.service("full", daily_quota=5), 5)
    task = world.task(world.campaign(status="active"), status="sending")
    world.rows(task, "pending", 3)
    assert [gate["gate"] for gate in task_report(world, task)["waiting"]] == ["quota"]


def test_only_services_the_task_may_use_are_named(world: World) -> None:
    anna = world.user("anna")
    world.service("granted", granted=anna)
    world.service("other", daily_quota=0)
    task = world.task(world.campaign(status="active", owner=anna), status="sending", owner=anna)
    world.rows(task, "pending", 1)
    assert task_report(world, task)["waiting"] == []


def test_a_task_without_any_service_says_so(world: World) -> None:
    task = world.task(world.campaign(status="active"), status="sending")
    world.rows(task, "pending", 1)
    assert [gate["gate"] for gate in task_report(world, task)["waiting"]] == ["no_service"]


def test_a_frozen_service_a_paused_campaign_and_a_retry_later_are_all_named(world: World) -> None:
    world.service("main", health_status="frozen", frozen_reason="535 bad password", frozen_code="credentials")
    task = world.task(world.campaign(status="paused"), status="sending", expanded_at=NOW)
    world.rows(task, "pending", 2, scheduled_send_at=NOW + HOUR)
    gates = task_report(world, task)["waiting"]
    assert [gate["gate"] for gate in gates] == ["campaign_state", "not_due", "service_frozen"]
    assert gates[1]["until"] == NOW + HOUR
    assert "535 bad password" in gates[2]["detail"]


def test_a_service_that_rests_for_one_provider_is_named(world: World) -> None:
    service = world.service("main")
    task = world.task(world.campaign(status="active"), status="sending")
    world.rows(task, "pending", 2)
    world.insert(provider_pauses, sender_service_id=service, provider="google", paused_until=NOW + HOUR)
    [gate] = task_report(world, task)["waiting"]
    assert (gate["gate"], gate["until"]) == ("provider_paused", NOW + HOUR)
    assert "google" in gate["detail"]


def test_where_no_sender_is_alive_the_report_says_how_to_start_one(world: World) -> None:
    world.service("main")
    task = world.task(world.campaign(status="active"), status="sending")
    world.rows(task, "pending", 2)
    assert task_report(world, task)["waiting"] == []
    with world.database.begin() as connection:
        connection.execute(sa.update(workers).values(lease_until=NOW))
    assert [gate["gate"] for gate in task_report(world, task)["waiting"]] == ["no_worker", "no_worker"]


def test_a_task_that_has_not_begun_names_its_time(world: World) -> None:
    campaign = world.campaign(status="active", start_time=NOW + HOUR)
    task = world.task(campaign, status="scheduled", plan_time=NOW + 2 * HOUR)
    gates = task_report(world, task)["waiting"]
    assert [(gate["gate"], gate["until"]) for gate in gates] == [
        ("task_state", None),
        ("not_due", NOW + 2 * HOUR),
    ]


def test_a_task_that_ended_before_it_began_waits_for_nothing(world: World) -> None:
    task = world.task(world.campaign(status="active"), status="cancelled")
    assert task_report(world, task)["waiting"] == []


def test_nothing_is_waited_for_where_nothing_is_pending(world: World) -> None:
    task = world.task(world.campaign(status="paused"), status="paused", expanded_at=NOW)
    world.rows(task, "sent", 2)
    assert task_report(world, task)["waiting"] == []


@pytest.mark.costly
def test_the_speed_of_the_last_minutes_comes_from_the_event_log(world: World) -> None:
    task = world.task(world.campaign(status="active"), status="sending")
    with world.database.begin() as connection:
        connection.execute(
            sa.insert(event_log),
            [
                {"task_id": task, "type": kind, "ts": NOW - timedelta(minutes=ago)}
                for kind, ago in [("send_api_success", 1)] * 10
                + [("send_api_success", 9), ("send_api_fail", 1)]
            ],
        )
    assert task_report(world, task)["sent_per_minute_now"] == 2.0


def test_a_service_reports_its_quota_days_and_what_it_sent_for_which_task(world: World) -> None:
    service, other = world.service("main"), world.service("other")
    used(world, service, 7)
    task = world.task(world.campaign("spring", "active"), "intro", "sending", actual_start_time=NOW - HOUR)
    world.rows(task, "sent", 2, sender_service_id=service, sent_at=NOW)
    world.rows(task, "sent", 3, sender_service_id=other, sent_at=NOW)
    with world.database.read() as connection:
        row = services.find(connection, "main")
        report = documents.service_report(connection, row, NOW, 30)
    assert (report["service"], report["used_today"], report["daily_quota"]) == ("main", 7, 100)
    assert report["days"] == [{"quota_day": NOW.date(), "used": 7}]
    assert report["by_status"] == {"sent": 2}
    assert [(part["task"], part["sent"]) for part in report["tasks"]] == [("spring/intro", 2)]


def test_a_service_report_leaves_out_tasks_that_ended_long_ago(world: World) -> None:
    service = world.service("main")
    campaign = world.campaign(status="active")
    old = NOW - timedelta(days=40)
    for name, end in [("old", old), ("new", NOW - HOUR), ("going on", None)]:
        task = world.task(campaign, name, "finished", actual_start_time=old, actual_end_time=end)
        world.rows(task, "sent", 1, sender_service_id=service)
    with world.database.read() as connection:
        report = documents.service_report(connection, services.find(connection, "main"), NOW, 30)
    assert [part["task"] for part in report["tasks"]] == ["spring/new", "spring/going on"]
