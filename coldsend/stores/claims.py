"""Claims that are open: rows in ``sending``, by the worker whose token they carry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.database import dialect
from coldsend.database.tables import task_contacts, tasks, workers
from coldsend.domain.states import RowStatus
from coldsend.stores.ledger import token_of, worker_of

_CHUNK = 1000  # rows one statement names

rows = task_contacts.c


def of_worker(
    connection: Connection, worker_id: int, status: RowStatus = RowStatus.SENDING
) -> list[sa.Row[Any]]:
    """Rows in ``sending`` (or ``unknown``) that this worker has claimed, whatever became of their task."""
    columns = (
        rows.id,
        rows.claim_token,
        rows.sender_service_id,
        rows.attempt_at,
        rows.retries,
        rows.first_attempt_at,
        rows.reason,
    )
    mine = (rows.claim_token >= token_of(worker_id, 0), rows.claim_token < token_of(worker_id + 1, 0))
    return list(connection.execute(_in(connection, status, sa.select(*columns)).where(*mine)))


def orphaned(connection: Connection) -> list[int]:
    """Ids of workers that are stopped, or never were, and still have rows in ``sending``."""
    tokens = connection.execute(
        _in(connection, RowStatus.SENDING, sa.select(rows.claim_token).distinct())
    ).scalars()
    holders = {worker_of(token) for token in tokens if token is not None}
    living = sa.select(workers.c.id).where(workers.c.id.in_(holders), workers.c.stopped_at.is_(None))
    return sorted(holders - set(connection.execute(living).scalars()))


def _in(connection: Connection, status: RowStatus, columns: sa.Select[Any]) -> sa.Select[Any]:
    """There is no index on the token: the rows in ``sending`` of all begun tasks are a second's work each."""
    begun = connection.execute(sa.select(tasks.c.id).where(tasks.c.actual_start_time.is_not(None))).scalars()
    statement: sa.Select[Any] = dialect.force_index(task_contacts, "ix_task_contacts_lease")(
        columns.where(rows.task_id.in_(list(begun)), rows.status == status.value)
    )
    return statement


def fence(connection: Connection, row_ids: Sequence[int], token: int) -> None:
    """Let no other transaction take those of the rows that are pending, also not one that is under way.

    On one server it waits for that transaction, as a lock does. On another node of a cluster, where
    locks do not reach, writing the same rows makes it fail.
    """
    pending = sa.update(task_contacts).where(rows.status == RowStatus.PENDING.value)
    for start in range(0, len(row_ids), _CHUNK):
        some = rows.id.in_(row_ids[start : start + _CHUNK])
        connection.execute(pending.where(some).values(claim_token=token))
