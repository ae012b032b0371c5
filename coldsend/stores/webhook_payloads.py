"""Rows of ``webhook_payloads``: what providers sent, as it came, each once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.database.dialect import insert_ignore
from coldsend.database.tables import webhook_payloads
from coldsend.stores.ledger import chunks


def known(connection: Connection, digests: Collection[str]) -> set[str]:
    """Which of these are stored."""
    found: set[str] = set()
    column = webhook_payloads.c.digest
    for chunk in chunks(sorted(digests)):
        found |= set(connection.execute(sa.select(column).where(column.in_(chunk))).scalars())
    return found


def keep(connection: Connection, payloads: Sequence[Mapping[str, Any]]) -> None:
    """Store payloads, but those whose digest somebody else has stored meanwhile."""
    if payloads:
        insert = insert_ignore(webhook_payloads, connection.dialect.name)
        connection.execute(insert, [dict(row) for row in payloads])
