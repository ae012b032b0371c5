"""Rows of ``send_counts``: what was reserved of limits besides the daily quota, each in its period.

kind            owner     period                      key
service_hour    service   an hour of the clock, UTC   ""
service_domain  service   its quota day               recipient domain, as A-labels
campaign_new    campaign  a day in its time zone      ""

An hour is named by the moment it begins, a day by its date at midnight UTC. Counts are exact by the locks of
the rows they stand in: who reserves adds first, which waits for others that have not committed, then gives
back what is over the limit, all in one transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.database import bulk, dialect
from coldsend.database.tables import send_counts
from coldsend.domain.states import CountKind

_of = send_counts.c
_KEYS = ["kind", "owner_id", "period", "key"]
CHUNK = 500


def reserve(
    connection: Connection,
    kind: CountKind,
    owner_id: int,
    period: datetime,
    wanted: Mapping[str, int],
    limit: int,
) -> dict[str, int]:
    """Take up to ``wanted`` (key -> messages) out of the period; key -> how many were granted.

    limit: the most each key may reach; 0 or less grants nothing.
    """
    asked = {key: n for key, n in sorted(wanted.items()) if n > 0}
    if limit <= 0 or not asked:
        return dict.fromkeys(wanted, 0)
    _add(connection, kind, owner_id, period, asked)
    reached = used(connection, kind, owner_id, period, asked)
    over = {key: min(n, reached[key] - limit) for key, n in asked.items() if reached[key] > limit}
    for key, n in over.items():
        _give_back(connection, kind, owner_id, period, key, n)
    return {key: n - over.get(key, 0) for key, n in wanted.items()}


def refund(
    connection: Connection, kind: CountKind, owner_id: int, period: datetime, given_back: Mapping[str, int]
) -> None:
    """Give back (key -> messages) what was reserved and then not sent; a count never falls below 0."""
    for key, n in sorted(given_back.items()):
        if n > 0:
            _give_back(connection, kind, owner_id, period, key, n)


def used(
    connection: Connection, kind: CountKind, owner_id: int, period: datetime, keys: Collection[str] = ("",)
) -> dict[str, int]:
    """key -> messages taken out of the period so far; 0 where there is no row."""
    found = dict.fromkeys(keys, 0)
    ordered = sorted(found)
    for start in range(0, len(ordered), CHUNK):
        chunk = bulk.among(_of.key, ordered[start : start + CHUNK])
        rows = sa.select(_of.key, _of.used).where(*_period(kind, owner_id, period), chunk)
        found |= {key: int(taken) for key, taken in connection.execute(rows)}
    return found


def used_by(
    connection: Connection, kind: CountKind, periods: Iterable[tuple[int, datetime]]
) -> dict[int, int]:
    """owner -> messages taken under the key "", of one period of each owner; 0 where there is no row."""
    wanted = dict(periods)
    if not wanted:
        return {}
    rows = connection.execute(
        sa.select(_of.owner_id, _of.period, _of.used).where(
            _of.kind == kind.value,
            _of.owner_id.in_(sorted(wanted)),
            _of.period.in_(sorted(set(wanted.values()))),
            _of.key == "",
        )
    )
    found = {owner: int(taken) for owner, period, taken in rows if wanted[owner] == period}
    return {owner: found.get(owner, 0) for owner in wanted}


def carry_over(
    connection: Connection, kind: CountKind, owner_id: int, period: datetime, to: datetime
) -> None:
    """Count what ``period`` has used for ``to`` as well: they overlap since the owner's time zone changed."""
    rows = sa.select(_of.key, _of.used).where(*_period(kind, owner_id, period)).with_for_update()
    already = {key: int(taken) for key, taken in connection.execute(rows)}
    have = used(connection, kind, owner_id, to, already)
    missing = {key: n - have[key] for key, n in sorted(already.items()) if n > have[key]}
    if missing:
        _add(connection, kind, owner_id, to, missing)


def remove_before(connection: Connection, moment: datetime) -> int:
    """Delete the counts of the oldest period, if it began before ``moment``; how many there were.

    By one value of one index: keys named one by one are compared with each other's rows.
    """
    oldest = connection.execute(sa.select(sa.func.min(_of.period))).scalar()
    if oldest is None or oldest >= moment:
        return 0
    return connection.execute(sa.delete(send_counts).where(_of.period == oldest)).rowcount


def remove_service(connection: Connection, service_id: int) -> None:
    """Delete all counts of a service."""
    kinds = [CountKind.SERVICE_HOUR.value, CountKind.SERVICE_DOMAIN.value]
    connection.execute(sa.delete(send_counts).where(_of.kind.in_(kinds), _of.owner_id == service_id))


def _add(
    connection: Connection, kind: CountKind, owner_id: int, period: datetime, more: Mapping[str, int]
) -> None:
    of_period = {"kind": kind.value, "owner_id": owner_id, "period": period}
    add = dialect.upsert_adding(send_counts, connection.dialect.name, _KEYS, "used")
    connection.execute(add, [{**of_period, "key": key, "used": n} for key, n in more.items()])


def _give_back(
    connection: Connection, kind: CountKind, owner_id: int, period: datetime, key: str, n: int
) -> None:
    left = sa.case((_of.used > n, _of.used - n), else_=0)
    where = [*_period(kind, owner_id, period), _of.key == key]
    connection.execute(sa.update(send_counts).where(*where).values(used=left))


def _period(kind: CountKind, owner_id: int, period: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    return _of.kind == kind.value, _of.owner_id == owner_id, _of.period == period
