"""Rows of ``email_variables``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database.tables import email_variables, users
from coldsend.errors import NotFound, Refused
from coldsend.stores.lookup import id_of, inserted_id

_variables = email_variables.c


def add(connection: Connection, values: Mapping[str, Any], now: datetime) -> int:
    """Insert a definition; Refused where the key is taken."""
    key = values["variable_key"]
    if connection.execute(sa.select(_variables.id).where(_variables.variable_key == key)).first():
        raise Refused(
            f"variable {key!r} exists already",
            hint=f"remove it first: coldsend variable remove {key}",
        )
    result = connection.execute(sa.insert(email_variables).values(**values, created_at=now, updated_at=now))
    return inserted_id(result)


def find(connection: Connection, given: str) -> RowMapping:
    """The variable with this key or id; NotFound names the nearest key."""
    text = given.strip()
    matches = _variables.id == id_of(text) if text.isdecimal() else _variables.variable_key == text
    row = connection.execute(sa.select(email_variables).where(matches)).mappings().first()
    if row is None:
        keys = list(connection.execute(sa.select(_variables.variable_key)).scalars())
        near = difflib.get_close_matches(text, keys, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "see: coldsend variable list"
        raise NotFound(f"variable {text!r} does not exist", hint=hint)
    return row


def listed(connection: Connection) -> list[RowMapping]:
    """All definitions by key, with their creator's name as ``creator``."""
    statement = (
        sa.select(email_variables, users.c.username.label("creator"))
        .join_from(email_variables, users)
        .order_by(_variables.variable_key)
    )
    return list(connection.execute(statement).mappings())


def update(connection: Connection, variable_id: int, values: Mapping[str, Any], now: datetime) -> None:
    connection.execute(
        sa.update(email_variables).where(_variables.id == variable_id).values(**values, updated_at=now)
    )


def remove(connection: Connection, variable_id: int) -> None:
    connection.execute(sa.delete(email_variables).where(_variables.id == variable_id))
