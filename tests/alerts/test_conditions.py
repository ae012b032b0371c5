"""What is worth telling, kind by kind: when it begins to hold, and when it holds no more."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from coldsend.alerts import conditions
from coldsend.config.settings import AlertsSettings
from coldsend.database.tables import campaigns, mailboxes, sender_services, task_contacts, tasks, workers
from coldsend.domain.alert import AlertKind, Condition
from tests.planning.world import NOW, World

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
SETTINGS = AlertsSettings()


def found(
    world: World, kind: AlertKind, settings: AlertsSettings = SETTINGS, at: datetime = NOW
) -> list[Condition]:
    with world.database.read() as connection:
        return conditions.found(connection, frozenset({kind}), settings, at)


@pytest.mark.costly
def test_nothing_is_wrong_with_an_empty_installation(world: World) -> None:
    with world.database.read() as connection:
        assert conditions.found(connection, frozenset(AlertKind), SETTINGS, NOW) == []


@pytest.mark.costly
def test_a_service_that_the_engine_froze(world: World) -> None:
    world.service("well")
    main = world.service("main", health_status="frozen", frozen_code="credentials", frozen_reason="535 no")
    [one] = found(world, AlertKind.SERVICE_FROZEN)
    assert (one.thing, one.title) == (f"service:{main}", "service 'main' is frozen")
    assert "535 no" in one.message
    assert one.hint == "enter new credentials: coldsend service update main --password-stdin"
    world.change(sender_services, main, frozen_code="errors", cool_down_until=NOW + HOUR)
    assert "it is tried again at 2027-03-01 10:00 UTC" in found(world, AlertKind.SERVICE_FROZEN)[0].hint
    world.change(sender_services, main, health_status="active", frozen_code=None)
    assert found(world, AlertKind.SERVICE_FROZEN) == []


def test_a_service_that_a_person_froze_is_no_news(world: World) -> None:
    world.service("main", health_status="frozen", frozen_code="manual", frozen_reason="moving")
    assert found(world, AlertKind.SERVICE_FROZEN) == []


def test_campaigns_and_tasks_that_the_engine_paused_and_not_those_that_people_did(world: World) -> None:
    tripped = world.campaign("spring", "paused", status_reason="6 of 60 recipients bounced")
    world.campaign("autumn", "paused")
    task = world.task(tripped, "intro", "paused", status_reason="20 render errors in a row")
    world.task(tripped, "second", "paused")
    assert [(one.thing, one.message, one.once) for one in found(world, AlertKind.BREAKER)] == [
        (f"campaign:{tripped}", "6 of 60 recipients bounced", False),
        (f"task:{task}", "20 render errors in a row", False),
    ]
    world.change(campaigns, tripped, status="active", status_reason=None)
    world.change(tasks, task, status="sending", status_reason=None)
    assert found(world, AlertKind.BREAKER) == []


def test_a_task_that_cannot_be_planned_is_told_once(world: World) -> None:
    campaign = world.campaign("spring", "active")
    task = world.task(campaign, "intro", "failed", status_reason="the template set is empty", updated_at=NOW)
    [one] = found(world, AlertKind.BREAKER)
    assert (one.thing, one.title, one.once) == (f"task:{task}", "task 'spring/intro' cannot be planned", True)
    assert found(world, AlertKind.BREAKER, at=NOW + timedelta(days=2)) == []


def test_a_campaign_that_is_done_is_told_once_and_old_ones_are_not(world: World) -> None:
    done = world.campaign("spring", "completed", updated_at=NOW - HOUR)
    world.campaign("long ago", "completed", updated_at=NOW - timedelta(days=3))
    world.campaign("going on", "active", updated_at=NOW)
    world.task(done, "intro", "finished", expanded_count=1200)
    world.task(done, "second", "finished", expanded_count=800)
    [one] = found(world, AlertKind.CAMPAIGN_DONE)
    assert (one.title, one.once, one.facts["recipients"]) == ("campaign 'spring' is done", True, 2000)


def unknown(world: World, count: int, **values: object) -> int:
    campaign = world.campaign(f"c{len(values)}{count}", "active")
    task = world.task(campaign, "intro", "sending", actual_start_time=NOW)
    world.rows(task, "unknown", count, **{"attempt_at": NOW - HOUR, **values})
    return task


def test_unknown_outcomes_of_a_task_that_have_waited_for_a_while(world: World) -> None:
    task = unknown(world, 3)
    unknown(world, 2, attempt_at=NOW - MINUTE, reason="lost")
    world.rows(task, "sent", 4)
    [one] = found(world, AlertKind.UNKNOWN_ROWS)
    assert (one.thing, one.facts["count"]) == (f"task:{task}", 3)
    assert "3 recipients wait for a person" in one.message
    assert len(found(world, AlertKind.UNKNOWN_ROWS, at=NOW + HOUR)) == 2
    with world.database.begin() as connection:
        connection.execute(task_contacts.update().values(status="sent"))
    assert found(world, AlertKind.UNKNOWN_ROWS) == []


@pytest.mark.parametrize(("least", "count"), [(3, 1), (4, 0)])
def test_few_unknown_outcomes_may_be_left_alone(world: World, least: int, count: int) -> None:
    unknown(world, 3)
    assert len(found(world, AlertKind.UNKNOWN_ROWS, replace(SETTINGS, unknown_rows=least))) == count


def test_no_scheduler_has_lived_for_a_while_though_a_campaign_is_active(world: World) -> None:
    world.campaign("spring", "active", resumed_at=NOW - HOUR)
    [one] = found(world, AlertKind.DAEMON_SILENT)
    assert (one.thing, one.title) == ("scheduler", "no scheduler is running")
    assert "2027-03-01 08:00 UTC" in one.message
    assert "'spring'" in one.message
    scheduler = world.process("scheduler")
    world.process("sender")
    assert found(world, AlertKind.DAEMON_SILENT) == []
    assert found(world, AlertKind.DAEMON_SILENT, at=NOW + 9 * MINUTE) == []
    assert found(world, AlertKind.DAEMON_SILENT, at=NOW + 10 * MINUTE) != []
    world.change(workers, scheduler, stopped_at=NOW)
    assert found(world, AlertKind.DAEMON_SILENT, at=NOW + 9 * MINUTE) == [], "it has only just ended"
    assert found(world, AlertKind.DAEMON_SILENT, at=NOW + 10 * MINUTE) != []


def test_nobody_misses_a_scheduler_while_no_campaign_could_go_on(world: World) -> None:
    world.campaign("draft", "draft")
    world.campaign("paused", "paused", resumed_at=NOW - HOUR)
    world.campaign("just started", "active", resumed_at=NOW - MINUTE)
    world.campaign("begins later", "active", resumed_at=NOW - HOUR, start_time=NOW + HOUR)
    assert found(world, AlertKind.DAEMON_SILENT) == []
    assert len(found(world, AlertKind.DAEMON_SILENT, at=NOW + 2 * HOUR)) == 1


def test_a_mailbox_that_could_not_be_read_for_a_while(world: World) -> None:
    values = {"enabled": True, "created_at": NOW - 5 * HOUR, "last_error": "login refused"}
    failing = world.insert(
        mailboxes,
        name="replies",
        consecutive_errors=4,
        polled_at=NOW - 2 * HOUR,
        error_code="credentials",
        **values,
    )
    world.insert(mailboxes, name="hiccup", consecutive_errors=1, polled_at=NOW - MINUTE, **values)
    world.insert(mailboxes, name="nobody polls", consecutive_errors=0, polled_at=NOW - 2 * HOUR, **values)
    world.insert(mailboxes, name="off", consecutive_errors=9, polled_at=None, **{**values, "enabled": False})
    [one] = found(world, AlertKind.MAILBOX_FAILING)
    assert one.thing == f"mailbox:{failing}"
    assert one.hint == "enter new ones: coldsend mailbox update replies --password-stdin"
    assert "login refused" in one.message
