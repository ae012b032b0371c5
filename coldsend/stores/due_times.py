"""When the rows of a new send list are due, as SQL: by the time zone and country of each contact.

The same that ``domain/window.py`` and ``pacing/calendar.py`` say for a single contact. A send list is made
with one statement per chunk, so the places its contacts are in are asked for first, and each gets a branch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement
from sqlalchemy.engine import Connection

from coldsend.database.expressions import json_text, later_by
from coldsend.database.tables import contacts
from coldsend.database.types import UtcDateTime
from coldsend.domain.window import SHARE_MODULUS, SHARE_STEP, SHARES, Span, open_seconds

# Branches of one statement. People write countries in many ways; who is in none of these is put off, where
# necessary, when the row comes to its intent.
MOST_PLACES = 300

Place = tuple[str | None, str | None]  # time zone and country, as the contact has them


@dataclass(frozen=True, slots=True)
class DueTimes:
    """spans: what is open on the first day, for contacts of each place, and for all others; the first moment
    is the due time, or with ``spread`` the contact's share of the open time later."""

    others: tuple[Span, ...]
    places: Mapping[Place, tuple[Span, ...]] = field(default_factory=dict)
    spread: bool = False

    @classmethod
    def at(cls, moment: datetime) -> DueTimes:
        """Everybody at one moment."""
        return cls(((moment, moment),))

    def expression(self, chosen: sa.Subquery) -> ColumnElement[datetime]:
        """The due time of a contact in ``chosen``: its ``id`` and, where there are places, its own."""
        by_spans: dict[tuple[Span, ...], list[Place]] = {}
        for place, spans in self.places.items():
            if spans != self.others:
                by_spans.setdefault(spans, []).append(place)
        branches = [
            (sa.or_(*(_is_in(chosen, place) for place in places)), self._point(chosen, spans))
            for spans, places in by_spans.items()
        ]
        others = self._point(chosen, self.others)
        return sa.case(*branches, else_=others) if branches else others

    def _point(self, chosen: sa.Subquery, spans: tuple[Span, ...]) -> ColumnElement[datetime]:
        first = sa.literal(spans[0][0], UtcDateTime())
        if not self.spread:
            return first
        # In SHARES-ths of a second, so that whole numbers are divided once.
        passed = open_seconds(spans) * (chosen.c.id * SHARE_STEP % SHARE_MODULUS)
        branches: list[tuple[Any, Any]] = []
        before = 0
        for start, end in spans:
            moment = later_by(sa.literal(start, UtcDateTime()), passed - before * SHARES, sa.literal(SHARES))
            before += open_seconds(((start, end),))
            branches.append((passed < before * SHARES, moment))
        return sa.case(*branches, else_=sa.literal(spans[-1][1], UtcDateTime()))


def place_columns() -> list[ColumnElement[Any]]:
    """Columns ``time_zone`` and ``country`` of a contact."""
    return [contacts.c.time_zone.label("time_zone"), _country().label("country")]


def places_of(connection: Connection, recipients: sa.Select[int]) -> list[Place]:
    """Where the chosen contacts are, at most :data:`MOST_PLACES`, those with most contacts first."""
    columns = place_columns()
    counted = recipients.with_only_columns(*columns, sa.func.count().label("people"))
    grouped = counted.group_by(*columns).order_by(sa.desc("people")).limit(MOST_PLACES)
    return [(row[0], row[1]) for row in connection.execute(grouped)]


def _country() -> ColumnElement[str]:
    return json_text(contacts.c.fields, '$."country"')


def _is_in(chosen: sa.Subquery, place: Place) -> ColumnElement[bool]:
    zone, country = place
    return sa.and_(_same(chosen.c.time_zone, zone), _same(chosen.c.country, country))


def _same(column: ColumnElement[Any], value: str | None) -> ColumnElement[bool]:
    return column.is_(None) if value is None else column == value
