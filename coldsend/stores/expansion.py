"""Expansion of a task into its send list: where it stands (columns of ``tasks``), and its rows.

``tasks.expand_cursor`` is the id up to which contacts were looked at, ``expand_to`` the last one that will
be, ``expanded_count`` the rows made so far; ``expanded_at`` closes it. All of it moves in the transaction
that adds the rows, so a killed expansion goes on exactly where it stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement
from sqlalchemy.engine import Connection

from coldsend.database.dialect import text_of
from coldsend.database.tables import contacts, task_contacts, tasks, template_set_items
from coldsend.domain.gates import Gate
from coldsend.domain.rotation import Turn, round_of
from coldsend.domain.states import RowStatus, TaskStatus
from coldsend.stores.due_times import DueTimes, place_columns
from coldsend.stores.ledger import BUCKETS
from coldsend.stores.suppressions import suppressed_condition

EXPANDABLE = (TaskStatus.SCHEDULED, TaskStatus.SENDING)


def rotation(connection: Connection, template_set_id: int) -> list[int]:
    """The templates of a set as they take turns: one round, see ``domain/rotation.py``."""
    items = template_set_items.c
    query = sa.select(items.template_id, items.weight).where(items.template_set_id == template_set_id)
    found = connection.execute(query.order_by(items.order, items.id))
    return round_of([Turn(template_id, weight) for template_id, weight in found])


def last_contact(connection: Connection) -> int:
    """The highest contact id, 0 where there is none."""
    return connection.execute(sa.select(sa.func.max(contacts.c.id))).scalar() or 0


def begin(
    connection: Connection, task_id: int, template_ids: Sequence[int] | None, upto: int, now: datetime
) -> bool:
    """Fix how far an expansion goes and which templates take turns; False if that was done already.

    template_ids: None where they have been fixed: an experiment may be changing them this very moment.
    """
    fixed = {} if template_ids is None else {"template_ids": list(template_ids)}
    return _moved(connection, task_id, [tasks.c.expand_to.is_(None)], now, expand_to=upto, **fixed)


def advance(connection: Connection, task_id: int, span: tuple[int, int], added: int, now: datetime) -> bool:
    """Move the cursor over a span of contact ids (after, to); False where another process did, or the task
    was stopped. ``added``: the rows there were when the cursor was read.

    Keeps the task's row locked until the transaction ends: whoever comes second waits, then finds it moved.
    """
    after, to = span
    unmoved = [tasks.c.expand_cursor == after, tasks.c.expand_to >= to, tasks.c.expanded_count == added]
    return _moved(connection, task_id, unmoved, now, expand_cursor=to)


def count(connection: Connection, task_id: int, added: int, now: datetime, *, done: bool) -> None:
    """Count rows that were added; ``done``: the expansion is closed."""
    closing: dict[str, Any] = {"expanded_at": now} if done else {}
    _moved(connection, task_id, [], now, expanded_count=tasks.c.expanded_count + added, **closing)


def restart(connection: Connection, task_id: int, now: datetime) -> None:
    """Look at all contacts again; rows there are and the turn of the templates stay."""
    unset = {"expand_to": None, "expanded_at": None, "updated_at": now}
    connection.execute(sa.update(tasks).where(tasks.c.id == task_id).values(expand_cursor=0, **unset))


def add_rows(
    connection: Connection,
    recipients: sa.Select[int],
    *,
    task_id: int,
    campaign_id: int,
    after: int,
    template_ids: Sequence[int],
    turns: int,
    due: DueTimes,
) -> int:
    """Add a row for every recipient that is not on the task's list; how many were added.

    recipients: a SELECT of ids from ``contacts``, all greater than ``after``. template_ids: a round. turns:
    how many there were before; they go on from there in the order of contact ids. due: when the rows may be
    sent. Suppressed contacts come in skipped.
    """
    if _listed_beyond(connection, task_id, after):
        recipients = recipients.where(~_is_listed(task_id))
    turn = (turns - 1 + sa.func.row_number().over(order_by=contacts.c.id)) % len(template_ids)
    suppressed = sa.case((suppressed_condition(campaign_id), 1), else_=0)
    places = place_columns() if due.places else []
    wanted = recipients.add_columns(suppressed.label("suppressed"), turn.label("turn"), *places)
    chosen = wanted.subquery("chosen")
    rows = _rows(chosen, task_id, template_ids, due, connection.dialect.name)
    insert = sa.insert(task_contacts).from_select([column.name for column in rows.selected_columns], rows)
    return connection.execute(insert).rowcount


def _rows(
    chosen: sa.Subquery, task_id: int, template_ids: Sequence[int], due: DueTimes, dialect_name: str
) -> sa.Select[Any]:
    """Rows of ``task_contacts`` for the chosen contacts, columns named as there."""
    skipped = chosen.c.suppressed == 1
    template = sa.case(dict(enumerate(template_ids)), value=chosen.c.turn)
    uid = sa.literal(f"t{task_id}c") + text_of(chosen.c.id, dialect_name)
    return sa.select(
        sa.literal(task_id).label("task_id"),
        chosen.c.id.label("contact_id"),
        sa.case((skipped, RowStatus.SKIPPED.value), else_=RowStatus.PENDING.value).label("status"),
        sa.case((skipped, Gate.SUPPRESSED.value)).label("reason"),
        template.label("selected_template_id"),
        due.expression(chosen).label("scheduled_send_at"),
        uid.label("event_tracking_uid"),
        (chosen.c.id % BUCKETS).label("bucket"),
    )


def _listed_beyond(connection: Connection, task_id: int, contact_id: int) -> bool:
    """Whether the list has contacts with greater ids: only when a task is expanded again."""
    rows = task_contacts.c
    query = sa.select(rows.contact_id).where(rows.task_id == task_id, rows.contact_id > contact_id)
    return connection.execute(query.limit(1)).first() is not None


def _is_listed(task_id: int) -> ColumnElement[bool]:
    row = task_contacts.alias("listed")
    same = sa.select(row.c.id).where(row.c.task_id == task_id, row.c.contact_id == contacts.c.id)
    return same.correlate(contacts).exists()


def _moved(
    connection: Connection, task_id: int, only_if: list[ColumnElement[bool]], now: datetime, **values: Any
) -> bool:
    """Change the task's row where it is still open for expansion and ``only_if`` holds; whether it was."""
    is_open = [
        tasks.c.id == task_id,
        tasks.c.status.in_([status.value for status in EXPANDABLE]),
        tasks.c.expanded_at.is_(None),
    ]
    change = sa.update(tasks).where(*is_open, *only_if).values(updated_at=now, **values)
    return connection.execute(change).rowcount == 1
