"""Rows of ``webhook_payloads``: what providers sent, as it came, each once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from coldsend.database.dialect import insert_ignore
from coldsend.database.tables import webhook_payloads


def keep(connection: Connection, values: Mapping[str, Any]) -> bool:
    """Store a payload; False where its digest is stored already."""
    insert = insert_ignore(webhook_payloads, connection.dialect.name)
    return connection.execute(insert.values(dict(values))).rowcount == 1
