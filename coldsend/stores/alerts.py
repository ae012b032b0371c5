"""Rows of ``alerts`` and ``alert_deliveries``: what lasts, what is over, and whom that was told."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database import dialect
from coldsend.database.tables import alert_deliveries, alerts
from coldsend.domain.alert import AlertEvent, Condition, DeliveryStatus

a = alerts.c
d = alert_deliveries.c

PENDING = DeliveryStatus.PENDING.value


def keyed(connection: Connection) -> dict[str, RowMapping]:
    """The alerts that last, and those told once whose condition still holds, by their key."""
    query = sa.select(alerts).where(a.open_key.is_not(None)).order_by(a.id)
    return {row["open_key"]: row for row in connection.execute(query).mappings()}


def raise_(connection: Connection, condition: Condition, message: str, now: datetime) -> int | None:
    """The id of a new alert; None where there is one for this condition already."""
    insert = dialect.insert_ignore(alerts, connection.dialect.name).values(
        kind=condition.kind.value,
        subject=condition.shown_subject,
        message=message,
        details=condition.details,
        raised_at=now,
        cleared_at=now if condition.once else None,
        open_key=condition.key,
    )
    if connection.execute(insert).rowcount != 1:
        return None
    return int(connection.execute(sa.select(a.id).where(a.open_key == condition.key)).scalar_one())


def clear(connection: Connection, alert_id: int, open_key: str, now: datetime) -> bool:
    """It does not last any more; whether it did until now. One that was over stays as it is."""
    over = (
        sa.update(alerts)
        .where(a.id == alert_id, a.open_key == open_key)
        .values(open_key=None, cleared_at=sa.func.coalesce(a.cleared_at, now))
    )
    return connection.execute(over).rowcount == 1


def last_told(connection: Connection, condition: Condition, since: datetime) -> datetime | None:
    """When such an alert, of those raised since then, was last told of as raised, or is going to be."""
    query = (
        sa.select(sa.func.max(sa.func.coalesce(d.done_at, d.next_at)))
        .select_from(alert_deliveries.join(alerts, a.id == d.alert_id))
        .where(
            a.raised_at >= since,
            a.kind == condition.kind.value,
            a.subject == condition.shown_subject,
            d.event == AlertEvent.RAISED.value,
        )
    )
    told: datetime | None = connection.execute(query).scalar_one()
    return told


def plan(
    connection: Connection, alert_id: int, event: AlertEvent, targets: Collection[str], at: datetime
) -> None:
    """A delivery to each target, not before ``at``."""
    rows = [
        {"alert_id": alert_id, "event": event.value, "target": target, "status": PENDING, "next_at": at}
        for target in targets
    ]
    if rows:
        connection.execute(sa.insert(alert_deliveries), rows)


def untold(connection: Connection, alert_id: int) -> set[str]:
    """Drop what has not been tried yet of an alert that is over; returns the targets that know nothing."""
    waiting = connection.execute(
        sa.select(d.id, d.target).where(d.alert_id == alert_id, d.status == PENDING, d.attempts == 0)
    ).all()
    dropped = set()
    for row in waiting:
        still = sa.delete(alert_deliveries).where(d.id == row.id, d.status == PENDING, d.attempts == 0)
        if connection.execute(still).rowcount == 1:
            dropped.add(row.target)
    return dropped


def targets_told(connection: Connection, alert_id: int) -> list[str]:
    """The targets that were told, or are being told, that an alert was raised."""
    query = sa.select(d.target).where(d.alert_id == alert_id, d.event == AlertEvent.RAISED.value)
    return list(connection.execute(query.order_by(d.id)).scalars())


def due(connection: Connection, now: datetime, limit: int) -> list[dict[str, Any]]:
    """Deliveries whose time has come, with their alerts (``alert``); of one alert and target in order."""
    earlier = alert_deliveries.alias("earlier")
    blocked = sa.exists().where(
        earlier.c.alert_id == d.alert_id,
        earlier.c.target == d.target,
        earlier.c.status == PENDING,
        earlier.c.id < d.id,
    )
    query = sa.select(alert_deliveries).where(d.status == PENDING, d.next_at <= now, ~blocked)
    rows = [dict(row) for row in connection.execute(query.order_by(d.id).limit(limit)).mappings()]
    about = sa.select(alerts).where(a.id.in_({row["alert_id"] for row in rows}))
    known = {row["id"]: row for row in connection.execute(about).mappings()}
    return [{**row, "alert": known.get(row["alert_id"])} for row in rows]


def claim(connection: Connection, row: Mapping[str, Any], until: datetime) -> bool:
    """Take a delivery of :func:`due` to try it, until ``until`` at most. False: somebody else did."""
    ours = (
        sa.update(alert_deliveries)
        .where(
            d.id == row["id"], d.status == PENDING, d.attempts == row["attempts"], d.next_at == row["next_at"]
        )
        .values(attempts=row["attempts"] + 1, next_at=until)
    )
    return connection.execute(ours).rowcount == 1


def delivered(connection: Connection, ids: Sequence[int], now: datetime) -> None:
    values = {"status": DeliveryStatus.DONE.value, "done_at": now, "last_error": None}
    connection.execute(sa.update(alert_deliveries).where(d.id.in_(ids)).values(values))


def failed(connection: Connection, delivery_id: int, error: str, next_at: datetime | None) -> None:
    """An attempt failed: again at ``next_at``, or never (None)."""
    status = PENDING if next_at else DeliveryStatus.GIVEN_UP.value
    values = {"status": status, "next_at": next_at, "last_error": error}
    connection.execute(
        sa.update(alert_deliveries).where(d.id == delivery_id, d.status == PENDING).values(values)
    )


def put_back(connection: Connection, ids: Sequence[int], next_at: datetime) -> None:
    """Claimed and not tried after all."""
    connection.execute(
        sa.update(alert_deliveries)
        .where(d.id.in_(ids), d.status == PENDING)
        .values(attempts=d.attempts - 1, next_at=next_at)
    )


def postpone(connection: Connection, target: str, due: datetime, next_at: datetime) -> None:
    """What is due by then and goes to a target that has just failed waits until ``next_at``."""
    connection.execute(
        sa.update(alert_deliveries)
        .where(d.status == PENDING, d.next_at <= due, d.target == target)
        .values(next_at=next_at)
    )


def again(connection: Connection, alert_ids: Sequence[int] | None, now: datetime) -> int:
    """Try at once what was given up or waits, of these alerts or (None) of all; how many deliveries."""
    failing = sa.or_(d.status == DeliveryStatus.GIVEN_UP.value, sa.and_(d.status == PENDING, d.attempts > 0))
    statement = sa.update(alert_deliveries).where(failing)
    if alert_ids is not None:
        statement = statement.where(d.alert_id.in_(alert_ids))
    return connection.execute(statement.values(status=PENDING, attempts=0, next_at=now)).rowcount


def listed(
    connection: Connection, *, only_open: bool, limit: int, before: int | None = None
) -> list[dict[str, Any]]:
    """Alerts, the newest first, each with its ``deliveries``. before: only those with lower ids."""
    query = sa.select(alerts).order_by(a.id.desc()).limit(limit)
    if only_open:
        query = query.where(a.open_key.is_not(None), a.cleared_at.is_(None))
    if before is not None:
        query = query.where(a.id < before)
    rows = list(connection.execute(query).mappings())
    told = sa.select(alert_deliveries).where(d.alert_id.in_([row["id"] for row in rows])).order_by(d.id)
    deliveries: dict[int, list[dict[str, Any]]] = {}
    for row in connection.execute(told).mappings():
        deliveries.setdefault(row["alert_id"], []).append(dict(row))
    return [{**row, "deliveries": deliveries.get(row["id"], [])} for row in rows]


def existing(connection: Connection, ids: Sequence[int]) -> set[int]:
    return set(connection.execute(sa.select(a.id).where(a.id.in_(ids))).scalars())


def open_by_kind(connection: Connection) -> dict[str, int]:
    """How many last, of each kind."""
    query = sa.select(a.kind, sa.func.count()).where(a.open_key.is_not(None), a.cleared_at.is_(None))
    return {row[0]: row[1] for row in connection.execute(query.group_by(a.kind))}


def deliveries_by_status(connection: Connection, statuses: Sequence[DeliveryStatus]) -> dict[str, int]:
    query = sa.select(d.status, sa.func.count()).where(d.status.in_([status.value for status in statuses]))
    return {row[0]: row[1] for row in connection.execute(query.group_by(d.status))}
