"""Rows of ``event_log``: append-only, read through its two composite indexes or its primary key."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database import bulk
from coldsend.database.dialect import compact_json
from coldsend.database.tables import (
    campaigns,
    contacts,
    event_log,
    sender_services,
    task_contacts,
    tasks,
)
from coldsend.domain.states import EventType

_COLUMNS = (
    "task_id",
    "contact_id",
    "sender_service_id",
    "event_tracking_uid",
    "type",
    "ts",
    "details",
    "dedup_key",
)
_DETAILS = _COLUMNS.index("details")


def append(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store events; keys are the table's columns, ``type`` and ``ts`` (aware) are needed.

    Events whose ``dedup_key`` is stored already are left out.
    """
    if not rows:
        return
    guarded = any(row.get("dedup_key") is not None for row in rows)
    bulk.insert_many(connection, event_log, _COLUMNS, map(_values, rows), ignore=guarded)


def _values(row: Mapping[str, Any]) -> list[Any]:
    values = [row.get(name) for name in _COLUMNS]
    if values[_DETAILS] is not None:
        values[_DETAILS] = compact_json(values[_DETAILS])
    return values


def append_accepted(connection: Connection, row_ids: Sequence[int], code: int, enhanced: str) -> None:
    """Store the try and the success of send-list rows that were accepted with this answer.

    The database reads what the events say from the rows, which carry it since this very transaction. In no
    order, which would take a temporary table: ``ts`` tells what was first.
    """
    rows = task_contacts.c
    step = sa.union_all(sa.select(sa.literal(1).label("step")), sa.select(sa.literal(2))).subquery()
    tried = step.c.step == 1
    answer = {name: value for name, value in (("code", code), ("enhanced", enhanced)) if value}
    rest = json.dumps({"": 0, **answer}, separators=(",", ":"))[len('{"":0') :]
    name = sa.literal('{"message_id":', sa.Text) + sa.func.json_quote(rows.message_id)
    source = (
        sa.select(
            rows.task_id,
            rows.contact_id,
            rows.sender_service_id,
            rows.event_tracking_uid,
            sa.case((tried, EventType.SEND_API_TRY.value), else_=EventType.SEND_API_SUCCESS.value),
            sa.case((tried, rows.attempt_at), else_=rows.sent_at),
            sa.case((tried, sa.null()), else_=name + sa.literal(rest, sa.Text)),
        )
        .select_from(task_contacts.join(step, sa.true()))
        .where(bulk.among(rows.id, row_ids))
    )
    connection.execute(sa.insert(event_log).from_select(_COLUMNS[:-1], source, include_defaults=False))


def after(
    connection: Connection,
    event_id: int,
    limit: int,
    *,
    task_ids: Collection[int] | None = None,
    contact_id: int | None = None,
    event_type: EventType | None = None,
) -> list[RowMapping]:
    """The next events stored after the one with ``event_id``: walks the primary key from there."""
    query = sa.select(event_log).where(event_log.c.id > event_id, *_filters(task_ids, contact_id, event_type))
    return list(connection.execute(query.order_by(event_log.c.id).limit(limit)).mappings())


def latest(
    connection: Connection,
    limit: int,
    *,
    task_id: int | None = None,
    contact_id: int | None = None,
    event_type: EventType | None = None,
    within: Collection[int] | None = None,
) -> list[RowMapping]:
    """The newest events, newest last. within: only events of these tasks (None: of any or of no task)."""
    if contact_id is not None:
        rows = _of_contact(connection, limit, contact_id, task_id, event_type, within)
    elif task_id is not None:
        types = [event_type] if event_type else list(EventType)
        rows = [row for kind in types for row in _of_type(connection, limit, task_id, kind)]
    else:
        query = sa.select(event_log).where(*_filters(within, None, event_type))
        rows = list(connection.execute(query.order_by(event_log.c.id.desc()).limit(limit)).mappings())
    return sorted(rows, key=lambda row: int(row["id"]))[-limit:]


def _filters(
    task_ids: Collection[int] | None, contact_id: int | None, event_type: EventType | None
) -> list[sa.ColumnElement[bool]]:
    wanted: list[sa.ColumnElement[bool]] = []
    if task_ids is not None:
        wanted.append(event_log.c.task_id.in_(task_ids))
    if contact_id is not None:
        wanted.append(event_log.c.contact_id == contact_id)
    if event_type is not None:
        wanted.append(event_log.c.type == event_type.value)
    return wanted


def _of_type(connection: Connection, limit: int, task_id: int, event_type: EventType) -> list[RowMapping]:
    """The newest of one type in one task, and all of the oldest one's moment: whole batches share theirs.

    Both queries read a range of ix_event_log_type_task_ts backwards.
    """
    mine = [event_log.c.type == event_type.value, event_log.c.task_id == task_id]
    newest_first = event_log.c.ts.desc()
    oldest = sa.select(event_log.c.ts).where(*mine).order_by(newest_first).offset(limit - 1).limit(1)
    moment = connection.execute(oldest).scalar()
    if moment is not None:
        mine.append(event_log.c.ts >= moment)
    return list(connection.execute(sa.select(event_log).where(*mine).order_by(newest_first)).mappings())


def _of_contact(
    connection: Connection,
    limit: int,
    contact_id: int,
    task_id: int | None,
    event_type: EventType | None,
    within: Collection[int] | None,
) -> list[RowMapping]:
    """A contact's events: its tasks come from the send list, for event_log has no index on contacts."""
    if task_id is not None:
        where = event_log.c.task_id == task_id
    else:
        tasks_of = sa.select(task_contacts.c.task_id).where(task_contacts.c.contact_id == contact_id)
        ids = set(connection.execute(tasks_of).scalars())
        if within is not None:
            where = event_log.c.task_id.in_(sorted(ids & set(within)))
        else:
            where = sa.or_(event_log.c.task_id.in_(sorted(ids)), event_log.c.task_id.is_(None))
    query = sa.select(event_log).where(where, *_filters(None, contact_id, event_type))
    return list(connection.execute(query.order_by(event_log.c.id.desc()).limit(limit)).mappings())


def count_since(connection: Connection, task_id: int, event_type: EventType, since: datetime) -> int:
    """How many events of a type a task has had since then; one index range."""
    query = (
        sa.select(sa.func.count())
        .select_from(event_log)
        .where(event_log.c.type == event_type.value, event_log.c.task_id == task_id, event_log.c.ts >= since)
    )
    return int(connection.execute(query).scalar_one())


def named(connection: Connection, rows: Sequence[RowMapping]) -> list[dict[str, Any]]:
    """Events as people read them: ``campaign/task``, address and service name instead of ids."""

    def names(table: sa.Table, label: Any, key: str) -> dict[int, str]:
        ids = {row[key] for row in rows if row[key] is not None}
        if not ids:
            return {}
        query = sa.select(table.c.id, label).where(table.c.id.in_(ids))
        if table is tasks:
            query = query.join_from(tasks, campaigns)
        return {row[0]: row[1] for row in connection.execute(query)}

    task_names = names(tasks, campaigns.c.name + "/" + tasks.c.name, "task_id")
    emails = names(contacts, contacts.c.email, "contact_id")
    service_names = names(sender_services, sender_services.c.name, "sender_service_id")
    return [
        {
            "id": row["id"],
            "task": task_names.get(row["task_id"]),
            "contact": emails.get(row["contact_id"]),
            "service": service_names.get(row["sender_service_id"]),
            "type": row["type"],
            "ts": row["ts"],
            "details": row["details"],
        }
        for row in rows
    ]
