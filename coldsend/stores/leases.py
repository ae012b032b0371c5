"""Who leads, and who owns which throttled service."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database import dialect
from coldsend.database.tables import leases, sender_leases, workers

s = sender_leases.c

SCHEDULER = "scheduler"  # the lease of the scheduler that leads


def lead(connection: Connection, name: str, worker_id: int, now: datetime, seconds: float) -> bool:
    """Take or renew a named lease; True where ``worker_id`` holds it now.

    It can be taken when it is free, has run out, or its holder is stopped.
    """
    until = now + timedelta(seconds=seconds)
    connection.execute(
        dialect.insert_ignore(leases, connection.dialect.name).values(
            name=name, worker_id=None, expires_at=now
        )
    )
    holder_lives = (
        sa.select(sa.literal(1))
        .where(workers.c.id == leases.c.worker_id, workers.c.stopped_at.is_(None))
        .correlate(leases)
        .exists()
    )
    result = connection.execute(
        sa.update(leases)
        .where(
            leases.c.name == name,
            sa.or_(
                leases.c.worker_id.is_(None),
                leases.c.worker_id == worker_id,
                leases.c.expires_at <= now,
                # A clock that jumped back must not leave a lease for days.
                leases.c.expires_at > now + timedelta(seconds=2 * seconds),
                sa.not_(holder_lives),
            ),
        )
        .values(worker_id=worker_id, expires_at=until)
    )
    return result.rowcount == 1


def resign(connection: Connection, name: str, worker_id: int) -> None:
    connection.execute(
        sa.update(leases).where(leases.c.name == name, leases.c.worker_id == worker_id).values(worker_id=None)
    )


def held(connection: Connection, name: str, now: datetime) -> bool:
    """Whether anybody who has not signed off holds this lease at ``now``."""
    return holder(connection, name, now) is not None


def holder(connection: Connection, name: str, now: datetime) -> int | None:
    """Id of the process that holds this lease at ``now`` and has not signed off."""
    found = sa.select(leases.c.worker_id).join_from(leases, workers, workers.c.id == leases.c.worker_id)
    living = found.where(leases.c.name == name, leases.c.expires_at > now, workers.c.stopped_at.is_(None))
    return connection.execute(living).scalar()


def sender_leases_all(connection: Connection) -> dict[int, RowMapping]:
    """service id -> its lease row."""
    return {row["sender_service_id"]: row for row in connection.execute(sa.select(sender_leases)).mappings()}


def take_sender(
    connection: Connection, service_id: int, worker_id: int, now: datetime, throttle_sec: float
) -> bool:
    """Become the owner of a throttled service that has none, or whose owner is stopped.

    Unless it has never sent, the gap starts anew at ``now``: the last message may be younger than what is
    written, and the clock may have jumped since.
    """
    connection.execute(
        dialect.insert_ignore(sender_leases, connection.dialect.name).values(sender_service_id=service_id)
    )
    current = connection.execute(
        sa.select(s.worker_id, s.next_send_at).where(s.sender_service_id == service_id)
    ).one()
    if current.worker_id == worker_id:
        return True
    values: dict[str, object] = {"worker_id": worker_id}
    if current.worker_id is not None:
        living = sa.select(workers.c.id).where(
            workers.c.id == current.worker_id, workers.c.stopped_at.is_(None)
        )
        if connection.execute(living).first():
            return False
    if current.worker_id is not None or current.next_send_at is not None:
        gap_ends = now + timedelta(seconds=throttle_sec)
        values["next_send_at"] = max(gap_ends, current.next_send_at or gap_ends)
    result = connection.execute(
        sa.update(sender_leases)
        .where(s.sender_service_id == service_id, s.worker_id.is_not_distinct_from(current.worker_id))
        .values(values)
    )
    return result.rowcount == 1


def release_sender(connection: Connection, service_id: int, worker_id: int) -> None:
    """Give a throttled service up; its gap stays written."""
    connection.execute(
        sa.update(sender_leases)
        .where(s.sender_service_id == service_id, s.worker_id == worker_id)
        .values(worker_id=None)
    )


def set_next_send(connection: Connection, service_id: int, worker_id: int, next_send_at: datetime) -> None:
    """The gap after a message: final reply + throttle. Only its owner writes it."""
    connection.execute(
        sa.update(sender_leases)
        .where(s.sender_service_id == service_id, s.worker_id == worker_id)
        .values(next_send_at=next_send_at)
    )
