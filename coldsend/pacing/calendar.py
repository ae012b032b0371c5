"""A campaign's calendar: when a recipient may be written to, by the campaign's settings.

``send_window`` and ``spread`` are in domain/window.py; ``holidays`` lists countries (``DE``, ``US-CA``) and
``recipient``, the country of each recipient. A recipient's time zone is the one of the contact, else the main
one of the contact's country (field ``country``: ISO code or English name), else the campaign's, else UTC.
Everything here moves messages to later moments, never to earlier ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy.engine import RowMapping

from coldsend.domain.window import ALWAYS, IsHoliday, SendWindow, Span, never, point_in, share_of
from coldsend.pacing import countries

RECIPIENT = "recipient"  # in ``holidays``: of the country each recipient is in
_DAY = timedelta(days=1)
_LONGEST_BREAK = 60  # days: no country takes more days off in a row


class Whereabouts(NamedTuple):
    """What a calendar asks of a contact. Zone and country as they are stored; None: not known."""

    contact_id: int
    time_zone: str | None = None
    country: str | None = None

    @classmethod
    def of(cls, contact_id: int, time_zone: str | None, fields: Mapping[str, Any] | None) -> Whereabouts:
        """From the columns of a contact's row."""
        return cls(contact_id, time_zone, (fields or {}).get("country"))


@dataclass(frozen=True, slots=True)
class Calendar:
    """See the module. Immutable, and compared by its settings.

    zone: of recipients whose own is not known, and of the campaign's days. window: None is any time.
    """

    zone: ZoneInfo
    window: SendWindow | None = None
    holidays: tuple[str, ...] = ()
    spread: bool = False

    @classmethod
    def of(cls, campaign: Mapping[str, Any] | RowMapping) -> Calendar:
        """The calendar of a row of ``campaigns``, or of anything that has its settings under their names."""
        window, holidays = campaign["send_window"], campaign["holidays"]
        return _calendar(
            campaign["time_zone"],
            None if window is None else tuple(window),
            tuple(holidays or ()),
            bool(campaign["spread"]),
        )

    @property
    def any_time(self) -> bool:
        """Whether nobody ever has to wait for an hour or a day."""
        return self.window is None and not self.holidays and not self.spread

    def zone_of(self, contact_time_zone: str | None, country: str | None) -> ZoneInfo:
        """The time zone a recipient lives in."""
        return (
            _zone(contact_time_zone)
            or countries.main_zone(countries.country_code(country or "") or "")
            or self.zone
        )

    def first(self, due: datetime, contact: Whereabouts) -> datetime:
        """When a message may go out that is due at ``due``: then, or in the next window.

        With ``spread`` at the contact's own place in what is left of that window's day.
        """
        if self.any_time:
            return due
        rest = self.rest_of_day(due, contact.time_zone, contact.country)
        return point_in(rest, share_of(contact.contact_id)) if self.spread else rest[0][0]

    def open(self, moment: datetime, contact: Whereabouts) -> datetime | None:
        """None where the recipient may be written to at ``moment``, else the next time this is so."""
        opens = self._opens(moment, contact)
        return None if opens <= moment else opens

    def follow_up(self, sent_at: datetime, days: int, business: bool, contact: Whereabouts) -> datetime:
        """When a follow-up is due: at the same local time ``days`` later, or in the next window then.

        business: only days count on which the recipient's country works.
        """
        zone = self.zone_of(contact.time_zone, contact.country)
        local = sent_at.astimezone(zone)
        day = self._day_after(local.date(), days, business, contact.country)
        due = datetime.combine(day, local.time(), zone).astimezone(UTC)
        return self._opens(max(due, sent_at), contact)

    def rest_of_day(self, due: datetime, time_zone: str | None, country: str | None) -> tuple[Span, ...]:
        """What is open for contacts of a zone and country on the day of the next window, from ``due`` on."""
        zone = self.zone_of(time_zone, country)
        return (self.window or ALWAYS).rest_of_day(due, zone, self._holidays(country))

    def day_of(self, moment: datetime) -> date:
        """The campaign's day at ``moment``, in its own zone."""
        return moment.astimezone(self.zone).date()

    def next_day(self, moment: datetime) -> datetime:
        """When the campaign's next day begins (UTC)."""
        midnight = datetime.combine(self.day_of(moment) + _DAY, time.min, self.zone)
        return midnight.astimezone(UTC)

    def _opens(self, moment: datetime, contact: Whereabouts) -> datetime:
        if self.any_time:
            return moment
        zone = self.zone_of(contact.time_zone, contact.country)
        share = share_of(contact.contact_id) if self.spread else 0
        return (self.window or ALWAYS).opens(moment, zone, self._holidays(contact.country), share)

    def _holidays(self, country: str | None) -> IsHoliday:
        """The days on which a recipient of this country gets nothing."""
        if not self.holidays:
            return never
        regions = self._regions(country)
        return lambda day: any(day in countries.days_off(region, day.year) for region in regions)

    def _regions(self, country: str | None) -> tuple[str, ...]:
        own = countries.country_code(country or "")
        found = (own if region == RECIPIENT else region for region in self.holidays)
        return tuple(region for region in found if region)

    def _day_after(self, day: date, days: int, business: bool, country: str | None) -> date:
        if not business:
            return day + days * _DAY
        own = countries.country_code(country or "")
        regions = {*self._regions(country), own} - {None}
        weekend = countries.weekend(own)
        off = 0
        while days > 0 and off < _LONGEST_BREAK:
            day += _DAY
            works = day.weekday() not in weekend and not any(
                day in countries.days_off(str(region), day.year) for region in regions
            )
            days, off = (days - 1, 0) if works else (days, off + 1)
        return day


def checked_holidays(entries: Iterable[str]) -> list[str]:
    """The setting ``holidays`` as it is stored; InvalidInput where a country is not known."""
    found = [
        RECIPIENT if entry.strip().lower() == RECIPIENT else countries.checked_region(entry)
        for entry in entries
    ]
    return list(dict.fromkeys(found))


@lru_cache(maxsize=256)
def _calendar(
    time_zone: str | None, window: tuple[str, ...] | None, holidays: tuple[str, ...], spread: bool
) -> Calendar:
    zone = _zone(time_zone) or ZoneInfo("UTC")
    return Calendar(zone, SendWindow.parse(window) if window else None, holidays, spread)


@lru_cache(maxsize=1024)
def _zone(name: str | None) -> ZoneInfo | None:
    """A zone by name; None for none, and for one that this host's tables do not know (any more)."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError):
        return None
