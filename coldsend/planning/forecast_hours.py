"""The campaign's calendar as a forecast asks it: for a group of recipients, in seconds since the epoch.

With ``spread`` each recipient has a place of his own in the day; a group stands for those in one part of it,
and goes by the recipient in the middle of that part.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from coldsend.domain.window import SHARE_MODULUS, share_of
from coldsend.pacing import countries
from coldsend.pacing.calendar import Calendar, Whereabouts
from coldsend.planning.forecast_world import NEVER


def moment_of(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


class GroupHours:
    """When the recipients of one zone, country and part of the day may be written to."""

    def __init__(self, calendar: Calendar, contact: Whereabouts, grid: float) -> None:
        self._calendar = calendar
        self._contact = contact
        self._grid = grid
        self._followed: dict[tuple[float, int, bool], float] = {}

    def first(self, due: float) -> float:
        """When a first message goes out that is due then."""
        return self._calendar.first(moment_of(due), self._contact).timestamp()

    def opens(self, moment: float) -> float:
        opens = self._calendar.open(moment_of(moment), self._contact)
        return moment if opens is None else opens.timestamp()

    def closes(self, moment: float) -> float:
        if self._calendar.any_time:
            return NEVER
        zone, country = self._contact.time_zone, self._contact.country
        return self._calendar.rest_of_day(moment_of(moment), zone, country)[0][1].timestamp()

    def follow_up(self, sent_at: float, days: int, business_days: bool) -> float:
        sent_at -= sent_at % self._grid
        key = (sent_at, days, business_days)
        if key not in self._followed:
            due = self._calendar.follow_up(moment_of(sent_at), days, business_days, self._contact)
            self._followed[key] = due.timestamp()
        return self._followed[key]


class AllHours:
    """The hours of all groups of all campaigns; groups that differ in nothing that matters share theirs."""

    def __init__(self, grid: float) -> None:
        self._grid = grid
        self._known: dict[tuple[Calendar, str, str | None, int, int], GroupHours] = {}

    def of(
        self,
        calendar: Calendar,
        time_zone: str | None,
        country: str | None,
        part: int,
        parts: int,
        *,
        business_days: bool,
    ) -> GroupHours:
        """part: of so many ``parts`` of the day. business_days: some step of the campaign counts in them."""
        zone = calendar.zone_of(time_zone, country).key
        code = countries.country_code(country or "") if calendar.holidays or business_days else None
        key = (calendar, zone, code, part, parts)
        if key not in self._known:
            contact = Whereabouts(_in_the_middle(part, parts), zone, code)
            self._known[key] = GroupHours(calendar, contact, self._grid)
        return self._known[key]


@lru_cache(maxsize=1024)
def _in_the_middle(part: int, parts: int) -> int:
    """An id of a contact whose place in the day is in the middle of a part."""
    middle = (2 * part + 1) * SHARE_MODULUS // (2 * parts)
    return min(range(1, SHARE_MODULUS), key=lambda contact_id: abs(share_of(contact_id) - middle))
