"""Times as operators type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.domain import when
from coldsend.errors import InvalidInput

NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("now", NOW),
        (" NOW ", NOW),
        ("2027-05-06", datetime(2027, 5, 6, tzinfo=UTC)),
        ("2027-05-06T07:08", datetime(2027, 5, 6, 7, 8, tzinfo=UTC)),
        ("2027-05-06 07:08:09Z", datetime(2027, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("2027-05-06T07:08+02:00", datetime(2027, 5, 6, 5, 8, tzinfo=UTC)),
        ("2027-01-01T00:30+01:00", datetime(2026, 12, 31, 23, 30, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_as_utc(text: str, meant: datetime) -> None:
    assert when.parse(text, NOW, "start time") == meant


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00+05:00", "9999-12-31T23:59-05:00", "1999-12-31", "2100-01-01"]
)
def test_a_year_that_nobody_means_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="not a start time"):
        when.parse(text, NOW, "start time")


@pytest.mark.costly
@given(st.text(max_size=30) | st.from_regex(r"[0-9T:.+Z -]{1,30}", fullmatch=True))
def test_any_text_is_a_time_in_utc_or_a_clear_error(text: str) -> None:
    try:
        moment = when.parse(text, NOW, "start time")
    except InvalidInput:
        return
    assert moment.tzinfo is UTC
    assert 2000 <= moment.year < 2100
    assert when.has_zone(text) in (True, False)


@pytest.mark.costly
@given(
    st.datetimes(NOW.replace(year=2001, tzinfo=None), NOW.replace(year=2098, tzinfo=None)),
    st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_every_iso_time_is_read_back(moment: datetime, zone: timezone) -> None:
    aware = moment.replace(tzinfo=zone)
    assert when.parse(aware.isoformat(), NOW, "plan time") == aware
    assert when.has_zone(aware.isoformat())
    assert not when.has_zone(moment.isoformat())
