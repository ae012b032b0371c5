"""Rows of ``sender_services``: what they send with, and how they are.

Changes of health are compare-and-set: they name the state they expect and tell whether they were the one
that changed it, so that of many workers with the same bad news one freezes, reports and alerts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database.tables import (
    event_log,
    sender_leases,
    sender_services,
    task_contacts,
    task_services,
    tasks,
)
from coldsend.domain.ramp import Ramp
from coldsend.domain.service import Service
from coldsend.domain.states import FreezeCode, HealthStatus
from coldsend.errors import Refused
from coldsend.stores import lookup

_of = sender_services.c

# What a service looks like when nothing is wrong with it.
_HEALTHY: dict[str, Any] = {
    "health_status": HealthStatus.ACTIVE.value,
    "frozen_code": None,
    "frozen_reason": None,
    "cool_down_until": None,
    "cool_down_reason": None,
    "consecutive_errors": 0,
}


def sealed_credentials(connection: Connection) -> dict[int, Mapping[str, Any] | None]:
    """service id -> encrypted credentials, of all services."""
    return {found[0]: found[1] for found in connection.execute(sa.select(_of.id, _of.credentials))}


def find(connection: Connection, given: str | int) -> RowMapping:
    return lookup.by_name_or_id(connection, sender_services, given, "service")


def row(connection: Connection, service_id: int) -> RowMapping | None:
    return connection.execute(sa.select(sender_services).where(_of.id == service_id)).mappings().first()


def rows(connection: Connection, service_ids: Collection[int]) -> dict[int, RowMapping]:
    """id -> row, of those there are."""
    statement = sa.select(sender_services).where(_of.id.in_(sorted(service_ids)))
    return {found["id"]: found for found in connection.execute(statement).mappings()}


def all_services(connection: Connection) -> list[Service]:
    return [as_service(found) for found in listed(connection)]


def listed(connection: Connection) -> list[RowMapping]:
    return list(connection.execute(sa.select(sender_services).order_by(_of.id)).mappings())


def as_service(row: RowMapping) -> Service:
    """The snapshot of a row; credentials are not part of it."""
    values: dict[str, Any] = {
        name: row[name] for name in Service.__dataclass_fields__ if name in row and row[name] is not None
    }
    values["health_status"] = HealthStatus(row["health_status"])
    if row["frozen_code"]:
        values["frozen_code"] = FreezeCode(row["frozen_code"])
    if row["ramp"] is not None:
        values["ramp"] = Ramp.of(row["ramp"])
    values |= {
        name: float(values[name]) for name in ("throttle_sec", "jitter_sec", "spread_hours") if name in values
    }
    return Service(**values)


def add(connection: Connection, values: Mapping[str, Any], now: datetime) -> int:
    """Insert a service; Refused where the name is taken. Returns its id."""
    if connection.execute(sa.select(_of.id).where(_of.name == values["name"])).first():
        raise Refused(
            f"service {values['name']!r} exists already",
            hint=f"change it with: coldsend service update {values['name']!r}",
        )
    statement = sa.insert(sender_services).values(**values, created_at=now, updated_at=now)
    return lookup.inserted_id(connection.execute(statement))


def change(connection: Connection, service_id: int, values: Mapping[str, Any], now: datetime) -> None:
    connection.execute(
        sa.update(sender_services).where(_of.id == service_id).values(**values, updated_at=now)
    )


def set_used_today(connection: Connection, service_id: int, used: int, now: datetime) -> bool:
    """Write the mirror of the quota where it differs; returns whether it did."""
    statement = (
        sa.update(sender_services)
        .where(_of.id == service_id, _of.used_today != used)
        .values(used_today=used, updated_at=now)
    )
    return connection.execute(statement).rowcount == 1


def count_error(connection: Connection, service_id: int, text: str, now: datetime) -> None:
    connection.execute(
        sa.update(sender_services)
        .where(_of.id == service_id)
        .values(
            consecutive_errors=_of.consecutive_errors + 1, last_error=text, last_error_at=now, updated_at=now
        )
    )


def note_error(connection: Connection, service_id: int, text: str, now: datetime) -> None:
    """Keep what the server said without counting it."""
    change(connection, service_id, {"last_error": text, "last_error_at": now}, now)


def clear_errors(connection: Connection, service_id: int, now: datetime) -> bool:
    """Set ``consecutive_errors`` to 0 where it is not; returns whether it was not."""
    statement = (
        sa.update(sender_services)
        .where(_of.id == service_id, _of.consecutive_errors != 0)
        .values(consecutive_errors=0, updated_at=now)
    )
    return connection.execute(statement).rowcount == 1


def freeze(
    connection: Connection,
    service_id: int,
    code: FreezeCode,
    reason: str,
    now: datetime,
    *,
    probe_at: datetime | None = None,
    over: Iterable[FreezeCode] = (),
) -> bool:
    """Freeze an active service, or one frozen for a code in ``over``; False where it was neither."""
    codes = [expected.value for expected in over]
    statement = (
        sa.update(sender_services)
        .where(
            _of.id == service_id,
            (_of.health_status == HealthStatus.ACTIVE.value) | _of.frozen_code.in_(codes),
        )
        .values(
            health_status=HealthStatus.FROZEN.value,
            frozen_code=code.value,
            frozen_reason=reason,
            cool_down_until=probe_at,
            cool_down_reason=None,
            updated_at=now,
        )
    )
    return connection.execute(statement).rowcount == 1


def thaw(connection: Connection, service_id: int, now: datetime, code: FreezeCode | None = None) -> bool:
    """Make a frozen service active and healthy; with ``code``, only one that is frozen for it."""
    expected = [_of.id == service_id, _of.health_status == HealthStatus.FROZEN.value]
    if code is not None:
        expected.append(_of.frozen_code == code.value)
    statement = sa.update(sender_services).where(*expected).values(**_HEALTHY, updated_at=now)
    return connection.execute(statement).rowcount == 1


def end_rest(connection: Connection, service_id: int, now: datetime) -> bool:
    """End an active service's cool-down and forget its errors; False where it had neither."""
    statement = (
        sa.update(sender_services)
        .where(
            _of.id == service_id,
            _of.health_status == HealthStatus.ACTIVE.value,
            _of.cool_down_until.is_not(None) | (_of.consecutive_errors != 0),
        )
        .values(**_HEALTHY, updated_at=now)
    )
    return connection.execute(statement).rowcount == 1


def rest(
    connection: Connection,
    service_id: int,
    until: datetime,
    reason: str,
    now: datetime,
    *,
    unless_after: datetime,
) -> bool:
    """Let an active service rest until ``until``; False where it rests until ``unless_after`` already."""
    statement = (
        sa.update(sender_services)
        .where(
            _of.id == service_id,
            _of.health_status == HealthStatus.ACTIVE.value,
            _of.cool_down_until.is_(None) | (_of.cool_down_until < unless_after),
        )
        .values(cool_down_until=until, cool_down_reason=reason[:255], updated_at=now)
    )
    return connection.execute(statement).rowcount == 1


def move_probe(connection: Connection, service_id: int, until: datetime, now: datetime) -> bool:
    """Put off the next probe of a service frozen for errors whose time has come; False where it has not."""
    statement = (
        sa.update(sender_services)
        .where(
            _of.id == service_id,
            _of.health_status == HealthStatus.FROZEN.value,
            _of.frozen_code == FreezeCode.ERRORS.value,
            _of.cool_down_until <= now,
        )
        .values(cool_down_until=until, updated_at=now)
    )
    return connection.execute(statement).rowcount == 1


def reopen_probe(
    connection: Connection, service_id: int, instead_of: datetime, at: datetime, now: datetime
) -> bool:
    """Set the next probe to ``at`` where it is still set to ``instead_of``; False where it is not."""
    statement = (
        sa.update(sender_services)
        .where(
            _of.id == service_id,
            _of.health_status == HealthStatus.FROZEN.value,
            _of.frozen_code == FreezeCode.ERRORS.value,
            _of.cool_down_until == instead_of,
        )
        .values(cool_down_until=at, updated_at=now)
    )
    return connection.execute(statement).rowcount == 1


def has_history(connection: Connection, service_id: int) -> bool:
    """Whether any recipient or event names the service. Walks whole tables: for removal only."""
    for column in (task_contacts.c.sender_service_id, event_log.c.sender_service_id):
        if connection.execute(sa.select(column).where(column == service_id).limit(1)).first():
            return True
    return False


def tasks_using(connection: Connection, service_id: int) -> list[str]:
    """Names of tasks that list the service, a few of them."""
    statement = (
        sa.select(tasks.c.name)
        .join(task_services, task_services.c.task_id == tasks.c.id)
        .where(task_services.c.sender_service_id == service_id)
        .order_by(tasks.c.id)
        .limit(5)
    )
    return list(connection.execute(statement).scalars())


def remove(connection: Connection, service_id: int) -> None:
    """Delete the row and its lease; what else refers to it must be gone."""
    connection.execute(sa.delete(sender_leases).where(sender_leases.c.sender_service_id == service_id))
    connection.execute(sa.delete(sender_services).where(_of.id == service_id))
