"""Rows of ``users``."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database.tables import users
from coldsend.domain.access import Actor
from coldsend.domain.states import Role
from coldsend.errors import NotFound, Refused
from coldsend.stores import lookup
from coldsend.stores.lookup import inserted_id


def add(connection: Connection, username: str, role: Role, now: datetime) -> int:
    """Insert a user; Refused where the name is taken. Returns its id."""
    username = lookup.checked_name(username, "user")
    if connection.execute(sa.select(users.c.id).where(users.c.username == username)).first():
        raise Refused(f"user {username!r} exists already", hint="see: coldsend user list")
    result = connection.execute(sa.insert(users).values(username=username, role=role.value, created_at=now))
    return inserted_id(result)


def find(connection: Connection, given: str) -> RowMapping:
    return lookup.by_name_or_id(connection, users, given, "user", name_column="username")


def acting(connection: Connection, given: str | None) -> Actor:
    """The user to act as: the one named, else the oldest admin (the one `coldsend init` made)."""
    if given is not None:
        row: RowMapping | None = find(connection, given)
    else:
        oldest = sa.select(users).where(users.c.role == Role.ADMIN.value).order_by(users.c.id).limit(1)
        row = connection.execute(oldest).mappings().first()
    if row is None:
        raise NotFound("there is no user yet", hint="run: coldsend init")
    return Actor(row["id"], row["username"], Role(row["role"]))


def listed(connection: Connection) -> list[RowMapping]:
    return list(connection.execute(sa.select(users).order_by(users.c.id)).mappings())


def set_role(connection: Connection, user_id: int, role: Role) -> None:
    connection.execute(sa.update(users).where(users.c.id == user_id).values(role=role.value))
