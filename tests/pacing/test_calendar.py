"""A campaign's calendar: zones, holidays, first messages, follow-ups; countries as people write them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldsend.errors import InvalidInput
from coldsend.pacing import countries
from coldsend.pacing.calendar import Calendar, Whereabouts, checked_holidays

MONDAY = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
OFFICE = ["mon-fri 09:00-17:00"]


def calendar(**settings_: Any) -> Calendar:
    row = {"time_zone": None, "send_window": None, "holidays": None, "spread": False}
    return Calendar.of({**row, **settings_})


def local(moment: datetime, zone: str) -> str:
    return moment.astimezone(ZoneInfo(zone)).strftime("%a %d %H:%M")


@pytest.mark.parametrize(
    ("zone", "country", "expected"),
    [
        ("Asia/Kolkata", "DE", "Asia/Kolkata"),
        (None, "DE", "Europe/Berlin"),
        (None, "United States", "America/New_York"),
        (None, "Atlantis", "Europe/Paris"),
        (None, None, "Europe/Paris"),
        ("Mars/Olympus", "JP", "Asia/Tokyo"),
    ],
)
def test_the_zone_is_the_contacts_then_its_countrys_then_the_campaigns(
    zone: str | None, country: str | None, expected: str
) -> None:
    assert calendar(time_zone="Europe/Paris").zone_of(zone, country).key == expected


def test_without_settings_everybody_may_be_written_to_at_any_time() -> None:
    free = calendar()
    someone = Whereabouts(1, "Asia/Tokyo", "JP")
    assert free.any_time
    assert free.first(MONDAY, someone) == MONDAY
    assert free.open(MONDAY, someone) is None


def test_the_window_is_in_the_recipients_time() -> None:
    office = calendar(send_window=OFFICE)
    assert office.open(MONDAY, Whereabouts(1, "Europe/Berlin")) is None
    tokyo = office.open(MONDAY, Whereabouts(1, "Asia/Tokyo"))
    assert tokyo is not None
    assert local(tokyo, "Asia/Tokyo") == "Tue 02 09:00"
    assert office.first(MONDAY, Whereabouts(1, "Asia/Tokyo")) == tokyo


@pytest.mark.costly
def test_holidays_are_those_of_the_recipients_country_and_of_those_named() -> None:
    unity = datetime(2028, 10, 3, 9, 0, tzinfo=UTC)  # a Tuesday
    own = calendar(holidays=["recipient"])
    assert own.open(unity, Whereabouts(1, None, "Germany")) == datetime(2028, 10, 3, 22, 0, tzinfo=UTC)
    assert own.open(unity, Whereabouts(1, None, "France")) is None
    assert own.open(unity, Whereabouts(1)) is None
    named = calendar(holidays=["DE"], send_window=OFFICE)
    paris = named.open(unity, Whereabouts(1, None, "France"))
    assert paris is not None
    assert local(paris, "Europe/Paris") == "Wed 04 09:00"


def test_messages_are_spread_over_what_is_left_of_the_day_and_wait_for_their_place_on_the_next() -> None:
    spread = calendar(send_window=OFFICE, spread=True)
    people = [Whereabouts(contact_id) for contact_id in range(1, 201)]
    firsts = [spread.first(MONDAY, who) for who in people]
    assert all(MONDAY <= first < MONDAY + timedelta(hours=4.5) for first in firsts)
    assert len({first.hour for first in firsts}) == 5
    assert all(spread.open(first, who) is None for first, who in zip(firsts, people, strict=True))
    assert firsts == [spread.first(MONDAY, who) for who in people], "the place is the contact's own"
    next_morning = datetime(2027, 3, 2, 9, 0, tzinfo=UTC)
    waiting = [spread.open(next_morning, who) for who in people]
    assert len({moment.hour for moment in waiting if moment is not None}) >= 7


def test_a_follow_up_comes_at_the_same_local_time_whatever_clocks_do() -> None:
    berlin = Whereabouts(1, "Europe/Berlin")
    sent = datetime(2027, 3, 26, 13, 30, tzinfo=UTC)  # 14:30 in winter time
    due = calendar(send_window=OFFICE).follow_up(sent, 3, False, berlin)
    assert local(due, "Europe/Berlin") == "Mon 29 14:30"
    assert due == datetime(2027, 3, 29, 12, 30, tzinfo=UTC)


def test_a_follow_up_whose_day_is_closed_waits_for_the_next_window() -> None:
    berlin = Whereabouts(1, "Europe/Berlin")
    friday = datetime(2027, 3, 5, 13, 0, tzinfo=UTC)
    due = calendar(send_window=OFFICE).follow_up(friday, 1, False, berlin)
    assert local(due, "Europe/Berlin") == "Mon 08 09:00"


@pytest.mark.parametrize(
    ("sent", "days", "country", "expected"),
    [
        (datetime(2027, 3, 5, 13, tzinfo=UTC), 1, None, date(2027, 3, 8)),  # Friday, then Monday
        (datetime(2027, 3, 5, 13, tzinfo=UTC), 5, None, date(2027, 3, 12)),
        (datetime(2027, 3, 25, 13, tzinfo=UTC), 1, "DE", date(2027, 3, 30)),  # Easter
        (datetime(2027, 3, 3, 13, tzinfo=UTC), 2, "SA", date(2027, 3, 7)),  # Friday and Saturday are off
    ],
)
def test_business_days_are_those_on_which_the_recipients_country_works(
    sent: datetime, days: int, country: str | None, expected: date
) -> None:
    due = calendar().follow_up(sent, days, True, Whereabouts(1, None, country))
    assert due.date() == expected
    assert due >= sent + timedelta(days=days)


zones = st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "Africa/Cairo"])
calendars = st.builds(
    calendar,
    send_window=st.sampled_from(
        [None, OFFICE, ["mon-sun 22:00-02:00"], ["sat 10:00-12:00", "wed 00:00-24:00"]]
    ),
    holidays=st.sampled_from([None, ["recipient"], ["DE", "US-CA"]]),
    spread=st.booleans(),
)
people = st.builds(
    Whereabouts,
    st.integers(1, 10**6),
    st.none() | zones,
    st.sampled_from([None, "DE", "Egypt", "United States", "nowhere"]),
)
moments = st.integers(0, 400 * 86_400).map(lambda n: MONDAY + timedelta(seconds=n))


@pytest.mark.costly
@settings(max_examples=100, deadline=None)
@given(calendars, moments, people, st.integers(1, 30), st.booleans())
def test_everything_moves_messages_later_and_to_where_they_may_go_out(
    any_calendar: Calendar, moment: datetime, who: Whereabouts, days: int, business: bool
) -> None:
    first = any_calendar.first(moment, who)
    assert first >= moment
    later = any_calendar.open(first, who)
    assert later is None or later - first < timedelta(seconds=10), "an outright wait would be a second one"
    follow_up = any_calendar.follow_up(moment, days, business, who)
    zone = any_calendar.zone_of(who.time_zone, who.country)
    assert (follow_up.astimezone(zone).date() - moment.astimezone(zone).date()).days >= days
    assert any_calendar.open(follow_up, who) is None


def test_a_campaigns_day_is_in_its_own_zone() -> None:
    kolkata = calendar(time_zone="Asia/Kolkata")
    evening = datetime(2027, 3, 1, 19, 0, tzinfo=UTC)
    assert kolkata.day_of(evening) == date(2027, 3, 2)
    assert kolkata.next_day(evening) == datetime(2027, 3, 2, 18, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("de", "DE"), (" DEU ", "DE"), ("Germany", "DE"), ("UK", "GB"), ("england", "GB"), ("USA", "US"),
        ("The Netherlands", "NL"), ("Côte d'Ivoire", "CI"), ("ivory coast", "CI"), ("Türkiye", "TR"),
        ("Bosnia & Herzegovina", "BA"), ("Viet Nam", "VN"), ("Guinea-Bissau", "GW"), ("Kosovo", "XK"),
        ("Deutschland", None), ("XX", None), ("", None), ("!", None),
    ],
)  # fmt: skip
def test_countries_are_known_by_code_and_by_english_name(written: str, code: str | None) -> None:
    assert countries.country_code(written) == code


def test_the_main_zone_is_where_most_people_live() -> None:
    found = {code: countries.main_zone(code) for code in ("AU", "BR", "CA", "RU", "US", "ES")}
    assert {code: zone.key for code, zone in found.items() if zone} == {
        "AU": "Australia/Sydney",
        "BR": "America/Sao_Paulo",
        "CA": "America/Toronto",
        "RU": "Europe/Moscow",
        "US": "America/New_York",
        "ES": "Europe/Madrid",
    }


def test_holidays_are_stored_by_code_once_each() -> None:
    given_ = ["Recipient", "de", "Germany", "us-ca", "Guinea-Bissau"]
    assert checked_holidays(given_) == ["recipient", "DE", "US-CA", "GW"]


@pytest.mark.parametrize(
    ("entry", "named"), [("Atlantis", "'Atlantis'"), ("US-XX", "no part 'XX'"), ("", "''")]
)
def test_a_country_that_is_not_known_is_refused_by_name(entry: str, named: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked_holidays(["DE", entry])
    assert named in refused.value.message


def test_a_part_of_a_country_has_holidays_of_its_own() -> None:
    epiphany = date(2027, 1, 6)
    assert epiphany in countries.days_off("DE-BY", 2027)
    assert epiphany not in countries.days_off("DE", 2027)
