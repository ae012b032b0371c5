"""Rows of ``contact_tags``: what queries read. Always equal to the JSON list in ``contacts.tags``."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.database import dialect
from coldsend.database.tables import contact_tags, contacts


def add_from(connection: Connection, keys: Sequence[str]) -> None:
    """Write the tags in ``contacts.tags`` of the contacts with these email_keys, where they are missing.

    The database unpacks the lists itself: a row per tag over the wire costs more than all the rest of an
    import's transaction.
    """
    name = connection.dialect.name
    item = dialect.json_texts(contacts.c.tags, name)
    tags = sa.select(item.c.value, contacts.c.id).select_from(contacts.join(item, sa.true()))
    statement = dialect.insert_ignore(contact_tags, name).from_select(
        ["tag", "contact_id"], tags.where(contacts.c.email_key.in_(keys))
    )
    connection.execute(statement)


def remove(connection: Connection, contact_id: int, tags: Sequence[str]) -> None:
    connection.execute(
        sa.delete(contact_tags).where(contact_tags.c.contact_id == contact_id, contact_tags.c.tag.in_(tags))
    )


def replace(connection: Connection, contact_id: int, tags: Sequence[str]) -> None:
    """Give a contact exactly these tags; those in ``contacts.tags`` are the caller's matter."""
    connection.execute(sa.delete(contact_tags).where(contact_tags.c.contact_id == contact_id))
    if tags:
        rows = [{"tag": tag, "contact_id": contact_id} for tag in tags]
        connection.execute(sa.insert(contact_tags), rows)


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
