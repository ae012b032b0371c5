"""Outcomes of send-list rows: what became of an attempt, written only to rows that still carry its token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.database import bulk
from coldsend.database.tables import task_contacts, tasks
from coldsend.domain.feedback import FURTHEST
from coldsend.domain.outcome import RowOutcome
from coldsend.domain.states import RowReason, RowStatus
from coldsend.stores.ledger import chunks

rows = task_contacts.c


def _furthest(table: str = "") -> str:
    """SQL: the status of an accepted row, which may have been opened before its outcome is written."""
    known = [f"WHEN {table}{column} IS NOT NULL THEN '{status}'" for column, status in reversed(FURTHEST)]
    return f"CASE {' '.join(known)} ELSE 'sent' END"


_ASSIGNMENTS = {
    "status": f"CASE v.status WHEN 'sent' THEN {_furthest('t.')} ELSE v.status END",
    "sent_at": "COALESCE(v.sent_at, t.sent_at)",
    "error_message": "v.error_message",
    "reason": "v.reason",
    "scheduled_send_at": "COALESCE(v.scheduled_send_at, t.scheduled_send_at)",
    "retries": "v.retries",
    "first_attempt_at": "v.first_attempt_at",
    "sender_service_id": "v.sender_service_id",
    "message_id": "COALESCE(v.message_id, t.message_id)",
    "subject": "COALESCE(v.subject, t.subject)",
}
_MINE = "t.claim_token = v.claim_token AND "
_GUARD = _MINE + "t.status = 'sending'"
# A row that rescue has given up as unknown still takes the true outcome from its own claim; whether it may be
# pending again depends on its task, see still_open().
_LATE_GUARD = (
    _MINE + "(t.status = 'sending' OR (t.status = 'unknown' AND v.status NOT IN ('unknown', 'pending')))"
)


_COLUMNS = (
    "id",
    "claim_token",
    "status",
    "sent_at",
    "error_message",
    "reason",
    "scheduled_send_at",
    "retries",
    "first_attempt_at",
    "sender_service_id",
    "message_id",
    "subject",
)
# What a plain acceptance changes; the rest stands in the row since its intent.
_ACCEPTED = {
    "status": _furthest(),
    "error_message": "NULL",
    "reason": "NULL",
    "first_attempt_at": "COALESCE(first_attempt_at, attempt_at)",
}
_ACCEPTED_CHUNK = 500
_SUBJECT = 998  # characters a row has room for: a line of a message has no more


def record(connection: Connection, outcomes: Sequence[RowOutcome], *, late: bool = False) -> int:
    """Write outcomes to the rows that are in ``sending`` under their token; returns how many were.

    late: also to those that were given up as unknown meanwhile, of which more depends than their row.
    """
    written = 0
    guard = _LATE_GUARD if late else _GUARD
    others: list[RowOutcome] = []
    accepted: dict[int, list[RowOutcome]] = {}
    for outcome in outcomes:
        if outcome.plain:
            accepted.setdefault(outcome.token, []).append(outcome)
        else:
            others.append(outcome)
    for chunk in chunks(others):
        values = [_values(outcome) for outcome in chunk]
        written += bulk.update_many(connection, task_contacts, _ASSIGNMENTS, _COLUMNS, values, guard)
    for token, of_token in accepted.items():
        for start in range(0, len(of_token), _ACCEPTED_CHUNK):
            some = of_token[start : start + _ACCEPTED_CHUNK]
            written += _record_accepted(connection, token, some, late=late)
    return written


def _record_accepted(
    connection: Connection, token: int, accepted: Sequence[RowOutcome], *, late: bool
) -> int:
    """Outcomes that are ``plain``, of rows claimed under one token."""
    open_states = "'sending', 'unknown'" if late else "'sending'"
    return bulk.update_each(
        connection,
        task_contacts,
        _ACCEPTED,
        {
            "sent_at": [outcome.at for outcome in accepted],
            "message_id": [outcome.message_id for outcome in accepted],
            "subject": [outcome.subject and outcome.subject[:_SUBJECT] for outcome in accepted],
        },
        [outcome.row_id for outcome in accepted],
        f"claim_token = {token} AND status IN ({open_states})",
    )


def heard_of(connection: Connection, outcomes: Sequence[RowOutcome]) -> set[int]:
    """Rows of these outcomes that something came back of since their attempt began; locks them all."""
    found: set[int] = set()
    for chunk in chunks(sorted({outcome.row_id for outcome in outcomes})):
        locked = sa.select(rows.id, rows.reason).where(bulk.among(rows.id, chunk)).order_by(rows.id)
        told = connection.execute(locked.with_for_update())
        found |= {row_id for row_id, reason in told if reason == RowReason.HEARD_OF}
    return found


def still_open(connection: Connection, outcomes: Sequence[RowOutcome]) -> set[tuple[int, int]]:
    """(row, token) of those outcomes that :func:`record` will write in this transaction; locks their rows.

    A row given up as unknown that was never sent after all goes back to ``sending`` here, if its task has not
    ended: nothing may wait in a task that nobody works on.
    """
    at: dict[tuple[int, int], tuple[str, int]] = {}
    for chunk in chunks(outcomes):
        found = connection.execute(
            sa.select(rows.id, rows.claim_token, rows.status, rows.task_id)
            .where(bulk.among(rows.id, [outcome.row_id for outcome in chunk]))
            .with_for_update()
        )
        at |= {(row[0], row[1]): (row[2], row[3]) for row in found}
    open_keys = set()
    for outcome in outcomes:
        key = (outcome.row_id, outcome.token)
        status, task_id = at.get(key, ("", 0))
        late = status == RowStatus.UNKNOWN and outcome.status != RowStatus.UNKNOWN
        if late and outcome.status == RowStatus.PENDING:
            late = _claim_again(connection, outcome, task_id)
        if status == RowStatus.SENDING or late:
            open_keys.add(key)
    return open_keys


def _claim_again(connection: Connection, outcome: RowOutcome, task_id: int) -> bool:
    """From unknown back to sending under the same token; False where the task has ended meanwhile."""
    # A real UPDATE of the task's row: closing a task locks it first, so one of the two sees the other.
    task_is_open = sa.update(tasks).where(tasks.c.id == task_id, tasks.c.actual_end_time.is_(None))
    if connection.execute(task_is_open.values(updated_at=outcome.at)).rowcount == 0:
        return False
    connection.execute(
        sa.update(task_contacts)
        .where(rows.id == outcome.row_id, rows.claim_token == outcome.token)
        .values(status=RowStatus.SENDING.value)
    )
    return True


def _values(outcome: RowOutcome) -> tuple[Any, ...]:
    pending = outcome.status == RowStatus.PENDING
    return (
        outcome.row_id,
        outcome.token,
        outcome.status.value,
        outcome.at if outcome.status == RowStatus.SENT else None,
        outcome.error_message,
        outcome.reason[:100] if outcome.reason else None,
        outcome.scheduled_send_at,
        outcome.retries,
        outcome.first_attempt_at,
        outcome.keep_service if pending else outcome.service_id,
        outcome.message_id,
        outcome.subject and outcome.subject[:_SUBJECT],
    )
