"""Rows that tests of stores and pacing begin with."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from coldsend.database.engine import Database
from coldsend.domain.service import Service
from coldsend.stores import services

NOON = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)


def add_service(database: Database, name: str = "main", **values: Any) -> int:
    """A sender service with a quota of 100 and nothing wrong with it."""
    row = {"name": name, "type": "console", "from_email": "anna@example.com", "daily_quota": 100, **values}
    with database.begin() as connection:
        return services.add(connection, row, NOON)


def service(database: Database, service_id: int) -> Service:
    with database.read() as connection:
        row = services.row(connection, service_id)
        assert row is not None
        return services.as_service(row)
