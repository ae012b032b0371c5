"""Rows of ``template_sets`` and ``template_set_items``. Items rotate by (``order``, id)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database.tables import (
    campaigns,
    tasks,
    template_set_items,
    template_sets,
    templates,
    users,
)
from coldsend.domain.rotation import Turn
from coldsend.domain.states import TaskStatus
from coldsend.errors import Refused
from coldsend.stores import lookup
from coldsend.stores.lookup import inserted_id

_items = template_set_items.c


def find(connection: Connection, given: str | int) -> RowMapping:
    return lookup.by_name_or_id(connection, template_sets, given, "template set")


def add(connection: Connection, name: str, created_by: int, now: datetime) -> int:
    """Insert an empty set; Refused where the name is taken."""
    if connection.execute(sa.select(template_sets.c.id).where(template_sets.c.name == name)).first():
        raise Refused(
            f"template set {name!r} exists already",
            hint=f"choose another name, or: coldsend template-set add {name!r} TEMPLATE",
        )
    values = {"name": name, "created_by": created_by, "created_at": now, "updated_at": now}
    return inserted_id(connection.execute(sa.insert(template_sets).values(**values)))


def listed(connection: Connection, created_by: int | None = None) -> list[RowMapping]:
    """Sets by name, with the number of their templates and their creator's name; only one user's if given."""
    size = sa.select(sa.func.count()).where(_items.template_set_id == template_sets.c.id).scalar_subquery()
    statement = (
        sa.select(
            template_sets.c.id,
            template_sets.c.name,
            size.label("size"),
            users.c.username.label("created_by"),
            template_sets.c.updated_at,
        )
        .join_from(template_sets, users)
        .order_by(template_sets.c.name)
    )
    if created_by is not None:
        statement = statement.where(template_sets.c.created_by == created_by)
    return list(connection.execute(statement).mappings())


def items(connection: Connection, set_id: int) -> list[RowMapping]:
    """The templates of a set in the order they rotate.

    ``template_id``, ``name``, ``subject``, ``order`` and ``weight`` of each.
    """
    statement = (
        sa.select(_items.template_id, templates.c.name, templates.c.subject, _items.order, _items.weight)
        .join_from(template_set_items, templates)
        .where(_items.template_set_id == set_id)
        .order_by(_items.order, _items.id)
    )
    return list(connection.execute(statement).mappings())


def append(connection: Connection, set_id: int, turns: Sequence[Turn], now: datetime) -> None:
    """Put templates at the end of a set."""
    last = connection.execute(
        sa.select(sa.func.max(_items.order)).where(_items.template_set_id == set_id)
    ).scalar()
    after = 0 if last is None else int(last) + 1
    connection.execute(
        sa.insert(template_set_items),
        [
            {
                "template_set_id": set_id,
                "template_id": turn.template_id,
                "order": after + index,
                "created_at": now,
                "weight": turn.weight,
            }
            for index, turn in enumerate(turns)
        ],
    )
    _touch(connection, set_id, now)


def take_out(connection: Connection, set_id: int, template_ids: Sequence[int], now: datetime) -> None:
    connection.execute(
        sa.delete(template_set_items).where(
            _items.template_set_id == set_id, _items.template_id.in_(template_ids)
        )
    )
    _touch(connection, set_id, now)


def put_in_order(connection: Connection, set_id: int, template_ids: Sequence[int], now: datetime) -> None:
    """Number the items of a set as ``template_ids`` stand."""
    for order, template_id in enumerate(template_ids):
        connection.execute(
            sa.update(template_set_items)
            .where(_items.template_set_id == set_id, _items.template_id == template_id)
            .values({"order": order})
        )
    _touch(connection, set_id, now)


def set_weights(connection: Connection, set_id: int, turns: Sequence[Turn], now: datetime) -> None:
    """Give templates of a set other weights; those not named keep theirs."""
    for turn in turns:
        connection.execute(
            sa.update(template_set_items)
            .where(_items.template_set_id == set_id, _items.template_id == turn.template_id)
            .values(weight=turn.weight)
        )
    _touch(connection, set_id, now)


def _touch(connection: Connection, set_id: int, now: datetime) -> None:
    connection.execute(sa.update(template_sets).where(template_sets.c.id == set_id).values(updated_at=now))


def remove(connection: Connection, set_id: int) -> None:
    """Delete a set and its items; the templates stay."""
    connection.execute(sa.delete(template_set_items).where(_items.template_set_id == set_id))
    connection.execute(sa.delete(template_sets).where(template_sets.c.id == set_id))


def tasks_with(
    connection: Connection, set_id: int, statuses: Collection[TaskStatus] | None = None
) -> list[str]:
    """``campaign/task`` of the tasks that use a set, those in ``statuses`` only if given."""
    statement = (
        sa.select(campaigns.c.name, tasks.c.name)
        .join_from(tasks, campaigns)
        .where(tasks.c.template_set_id == set_id)
        .order_by(tasks.c.id)
    )
    if statuses is not None:
        statement = statement.where(tasks.c.status.in_([status.value for status in statuses]))
    return [f"{campaign}/{task}" for campaign, task in connection.execute(statement)]
