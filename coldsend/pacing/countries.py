"""Countries as people write them: their ISO code, the zone most of their people live in, their days off.

Codes and zones come from the time zone database's own tables (``zone.tab``, ``iso3166.tab``), public holidays
and weekends from the ``holidays`` library. That one takes a tenth of a second to import, so it is imported
when it is first needed.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from functools import cache, lru_cache
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

from coldsend.errors import InvalidInput

# zone.tab begins a country with its most populous zone, but for these, where geography comes first.
_MAIN_ZONES = {
    "AU": "Australia/Sydney",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "RU": "Europe/Moscow",
    "UA": "Europe/Kyiv",
    "UZ": "Asia/Tashkent",
}
# What people write that neither table has.
_OTHER_NAMES = {
    "america": "US",
    "england": "GB",
    "holland": "NL",
    "korea": "KR",
    "northernireland": "GB",
    "republickorea": "KR",
    "russianfederation": "RU",
    "scotland": "GB",
    "turkiye": "TR",
    "uae": "AE",
    "uk": "GB",
    "unitedstatesamerica": "US",
    "wales": "GB",
}
_WEEKEND = frozenset({5, 6})


@lru_cache(maxsize=4096)
def country_code(text: str) -> str | None:
    """The ISO 3166 code (two letters) of a country given by code or English name; None where it is none."""
    given = text.strip()
    code = given.upper()
    if code in _zones_by_country():
        return code
    name = _folded(given)
    return (_OTHER_NAMES.get(name) or _names().get(name)) if name else None


@cache
def main_zone(code: str) -> ZoneInfo | None:
    """The time zone of most people of a country; None where it has none."""
    name = _MAIN_ZONES.get(code) or _zones_by_country().get(code)
    return ZoneInfo(name) if name else None


def checked_region(text: str) -> str:
    """A country, or a part of one that has holidays of its own (``US-CA``), as :func:`days_off` takes it.

    InvalidInput where the one or the other is not known.
    """
    whole = country_code(text)
    if whole is not None:
        return whole
    country, _, part = text.strip().partition("-")
    code = country_code(country)
    if code is None or not part:
        raise InvalidInput(
            f"{text!r} is not a country whose holidays are known",
            hint="give its ISO code, such as DE or US, or with a part of it US-CA; or recipient",
        )
    parts = {known.upper(): known for known in _calendar_class(code).subdivisions}
    if part.upper() not in parts:
        known = ", ".join(sorted(parts)) or "none"
        raise InvalidInput(
            f"{text!r}: {code} has no part {part!r} with holidays of its own", hint=f"known: {known}"
        )
    return f"{code}-{parts[part.upper()]}"


@lru_cache(maxsize=1024)
def days_off(region: str, year: int) -> frozenset[date]:
    """The public holidays of a country, or of a part of it, in a year; none where they are not known."""
    code, _, part = region.partition("-")
    try:
        return frozenset(_calendar_class(code)(subdiv=part or None, years=year))
    except (KeyError, NotImplementedError):
        return frozenset()


@cache
def weekend(code: str | None) -> frozenset[int]:
    """Weekdays on which nobody works there, 0 is Monday."""
    try:
        return frozenset(_calendar_class(code)().weekend) if code else _WEEKEND
    except (KeyError, NotImplementedError):
        return _WEEKEND


def _calendar_class(code: str) -> Any:
    """The library's class for a country; KeyError where it has none."""
    import holidays  # noqa: PLC0415 - see the module

    if code not in _library_codes():
        raise KeyError(code)
    return getattr(holidays, code)


@cache
def _library_codes() -> frozenset[str]:
    from holidays.registry import COUNTRIES  # noqa: PLC0415

    return frozenset(names[1] for names in COUNTRIES.values())


@cache
def _zones_by_country() -> dict[str, str]:
    """Country code -> the first zone that the time zone database lists for it."""
    found: dict[str, str] = {}
    for line in _table("zone.tab"):
        code, _place, zone, *_comment = line.split("\t")
        found.setdefault(code, zone)
    return found


@cache
def _names() -> dict[str, str]:
    """Folded English names, and codes of three letters -> country code."""
    from holidays.registry import COUNTRIES  # noqa: PLC0415

    found = {_folded(name): code for code, name in (line.split("\t") for line in _table("iso3166.tab"))}
    for module, (_class, code, *others) in COUNTRIES.items():
        found |= {_folded(name): code for name in (module, code, *others)}
    return found


def _table(name: str) -> list[str]:
    text = (resources.files("tzdata") / "zoneinfo" / name).read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def _folded(text: str) -> str:
    """A name without case, accents, punctuation and little words: "The Bahamas" and "bahamas" are one."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    words = re.findall(r"[^\W\d_]+", "".join(c for c in plain if not unicodedata.combining(c)))
    return "".join(word for word in words if word not in ("the", "and", "of")) or "".join(words)
