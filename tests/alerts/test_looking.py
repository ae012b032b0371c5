"""Alerts begin and end with what they are about, one at a time, and are not told again and again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.alerts import conditions, looking
from coldsend.alerts.looking import Seen
from coldsend.config.settings import AlertsSettings
from coldsend.database.tables import alert_deliveries, alerts, campaigns, sender_services
from coldsend.stores import alerts as store
from tests.planning.world import NOW, World

pytestmark = pytest.mark.costly

MINUTE = timedelta(minutes=1)
SETTINGS = AlertsSettings(email="ops@acme.com", webhooks="pager=https://pager.example/x", quiet_minutes=60)
TARGETS = ["log", "email:ops@acme.com", "webhook:pager"]
RAISED, OVER = "service 'main' is frozen", "service 'main' sends again"


def look(world: World, minutes: float = 0, settings: AlertsSettings = SETTINGS) -> Seen:
    return looking.look(world.database, settings, NOW + minutes * MINUTE)


def freeze(world: World, service: int, *, frozen: bool = True) -> None:
    status = "frozen" if frozen else "active"
    world.change(sender_services, service, health_status=status, frozen_code="errors", frozen_reason="535 no")


def rows(world: World, table: sa.Table) -> list[dict[str, Any]]:
    with world.database.read() as connection:
        return [dict(row) for row in connection.execute(sa.select(table).order_by(table.c.id)).mappings()]


def deliveries(world: World) -> list[tuple[str, str, float]]:
    """Event, target, and after how many minutes it is due."""
    return [
        (row["event"], row["target"], (row["next_at"] - NOW) / MINUTE)
        for row in rows(world, alert_deliveries)
    ]


def tell_all(world: World, minutes: float) -> None:
    """Everything that is due is delivered."""
    now = NOW + minutes * MINUTE
    with world.database.begin() as connection:
        while due := store.due(connection, now, 100):
            for row in due:
                assert store.claim(connection, row, now + MINUTE)
            store.delivered(connection, [row["id"] for row in due], now)


def test_an_alert_begins_once_and_is_planned_for_every_target(world: World) -> None:
    freeze(world, world.service("main"))
    assert look(world) == Seen(raised=(RAISED,))
    assert look(world, 1) == Seen()
    [alert] = rows(world, alerts)
    assert (alert["kind"], alert["subject"], alert["raised_at"], alert["cleared_at"]) == (
        "service_frozen", "service:main", NOW, None,
    )  # fmt: skip
    assert deliveries(world) == [("raised", target, 0) for target in TARGETS]


def test_two_hosts_that_look_at_the_same_moment_raise_one_alert(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    freeze(world, world.service("main"))
    found, raised = conditions.found, []

    def meanwhile(*given: Any) -> Any:
        seen = found(*given)
        if not raised:
            raised.append(True)
            raised.append(look(world))
        return seen

    monkeypatch.setattr(conditions, "found", meanwhile)
    assert look(world) == Seen(), "the other one was first"
    assert raised[1] == Seen(raised=(RAISED,))
    assert len(rows(world, alerts)) == 1
    assert len(deliveries(world)) == len(TARGETS)


def test_what_another_host_raises_while_one_looks_is_not_taken_for_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, found = world.service("main"), conditions.found

    def just_before(*given: Any) -> Any:
        seen = found(*given)
        monkeypatch.setattr(conditions, "found", found)
        freeze(world, service)
        look(world)
        return seen

    monkeypatch.setattr(conditions, "found", just_before)
    assert look(world) == Seen(), "it saw nothing, and ends nothing"
    assert len(deliveries(world)) == len(TARGETS)


def test_whoever_was_told_that_it_began_is_told_that_it_is_over(world: World) -> None:
    service = world.service("main")
    freeze(world, service)
    look(world)
    tell_all(world, 0)
    freeze(world, service, frozen=False)
    assert look(world, 5) == Seen(cleared=(OVER,))
    assert look(world, 6) == Seen()
    [alert] = rows(world, alerts)
    assert (alert["cleared_at"], alert["open_key"]) == (NOW + 5 * MINUTE, None)
    assert deliveries(world)[3:] == [("cleared", target, 5) for target in sorted(TARGETS)]


def test_what_came_and_went_before_anybody_was_told_is_not_told(world: World) -> None:
    service = world.service("main")
    freeze(world, service)
    look(world)
    freeze(world, service, frozen=False)
    assert look(world, 1) == Seen(cleared=(OVER,))
    assert deliveries(world) == []


def test_a_target_that_has_been_tried_hears_both(world: World) -> None:
    """It may have been told: nobody knows what became of an attempt that failed."""
    service = world.service("main")
    freeze(world, service)
    look(world)
    with world.database.begin() as connection:
        [first, *_others] = store.due(connection, NOW, 100)
        assert store.claim(connection, first, NOW + MINUTE)
    freeze(world, service, frozen=False)
    look(world, 0.5)
    assert [each[:2] for each in deliveries(world)] == [("raised", "log"), ("cleared", "log")]
    with world.database.read() as connection:
        assert store.due(connection, NOW + MINUTE / 2, 100) == [], "first that it began, then that it is over"


def test_flapping_is_told_once_in_a_quiet_time(world: World) -> None:
    service = world.service("main")
    told = []
    for minute in range(0, 121, 2):
        freeze(world, service)
        look(world, minute)
        tell_all(world, minute)
        freeze(world, service, frozen=False)
        look(world, minute + 1)
        tell_all(world, minute + 1)
    for row in rows(world, alert_deliveries):
        if row["target"] == "webhook:pager":
            assert row["status"] == "done"
            told.append((row["event"], (row["done_at"] - NOW) / MINUTE))
    assert told == [
        ("raised", 0),
        ("cleared", 1),
        ("raised", 60),
        ("cleared", 61),
        ("raised", 120),
        ("cleared", 121),
    ]


def test_what_is_there_again_and_stays_is_told_when_the_quiet_time_is_over(world: World) -> None:
    service = world.service("main")
    freeze(world, service)
    look(world)
    tell_all(world, 0)
    freeze(world, service, frozen=False)
    look(world, 1)
    freeze(world, service)
    assert look(world, 2) == Seen(raised=(RAISED,))
    assert [each for each in deliveries(world) if each[0] == "raised"][3:] == [
        ("raised", target, 60) for target in TARGETS
    ]


def test_after_a_long_time_an_alert_is_told_at_once(world: World) -> None:
    service = world.service("main")
    freeze(world, service)
    look(world)
    tell_all(world, 0)
    freeze(world, service, frozen=False)
    look(world, 1)
    freeze(world, service)
    look(world, 70)
    assert deliveries(world)[-1] == ("raised", "webhook:pager", 70)


def test_another_service_is_another_alert(world: World) -> None:
    freeze(world, world.service("main"))
    look(world)
    tell_all(world, 0)
    freeze(world, world.service("backup"))
    look(world, 1)
    assert deliveries(world)[-1] == ("raised", "webhook:pager", 1)


def test_what_is_told_once_is_over_at_once_and_not_told_again_while_it_holds(world: World) -> None:
    campaign = world.campaign("spring", "completed", updated_at=NOW)
    assert look(world) == Seen(raised=("campaign 'spring' is done",))
    assert look(world, 1) == Seen()
    tell_all(world, 1)
    [alert] = rows(world, alerts)
    assert alert["cleared_at"] == alert["raised_at"]
    world.change(campaigns, campaign, status="paused", updated_at=NOW)
    assert look(world, 2) == Seen(), "nothing is said of it when it goes on"
    world.change(campaigns, campaign, status="completed", updated_at=NOW + 3 * MINUTE)
    assert look(world, 3) == Seen(raised=("campaign 'spring' is done",))
    assert deliveries(world)[-1] == ("raised", "webhook:pager", 3), "at once: it is done a second time"
    assert len(deliveries(world)) == 2 * len(TARGETS)


def test_kinds_that_nobody_wants_are_neither_told_nor_left_open(world: World) -> None:
    freeze(world, world.service("main"))
    look(world)
    tell_all(world, 0)
    others = replace(SETTINGS, kinds="breaker")
    assert look(world, 1, others) == Seen()
    [alert] = rows(world, alerts)
    assert alert["cleared_at"] == NOW + MINUTE
    assert len(deliveries(world)) == len(TARGETS)
    assert look(world, 2, others) == Seen()
    assert look(world, 90) == Seen(raised=(RAISED,))


def test_addresses_do_not_leave_the_house(world: World) -> None:
    service = world.service("main")
    freeze(world, service)
    world.change(sender_services, service, frozen_reason="550 bob@acme.com complained")
    look(world)
    [alert] = rows(world, alerts)
    assert "bob@" not in alert["message"]
    assert "***@acme.com complained" in alert["message"]


def test_very_long_names_have_alerts_too(world: World) -> None:
    for letter in "ab":
        freeze(world, world.service("x" * 254 + letter))
    assert len(look(world).raised) == 2
    assert look(world, 1) == Seen()
