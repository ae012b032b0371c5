"""Rows of ``workers``: the processes, their heartbeat, and who is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database.tables import workers
from coldsend.stores.lookup import inserted_id

w = workers.c


def register(
    connection: Connection,
    *,
    kind: str,
    host: str,
    host_id: str,
    pid: int,
    now: datetime,
    lease_seconds: float,
) -> int:
    """A new process; returns its worker id, which is never used again."""
    return inserted_id(
        connection.execute(
            sa.insert(workers).values(
                kind=kind,
                host=host,
                host_id=host_id,
                pid=pid,
                started_at=now,
                heartbeat_at=now,
                lease_until=now + timedelta(seconds=lease_seconds),
            )
        )
    )


def beat(
    connection: Connection, worker_id: int, now: datetime, lease_seconds: float, details: Mapping[str, Any]
) -> bool:
    """Heartbeat; False where somebody has declared this worker dead: it must not send any more."""
    result = connection.execute(
        sa.update(workers)
        .where(w.id == worker_id, w.stopped_at.is_(None))
        .values(heartbeat_at=now, lease_until=now + timedelta(seconds=lease_seconds), details=dict(details))
    )
    return result.rowcount == 1


def stop(connection: Connection, worker_id: int, now: datetime) -> bool:
    """Sign off for good; False where it was stopped already."""
    result = connection.execute(
        sa.update(workers).where(w.id == worker_id, w.stopped_at.is_(None)).values(stopped_at=now)
    )
    return result.rowcount == 1


def unstopped(connection: Connection, kind: str | None = None) -> list[RowMapping]:
    """Processes that have not signed off, dead or alive, oldest first."""
    statement = sa.select(workers).where(w.stopped_at.is_(None)).order_by(w.id)
    if kind is not None:
        statement = statement.where(w.kind == kind)
    return list(connection.execute(statement).mappings())


def stopped(connection: Connection, ids: Sequence[int]) -> list[RowMapping]:
    """Those of these processes that have signed off or were given up."""
    statement = sa.select(workers).where(w.id.in_(ids), w.stopped_at.is_not(None))
    return list(connection.execute(statement.order_by(w.id)).mappings())


def recent(connection: Connection, limit: int) -> list[RowMapping]:
    return list(connection.execute(sa.select(workers).order_by(w.id.desc()).limit(limit)).mappings())
