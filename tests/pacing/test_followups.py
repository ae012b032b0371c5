"""What follow-ups still need of each service's day."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from coldsend import clock
from coldsend.database.engine import Database
from coldsend.database.tables import tasks
from coldsend.delivery import view as views
from coldsend.pacing import followups
from coldsend.pacing.followups import FollowupsDue
from coldsend.pacing.quota import next_quota_day_start
from tests.planning.world import NOW, World


class Sequence(World):
    """A task and its follow-up, both sending; two services, one of which is a day ahead in Kiritimati."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.main, self.far = self.service("main"), self.service("far", time_zone="Pacific/Kiritimati")
        campaign = self.campaign(status="active")
        self.first = self.task(campaign, status="sending", actual_start_time=NOW)
        self.second = self.task(
            campaign, "second", status="sending", actual_start_time=NOW, follows_task_id=self.first
        )

    def ends(self, service_id: int) -> timedelta:
        """Until the service's quota day ends."""
        now = clock.now()
        with self.database.read() as connection:
            return next_quota_day_start(views.read(connection, now).services[service_id].service, now) - now

    def due(self, remembered: FollowupsDue | None = None) -> dict[int, int]:
        with self.database.read() as connection:
            found = views.read(connection, clock.now(), remembered).services
        return {service_id: facts.followups_due for service_id, facts in found.items() if facts.followups_due}


@pytest.fixture
def world(database: Database) -> Sequence:
    return Sequence(database)


def test_each_service_keeps_quota_for_its_own_follow_ups_until_its_own_day_ends(world: Sequence) -> None:
    for service, count in ((world.main, 3), (world.far, 2)):
        due = clock.now() + world.ends(service)
        kept = {"sender_service_id": service}
        world.rows(world.second, "pending", count, **kept, scheduled_send_at=due - timedelta(minutes=1))
        world.rows(world.second, "pending", 4, **kept, scheduled_send_at=due + timedelta(minutes=1))
        world.rows(world.second, "sent", 5, **kept, scheduled_send_at=due - timedelta(minutes=1))
    assert world.due() == {world.main: 3, world.far: 2}


def test_first_messages_that_wait_for_a_service_are_no_follow_ups(world: Sequence) -> None:
    world.rows(world.first, "pending", sender_service_id=world.main, scheduled_send_at=clock.now())
    assert world.due() == {}


@pytest.mark.parametrize(("takes", "rest"), [(0.0, 10), (3.0, 60)])
def test_they_are_counted_every_ten_seconds_or_more_rarely_where_that_takes_long(
    world: Sequence, monkeypatch: pytest.MonkeyPatch, takes: float, rest: float
) -> None:
    steady, count = [0.0], followups._count

    def slowly(*given: Any) -> dict[int, int]:
        steady[0] += takes
        return count(*given)

    monkeypatch.setattr(followups, "_count", slowly)
    monkeypatch.setattr(clock, "monotonic", lambda: steady[0])
    remembered = FollowupsDue()
    add = {"sender_service_id": world.main, "scheduled_send_at": clock.now()}
    world.rows(world.second, "pending", **add)
    assert world.due(remembered) == {world.main: 1}
    world.rows(world.second, "pending", **add)
    steady[0] += rest - 0.5
    assert world.due(remembered) == {world.main: 1}
    steady[0] += 0.5
    assert world.due(remembered) == {world.main: 2}


def test_they_are_counted_anew_when_a_quota_day_begins(world: Sequence) -> None:
    remembered = FollowupsDue()
    tomorrow = clock.now() + world.ends(world.main) + timedelta(hours=1)
    world.rows(world.second, "pending", sender_service_id=world.main, scheduled_send_at=tomorrow)
    first = {world.second: {world.main}}
    with world.database.read() as connection:
        services = views.read(connection, clock.now()).services
        assert remembered.by_service(connection, first, services) == {}
        facts = services[world.main]
        assert facts.next_quota_day is not None
        next_day = {world.main: replace(facts, next_quota_day=facts.next_quota_day + timedelta(days=1))}
        assert remembered.by_service(connection, first, next_day) == {world.main: 1}


def test_what_waits_for_a_service_that_it_may_not_use_any_more_keeps_nothing(world: Sequence) -> None:
    add = {"sender_service_id": world.main, "scheduled_send_at": clock.now()}
    world.rows(world.second, "pending", 2, **add)
    assert world.due() == {world.main: 2}
    world.change(tasks, world.second, created_by=world.user("olga").id)
    assert world.due() == {}, "the service is not granted to her"
