"""Rows of ``inbox_messages``: what was found in mailboxes and is about mail of ours."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database.expressions import lower_text
from coldsend.database.tables import campaigns, contacts, inbox_messages, mailboxes, task_contacts, tasks
from coldsend.domain.inbox import MessageKind
from coldsend.stores.lookup import inserted_id

i = inbox_messages.c

# What a list shows: not the message itself.
_SHORT = (
    i.id,
    mailboxes.c.name.label("mailbox"),
    i.mailbox_id,
    i.kind,
    i.received_at,
    i.task_contact_id,
    (campaigns.c.name + "/" + tasks.c.name).label("task"),
    contacts.c.email.label("contact"),
    i.from_email,
    i.subject,
    i.details,
    i.category,
    mailboxes.c.sender_service_id,
    campaigns.c.created_by,
)


# All that others wrote; without it only that a message came, when, and of what kind is known.
WORDS = ("message_id", "from_email", "subject", "text", "raw", "details", "category")


def known(connection: Connection, digest: str, *, besides: int | None = None) -> bool:
    """Whether a copy of this message is stored. besides: the id of the message itself."""
    return (
        connection.execute(sa.select(i.id).where(i.digest == digest, i.id != (besides or 0))).first()
        is not None
    )


def add(connection: Connection, values: Mapping[str, Any], now: datetime) -> int:
    """Insert a message; returns its id."""
    return inserted_id(connection.execute(sa.insert(inbox_messages).values(**values, created_at=now)))


def change(connection: Connection, message_id: int, values: Mapping[str, Any]) -> None:
    """Set columns of a message that was taken once more."""
    connection.execute(sa.update(inbox_messages).where(i.id == message_id).values(dict(values)))


def categories(connection: Connection, contact_id: int, task_contact_id: int) -> list[str]:
    """What a contact's replies to a message want, as far as it is known."""
    query = sa.select(i.category).where(
        i.contact_id == contact_id, i.task_contact_id == task_contact_id, i.category.is_not(None)
    )
    return [str(category) for category in connection.execute(query).scalars()]


def remove(connection: Connection, message_id: int) -> None:
    connection.execute(sa.delete(inbox_messages).where(i.id == message_id))


def not_taken(connection: Connection) -> list[int]:
    """Ids of the messages that could not be understood or acted on, and are there as they came."""
    query = sa.select(i.id).where(_has_error(), i.raw.is_not(None)).order_by(i.id)
    return list(connection.execute(query).scalars())


def _has_error() -> sa.ColumnElement[bool]:
    return sa.func.instr(lower_text(i.details), '"error":') > 0


class Contact(NamedTuple):
    """Whom a message is about. erased: nothing that was said may be kept."""

    id: int
    email_key: str
    erased: bool


def contact_of(connection: Connection, task_contact_id: int) -> Contact | None:
    """The contact of a row of the send list; None: there is no such row."""
    query = (
        sa.select(contacts.c.id, contacts.c.email_key, contacts.c.erased_at)
        .join_from(task_contacts, contacts, contacts.c.id == task_contacts.c.contact_id)
        .where(task_contacts.c.id == task_contact_id)
    )
    row = connection.execute(query).first()
    return Contact(row[0], row[1], row[2] is not None) if row is not None else None


def get(connection: Connection, message_id: int) -> RowMapping | None:
    """One message whole, with the names of what it is about."""
    query = _joined(
        sa.select(*_SHORT, i.message_id, i.text, i.raw, i.contact_id, i.uid_validity, i.uid)
    ).where(i.id == message_id)
    return connection.execute(query).mappings().first()


def latest(
    connection: Connection,
    limit: int,
    *,
    kind: MessageKind | None = None,
    mailbox_id: int | None = None,
    contact_id: int | None = None,
    only_not_taken: bool = False,
    category: str | None = None,
    visible_to: tuple[int, Collection[int]] | None = None,
) -> list[RowMapping]:
    """The newest messages, newest last, without their texts.

    only_not_taken: those that could not be understood or acted on.
    visible_to: (a user, services granted to it): only about what it created, or found in their mailboxes.
    """
    query = _joined(sa.select(*_SHORT))
    if kind is not None:
        query = query.where(i.kind == kind.value)
    if mailbox_id is not None:
        query = query.where(i.mailbox_id == mailbox_id)
    if contact_id is not None:
        query = query.where(i.contact_id == contact_id)
    if only_not_taken:
        query = query.where(_has_error())
    if category is not None:
        query = query.where(i.category == category)
    if visible_to is not None:
        user_id, granted = visible_to
        query = query.where(
            sa.or_(campaigns.c.created_by == user_id, mailboxes.c.sender_service_id.in_(granted))
        )
    rows = connection.execute(query.order_by(i.id.desc()).limit(limit)).mappings()
    return list(rows)[::-1]


def _joined(query: sa.Select[Any]) -> sa.Select[Any]:
    return query.select_from(
        inbox_messages.outerjoin(mailboxes, mailboxes.c.id == i.mailbox_id)
        .outerjoin(task_contacts, task_contacts.c.id == i.task_contact_id)
        .outerjoin(tasks, tasks.c.id == task_contacts.c.task_id)
        .outerjoin(campaigns, campaigns.c.id == tasks.c.campaign_id)
        .outerjoin(contacts, contacts.c.id == i.contact_id)
    )
