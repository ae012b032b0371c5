"""Rows of ``contacts``. Removed ones (``deleted_at``) stay, so that an address is never two people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database import dialect
from coldsend.database.tables import contact_tags, contacts, task_contacts
from coldsend.domain import address
from coldsend.errors import NotFound
from coldsend.stores import lookup

_KNOWN = sa.select(
    contacts.c.id,
    contacts.c.email,
    contacts.c.email_key,
    contacts.c.email_domain,
    contacts.c.nickname,
    contacts.c.tags,
    contacts.c.fields,
    contacts.c.time_zone,
    contacts.c.source,
    contacts.c.lawful_basis,
    contacts.c.deleted_at,
    contacts.c.created_at,
    contacts.c.updated_at,
    contacts.c.away_until,
)
_CHANGEABLE = (
    "nickname",
    "tags",
    "fields",
    "time_zone",
    "source",
    "lawful_basis",
    "deleted_at",
    "updated_at",
)
_UPDATED = ("id", "email", "email_key", "email_domain", *_CHANGEABLE)


def find(connection: Connection, given: str, *, lock: bool = False) -> dict[str, Any]:
    """The contact with this address (in any form) or id; NotFound where there is none or it is removed.

    lock: keep it as it is until the transaction ends.
    """
    text = given.strip()
    if text.isdecimal():
        wanted = contacts.c.id == lookup.id_of(text)
        noun = f"contact {text}"
    else:
        wanted = contacts.c.email_key == address.parse(text).key
        noun = f"contact {text!r}"
    statement = _KNOWN.where(wanted, contacts.c.deleted_at.is_(None))
    row = connection.execute(statement.with_for_update() if lock else statement).mappings().first()
    if row is None:
        raise NotFound(f"{noun} does not exist", hint="search: coldsend contact list --search TEXT")
    return lookup.record(row)


def by_keys(connection: Connection, keys: Sequence[str], *, lock: bool = False) -> list[dict[str, Any]]:
    """All rows with one of these email_keys, removed ones included."""
    statement = _KNOWN.where(contacts.c.email_key.in_(keys))
    rows = connection.execute(statement.with_for_update() if lock else statement).mappings()
    return [lookup.record(row) for row in rows]


def insert(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same columns; IntegrityError where an address has appeared meanwhile."""
    connection.execute(sa.insert(contacts), list(rows))


def update(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write whole rows back (as :func:`by_keys` gave them, with changes) in as few statements as possible.

    The rows must be locked. An upsert by id: the only form both databases take in bulk.
    """
    statement = dialect.upsert(contacts, connection.dialect.name, ["id"], list(_CHANGEABLE))
    connection.execute(statement, [{column: row[column] for column in _UPDATED} for row in rows])


def mark_removed(connection: Connection, ids: Sequence[int], now: datetime) -> None:
    connection.execute(
        sa.update(contacts).where(contacts.c.id.in_(ids)).values(deleted_at=now, updated_at=now)
    )


def listed(
    connection: Connection, *, tag: str | None, search: str | None, after: int, limit: int
) -> list[dict[str, Any]]:
    """Contacts by id, above ``after``. search: part of the address or nickname, in any case."""
    statement = _chosen(tag).where(contacts.c.id > after)
    if search:
        text = search.casefold()
        statement = statement.where(
            contacts.c.email_key.contains(text, autoescape=True)
            | contacts.c.email.contains(search, autoescape=True)
            | contacts.c.nickname.contains(search, autoescape=True)
            | sa.func.lower(contacts.c.nickname).contains(text, autoescape=True)
        )
    rows = connection.execute(statement.order_by(contacts.c.id).limit(limit)).mappings()
    return [lookup.record(row) for row in rows]


def walk(connection: Connection, tag: str | None, chunk: int = 2000) -> Iterator[dict[str, Any]]:
    """All contacts (with a tag) by id, a chunk in memory at a time."""
    after = 0
    while rows := listed(connection, tag=tag, search=None, after=after, limit=chunk):
        yield from rows
        after = rows[-1]["id"]


def field_names(connection: Connection, tag: str | None) -> list[str]:
    """Names of all custom fields in use, sorted."""
    names: set[str] = set()
    for row in walk(connection, tag, chunk=5000):
        names.update(row["fields"] or ())
    return sorted(names)


def sends(connection: Connection, contact_id: int) -> list[RowMapping]:
    """Rows of send lists a contact is in: status, number, when last sent."""
    return list(
        connection.execute(
            sa.select(
                task_contacts.c.status,
                sa.func.count().label("number"),
                sa.func.max(task_contacts.c.sent_at).label("last_sent_at"),
            )
            .where(task_contacts.c.contact_id == contact_id)
            .group_by(task_contacts.c.status)
            .order_by(task_contacts.c.status)
        ).mappings()
    )


def _chosen(tag: str | None) -> sa.Select[Any]:
    statement = _KNOWN.where(contacts.c.deleted_at.is_(None))
    if tag is None:
        return statement
    tagged = contacts.join(contact_tags, contact_tags.c.contact_id == contacts.c.id)
    return statement.select_from(tagged).where(contact_tags.c.tag == tag)
