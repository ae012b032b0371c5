"""Send windows: how they are written, and that they are the wall clock's, in nights of summer time too."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coldsend.domain.window import (
    ALWAYS,
    SHARES,
    Hours,
    SendWindow,
    open_seconds,
    point_in,
    share_of,
    spans_of_day,
)
from coldsend.errors import InvalidInput

BERLIN = ZoneInfo("Europe/Berlin")
SECOND = timedelta(seconds=1)
ZONES = [
    ZoneInfo(name)
    for name in (
        "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "Australia/Lord_Howe",
        "America/Havana", "Africa/Cairo", "America/St_Johns", "Pacific/Kiritimati",
    )
]  # fmt: skip


def in_berlin(*parts: int, fold: int = 0) -> datetime:
    return datetime(*parts, tzinfo=BERLIN, fold=fold).astimezone(UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("mon-fri 09:00-17:00", "mon-fri 09:00-17:00"),
        ("Sat, sunday 9:00 - 12:30", "sat,sun 09:00-12:30"),
        ("fri-mon 22:00-02:00", "mon,fri-sun 22:00-02:00"),
        ("mon,wed,fri 00:00-24:00", "mon,wed,fri 00:00-24:00"),
        ("tue 20:00-00:00", "tue 20:00-24:00"),
        ("mon-sun 08:00-20:00", "mon-sun 08:00-20:00"),
    ],
)
def test_an_entry_is_stored_in_one_form(written: str, stored: str) -> None:
    assert SendWindow.parse([written]).entries == [stored]
    assert SendWindow.parse([stored]) == SendWindow.parse([written])


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("", "is not a send window"),
        ("mon-fri", "is not a send window"),
        ("09:00-17:00", "is not a send window"),
        ("mo 09:00-17:00", "'mo'"),
        ("mon-fri 9-17", "'9'"),
        ("mon 09:60-17:00", "'09:60'"),
        ("mon 09:00-24:01", "'24:01'"),
        ("mon 09:00-09:00", "is empty"),
        ("mon 24:00-02:00", "is empty"),
        ("mon,,fri 09:00-17:00", "''"),
    ],
)
def test_what_is_no_window_is_refused_by_name(written: str, named: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        SendWindow.parse(["mon 09:00-10:00", written])
    assert named in refused.value.message
    assert refused.value.hint


def test_a_window_needs_an_entry() -> None:
    with pytest.raises(InvalidInput, match="at least one"):
        SendWindow.parse([])


def test_before_it_opens_and_after_it_has_closed_the_next_opening_counts() -> None:
    office = SendWindow.parse(["mon-fri 09:00-17:00"])
    monday = date(2027, 3, 1)
    assert monday.weekday() == 0
    assert office.opens(in_berlin(2027, 3, 1, 7), BERLIN) == in_berlin(2027, 3, 1, 9)
    assert office.opens(in_berlin(2027, 3, 1, 9), BERLIN) == in_berlin(2027, 3, 1, 9)
    assert office.opens(in_berlin(2027, 3, 1, 16, 59, 59), BERLIN) == in_berlin(2027, 3, 1, 16, 59, 59)
    assert office.opens(in_berlin(2027, 3, 1, 17), BERLIN) == in_berlin(2027, 3, 2, 9)
    assert office.opens(in_berlin(2027, 3, 5, 17), BERLIN) == in_berlin(2027, 3, 8, 9)
    assert office.closes(in_berlin(2027, 3, 1, 12), BERLIN) == in_berlin(2027, 3, 1, 17)
    assert office.closes(in_berlin(2027, 3, 5, 18), BERLIN) == in_berlin(2027, 3, 8, 17)


def test_on_a_holiday_nothing_opens_and_the_night_before_still_ends_its_own() -> None:
    night = SendWindow.parse(["mon-sun 22:00-02:00"])

    def holiday(day: date) -> bool:
        return day == date(2027, 3, 2)

    after_midnight = in_berlin(2027, 3, 2, 1)
    assert night.opens(after_midnight, BERLIN, holiday) == after_midnight, "it began on the day before"
    assert night.opens(in_berlin(2027, 3, 2, 3), BERLIN, holiday) == in_berlin(2027, 3, 3, 22)


def test_a_calendar_of_nothing_but_holidays_holds_nothing_for_ever() -> None:
    office = SendWindow.parse(["mon-fri 09:00-17:00"])
    opens = office.opens(in_berlin(2027, 3, 1, 9), BERLIN, lambda _day: True)
    assert opens > in_berlin(2028, 3, 1, 9)


def test_what_does_not_exist_on_the_night_clocks_go_forward_is_no_opening() -> None:
    assert spans_of_day(SendWindow.parse(["sun 02:15-02:45"]), date(2027, 3, 28), BERLIN) == ()
    late = SendWindow.parse(["sun 02:30-05:00"])
    assert late.opens(in_berlin(2027, 3, 28, 0), BERLIN) == datetime(2027, 3, 28, 1, tzinfo=UTC)
    early = SendWindow.parse(["sun 00:00-02:30"])
    assert early.closes(in_berlin(2027, 3, 28, 0), BERLIN) == datetime(2027, 3, 28, 1, tzinfo=UTC)


def test_an_hour_that_comes_twice_is_open_twice() -> None:
    window = SendWindow.parse(["sun 02:15-02:45"])
    assert spans_of_day(window, date(2027, 10, 31), BERLIN) == (
        (in_berlin(2027, 10, 31, 2, 15), in_berlin(2027, 10, 31, 2, 45)),
        (in_berlin(2027, 10, 31, 2, 15, fold=1), in_berlin(2027, 10, 31, 2, 45, fold=1)),
    )


def test_a_window_without_end_closes_at_midnight() -> None:
    assert ALWAYS.closes(in_berlin(2027, 3, 1, 12), BERLIN) == in_berlin(2027, 3, 2, 0)
    assert ALWAYS.opens(in_berlin(2027, 3, 1, 12), BERLIN) == in_berlin(2027, 3, 1, 12)


def test_a_share_of_the_open_time_has_to_pass_on_every_day() -> None:
    window = SendWindow.parse(["mon-fri 09:00-12:00", "mon-fri 13:00-17:00"])
    half = SHARES // 2 + 1  # of seven hours: half past one
    for day in (1, 2):
        opens = window.opens(in_berlin(2027, 3, day, 7), BERLIN, share=half)
        assert timedelta(0) <= opens - in_berlin(2027, 3, day, 13, 30) < timedelta(seconds=3)
    after = in_berlin(2027, 3, 1, 15)
    assert window.opens(after, BERLIN, share=half) == after


def test_shares_leave_the_end_of_a_window_free_and_are_spread_evenly() -> None:
    shares = [share_of(contact_id) for contact_id in range(1, 2001)]
    assert max(shares) < 0.9 * SHARES + 1
    in_tenths = [sum(low <= share / SHARES < low + 0.1 for share in shares) for low in (0.0, 0.4, 0.8)]
    assert all(abs(count - 2000 / 9) < 20 for count in in_tenths)


hours = st.builds(
    Hours,
    st.frozensets(st.integers(0, 6), min_size=1),
    st.integers(0, 24 * 12 - 1).map(lambda n: n * 5),
    st.integers(1, 24 * 12).map(lambda n: n * 5),
).filter(lambda one: one.start != one.end)
windows = st.lists(hours, min_size=1, max_size=3).map(lambda found: SendWindow(tuple(dict.fromkeys(found))))
changes = [
    datetime(2027, 3, 28, 1, tzinfo=UTC),
    datetime(2027, 10, 31, 1, tzinfo=UTC),
    datetime(2027, 3, 14, 7, tzinfo=UTC),
    datetime(2027, 11, 7, 5, tzinfo=UTC),
    datetime(2011, 12, 30, 10, tzinfo=UTC),  # Apia left a whole day out
    datetime(2027, 4, 3, 15, tzinfo=UTC),  # Lord Howe: half an hour
    datetime(2027, 4, 29, 22, tzinfo=UTC),  # Cairo: at midnight
]
moments = st.one_of(
    st.integers(0, 22 * 365 * 86_400).map(lambda n: datetime(2010, 1, 1, tzinfo=UTC) + n * SECOND),
    st.builds(
        lambda at, more: at + more, st.sampled_from(changes), st.timedeltas(-timedelta(2), timedelta(2))
    ),
)
parts = st.integers(0, 999).map(lambda thousandths: thousandths / 1000)
holidays = st.sampled_from([lambda _day: False, lambda day: day.day % 7 == 3])


def says_open(window: SendWindow, moment: datetime, zone: ZoneInfo, is_holiday: object) -> bool:
    """The wall clock itself, read in another way."""
    wall = moment.astimezone(zone)
    minute = wall.hour * 60 + wall.minute
    for one in window.hours:
        for back in (0, 1):
            day = wall.date() - timedelta(days=back)
            until = one.end if one.end > one.start else one.end + 24 * 60
            if (
                day.weekday() in one.days
                and not is_holiday(day)  # type: ignore[operator]
                and one.start <= minute + back * 24 * 60 < until
            ):
                return True
    return False


@pytest.mark.costly
@settings(max_examples=150, deadline=None)
@given(windows, moments, st.sampled_from(ZONES), holidays, parts)
def test_the_opening_is_the_first_moment_the_wall_clock_allows(
    window: SendWindow, moment: datetime, zone: ZoneInfo, is_holiday: object, part: float
) -> None:
    opens = window.opens(moment, zone, is_holiday)  # type: ignore[arg-type]
    assert opens >= moment
    assert says_open(window, opens, zone, is_holiday)
    assert window.opens(opens, zone, is_holiday) == opens  # type: ignore[arg-type]
    assume(opens > moment)
    assert not says_open(window, moment + (opens - moment) * part, zone, is_holiday)
    assert not says_open(window, opens - timedelta(microseconds=1), zone, is_holiday)


@pytest.mark.costly
@settings(max_examples=150, deadline=None)
@given(windows, moments, st.sampled_from(ZONES), parts)
def test_it_is_open_from_its_opening_to_its_closing(
    window: SendWindow, moment: datetime, zone: ZoneInfo, part: float
) -> None:
    opens, closes = window.opens(moment, zone), window.closes(moment, zone)
    assert opens < closes
    within = opens + (closes - opens) * part
    assert says_open(window, within, zone, lambda _day: False)
    assert window.closes(within, zone) >= closes


@pytest.mark.costly
@settings(max_examples=100, deadline=None)
@given(windows, moments, st.sampled_from(ZONES), st.integers(1, 10**9))
def test_what_is_spread_is_later_never_earlier_and_still_inside(
    window: SendWindow, moment: datetime, zone: ZoneInfo, contact_id: int
) -> None:
    share = share_of(contact_id)
    spread = window.opens(moment, zone, share=share)
    assert spread >= window.opens(moment, zone)
    assert says_open(window, spread, zone, lambda _day: False)
    rest = window.rest_of_day(moment, zone)
    point = point_in(rest, share)
    assert any(start <= point < end for start, end in rest)
    assert point - rest[0][0] >= timedelta(seconds=open_seconds(rest) * share // SHARES)


@pytest.mark.costly
@settings(max_examples=100)
@given(windows)
def test_what_is_stored_reads_back_the_same(window: SendWindow) -> None:
    assert SendWindow.parse(window.entries) == window
