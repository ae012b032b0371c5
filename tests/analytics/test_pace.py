"""Rate, time left, and what a task may still send: the estimate and the facts behind it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from coldsend.analytics import pace
from coldsend.analytics.pace import Forecast, Quotas
from coldsend.database.engine import Database
from coldsend.database.tables import campaigns, event_log, sender_quota, sender_services, tasks, workers
from coldsend.stores import pace as rows_of
from coldsend.stores import reports
from coldsend.stores import tasks as task_rows
from coldsend.stores.pace import Accepted
from tests.planning.world import NOW, World

SECOND = timedelta(seconds=1)
MIDNIGHT = datetime(2027, 3, 2, tzinfo=NOW.tzinfo)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


class Sending(World):
    """Task spring/intro in `sending`, with a service and a sender process."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.service_id = self.service("main", daily_quota=10_000)
        self.campaign_id = self.campaign("spring", "active")
        self.task_id = self.task(
            self.campaign_id, "intro", "sending", actual_start_time=ago(7200), expanded_at=ago(7200)
        )
        self.process()

    def accepted(self, *seconds_ago: float, task: int | None = None) -> None:
        values = [
            {"task_id": task or self.task_id, "contact_id": 1, "type": "send_api_success", "ts": ago(seconds)}
            for seconds in seconds_ago
        ]
        with self.database.begin() as connection:
            connection.execute(sa.insert(event_log), values)

    def at(self, now: datetime = NOW) -> dict[str, Any]:
        with self.database.read() as connection:
            task = task_rows.get(connection, self.task_id)
            counts = reports.counts_by_status(connection, [self.task_id])[self.task_id]
            return pace.of_task(connection, task, counts, now)


@pytest.fixture
def world(database: Database) -> Sending:
    return Sending(database)


class TestRates:
    def test_the_last_minute_tells(self) -> None:
        minute = Accepted(600, ago(60), ago(0))
        assert pace.rate_of(minute, Accepted(50_000, ago(3000), ago(0)), NOW) == 10

    def test_a_task_that_began_ten_seconds_ago_is_not_taken_for_a_slow_one(self) -> None:
        began = Accepted(600, ago(10), ago(0))
        assert pace.rate_of(began, began, NOW) == 60

    def test_a_slow_one_is_told_by_the_hour(self) -> None:
        hour = Accepted(13, ago(3600), ago(0))
        assert pace.rate_of(Accepted(1, ago(0), ago(0)), hour, NOW) == pytest.approx(1 / 300)

    @pytest.mark.parametrize(
        "hour",
        [
            Accepted(),
            Accepted(1, ago(30), ago(30)),
            Accepted(1000, ago(3000), ago(2400)),
            Accepted(2, ago(3500), ago(3400)),
        ],
    )
    def test_what_is_over_or_too_little_is_no_rate(self, hour: Accepted) -> None:
        assert pace.rate_of(Accepted(), hour, NOW) is None

    @pytest.mark.costly
    @given(
        count=st.integers(0, 50_000),
        oldest=st.floats(0, 3600),
        newest=st.floats(0, 3600),
        in_minute=st.integers(0, 50_000),
    )
    def test_a_rate_is_positive_and_finite_or_none(
        self, count: int, oldest: float, newest: float, in_minute: int
    ) -> None:
        hour = Accepted(count, ago(max(oldest, newest)), ago(min(oldest, newest))) if count else Accepted()
        recent = Accepted(in_minute, ago(min(60, oldest)), ago(0)) if in_minute else Accepted()
        rate = pace.rate_of(recent, hour, NOW)
        assert rate is None or 0 < rate <= 50_000


class TestForecasts:
    def test_without_a_limit_it_is_rows_by_rate(self) -> None:
        assert pace.forecast(7200, 10, Quotas(10_000, 10_000, MIDNIGHT), NOW) == Forecast(720)

    def test_where_the_quota_ends_first_the_rest_goes_on_the_next_day(self) -> None:
        found = pace.forecast(5000, 10, Quotas(2000, 4000, MIDNIGHT), NOW)
        until_midnight = (MIDNIGHT - NOW).total_seconds()
        assert found == Forecast(until_midnight + 300, quota_ends_in=200, for_later=3000)

    def test_it_takes_as_many_days_as_the_daily_quota_needs(self) -> None:
        found = pace.forecast(1000, 1, Quotas(100, 300, MIDNIGHT), NOW)
        assert found is not None
        assert found.seconds == (MIDNIGHT - NOW).total_seconds() + 2 * 86400 + 300

    def test_a_pace_slower_than_the_quota_is_not_held_up_by_it(self) -> None:
        found = pace.forecast(5000, 0.05, Quotas(4000, 10_000, MIDNIGHT), NOW)
        assert found == Forecast(100_000), "the day is over before the quota is"

    def test_more_than_a_year_is_no_forecast(self) -> None:
        assert pace.forecast(1_000_000, 10, Quotas(10, 10, MIDNIGHT), NOW) is None

    @pytest.mark.costly
    @given(
        rows=st.integers(1, 10**7),
        rate=st.floats(0.001, 20_000),
        left=st.integers(0, 10**6),
        more=st.integers(1, 10**6),
    )
    def test_it_is_never_faster_than_the_rate_and_never_more_than_the_quotas(
        self, rows: int, rate: float, left: int, more: int
    ) -> None:
        found = pace.forecast(rows, rate, Quotas(left, left + more, MIDNIGHT), NOW)
        if found is not None:
            assert found.seconds >= rows / rate * 0.999
            days_begun = max(0, (NOW + timedelta(seconds=found.seconds) - MIDNIGHT).total_seconds()) / 86400
            assert left + (left + more) * (int(days_begun) + 1) >= rows


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 s"),
        (40, "40 s"),
        (720, "12 min"),
        (12_000, "3 h 20 min"),
        (10_800, "3 h"),
        (432_000, "5 days"),
    ],
)
def test_durations_are_said_in_the_units_that_people_use(seconds: float, words: str) -> None:
    assert pace.duration(seconds) == words


def test_a_task_that_is_being_sent_has_a_rate_and_an_end(world: Sending) -> None:
    world.rows(world.task_id, "pending", 24, scheduled_send_at=ago(60))
    world.rows(world.task_id, "sending", 1)
    world.accepted(*range(50), 100, 200)
    world.accepted(1, 2, 3, task=99)
    found = world.at()
    rate = 50 / 49
    assert found["rate_per_second"] == pytest.approx(rate, rel=0.001)
    assert found["seconds_left"] == pytest.approx(25 / rate, abs=0.1)
    about = found["pace"]
    assert (about["sent_last_minute"], about["sent_last_hour"], about["counted_all"]) == (50, 52, True)
    assert about["estimate"] == "at this pace about 24 s"
    assert (about["ends_at"] - NOW).total_seconds() == pytest.approx(found["seconds_left"], abs=0.1)
    assert found["blocked_by"] == []


def test_a_quota_that_ends_first_is_said(world: Sending) -> None:
    world.change(sender_services, world.service_id, daily_quota=60)
    world.insert(sender_quota, sender_service_id=world.service_id, quota_day=NOW.date(), used=50)
    world.rows(world.task_id, "pending", 30, scheduled_send_at=ago(60))
    world.accepted(*range(50))
    found = world.at()
    assert found["pace"]["estimate"] == (
        "today's quota ends first, in about 10 s: 20 left for later days, done about 2027-03-02 00:00 UTC"
    )
    assert found["seconds_left"] > (MIDNIGHT - NOW).total_seconds()
    [service] = found["pace"]["services"]
    assert (service["quota_left"], service["daily_quota"], service["next_quota_day"]) == (10, 60, MIDNIGHT)


def test_a_retry_that_is_due_later_moves_the_end(world: Sending) -> None:
    world.rows(world.task_id, "pending", 10, scheduled_send_at=ago(60))
    world.rows(world.task_id, "pending", 1, scheduled_send_at=NOW + timedelta(minutes=15))
    world.rows(world.task_id, "pending", 1, scheduled_send_at=NOW + timedelta(minutes=30))
    world.accepted(*range(50))
    found = world.at()
    assert found["seconds_left"] == 1800
    assert (found["pace"]["due_now"], found["pace"]["due_later"]) == (10, 2)
    assert "2 due later, the last 2027-03-01 09:30 UTC" in found["pace"]["estimate"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "paused"}, None),
        ({"status": "finished"}, None),
        ({"expanded_at": None}, "its send list is still being made"),
    ],
)
def test_where_nothing_is_sent_or_it_cannot_be_told_there_is_no_end(
    world: Sending, change: dict[str, Any], words: str | None
) -> None:
    world.rows(world.task_id, "pending", 10, scheduled_send_at=ago(60))
    world.accepted(*range(50))
    world.change(tasks, world.task_id, **change)
    found = world.at()
    assert found["seconds_left"] is None
    assert found["pace"]["estimate"] == words
    if words is None:
        assert found["rate_per_second"] is None


def test_a_paused_campaign_holds_its_tasks_back_and_is_named(world: Sending) -> None:
    world.rows(world.task_id, "pending", 10, scheduled_send_at=ago(60))
    world.accepted(*range(50))
    world.change(campaigns, world.campaign_id, status="paused")
    found = world.at()
    assert (found["rate_per_second"], found["seconds_left"]) == (None, None)
    assert [gate["gate"] for gate in found["blocked_by"]] == ["campaign_state"]


def test_only_retries_that_are_not_due_mean_that_nothing_is_being_sent(world: Sending) -> None:
    world.rows(world.task_id, "pending", 3, scheduled_send_at=NOW + timedelta(minutes=15))
    world.accepted(*range(50))
    found = world.at()
    assert (found["rate_per_second"], found["seconds_left"]) == (None, None)
    assert found["pace"]["estimate"] == "nothing is due now: 3 due later, the last 2027-03-01 09:15 UTC"
    assert found["blocked_by"][0]["gate"] == "not_due"


def test_a_frozen_service_is_shown_with_the_reason_and_promises_nothing(world: Sending) -> None:
    world.rows(world.task_id, "pending", 10, scheduled_send_at=ago(60))
    world.accepted(*range(50))
    world.change(sender_services, world.service_id, health_status="frozen", frozen_reason="535 no")
    found = world.at()
    assert (found["seconds_left"], found["pace"]["estimate"]) == (None, "no service may send now")
    [service] = found["pace"]["services"]
    assert "535 no" in service["blocked_by"][0]["detail"]


def test_without_a_living_sender_nothing_is_being_sent(world: Sending) -> None:
    world.rows(world.task_id, "pending", 10, scheduled_send_at=ago(60))
    world.accepted(*range(50))
    world.change(workers, 1, stopped_at=NOW)
    found = world.at()
    assert (found["rate_per_second"], found["seconds_left"]) == (None, None)
    assert found["pace"]["estimate"] == "nothing is being sent now"
    assert [gate["gate"] for gate in found["blocked_by"]] == ["no_worker"]


@pytest.mark.costly
def test_what_cannot_be_counted_cheaply_is_a_lower_bound(
    world: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_of, "MOST", 20)
    world.rows(world.task_id, "pending", 100, scheduled_send_at=ago(60))
    world.accepted(*(second / 10 for second in range(100)))
    found = world.at()
    assert found["rate_per_second"] == pytest.approx(20 / 1.9, rel=0.001), "of the newest ones alone"
    assert (found["pace"]["sent_last_hour"], found["pace"]["counted_all"]) == (20, False)


def test_rates_and_retries_are_read_from_one_range_of_an_index_each(world: Sending) -> None:
    world.rows(world.task_id, "pending", 30, scheduled_send_at=ago(60))
    world.rows(world.task_id, "pending", 30, scheduled_send_at=NOW + timedelta(hours=1))
    world.accepted(*range(30))
    plans: list[str] = []

    def explain(connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        kind = "EXPLAIN QUERY PLAN " if world.database.dialect_name == "sqlite" else "EXPLAIN "
        cursor = connection.connection.cursor()
        cursor.execute(kind + statement, values)
        plans.extend(str(row) for row in cursor.fetchall())

    with world.database.read() as connection:
        sa.event.listen(connection, "before_cursor_execute", explain)
        rows_of.accepted_since(connection, world.task_id, ago(3600))
        rows_of.due_later(connection, world.task_id, NOW)
    read = [plan for plan in plans if "event_log" in plan or "task_contacts" in plan]
    assert len(read) == 3
    for plan, index in zip(read, ["type_task_ts", "contacts_lease", "contacts_lease"], strict=True):
        assert index in plan, plan
        assert "COVERING INDEX" in plan or "Using index" in plan, plan
        assert "filesort" not in plan
        assert "TEMP B-TREE" not in plan
