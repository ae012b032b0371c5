"""Rows of ``suppressions``; what their keys mean stands in domain/suppression.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement
from sqlalchemy.engine import Connection

from coldsend.database import bulk, dialect
from coldsend.database.tables import campaigns, contacts, suppressions
from coldsend.domain.states import SuppressionReason
from coldsend.domain.suppression import ALL_CAMPAIGNS, NO_LIST, Suppression, is_stronger, keys_for
from coldsend.stores import lookup

__all__ = [
    "Added",
    "add",
    "entries",
    "find",
    "has_hashed",
    "keys_for",
    "listed",
    "lists",
    "matching",
    "remove",
    "remove_everywhere",
    "remove_ids",
    "suppressed_condition",
    "walk",
]

_SHOWN = sa.select(
    suppressions.c.id,
    suppressions.c.suppression_key,
    suppressions.c.scope,
    suppressions.c.value,
    suppressions.c.reason,
    suppressions.c.campaign_id,
    campaigns.c.name.label("campaign"),
    suppressions.c.source,
    suppressions.c.detail,
    suppressions.c.created_at,
    suppressions.c.list_name,
).select_from(suppressions.outerjoin(campaigns, campaigns.c.id == suppressions.c.campaign_id))


_Place = tuple[str, int, str]  # key, campaign, list: what is unique


@dataclass(frozen=True, slots=True)
class Added:
    """added: new entries; strengthened: known ones that got a stronger reason; known: the rest."""

    added: int = 0
    strengthened: int = 0
    known: int = 0

    def __add__(self, other: Added) -> Added:
        return Added(
            self.added + other.added, self.strengthened + other.strengthened, self.known + other.known
        )


def add(connection: Connection, given: Iterable[Suppression], now: datetime) -> Added:
    """Add suppressions. Idempotent; a stronger reason replaces a weaker one, never the other way round."""
    wanted: dict[_Place, Suppression] = {}
    for entry in given:
        place = (entry.key, entry.campaign_id, entry.list_name)
        if place not in wanted or is_stronger(entry.reason, wanted[place].reason):
            wanted[place] = entry
    if not wanted:
        return Added()
    keys = list({entry.key for entry in wanted.values()})
    before = _reasons(connection, keys)
    missing = [entry for place, entry in wanted.items() if place not in before]
    if missing:
        # Ignoring what another session has added meanwhile: it is looked at below like all others.
        insert = dialect.insert_ignore(suppressions, connection.dialect.name)
        connection.execute(insert, [_row(entry, now) for entry in missing])
    held = _reasons(connection, keys, lock=True)
    weaker = [entry for place, entry in wanted.items() if is_stronger(entry.reason, held[place])]
    for entry in weaker:
        connection.execute(
            sa.update(suppressions)
            .where(*_is_at(entry.key, entry.campaign_id, entry.list_name))
            .values(reason=entry.reason.value, source=entry.source, detail=entry.detail)
        )
    strengthened = sum((entry.key, entry.campaign_id, entry.list_name) in before for entry in weaker)
    return Added(len(missing), strengthened, len(wanted) - len(missing) - strengthened)


def remove(
    connection: Connection, key: str, campaign_id: int = ALL_CAMPAIGNS, list_name: str = NO_LIST
) -> bool:
    """Lift one suppression; whether there was one."""
    result = connection.execute(sa.delete(suppressions).where(*_is_at(key, campaign_id, list_name)))
    return result.rowcount == 1


def remove_ids(connection: Connection, ids: Sequence[int]) -> int:
    """Lift the suppressions with these ids; how many there were."""
    return connection.execute(sa.delete(suppressions).where(bulk.among(suppressions.c.id, ids))).rowcount


def remove_everywhere(connection: Connection, key: str) -> int:
    """Lift a suppression for all campaigns and take it off all lists; how many entries there were."""
    return connection.execute(sa.delete(suppressions).where(suppressions.c.suppression_key == key)).rowcount


def find(
    connection: Connection, key: str, campaign_id: int = ALL_CAMPAIGNS, list_name: str = NO_LIST
) -> dict[str, Any] | None:
    """The suppression under exactly this key, if there is one; locked until the transaction ends."""
    statement = sa.select(suppressions).where(*_is_at(key, campaign_id, list_name))
    row = connection.execute(statement.with_for_update()).mappings().first()
    return None if row is None else lookup.record(row)


def matching(connection: Connection, keys: Sequence[str], campaign_id: int) -> dict[str, SuppressionReason]:
    """Which of these keys (see :func:`keys_for`) are suppressed for a campaign, and why. One query."""
    if not keys:
        return {}
    statement = sa.select(suppressions.c.suppression_key, suppressions.c.reason).where(
        bulk.among(suppressions.c.suppression_key, keys),
        suppressions.c.campaign_id.in_([ALL_CAMPAIGNS, campaign_id]),
    )
    found: dict[str, SuppressionReason] = {}
    for key, text in connection.execute(statement):
        reason = SuppressionReason(text)
        if key not in found or is_stronger(reason, found[key]):
            found[key] = reason
    return found


def has_hashed(connection: Connection) -> bool:
    """Whether there is any entry of which only the hash is left."""
    hashed = sa.select(sa.literal(1)).where(suppressions.c.suppression_key.between("h:", "h;")).limit(1)
    return connection.execute(hashed).first() is not None


def entries(connection: Connection, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Every suppression under one of these keys, of all campaigns."""
    statement = _SHOWN.where(suppressions.c.suppression_key.in_(keys)).order_by(suppressions.c.id)
    return [lookup.record(row) for row in connection.execute(statement).mappings()]


def listed(
    connection: Connection, *, search: str | None, after: int, limit: int, list_name: str | None = None
) -> list[dict[str, Any]]:
    """Suppressions by id, above ``after``. search: part of the address or domain, in any case.

    list_name: only of this list; None: all, "": only those on no list.
    """
    statement = _SHOWN.where(suppressions.c.id > after)
    if list_name is not None:
        statement = statement.where(suppressions.c.list_name == list_name)
    if search:
        statement = statement.where(
            suppressions.c.suppression_key.contains(search.casefold(), autoescape=True)
            | suppressions.c.value.contains(search, autoescape=True)
        )
    rows = connection.execute(statement.order_by(suppressions.c.id).limit(limit)).mappings()
    return [lookup.record(row) for row in rows]


def walk(connection: Connection, list_name: str | None = None, chunk: int = 2000) -> Iterator[dict[str, Any]]:
    """All suppressions (of a list) by id, a chunk in memory at a time."""
    after = 0
    while rows := listed(connection, search=None, after=after, limit=chunk, list_name=list_name):
        yield from rows
        after = rows[-1]["id"]


def lists(connection: Connection) -> list[dict[str, Any]]:
    """The named lists: name, entries, and when the first and the last of them were added; by name."""
    statement = (
        sa.select(
            suppressions.c.list_name.label("name"),
            sa.func.count().label("entries"),
            sa.func.min(suppressions.c.created_at).label("first_added_at"),
            sa.func.max(suppressions.c.created_at).label("last_added_at"),
        )
        .where(suppressions.c.list_name != NO_LIST)
        .group_by(suppressions.c.list_name)
        .order_by(suppressions.c.list_name)
    )
    return [lookup.record(row) for row in connection.execute(statement).mappings()]


def suppressed_condition(campaign_id: int | ColumnElement[int]) -> ColumnElement[bool]:
    """For a statement over ``contacts``: the contact's address or exact domain is suppressed.

    Two look-ups of the unique key per contact. Parent domains and hashes are not looked at here, only at
    the intent (:func:`matching`), which decides.
    """
    return _has_key(sa.literal("a:") + contacts.c.email_key, campaign_id) | domain_suppressed(
        contacts.c.email_domain, campaign_id
    )


def domain_suppressed(
    domain: ColumnElement[str], campaign_id: int | ColumnElement[int]
) -> ColumnElement[bool]:
    """For a statement over ``contacts``: this very domain is suppressed."""
    return _has_key(sa.literal("d:") + domain, campaign_id)


def _has_key(key: ColumnElement[str], campaign_id: int | ColumnElement[int]) -> ColumnElement[bool]:
    return (
        sa.select(sa.literal(1))
        .select_from(suppressions)
        .where(
            suppressions.c.suppression_key == key,
            suppressions.c.campaign_id.in_([ALL_CAMPAIGNS, campaign_id]),
        )
        .correlate_except(suppressions)
        .exists()
    )


def _is_at(key: str, campaign_id: int, list_name: str) -> tuple[ColumnElement[bool], ...]:
    return (
        suppressions.c.suppression_key == key,
        suppressions.c.campaign_id == campaign_id,
        suppressions.c.list_name == list_name,
    )


def _reasons(
    connection: Connection, keys: Sequence[str], *, lock: bool = False
) -> dict[_Place, SuppressionReason]:
    statement = sa.select(
        suppressions.c.suppression_key,
        suppressions.c.campaign_id,
        suppressions.c.list_name,
        suppressions.c.reason,
    ).where(suppressions.c.suppression_key.in_(keys))
    rows = connection.execute(statement.with_for_update() if lock else statement)
    return {(key, campaign, named): SuppressionReason(reason) for key, campaign, named, reason in rows}


def _row(entry: Suppression, now: datetime) -> dict[str, Any]:
    return {
        "suppression_key": entry.key,
        "campaign_id": entry.campaign_id,
        "scope": entry.scope.value,
        "value": entry.value,
        "reason": entry.reason.value,
        "source": entry.source,
        "detail": entry.detail,
        "created_at": now,
        "list_name": entry.list_name,
    }
