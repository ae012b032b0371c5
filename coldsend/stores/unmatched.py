"""Rows of ``unmatched_events``: what came back and is about nobody we know of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.database.dialect import insert_ignore
from coldsend.database.tables import unmatched_events
from coldsend.errors import NotFound
from coldsend.stores.lookup import ID_DIGITS, record

unmatched = unmatched_events.c


def keep(connection: Connection, found: Sequence[Mapping[str, Any]]) -> None:
    """Store happenings (source, received_at, dedup_key, details), but those whose key is stored already."""
    if found:
        insert = insert_ignore(unmatched_events, connection.dialect.name)
        connection.execute(insert, [dict(row) for row in found])


def listed(connection: Connection, limit: int, source: str | None = None) -> list[dict[str, Any]]:
    """The newest ones, the newest last. source: as it is stored, or how it begins ("inbox")."""
    query = sa.select(unmatched_events).order_by(unmatched.id.desc()).limit(limit)
    if source is not None:
        begins = unmatched.source.startswith(f"{source}:", autoescape=True)
        query = query.where(sa.or_(unmatched.source == source, begins))
    return [record(row) for row in connection.execute(query).mappings()][::-1]


def find(connection: Connection, given: str) -> dict[str, Any]:
    """The one with this id; NotFound otherwise."""
    text = given.strip()
    row = None
    if text.isdecimal() and len(text) <= ID_DIGITS:
        query = sa.select(unmatched_events).where(unmatched.id == int(text))
        row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFound(f"there is no unmatched happening {text!r}", hint="see: coldsend feedback list")
    return record(row)
