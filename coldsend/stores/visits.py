"""What judging a visit asks of the send list."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.database import bulk
from coldsend.database.tables import task_contacts
from coldsend.stores.ledger import chunks


def accepted_at(connection: Connection, row_ids: Collection[int]) -> dict[int, datetime]:
    """id -> when the message of that row was accepted, else when that was tried; without those never
    tried."""
    found: dict[int, datetime] = {}
    rows = task_contacts.c
    moment = sa.func.coalesce(rows.sent_at, rows.attempt_at)
    for chunk in chunks(sorted(row_ids)):
        statement = sa.select(rows.id, moment).where(bulk.among(rows.id, chunk), moment.is_not(None))
        found.update((row_id, at) for row_id, at in connection.execute(statement))
    return found
