"""Rows of ``provider_pauses``: one service resting for one mailbox provider."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database import dialect
from coldsend.database.tables import provider_pauses

_of = provider_pauses.c


def get(connection: Connection, service_id: int, provider: str) -> RowMapping | None:
    return (
        connection.execute(sa.select(provider_pauses).where(*_row(service_id, provider))).mappings().first()
    )


def put(
    connection: Connection, service_id: int, provider: str, *, until: datetime | None, reason: str, times: int
) -> None:
    """Write the pause, whatever was there. until: None lasts until a person lifts it."""
    changed = ["paused_until", "reason", "times"]
    statement = dialect.upsert(
        provider_pauses, connection.dialect.name, ["sender_service_id", "provider"], changed
    )
    connection.execute(
        statement.values(
            sender_service_id=service_id, provider=provider, paused_until=until, reason=reason, times=times
        )
    )


def in_force(connection: Connection, now: datetime, service_id: int | None = None) -> list[RowMapping]:
    """Pauses that have not ended, of all services or of one."""
    wanted: list[sa.ColumnElement[bool]] = [_of.paused_until.is_(None) | (_of.paused_until > now)]
    if service_id is not None:
        wanted.append(_of.sender_service_id == service_id)
    order = (_of.sender_service_id, _of.provider)
    return list(connection.execute(sa.select(provider_pauses).where(*wanted).order_by(*order)).mappings())


def remove(connection: Connection, service_id: int) -> int:
    """Lift all pauses of a service and forget them; returns how many there were."""
    return int(
        connection.execute(sa.delete(provider_pauses).where(_of.sender_service_id == service_id)).rowcount
    )


def _row(service_id: int, provider: str) -> tuple[sa.ColumnElement[bool], ...]:
    return _of.sender_service_id == service_id, _of.provider == provider
