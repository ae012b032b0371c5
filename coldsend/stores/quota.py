"""Rows of ``sender_quota``: how many messages a service has sent, one row a day in its own time zone.

This is the only truth about quotas. Every change is one guarded UPDATE, so that no number of workers gets
more out of a day than its limit; the guard, not a lock, makes it so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.database import dialect
from coldsend.database.tables import sender_quota

_of = sender_quota.c
_CHUNK = 200  # services one statement names


def reserve(connection: Connection, service_id: int, day: date, n: int, limit: int) -> int:
    """Take up to ``n`` messages out of the day; returns how many were granted, 0 to ``n``.

    limit: the most the day may reach, in messages; 0 or less grants nothing.
    """
    wanted = min(n, limit)
    while wanted > 0:
        if _take(connection, service_id, day, wanted, limit):
            return wanted
        # Not inserted before every UPDATE: INSERT IGNORE locks the existing row on MySQL, and two workers
        # that hold that lock and both want to update it are a deadlock.
        _ensure(connection, service_id, day)
        wanted = min(wanted, limit - used(connection, service_id, day))
    return 0


def refund(connection: Connection, service_id: int, day: date, n: int) -> None:
    """Give back what was reserved and then not sent; a day never falls below 0."""
    if n <= 0:
        return
    left = sa.case((_of.used > n, _of.used - n), else_=0)
    connection.execute(sa.update(sender_quota).where(*_row(service_id, day)).values(used=left))


def carry_over(connection: Connection, service_id: int, day: date, to: date) -> None:
    """Count what ``day`` has used for the day ``to`` as well: they overlap since the time zone changed."""
    taken = sa.select(_of.used).where(*_row(service_id, day)).with_for_update()
    already = connection.execute(taken).scalar()
    if not already:
        return
    _ensure(connection, service_id, to)
    more = sa.case((_of.used < already, already), else_=_of.used)
    connection.execute(sa.update(sender_quota).where(*_row(service_id, to)).values(used=more))


def used(connection: Connection, service_id: int, day: date) -> int:
    """Messages taken out of the day so far."""
    found = connection.execute(sa.select(_of.used).where(*_row(service_id, day))).scalar()
    return int(found or 0)


def used_on(connection: Connection, days: Iterable[tuple[int, date]]) -> dict[int, int]:
    """service id -> messages taken, for one day of each service; 0 where there is no row."""
    wanted = dict(days)
    if not wanted:
        return {}
    rows = connection.execute(
        sa.select(_of.sender_service_id, _of.quota_day, _of.used).where(
            _of.sender_service_id.in_(wanted), _of.quota_day.in_(set(wanted.values()))
        )
    )
    found = {service: taken for service, day, taken in rows if wanted[service] == day}
    return {service: int(found.get(service, 0)) for service in wanted}


def days_used(connection: Connection, since: Mapping[int, tuple[date, date]]) -> dict[int, int]:
    """service id -> days on which it sent something, of the days from the first date to before the second."""
    # Counted by the database: of an old ramp there are hundreds of days, and workers ask each second.
    found = dict.fromkeys(since, 0)
    ordered = sorted(since.items())
    for start in range(0, len(ordered), _CHUNK):
        days = [
            sa.and_(_of.sender_service_id == service_id, _of.quota_day >= first, _of.quota_day < today)
            for service_id, (first, today) in ordered[start : start + _CHUNK]
        ]
        counted = sa.select(_of.sender_service_id, sa.func.count()).where(sa.or_(*days), _of.used > 0)
        rows = connection.execute(counted.group_by(_of.sender_service_id))
        found |= {service_id: int(n) for service_id, n in rows}
    return found


def close_before(connection: Connection, service_id: int, day: date, now: datetime) -> int:
    """Mark all earlier days of the service as closed; returns how many were still open."""
    statement = (
        sa.update(sender_quota)
        .where(_of.sender_service_id == service_id, _of.quota_day < day, _of.closed_at.is_(None))
        .values(closed_at=now)
    )
    return int(connection.execute(statement).rowcount)


def ever_used(connection: Connection, service_id: int) -> bool:
    """Whether the service has sent anything on any day."""
    anything = sa.select(_of.used).where(_of.sender_service_id == service_id, _of.used > 0).limit(1)
    return connection.execute(anything).first() is not None


def remove(connection: Connection, service_id: int) -> None:
    connection.execute(sa.delete(sender_quota).where(_of.sender_service_id == service_id))


def _take(connection: Connection, service_id: int, day: date, n: int, limit: int) -> bool:
    statement = (
        sa.update(sender_quota).where(*_row(service_id, day), _of.used + n <= limit).values(used=_of.used + n)
    )
    return connection.execute(statement).rowcount == 1


def _ensure(connection: Connection, service_id: int, day: date) -> None:
    if connection.execute(sa.select(_of.used).where(*_row(service_id, day))).first() is None:
        statement = dialect.insert_ignore(sender_quota, connection.dialect.name)
        connection.execute(statement.values(sender_service_id=service_id, quota_day=day, used=0))


def _row(service_id: int, day: date) -> tuple[sa.ColumnElement[bool], ...]:
    return _of.sender_service_id == service_id, _of.quota_day == day
