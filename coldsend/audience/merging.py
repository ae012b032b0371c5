"""Bring what is given about contacts into the database: new ones inserted, known ones merged, none twice.

The tags in ``contacts.tags`` and the rows of ``contact_tags`` change in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy.exc import IntegrityError

from coldsend.database.engine import Connection, Database
from coldsend.domain.contact import ContactData, merged
from coldsend.errors import Unreachable
from coldsend.stores import contact_tags, contacts

T = TypeVar("T")

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of the given contacts. A removed contact that came back counts as imported."""

    imported: int = 0
    updated: int = 0
    unchanged: int = 0

    def __add__(self, other: Merged) -> Merged:
        return Merged(
            self.imported + other.imported, self.updated + other.updated, self.unchanged + other.unchanged
        )


def committed(database: Database, work: Callable[[Connection], T]) -> T:
    """Run ``work``, again where another session has added one of its addresses in the meantime."""
    for _ in range(_TRIES):
        try:
            return database.run(work)
        except IntegrityError as error:
            taken = error
    raise Unreachable(
        f"other sessions keep adding the same contacts: {taken.orig}", hint="try again when they are done"
    ) from taken


def merge(
    connection: Connection, given: Sequence[ContactData], now: datetime, *, dry_run: bool = False
) -> Merged:
    """Merge contacts with distinct addresses into the database. dry_run: only count."""
    if not given:
        return Merged()
    keys = sorted(data.address.key for data in given)
    known = {row["email_key"]: row for row in contacts.by_keys(connection, keys, lock=not dry_run)}
    new = [data for data in given if data.address.key not in known]
    changed = _changes(given, known)
    if not dry_run:
        _insert(connection, new, now)
        _update(connection, changed, now)
    revived = sum("deleted_at" in changes for _, changes in changed)
    return Merged(len(new) + revived, len(changed) - revived, len(given) - len(new) - len(changed))


def _changes(
    given: Sequence[ContactData], known: Mapping[str, Mapping[str, Any]]
) -> list[tuple[Mapping[str, Any], dict[str, Any]]]:
    """(row, what changes in it) for each known contact in which something changes."""
    changed = []
    for data in given:
        row = known.get(data.address.key)
        if row is not None and (changes := merged(row, data)):
            changed.append((row, changes))
    return changed


def _insert(connection: Connection, new: Sequence[ContactData], now: datetime) -> None:
    if not new:
        return
    contacts.insert(connection, [_row(data, now) for data in new])
    tagged = sorted(data.address.key for data in new if data.tags)
    if tagged:
        contact_tags.add_from(connection, tagged)


def _update(
    connection: Connection, changed: Sequence[tuple[Mapping[str, Any], dict[str, Any]]], now: datetime
) -> None:
    if not changed:
        return
    contacts.update(connection, [{**row, **changes, "updated_at": now} for row, changes in changed])
    tagged = sorted(row["email_key"] for row, changes in changed if "tags" in changes)
    if tagged:
        contact_tags.add_from(connection, tagged)


def _row(data: ContactData, now: datetime) -> dict[str, Any]:
    email, key, domain = data.address
    return {
        "email": email,
        "email_key": key,
        "email_domain": domain,
        "nickname": data.nickname or None,
        "tags": list(data.tags) or None,
        "fields": data.fields or None,
        "time_zone": data.time_zone or None,
        "source": data.source or None,
        "lawful_basis": data.lawful_basis or None,
        "created_at": now,
        "updated_at": now,
    }
