"""How long alerts and the audit log are kept, what metrics show of alerts, and that work is bounded."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from coldsend.audience.retention import Dropped, Keeper
from coldsend.config.settings import AlertsSettings, RetentionSettings
from coldsend.database.tables import alert_deliveries, alerts, audit_log
from coldsend.domain.alert import AlertEvent, AlertKind, Condition
from coldsend.metrics import survey
from coldsend.stores import alerts as store
from coldsend.stores import audit
from coldsend.stores.audit import Entry
from tests.planning.world import NOW, World

RULES = RetentionSettings(messages_days=0, payloads_days=0, audit_days=100)


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def alert(world: World, thing: str, days: float, *, over: bool) -> int:
    condition = Condition(AlertKind.BREAKER, thing, thing, f"{thing} was paused", "why")
    with world.database.begin() as connection:
        number = store.raise_(connection, condition, "why", ago(days))
        assert number is not None
        store.plan(connection, number, AlertEvent.RAISED, ["log", "webhook:ops"], ago(days))
        if over:
            assert store.clear(connection, number, condition.key, ago(days))
    return number


def ids(world: World, column: sa.Column[int]) -> list[int]:
    with world.database.read() as connection:
        return list(connection.execute(sa.select(column).order_by(column)).scalars())


def test_alerts_that_are_over_go_with_their_deliveries_and_those_that_last_stay(world: World) -> None:
    old = alert(world, "old", 101, over=True)
    lasting, young = alert(world, "lasting", 300, over=False), alert(world, "young", 99, over=True)
    assert Keeper(world.database, RULES).run(NOW) == Dropped(alerts=1)
    assert ids(world, alerts.c.id) == [lasting, young]
    assert old not in ids(world, alert_deliveries.c.alert_id)
    assert len(ids(world, alert_deliveries.c.id)) == 4


def test_the_audit_log_goes_when_its_time_is_over(world: World) -> None:
    with world.database.begin() as connection:
        for days in (300, 101, 99, 0):
            audit.add(connection, Entry(ago(days), "campaign create", [str(days)], 0))
    assert Keeper(world.database, RULES).run(NOW) == Dropped(audit=2)
    with world.database.read() as connection:
        left = [row["arguments"] for row in audit.listed(connection, limit=9)]
    assert left == [["0"], ["99"]]
    assert not Keeper(world.database, RetentionSettings(audit_days=0)).run(NOW + timedelta(days=9999)).audit
    assert len(ids(world, audit_log.c.id)) == 2


def test_metrics_show_what_lasts_and_what_could_not_be_told(world: World) -> None:
    def numbers(name: str) -> dict[tuple[str, ...], float]:
        return dict(survey.of_database(world.database, NOW, 60)[f"coldsend_{name}"])

    assert set(numbers("alerts").values()) == {0}
    first = alert(world, "one", 1, over=False)
    alert(world, "two", 1, over=True)
    with world.database.begin() as connection:
        [row, *_] = store.due(connection, NOW, 9)
        assert row["alert_id"] == first
        store.claim(connection, row, NOW)
        store.failed(connection, row["id"], "no", None)
    assert numbers("alerts")[("breaker",)] == 1
    assert sum(numbers("alerts").values()) == 1
    assert numbers("alert_deliveries") == {("pending",): 3, ("given_up",): 1}


@pytest.mark.parametrize("name", ["smtp_password", "webhooks", "webhook_secret", "chat"])
def test_secrets_of_targets_are_in_no_repr(name: str) -> None:
    assert "hush" not in repr(AlertsSettings(**{name: "hush"}))
