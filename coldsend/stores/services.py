"""Rows of ``sender_services`` and who they are granted to."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database.tables import sender_services
from coldsend.domain.service import Service
from coldsend.domain.states import FreezeCode, HealthStatus
from coldsend.stores import lookup


def find(connection: Connection, given: str | int) -> RowMapping:
    return lookup.by_name_or_id(connection, sender_services, given, "service")


def all_services(connection: Connection) -> list[Service]:
    rows = connection.execute(sa.select(sender_services).order_by(sender_services.c.id)).mappings()
    return [as_service(row) for row in rows]


def as_service(row: RowMapping) -> Service:
    """The snapshot of a row; credentials are not part of it."""
    values: dict[str, Any] = {
        name: row[name] for name in Service.__dataclass_fields__ if name in row and row[name] is not None
    }
    values["health_status"] = HealthStatus(row["health_status"])
    if row["frozen_code"]:
        values["frozen_code"] = FreezeCode(row["frozen_code"])
    values["throttle_sec"] = float(row["throttle_sec"])
    return Service(**values)
