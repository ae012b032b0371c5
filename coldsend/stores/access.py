"""Rows of ``user_sender_service_access``: which users may send through which services."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.database import dialect
from coldsend.database.tables import sender_services, users
from coldsend.database.tables import user_sender_service_access as grants
from coldsend.domain.access import Actor
from coldsend.domain.states import Role


def granted(connection: Connection, user_id: int) -> set[int]:
    """Ids of the services granted to a user; an admin may use all others as well."""
    rows = connection.execute(sa.select(grants.c.sender_service_id).where(grants.c.user_id == user_id))
    return set(rows.scalars())


def grant(connection: Connection, user_id: int, service_id: int, now: datetime) -> bool:
    """Let a user send through a service; False where it was so already."""
    added = connection.execute(
        dialect.insert_ignore(grants, connection.dialect.name).values(
            user_id=user_id, sender_service_id=service_id, created_at=now
        )
    )
    return bool(added.rowcount)


def revoke(connection: Connection, user_id: int, service_id: int) -> bool:
    """Take a grant back; False where there was none."""
    removed = connection.execute(
        sa.delete(grants).where(grants.c.user_id == user_id, grants.c.sender_service_id == service_id)
    )
    return bool(removed.rowcount)


def may_use(connection: Connection, actor: Actor, service_id: int) -> bool:
    """Admins may use every service, operators those granted to them."""
    if actor.is_admin:
        return True
    mine = sa.select(grants.c.id).where(
        grants.c.user_id == actor.id, grants.c.sender_service_id == service_id
    )
    return connection.execute(mine).first() is not None


def ungranted(connection: Connection) -> set[int]:
    """Ids of services that no user was granted: only admins send through them."""
    without = sa.select(sender_services.c.id).where(
        ~sa.exists().where(grants.c.sender_service_id == sender_services.c.id)
    )
    return set(connection.execute(without).scalars())


def usable_by(connection: Connection, user_ids: Collection[int]) -> dict[int, frozenset[int]]:
    """user id -> ids of services the user may send through: all for admins, granted ones for operators."""
    if not user_ids:
        return {}
    roles = connection.execute(sa.select(users.c.id, users.c.role).where(users.c.id.in_(user_ids))).all()
    every = frozenset(connection.execute(sa.select(sender_services.c.id)).scalars())
    given: dict[int, set[int]] = {}
    for user_id, service_id in connection.execute(
        sa.select(grants.c.user_id, grants.c.sender_service_id).where(grants.c.user_id.in_(user_ids))
    ):
        given.setdefault(user_id, set()).add(service_id)
    return {
        user_id: every if role == Role.ADMIN.value else frozenset(given.get(user_id, ()))
        for user_id, role in roles
    }


def allowed(usable: Mapping[int, frozenset[int]], task: Mapping[str, Any]) -> frozenset[int]:
    """Ids of the services a task may use. usable: of :func:`usable_by`; task: of ``tasks.open_tasks``."""
    mine, limit = usable[task["created_by"]], task["services"]
    return mine if limit is None else mine & frozenset(limit)


def users_of(connection: Connection, service_id: int) -> list[str]:
    """Names of the users a service is granted to."""
    names = (
        sa.select(users.c.username)
        .join(grants, grants.c.user_id == users.c.id)
        .where(grants.c.sender_service_id == service_id)
        .order_by(users.c.username)
    )
    return list(connection.execute(names).scalars())


def revoke_all(connection: Connection, service_id: int) -> None:
    """Take a service from everybody: it is being removed."""
    connection.execute(sa.delete(grants).where(grants.c.sender_service_id == service_id))
