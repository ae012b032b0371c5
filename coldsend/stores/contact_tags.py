"""Rows of ``contact_tags``: what queries read. Always equal to the JSON list in ``contacts.tags``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.database import dialect
from coldsend.database.tables import contact_tags, contacts


def add(connection: Connection, pairs: Iterable[tuple[str, int]]) -> None:
    """Add (tag, contact id) pairs; those that are there already stay."""
    rows = [{"tag": tag, "contact_id": contact_id} for tag, contact_id in pairs]
    if rows:
        connection.execute(dialect.insert_ignore(contact_tags, connection.dialect.name), rows)


def remove(connection: Connection, contact_id: int, tags: Sequence[str]) -> None:
    connection.execute(
        sa.delete(contact_tags).where(contact_tags.c.contact_id == contact_id, contact_tags.c.tag.in_(tags))
    )


def counts(connection: Connection, limit: int = 1000) -> list[tuple[str, int]]:
    """Tags of contacts that are not removed, and how many have each; by tag."""
    statement = (
        sa.select(contact_tags.c.tag, sa.func.count())
        .join(contacts, contacts.c.id == contact_tags.c.contact_id)
        .where(contacts.c.deleted_at.is_(None))
        .group_by(contact_tags.c.tag)
        .order_by(contact_tags.c.tag)
        .limit(limit)
    )
    return [(tag, number) for tag, number in connection.execute(statement)]
