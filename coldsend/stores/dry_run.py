"""What a dry run reads: contacts, and rows of send lists that wait. Written to is nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database import bulk
from coldsend.database.tables import contacts, task_contacts
from coldsend.domain.states import RowStatus

c = contacts.c
rows = task_contacts.c

_CONTACT = (
    c.id, c.email, c.email_key, c.email_domain, c.nickname, c.tags, c.fields, c.time_zone, c.deleted_at,
)  # fmt: skip


def people(connection: Connection, ids: Sequence[int]) -> list[RowMapping]:
    """These contacts, in the order of their ids."""
    query = sa.select(*_CONTACT).where(bulk.among(c.id, ids)).order_by(c.id)
    return list(connection.execute(query).mappings())


def waiting(connection: Connection, task_id: int, after: int, limit: int) -> list[RowMapping]:
    """Pending rows of a send list with their contacts, by contact id, from behind ``after``.

    With the row as ``row_id``, its template as ``template_id``, and the service it keeps as ``keeps``.
    """
    query = (
        sa.select(
            *_CONTACT,
            rows.id.label("row_id"),
            rows.selected_template_id.label("template_id"),
            rows.sender_service_id.label("keeps"),
        )
        .join_from(task_contacts, contacts, c.id == rows.contact_id)
        .where(rows.task_id == task_id, rows.contact_id > after, rows.status == RowStatus.PENDING.value)
        .order_by(rows.contact_id)
        .limit(limit)
    )
    return list(connection.execute(query).mappings())


def matching(connection: Connection, condition: sa.ColumnElement[bool], ids: Sequence[int]) -> set[int]:
    """Which of these contacts a rule's condition holds for."""
    return set(connection.execute(sa.select(c.id).where(bulk.among(c.id, ids), condition)).scalars())


def of_rule(connection: Connection, recipients: sa.Select[Any], task_id: int, *, listed: bool) -> list[int]:
    """Contact ids of a rule's SELECT; listed: without those that are on the task's list already."""
    if listed:
        there = sa.exists().where(rows.task_id == task_id, rows.contact_id == c.id)
        recipients = recipients.where(~there)
    return sorted(connection.execute(recipients).scalars())
