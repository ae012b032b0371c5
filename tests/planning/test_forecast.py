"""The forecast against a run: what `campaign plan` says is what goes out, to the day and service."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.database.engine import Database
from coldsend.database.tables import contacts, provider_pauses, task_contacts, task_services
from coldsend.domain import suppression
from coldsend.domain.states import StopReason, SuppressionReason
from coldsend.planning import forecast, forecast_demand
from coldsend.stores import campaigns, sequence_stops, suppressions
from coldsend.stores.sequence_stops import Stop
from tests.planning.engine import Engine
from tests.planning.world import World

pytestmark = pytest.mark.slow

MONDAY = datetime(2027, 3, 1, 6, 0, tzinfo=UTC)


class Foreseen(World):
    """A campaign and its tasks, the engine that sends them, and the plan made before."""

    def __init__(self, database: Database, monkeypatch: pytest.MonkeyPatch, now: datetime = MONDAY) -> None:
        super().__init__(database)
        self.engine = Engine(self, monkeypatch, now)
        self.services: dict[int, str] = {}

    def service(self, name: str = "main", **values: Any) -> int:
        made = super().service(name, **values)
        self.services[made] = name
        return made

    def people(self, count: int, domain: str = "example.com", **values: Any) -> None:
        emails = [f"n{next(self._numbers)}@{domain}" for _ in range(count)]
        rows = [{"email": one, "email_key": one, "email_domain": domain, **values} for one in emails]
        with self.database.begin() as connection:
            connection.execute(sa.insert(contacts), rows)

    def active(self, **values: Any) -> int:
        return self.campaign(status="active", **values)

    def step(self, campaign: int, name: str, after: int | None = None, days: int = 0, **values: Any) -> int:
        follows = {"follows_task_id": after, "follows_days": days}
        return self.task(campaign, name, "scheduled", **follows, **values)

    def plan(self, campaign: int, days: int | None = None) -> dict[str, Any]:
        with self.database.read() as connection:
            return forecast.plan(connection, campaigns.find(connection, campaign), self.engine.now, days)

    def assert_agrees(self, campaign: int, *, days: int = 90) -> dict[str, Any]:
        """The plan made now is what goes out until nothing is left; returns the plan."""
        planned = self.plan(campaign)
        self.engine.run(self.engine.now + timedelta(days=days))
        zone = planned["time_zone"]
        by_day = {
            day: {self.services[one]: count for one, count in services.items()}
            for day, services in self.engine.by_day(zone).items()
        }
        assert {day["date"]: day["by_service"] for day in planned["days"]} == by_day
        return planned


@pytest.fixture
def world(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Foreseen:
    return Foreseen(Database(sqlite_url), monkeypatch)


def test_a_daily_quota_spreads_recipients_over_days(world: Foreseen) -> None:
    world.service("one", daily_quota=10)
    world.service("two", daily_quota=5)
    world.people(40)
    campaign = world.active()
    world.step(campaign, "intro")
    plan = world.assert_agrees(campaign)
    assert [day["sends"] for day in plan["days"]] == [15, 15, 10]


def test_what_takes_longer_than_a_plan_looks_ahead_is_not_said_to_end(
    world: Foreseen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "MOST_DAYS", 3)
    world.service("one", daily_quota=10)
    world.people(40)
    campaign = world.active()
    world.step(campaign, "intro")
    plan = world.plan(campaign)
    assert (plan["sends"], plan["later"], plan["ends"], plan["not_sent"]) == (30, 10, None, [])


def test_two_follow_ups_keep_their_service_and_come_first(world: Foreseen) -> None:
    world.engine.one_by_one = True
    world.service("one", daily_quota=4)
    world.service("two", daily_quota=2)
    world.people(24)
    campaign = world.active()
    intro = world.step(campaign, "intro")
    second = world.step(campaign, "second", after=intro, days=2)
    world.step(campaign, "third", after=second, days=3)
    plan = world.assert_agrees(campaign)
    assert sum(day["sends"] for day in plan["days"]) == 72
    assert plan["days"][2]["new"] == 0, "what the follow-ups need is kept for them"


def test_a_ramp(world: Foreseen) -> None:
    world.service("new", daily_quota=50, ramp={"start": 5, "step": 5, "since": "2027-03-01"})
    world.people(100)
    campaign = world.active()
    world.step(campaign, "intro")
    plan = world.assert_agrees(campaign)
    assert [day["sends"] for day in plan["days"]] == [5, 10, 15, 20, 25, 25]


OFFICE = ["mon-fri 09:00-17:00"]
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata")


def test_windows_in_three_zones(world: Foreseen) -> None:
    """Recipients of New York are due when Berlin's day is nearly over, and no one on a Saturday."""
    world.service("one", daily_quota=9)
    for zone in ZONES:
        world.people(12, time_zone=zone)
    campaign = world.active(send_window=OFFICE, time_zone="Europe/Berlin")
    world.step(campaign, "intro")
    plan = world.assert_agrees(campaign)
    assert [day["sends"] for day in plan["days"]] == [9, 9, 9, 9]
    assert plan["ends"].hour < 17


def test_a_throttle_with_what_is_left_when_the_window_closes(world: Foreseen) -> None:
    world.service("slow", daily_quota=100, throttle_sec=3600)
    world.people(20, time_zone="America/New_York")
    campaign = world.active(send_window=OFFICE, time_zone="America/New_York")
    world.step(campaign, "intro")
    plan = world.assert_agrees(campaign)
    assert [day["sends"] for day in plan["days"]] == [8, 8, 4]
    assert [one["gate"] for one in plan["days"][0]["limited_by"]] == ["throttle", "window"]


def test_a_day_that_is_spread_over_hours(world: Foreseen) -> None:
    world.service("even", daily_quota=12, spread_hours=10)
    world.people(20)
    campaign = world.active(send_window=["mon-sun 08:00-14:00"])
    world.step(campaign, "intro")
    plan = world.assert_agrees(campaign)
    assert [day["sends"] for day in plan["days"]] == [8, 8, 4], "a gap of 50 minutes, six hours long"


def test_new_recipients_a_day_with_follow_ups(world: Foreseen) -> None:
    world.service("one", daily_quota=50)
    world.people(12, time_zone="Europe/Berlin")
    campaign = world.active(send_window=OFFICE, new_per_day=4)
    intro = world.step(campaign, "intro")
    world.step(campaign, "second", after=intro, days=1, follows_business_days=True)
    plan = world.assert_agrees(campaign)
    assert [(day["new"], day["follow_ups"]) for day in plan["days"]] == [(4, 0), (4, 4), (4, 4), (0, 4)]
    assert plan["days"][0]["limited_by"][0]["gate"] == "new_per_day"


def test_an_hourly_quota(world: Foreseen) -> None:
    world.service("one", daily_quota=50, hourly_quota=3)
    world.people(30)
    campaign = world.active(send_window=["mon-sun 09:30-13:30"])
    world.step(campaign, "intro")
    plan = world.assert_agrees(campaign)
    assert [day["sends"] for day in plan["days"]] == [15, 15]


def test_a_quota_of_recipient_domains(world: Foreseen) -> None:
    world.service("one", daily_quota=50, domain_quota=3)
    world.people(8, domain="big.example")
    world.people(4, domain="small.example")
    campaign = world.active()
    world.step(campaign, "intro")
    plan = world.assert_agrees(campaign)
    assert [day["sends"] for day in plan["days"]] == [6, 4, 2]


def test_of_many_recipients_those_at_limited_domains_are_counted_together(
    world: Foreseen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast_demand, "MANY", 0)
    world.service("one", daily_quota=50, domain_quota=3)
    for zone in ("Europe/Berlin", "Europe/Paris", "Europe/Rome", "Europe/Madrid"):
        world.people(2, domain="big.example", time_zone=zone)
        world.people(1, domain="small.example", time_zone=zone)
    campaign = world.active(send_window=["mon-fri 09:00-17:00"], time_zone="Europe/Berlin", spread=True)
    world.step(campaign, "intro")
    with world.database.read() as connection:
        reader = forecast_demand.Reader(connection, campaigns.find(connection, campaign), world.engine.now)
        lines = reader.read().world.lines
    assert sorted((line.domain, sum(line.coming.values())) for line in lines) == [
        ("big.example", 8),
        ("small.example", 4),
    ]
    plan = world.assert_agrees(campaign)
    assert [day["sends"] for day in plan["days"]] == [6, 4, 2]


def test_what_a_frozen_service_should_carry_is_not_sent(world: Foreseen) -> None:
    world.service("ice", daily_quota=50, health_status="frozen", frozen_code="manual", frozen_reason="hm")
    world.service("one", daily_quota=3)
    world.people(6)
    campaign = world.active()
    intro = world.step(campaign, "intro")
    plan = world.assert_agrees(campaign)
    assert [day["by_service"] for day in plan["days"]] == [{"one": 3}, {"one": 3}]
    assert plan["not_sent"] == []
    only = world.active(name="only")
    world.task(only, "stuck", "scheduled")
    world.insert(task_services, task_id=intro + 1, sender_service_id=1)
    plan = world.plan(only)
    assert plan["days"] == []
    assert [(one["reason"], one["count"]) for one in plan["not_sent"]] == [("service_frozen", 6)]


def test_a_domain_that_gets_nothing_keeps_those_below_it_out_too(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Foreseen(database, monkeypatch)
    world.service()
    campaign = world.active()
    for number, domain in enumerate(("gone.example", "quiet.example", "open.example"), start=1):
        world.people(number, domain)
        world.people(number, f"a.b.{domain}")
    world.step(campaign, "intro")
    suppressed = suppression.read("gone.example", SuppressionReason.MANUAL)
    stop = Stop(campaign, "d:quiet.example", "quiet.example", StopReason.REPLIED)
    with database.begin() as connection:
        suppressions.add(connection, [suppressed], MONDAY)
        sequence_stops.add(connection, [stop], MONDAY)
    plan = world.assert_agrees(campaign)
    assert [(one["reason"], one["count"]) for one in plan["not_sent"]] == [("stopped", 4), ("suppressed", 2)]


def test_who_replied_and_was_stopped_by_hand_gets_nothing_that_is_for_replies(world: Foreseen) -> None:
    service = world.service()
    campaign = world.active()
    begun = {"actual_start_time": MONDAY, "template_ids": world.template_set("Hello")[1]}
    first = world.task(campaign, "first", "sending", expanded_at=MONDAY, expanded_count=2, **begun)
    sent = {"sent_at": MONDAY, "replied_at": MONDAY, "sender_service_id": service, "message_id": "<a@b>"}
    [one, _other] = world.rows(first, "replied", 2, **sent)
    follows = {"follows_task_id": first, "follows_days": 2, "follows_condition": ["replied"]}
    world.task(campaign, "thanks", "sending", **follows, **begun)
    email = world.row(contacts, world.row(task_contacts, one)["contact_id"])["email_key"]
    stop = Stop(campaign, f"a:{email}", email, StopReason.MANUAL)
    world.database.run(lambda connection: sequence_stops.add(connection, [stop], MONDAY))
    plan = world.assert_agrees(campaign)
    assert [(one["reason"], one["count"]) for one in plan["not_sent"]] == [("stopped", 1)]


@pytest.mark.parametrize("until", [MONDAY + timedelta(days=2), None])
def test_a_service_that_rests_for_a_provider_is_named(world: Foreseen, until: datetime | None) -> None:
    service = world.service(daily_quota=2)
    world.insert(provider_pauses, sender_service_id=service, provider="google", paused_until=until, times=1)
    world.people(3, "gmail.com")
    world.people(2)
    campaign = world.active()
    world.step(campaign, "intro")
    plan = world.plan(campaign)
    assert [day["sends"] for day in plan["days"]] == ([2, 2, 1] if until else [2])
    limits = {one["gate"]: one["detail"] for one in plan["days"][0]["limited_by"]}
    assert limits.get("provider_paused") == ("main rests for google" if until else None)
    stuck = [(one["reason"], one["count"]) for one in plan["not_sent"]]
    assert (stuck, plan["later"]) == ([] if until else [("provider_paused", 3)], 0)


def test_follow_ups_that_wait_for_a_paused_provider_keep_no_quota_from_others(world: Foreseen) -> None:
    service = world.service(daily_quota=2)
    world.insert(provider_pauses, sender_service_id=service, provider="google", times=3)
    campaign = world.active()
    begun = {"actual_start_time": MONDAY, "template_ids": world.template_set("Hello")[1]}
    first = world.task(campaign, "first", "sending", expanded_at=MONDAY, expanded_count=4, **begun)
    world.rows(first, "pending", 4, scheduled_send_at=MONDAY)
    second = world.task(campaign, "second", "sending", follows_task_id=first, follows_days=30, **begun)
    for row in world.rows(second, "pending", 3, sender_service_id=service, scheduled_send_at=MONDAY):
        contact = world.row(task_contacts, row)["contact_id"]
        world.change(contacts, contact, email_domain="gmail.com", email_key=f"{row}@gmail.com")
    # tests/delivery/test_pace.py holds what really goes out against the same.
    assert [day["by_task"] for day in world.plan(campaign, days=20)["days"]] == [{"first": 2}, {"first": 2}]


def test_another_campaign_takes_its_part_of_the_same_service(world: Foreseen) -> None:
    world.engine.one_by_one = True
    world.service("one", daily_quota=6)
    world.people(12)
    campaign, other = world.active(), world.active(name="other")
    world.step(campaign, "intro")
    theirs = world.step(other, "news")
    planned = world.plan(campaign)
    assert [day["sends"] for day in planned["days"]] == [3, 3, 3, 3]
    world.engine.run(MONDAY + timedelta(days=9))
    mine = [at.date() for at, _service, task in world.engine.sent if task != theirs]
    assert Counter(mine) == {day["date"]: day["sends"] for day in planned["days"]}


def test_messages_that_are_spread_over_the_window(world: Foreseen) -> None:
    world.service("one", daily_quota=20, throttle_sec=1200)
    world.people(30)
    campaign = world.active(send_window=["mon-sun 09:00-17:00"], spread=True)
    world.step(campaign, "intro")
    planned = world.plan(campaign)
    world.engine.run(MONDAY + timedelta(days=9))
    sent = [sum(day.values()) for day in world.engine.by_day().values()]
    assert [day["sends"] for day in planned["days"]] == pytest.approx(sent, abs=1)


def everything(world: Foreseen) -> int:
    """Three zones, four services (ramp, quota, throttle with spread, frozen), new a day, two follow-ups."""
    world.service("new", daily_quota=30, ramp={"start": 2, "step": 2, "since": "2027-03-01"})
    world.service("main", daily_quota=12, time_zone="America/New_York")
    world.service("even", daily_quota=6, spread_hours=7, throttle_sec=60)
    world.service("ice", daily_quota=50, health_status="frozen", frozen_code="manual", frozen_reason="hm")
    for zone in ZONES:
        world.people(15, time_zone=zone)
    campaign = world.active(send_window=OFFICE, time_zone="Europe/Berlin", new_per_day=12)
    intro = world.step(campaign, "intro")
    second = world.step(campaign, "second", after=intro, days=2, follows_business_days=True)
    world.step(campaign, "third", after=second, days=4)
    return campaign


def test_everything_together_agrees_on_each_day_also_when_asked_again_half_way(world: Foreseen) -> None:
    campaign = everything(world)
    planned = world.plan(campaign)
    world.engine.run(MONDAY + timedelta(days=4, hours=7))
    sent = len(world.engine.sent)
    again = world.plan(campaign)
    world.engine.run(MONDAY + timedelta(days=60))
    by_day = world.engine.by_day("Europe/Berlin")
    assert {day["date"]: day["sends"] for day in planned["days"]} == {
        day: sum(services.values()) for day, services in by_day.items()
    }
    assert planned["sends"] == 135
    assert again["sends"] == 135 - sent
    later = {day["date"]: day["sends"] for day in planned["days"][-len(again["days"]) + 1 :]}
    assert {day["date"]: day["sends"] for day in again["days"][1:]} == later
    off = Counter[str]()
    for day in planned["days"]:
        found = {world.services[one]: count for one, count in by_day[day["date"]].items()}
        for name in found.keys() | day["by_service"].keys():
            off[name] += abs(found.get(name, 0) - day["by_service"].get(name, 0))
    assert off.total() <= 4, f"through another service than foreseen: {off}"
