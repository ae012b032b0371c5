"""Rows of ``users``."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database.tables import users
from coldsend.domain.access import Actor, checked_username
from coldsend.domain.states import Role
from coldsend.errors import NotFound, Refused
from coldsend.stores import lookup
from coldsend.stores.lookup import inserted_id


def add(connection: Connection, username: str, role: Role, now: datetime) -> int:
    """Insert a user; Refused where the name is taken, in whatever case. Returns its id."""
    username = checked_username(username)
    for taken in connection.execute(sa.select(users.c.username)).scalars():
        if taken.casefold() == username.casefold():
            raise Refused(f"user {taken!r} exists already", hint="see: coldsend user list")
    result = connection.execute(sa.insert(users).values(username=username, role=role.value, created_at=now))
    return inserted_id(result)


def find(connection: Connection, given: str | int) -> RowMapping:
    """The user with this name or id; NotFound names the nearest."""
    return lookup.by_name_or_id(connection, users, given, "user", name_column="username")


def acting(connection: Connection, given: str | None) -> Actor:
    """The user to act as: the one named, else the oldest admin (the one `coldsend init` made).

    NotFound where there is no such user.
    """
    if given is not None:
        row: RowMapping | None = find(connection, given)
    else:
        row = next(iter(admins(connection)), None)
    if row is None:
        raise NotFound("there is no user yet", hint="run: coldsend init")
    return Actor(row["id"], row["username"], Role(row["role"]))


def listed(connection: Connection) -> list[RowMapping]:
    return list(connection.execute(sa.select(users).order_by(users.c.id)).mappings())


def admins(connection: Connection, *, locked: bool = False) -> list[RowMapping]:
    """All admins, the oldest first; ``locked``: nobody changes them until the transaction ends."""
    wanted = sa.select(users).where(users.c.role == Role.ADMIN.value).order_by(users.c.id)
    return list(connection.execute(wanted.with_for_update() if locked else wanted).mappings())


def set_role(connection: Connection, user_id: int, role: Role) -> None:
    connection.execute(sa.update(users).where(users.c.id == user_id).values(role=role.value))
