"""Rows of ``templates``, and what uses them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database.tables import (
    campaigns,
    task_contacts,
    tasks,
    template_set_items,
    template_sets,
    templates,
    users,
)
from coldsend.domain.states import TaskStatus
from coldsend.errors import Refused
from coldsend.stores import lookup
from coldsend.stores.experiments import templates_of
from coldsend.stores.lookup import inserted_id


def find(connection: Connection, given: str | int) -> RowMapping:
    return lookup.by_name_or_id(connection, templates, given, "template")


def add(connection: Connection, values: Mapping[str, Any], now: datetime) -> int:
    """Insert a template (name, subject, body, text_body, created_by); Refused where the name is taken."""
    check_free(connection, values["name"])
    result = connection.execute(sa.insert(templates).values(**values, created_at=now, updated_at=now))
    return inserted_id(result)


def exists(connection: Connection, name: str) -> bool:
    """Whether a template has this name."""
    return connection.execute(sa.select(templates.c.id).where(templates.c.name == name)).first() is not None


def check_free(connection: Connection, name: str) -> None:
    if exists(connection, name):
        raise Refused(
            f"template {name!r} exists already",
            hint=f"choose another name, or: coldsend template update {name!r}",
        )


def listed(connection: Connection, created_by: int | None = None) -> list[RowMapping]:
    """Templates without their bodies, by name, with their creator's name; only one user's if given."""
    statement = (
        sa.select(
            templates.c.id,
            templates.c.name,
            templates.c.subject,
            sa.func.length(templates.c.body).label("size"),
            templates.c.text_body.is_not(None).label("has_text"),
            users.c.username.label("created_by"),
            templates.c.updated_at,
        )
        .join_from(templates, users)
        .order_by(templates.c.name)
    )
    if created_by is not None:
        statement = statement.where(templates.c.created_by == created_by)
    return list(connection.execute(statement).mappings())


def bodies(connection: Connection) -> Iterable[RowMapping]:
    """All templates with their bodies, one in memory at a time where the driver can."""
    return connection.execute(sa.select(templates).order_by(templates.c.id)).mappings()


def update(connection: Connection, template_id: int, values: Mapping[str, Any], now: datetime) -> None:
    connection.execute(
        sa.update(templates).where(templates.c.id == template_id).values(**values, updated_at=now)
    )


def remove(connection: Connection, template_id: int) -> None:
    connection.execute(sa.delete(templates).where(templates.c.id == template_id))


def stamps(connection: Connection, template_ids: Sequence[int]) -> dict[int, datetime]:
    """When each of these templates was last changed."""
    wanted = sa.select(templates.c.id, templates.c.updated_at).where(templates.c.id.in_(template_ids))
    return {row.id: row.updated_at for row in connection.execute(wanted)}


def sets_with(connection: Connection, template_id: int) -> list[str]:
    """Names of the template sets it is in."""
    statement = (
        sa.select(template_sets.c.name)
        .join_from(template_set_items, template_sets)
        .where(template_set_items.c.template_id == template_id)
        .order_by(template_sets.c.name)
    )
    return list(connection.execute(statement).scalars())


def is_in_a_send_list(connection: Connection, template_id: int) -> bool:
    statement = (
        sa.select(task_contacts.c.id).where(task_contacts.c.selected_template_id == template_id).limit(1)
    )
    return connection.execute(statement).first() is not None


def in_tasks(connection: Connection, statuses: Collection[TaskStatus]) -> dict[int, list[str]]:
    """Template id -> ``campaign/task`` of the tasks in one of ``statuses`` that send it.

    A task sends what its set holds, and once it is expanded what the set held then.
    """
    open_tasks = (
        connection.execute(
            sa.select(
                campaigns.c.name.label("campaign"),
                tasks.c.name,
                tasks.c.template_set_id,
                tasks.c.template_ids,
                tasks.c.experiment,
            )
            .join_from(tasks, campaigns)
            .where(tasks.c.status.in_([status.value for status in statuses]))
            .order_by(tasks.c.id)
        )
        .mappings()
        .all()
    )
    held: dict[int, set[int]] = {}
    for set_id, template_id in connection.execute(
        sa.select(template_set_items.c.template_set_id, template_set_items.c.template_id).where(
            template_set_items.c.template_set_id.in_({task["template_set_id"] for task in open_tasks})
        )
    ):
        held.setdefault(set_id, set()).add(template_id)
    found: dict[int, list[str]] = {}
    for task in open_tasks:
        for template_id in held.get(task["template_set_id"], set()) | templates_of(task):
            found.setdefault(template_id, []).append(f"{task['campaign']}/{task['name']}")
    return found
