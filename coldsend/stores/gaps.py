"""The throttle gap of a service that no worker owns, for the one message of ``service test``.

Workers own throttled services through ``stores/leases.py``. Who sends without owning one moves the end of
the gap far enough ahead first, by compare-and-set; a worker that takes the service over waits for it.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.database import dialect
from coldsend.database.tables import sender_leases, workers

_of = sender_leases.c


class Gap(NamedTuple):
    """owner: worker id in the row. owner_lives: that worker is not stopped. ends: None where never sent."""

    owner: int | None
    owner_lives: bool
    ends: datetime | None


def read(connection: Connection, service_id: int) -> Gap:
    """The gap as it stands; the row is made where there is none."""
    insert = dialect.insert_ignore(sender_leases, connection.dialect.name)
    if (
        connection.execute(sa.select(_of.next_send_at).where(_of.sender_service_id == service_id)).first()
        is None
    ):
        connection.execute(insert.values(sender_service_id=service_id))
    living = (
        sa.select(workers.c.id).where(workers.c.id == _of.worker_id, workers.c.stopped_at.is_(None)).exists()
    )
    row = connection.execute(
        sa.select(_of.worker_id, living.label("lives"), _of.next_send_at).where(
            _of.sender_service_id == service_id
        )
    ).one()
    return Gap(row.worker_id, bool(row.lives), row.next_send_at)


def move(connection: Connection, service_id: int, known: Gap, ends: datetime) -> bool:
    """Let the gap end at ``ends``; False where somebody else has changed it since it was read."""
    statement = (
        sa.update(sender_leases)
        .where(
            _of.sender_service_id == service_id,
            _of.worker_id.is_not_distinct_from(known.owner),
            _of.next_send_at.is_not_distinct_from(known.ends),
        )
        .values(next_send_at=ends)
    )
    return connection.execute(statement).rowcount == 1


def settle(connection: Connection, service_id: int, held: datetime, ends: datetime) -> None:
    """Replace the end that :func:`move` wrote by the real one, where nobody has changed it."""
    connection.execute(
        sa.update(sender_leases)
        .where(_of.sender_service_id == service_id, _of.next_send_at == held)
        .values(next_send_at=ends)
    )
