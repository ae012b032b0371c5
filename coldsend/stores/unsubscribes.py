"""Unsubscribes in the event log, found to be taken back; an event that was taken back says when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.database.tables import event_log, task_contacts, tasks
from coldsend.domain.states import EventType

TAKEN_BACK = "taken_back_at"


class Unsubscribe(NamedTuple):
    """at: when. campaign_id: of the message whose link was used; campaign_only: nothing else was left."""

    event_id: int
    row_id: int
    contact_id: int
    campaign_id: int
    at: datetime
    campaign_only: bool
    details: Mapping[str, Any]

    @property
    def stands(self) -> bool:
        return TAKEN_BACK not in self.details


_COLUMNS = (
    sa.select(
        event_log.c.id,
        task_contacts.c.id,
        task_contacts.c.contact_id,
        tasks.c.campaign_id,
        event_log.c.ts,
        event_log.c.details,
    )
    .select_from(event_log)
    .join(
        task_contacts,
        sa.and_(
            task_contacts.c.task_id == event_log.c.task_id,
            task_contacts.c.contact_id == event_log.c.contact_id,
        ),
    )
    .join(tasks, tasks.c.id == task_contacts.c.task_id)
    .where(event_log.c.type == EventType.UNSUBSCRIBE.value)
)


def by_key(connection: Connection, key: str) -> Unsubscribe | None:
    """The unsubscribe with this key of the event log."""
    row = connection.execute(_COLUMNS.where(event_log.c.dedup_key == key)).first()
    return None if row is None else _read(row)


def of_contact(connection: Connection, contact_id: int) -> list[Unsubscribe]:
    """Every unsubscribe of a person, of whatever message."""
    return [
        _read(row) for row in connection.execute(_COLUMNS.where(task_contacts.c.contact_id == contact_id))
    ]


def bounced_since(connection: Connection, contact_id: int, at: datetime) -> bool:
    """Whether a message to this person has bounced since."""
    rows = task_contacts.c
    bounced = sa.select(rows.id).where(rows.contact_id == contact_id, rows.bounced_at >= at).limit(1)
    return connection.execute(bounced).first() is not None


def take_back(connection: Connection, found: Unsubscribe, at: datetime) -> None:
    """Note that it was taken back."""
    details = {**found.details, TAKEN_BACK: at.isoformat()}
    connection.execute(sa.update(event_log).where(event_log.c.id == found.event_id).values(details=details))


def _read(row: sa.Row[*tuple[Any, ...]]) -> Unsubscribe:
    event_id, row_id, contact_id, campaign_id, at, details = row
    details = details or {}
    return Unsubscribe(
        event_id, row_id, contact_id, campaign_id, at, bool(details.get("campaign_only")), details
    )
