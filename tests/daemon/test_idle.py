"""What `scheduler run --until-idle` waits for, and what it does not wait for."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from coldsend import clock
from coldsend.daemon import idle
from coldsend.database.engine import Database
from coldsend.database.tables import campaigns, sender_quota, sender_services, task_contacts, tasks
from coldsend.delivery import view as views
from coldsend.domain.states import CountKind
from coldsend.pacing import quota
from coldsend.stores import send_counts
from tests.planning.world import NOW, World


class Expanded(World):
    """A task whose send list is complete."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.service_id = self.service()
        self.campaign_id = self.campaign(status="active")
        self.task_id = self.task(
            self.campaign_id, status="sending", actual_start_time=NOW, expanded_at=NOW, expand_to=0
        )

    def idle(self, *, senders: bool = True) -> bool:
        return idle.nothing_soon(self.database, senders=senders)


@pytest.fixture
def world(database: Database) -> Expanded:
    return Expanded(database)


def pending(world: Expanded, **values: Any) -> int:
    due = {"scheduled_send_at": clock.now() - timedelta(seconds=1), **values}
    return world.rows(world.task_id, "pending", **due)[0]


def test_a_row_that_can_go_out_keeps_it(world: Expanded) -> None:
    pending(world)
    assert not world.idle()
    assert world.idle(senders=False), "without senders only planning counts"


def test_a_row_on_its_way_keeps_it(world: Expanded) -> None:
    world.rows(world.task_id, "sending")
    assert not world.idle()


def test_a_row_that_gives_its_place_back_while_it_is_looked_at_keeps_it(
    world: Expanded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The day's only place is taken when limits are read, and nothing is on its way when rows are."""
    world.change(campaigns, world.campaign_id, new_per_day=1)
    [row] = world.rows(world.task_id, "sending")
    pending(world)
    day = quota.period_of(clock.now().date())
    used_up(world, CountKind.CAMPAIGN_NEW, world.campaign_id, day)
    original = views.read

    def read(*arguments: Any) -> views.View:
        found = original(*arguments)
        world.change(task_contacts, row, status="failed_to_send")
        with world.database.begin() as connection:
            send_counts.refund(connection, CountKind.CAMPAIGN_NEW, world.campaign_id, day, {"": 1})
        return found

    monkeypatch.setattr(views, "read", read)
    assert not world.idle()


def test_a_retry_within_a_minute_keeps_it_and_a_later_one_does_not(world: Expanded) -> None:
    row = pending(world, scheduled_send_at=clock.now() + timedelta(seconds=50))
    assert not world.idle()
    world.change(task_contacts, row, scheduled_send_at=clock.now() + timedelta(seconds=90))
    assert world.idle()


@pytest.mark.parametrize(
    "service",
    [
        {"daily_quota": 0},
        {"health_status": "frozen", "frozen_code": "credentials"},
        {"health_status": "frozen", "frozen_code": "errors", "cool_down_until": NOW.replace(year=2100)},
        {"cool_down_until": NOW.replace(year=2100)},
    ],
)
def test_rows_without_a_service_do_not_keep_it(world: Expanded, service: dict[str, Any]) -> None:
    pending(world)
    world.change(sender_services, world.service_id, **service)
    assert world.idle()


def test_a_row_that_keeps_a_frozen_service_does_not_keep_it(world: Expanded) -> None:
    frozen = world.service("frozen", health_status="frozen", frozen_code="manual")
    pending(world, sender_service_id=frozen)
    assert world.idle()


def test_a_short_rest_is_waited_for(world: Expanded) -> None:
    pending(world)
    world.change(sender_services, world.service_id, cool_down_until=clock.now() + timedelta(seconds=20))
    assert not world.idle()


def test_a_task_that_begins_soon_keeps_it(world: Expanded) -> None:
    pending(world, scheduled_send_at=clock.now() + timedelta(days=1))
    later = {"status": "scheduled", "plan_time": clock.now() + timedelta(hours=1)}
    world.task(world.campaign_id, "later", **later)
    assert world.idle()
    world.task(world.campaign_id, "soon", status="scheduled", plan_time=clock.now() + timedelta(seconds=30))
    assert not world.idle()


def test_a_send_list_that_is_being_made_keeps_it(world: Expanded) -> None:
    world.task(world.campaign_id, "new", status="sending")
    assert not world.idle()


def test_a_task_that_has_ended_keeps_it_until_it_is_closed(world: Expanded) -> None:
    world.rows(world.task_id, "sent")
    assert not world.idle()


def test_a_paused_campaign_does_not_keep_it(world: Expanded) -> None:
    pending(world)
    world.change(campaigns, world.campaign_id, status="paused")
    assert world.idle()


def used_up(world: Expanded, kind: CountKind, owner: int, period: datetime) -> None:
    """Of a limit of one message, one is taken."""
    with world.database.begin() as connection:
        send_counts.reserve(connection, kind, owner, period, {"": 1}, 1)


def test_rows_that_wait_for_the_ramp_do_not_keep_it(world: Expanded) -> None:
    pending(world)
    ramp = {"start": 1, "step": 1, "since": clock.now().date().isoformat()}
    world.change(sender_services, world.service_id, ramp=ramp)
    assert not world.idle()
    world.insert(sender_quota, sender_service_id=world.service_id, quota_day=clock.now().date(), used=1)
    assert world.idle()


def test_rows_that_wait_for_another_hour_do_not_keep_it(world: Expanded) -> None:
    pending(world)
    world.change(sender_services, world.service_id, hourly_quota=1)
    assert not world.idle()
    hour = quota.hour_of(clock.now())
    for period in (hour, hour + timedelta(hours=1)):  # should the hour end meanwhile
        used_up(world, CountKind.SERVICE_HOUR, world.service_id, period)
    soon = clock.now() + timedelta(minutes=1)
    assert world.idle() or quota.hour_of(soon) != hour


def test_rows_that_wait_for_the_campaigns_next_day_do_not_keep_it(world: Expanded) -> None:
    pending(world)
    world.change(campaigns, world.campaign_id, new_per_day=1)
    assert not world.idle()
    day = quota.period_of(clock.now().date())
    used_up(world, CountKind.CAMPAIGN_NEW, world.campaign_id, day)
    assert world.idle()
    second = world.task(
        world.campaign_id, "second", status="sending", actual_start_time=NOW, expanded_at=NOW,
        follows_task_id=world.task_id,
    )  # fmt: skip
    world.rows(second, "pending", sender_service_id=world.service_id, scheduled_send_at=clock.now())
    assert not world.idle(), "its follow-ups go out"


def test_first_messages_that_leave_the_quota_to_follow_ups_do_not_keep_it(world: Expanded) -> None:
    pending(world)
    world.change(sender_services, world.service_id, daily_quota=1)
    second = world.task(
        world.campaign_id, "second", status="sending", actual_start_time=NOW, expanded_at=NOW,
        follows_task_id=world.task_id,
    )  # fmt: skip
    ends = clock.now() + timedelta(minutes=2)
    [row] = world.rows(second, "pending", sender_service_id=world.service_id, scheduled_send_at=ends)
    assert world.idle() or ends.date() != clock.now().date()
    world.change(task_contacts, row, scheduled_send_at=clock.now() + timedelta(days=3))
    assert not world.idle()


def test_a_follow_up_whose_list_grows_does_not_keep_it(world: Expanded) -> None:
    now = clock.now()
    world.rows(world.task_id, "pending", scheduled_send_at=now + timedelta(days=1))
    second = world.task(
        world.campaign_id,
        "second",
        "sending",
        actual_start_time=NOW,
        follows_task_id=world.task_id,
        follows_days=3,
        enrolled_to=now,
    )
    assert world.idle(), "what it may get is due in days"
    world.change(tasks, world.task_id, status="finished", actual_end_time=now)
    assert not world.idle(), "its list is to be completed"
    world.change(tasks, second, expanded_at=now)
    assert not world.idle(), "and the task to be closed"
