"""Quota days in time zones, and the roll to the next one."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.database.engine import Database
from coldsend.domain.service import Service
from coldsend.domain.states import CountKind
from coldsend.pacing import quota as pacing
from coldsend.stores import quota, send_counts, services
from tests.stores.rows import NOON, add_service


def service_in(zone: str) -> Service:
    return Service(1, "main", "console", "anna@example.com", time_zone=zone)


_FIRST, _LAST = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2015, 2037))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "now", "begins"),
    [
        ("UTC", "2027-03-01T12:00", "2027-03-02T00:00"),
        ("Asia/Shanghai", "2027-03-01T15:59", "2027-03-01T16:00"),
        ("Asia/Shanghai", "2027-03-01T16:00", "2027-03-02T16:00"),
        # Summer time begins on 28 March 2027: that day has 23 hours; 31 October has 25.
        ("Europe/Berlin", "2027-03-27T23:30", "2027-03-28T22:00"),
        ("Europe/Berlin", "2027-10-30T22:30", "2027-10-31T23:00"),
        # Midnight does not exist: clocks go from 23:59:59 to 01:00.
        ("Africa/Cairo", "2027-04-29T12:00", "2027-04-29T22:00"),
        # A whole day does not exist: 30 December 2011 on Samoa.
        ("Pacific/Apia", "2011-12-30T09:00", "2011-12-30T10:00"),
    ],
)
def test_the_next_quota_day_begins_at_midnight_of_its_zone(zone: str, now: str, begins: str) -> None:
    assert pacing.next_quota_day_start(service_in(zone), utc(now)) == utc(begins)


@given(
    moment=st.integers(_FIRST, _LAST).map(lambda second: datetime.fromtimestamp(second, UTC)),
    zone=st.sampled_from(
        ["Europe/London", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu",
         "Africa/Cairo", "Asia/Beirut", "America/Havana", "Pacific/Chatham", "America/St_Johns"]
    ),
)  # fmt: skip
def test_the_day_changes_at_that_moment_and_not_before(moment: datetime, zone: str) -> None:
    service = service_in(zone)
    begins = pacing.next_quota_day_start(service, moment)
    assert begins > moment
    assert service.quota_day(begins) == service.quota_day(moment) + timedelta(days=1)
    assert service.quota_day(begins - timedelta(seconds=1)) == service.quota_day(moment)
    assert begins - moment <= timedelta(hours=25)


def test_a_day_shows_what_is_used_and_left(database: Database) -> None:
    add_service(database, "one", daily_quota=10)
    add_service(database, "two", daily_quota=5, time_zone="Asia/Shanghai")
    with database.begin() as connection:
        known = services.all_services(connection)
        quota.reserve(connection, known[0].id, NOON.date(), 4, 10)
        one, two = pacing.quota_days(connection, known, NOON)
    assert (one.limit, one.used, one.left) == (10, 4, 6)
    assert (two.limit, two.used, two.left) == (5, 0, 5)
    assert two.next_day_begins == utc("2027-03-01T16:00")


def test_a_ramp_allows_more_after_each_day_on_which_something_was_sent(database: Database) -> None:
    ramp = {"start": 20, "step": 10, "since": "2027-02-26"}
    service_id = add_service(database, daily_quota=45, ramp=ramp)
    limits = []
    for day, used in [(24, 90), (26, 20), (27, 0), (28, 1)]:
        with database.begin() as connection:
            quota.reserve(connection, service_id, date(2027, 2, day), used, 100)
            known = services.all_services(connection)
            (shown,) = pacing.quota_days(connection, known, NOON)
            limits.append((shown.ramp_limit, shown.limit))
    assert limits == [(20, 20), (30, 30), (30, 30), (40, 40)], "earlier and idle days do not count"
    with database.begin() as connection:
        quota.reserve(connection, service_id, date(2027, 3, 1), 40, 40)
        (today,) = pacing.quota_days(connection, known, NOON)
        (tomorrow,) = pacing.quota_days(connection, known, NOON + timedelta(days=1))
    assert (today.limit, today.left) == (40, 0), "today itself does not count before it is over"
    assert (tomorrow.ramp_limit, tomorrow.limit) == (50, 45), "the daily quota is where it ends"


def test_the_current_hour_is_counted_where_it_is_limited(database: Database) -> None:
    service_id = add_service(database, hourly_quota=10)
    hour = pacing.hour_of(NOON)
    with database.begin() as connection:
        send_counts.reserve(connection, CountKind.SERVICE_HOUR, service_id, hour, {"": 4}, 10)
        known = services.all_services(connection)
        (now,) = pacing.quota_days(connection, known, NOON + timedelta(minutes=59))
        (later,) = pacing.quota_days(connection, known, NOON + timedelta(minutes=60))
    assert (now.hour_used, later.hour_used) == (4, 0)


def test_counts_of_long_ago_are_forgotten(database: Database) -> None:
    with database.begin() as connection:
        for days in (0, 6, 8, 30):
            period = NOON - timedelta(days=days)
            send_counts.reserve(connection, CountKind.SERVICE_HOUR, 1, period, {"": 1}, 10)
    assert pacing.forget_counts(database, NOON) == 2
    assert pacing.forget_counts(database, NOON) == 0


def test_the_roll_brings_the_mirror_up_to_date_and_closes_past_days(database: Database) -> None:
    service_id = add_service(database)
    with database.begin() as connection:
        quota.reserve(connection, service_id, date(2027, 2, 27), 50, 100)
        quota.reserve(connection, service_id, date(2027, 2, 28), 50, 100)
        quota.reserve(connection, service_id, NOON.date(), 7, 100)
        (rolled,) = pacing.roll_days(connection, NOON)
    assert (rolled.used, rolled.mirror_changed, rolled.days_closed) == (7, True, 2)
    with database.read() as connection:
        assert services.find(connection, service_id)["used_today"] == 7


def test_a_second_roll_changes_nothing(database: Database) -> None:
    service_id = add_service(database)
    with database.begin() as connection:
        quota.reserve(connection, service_id, NOON.date(), 7, 100)
        pacing.roll_days(connection, NOON)
        before = dict(services.find(connection, service_id))
        (again,) = pacing.roll_days(connection, NOON + timedelta(hours=1))
        assert (again.mirror_changed, again.days_closed) == (False, 0)
        assert dict(services.find(connection, service_id)) == before


def test_a_roll_grants_no_further_sends_on_the_same_day(database: Database) -> None:
    service_id = add_service(database)
    with database.begin() as connection:
        quota.reserve(connection, service_id, NOON.date(), 100, 100)
        for _ in range(3):
            pacing.roll_days(connection, NOON)
        assert quota.reserve(connection, service_id, NOON.date(), 1, 100) == 0


def test_a_missed_roll_does_not_keep_the_next_day_from_sending(database: Database) -> None:
    service_id = add_service(database)
    with database.begin() as connection:
        quota.reserve(connection, service_id, NOON.date(), 100, 100)
        later = NOON + timedelta(days=3)
        assert quota.reserve(connection, service_id, later.date(), 100, 100) == 100
        (rolled,) = pacing.roll_days(connection, later)
    assert (rolled.used, rolled.days_closed) == (100, 1)


def test_each_service_rolls_at_its_own_midnight(database: Database) -> None:
    add_service(database, "here", time_zone="UTC")
    add_service(database, "there", time_zone="Asia/Shanghai")
    evening = utc("2027-03-01T17:00")
    with database.begin() as connection:
        here, there = pacing.roll_days(connection, evening)
    assert (here.day, there.day) == (date(2027, 3, 1), date(2027, 3, 2))
    assert evening.astimezone(ZoneInfo("Asia/Shanghai")).date() == there.day
