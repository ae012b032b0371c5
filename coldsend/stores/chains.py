"""Chains of messages: what a follow-up follows, back to the first message of its sequence."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database import bulk
from coldsend.database.tables import task_contacts, tasks
from coldsend.domain import sequence
from coldsend.domain.sequence import Condition
from coldsend.stores.ledger import chunks

rows = task_contacts.c

LONGEST = 100  # messages: more than any sequence has

_MESSAGE = sa.select(
    rows.id,
    rows.follows_id,
    rows.task_id,
    rows.status,
    rows.sent_at,
    rows.opened_at,
    rows.clicked_at,
    rows.replied_at,
    rows.bounced_at,
    rows.reply_category,
    rows.message_id,
    rows.subject,
    rows.selected_template_id,
    rows.sender_service_id,
)


def conditions(connection: Connection, task_ids: Collection[int]) -> dict[int, tuple[Condition, ...]]:
    """task id -> what it asks of the messages before, of those of these tasks that follow another one."""
    query = sa.select(tasks.c.id, tasks.c.follows_condition).where(
        tasks.c.id.in_(sorted(task_ids)), tasks.c.follows_task_id.is_not(None)
    )
    return {row[0]: sequence.read_conditions(row[1] or ()) for row in connection.execute(query)}


def earlier(connection: Connection, row_ids: Sequence[int]) -> dict[int, list[RowMapping]]:
    """row id -> the messages before it in its chain, the oldest first; rows that follow nothing are absent.

    A message is its row of the send list. One query for each step of the longest chain.
    """
    before = _follows(connection, row_ids)
    found: dict[int, list[RowMapping]] = {row_id: [] for row_id in before}
    for _ in range(LONGEST):
        if not before:
            break
        messages = _messages(connection, sorted(set(before.values())))
        nearer, before = before, {}
        for row_id, message_id in nearer.items():
            message = messages.get(message_id)
            if message is None:
                continue
            found[row_id].insert(0, message)
            if message["follows_id"] is not None:
                before[row_id] = message["follows_id"]
    return {row_id: messages for row_id, messages in found.items() if messages}


def _follows(connection: Connection, row_ids: Sequence[int]) -> dict[int, int]:
    query = sa.select(rows.id, rows.follows_id).where(rows.follows_id.is_not(None))
    return {
        row[0]: row[1]
        for some in chunks(row_ids)
        for row in connection.execute(query.where(bulk.among(rows.id, some)))
    }


def _messages(connection: Connection, row_ids: Sequence[int]) -> dict[int, RowMapping]:
    return {
        row["id"]: row
        for some in chunks(row_ids)
        for row in connection.execute(_MESSAGE.where(bulk.among(rows.id, some))).mappings()
    }
