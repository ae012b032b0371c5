"""Rows of ``user_sender_service_access``: which users may send through which services."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.database import dialect
from coldsend.database.tables import sender_services
from coldsend.database.tables import user_sender_service_access as grants
from coldsend.domain.access import Actor


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
