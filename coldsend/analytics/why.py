"""Why was this not sent? Every gate a recipient of a task waits at, or how and when it ended.

Asks the same gates as delivery (``domain/gates.py``), so the answer is what would really happen now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from shlex import quote
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.analytics import why_sequence, why_time
from coldsend.audience import rule, rule_sql
from coldsend.composing.message_ids import message_id
from coldsend.composing.tokens import Tokens
from coldsend.database.tables import contacts as contacts_table
from coldsend.domain import address, gates, sequence
from coldsend.domain.gates import Blocked
from coldsend.domain.states import TASK_ENDED, EventType, RowReason, RowStatus
from coldsend.domain.suppression import keys_for
from coldsend.errors import NotFound, Refused
from coldsend.stores import contacts, events, ledger, reports, services, suppressions, tasks, workers

NOT_LISTED = "not_in_send_list"
EVENTS = 20  # that are shown

_TIMES = (
    "scheduled_send_at",
    "first_attempt_at",
    "attempt_at",
    "sent_at",
    "delivered_at",
    "opened_at",
    "clicked_at",
    "replied_at",
    "bounced_at",
    "unsubscribed_at",
    "complained_at",
)


def explain(
    connection: Connection,
    task: RowMapping,
    email: str,
    now: datetime,
    *,
    pepper: bytes | None,
    links: bytes,
    lease: timedelta,
) -> dict[str, Any]:
    """The answer for one address: ``{"state", "blocked_by": [{"gate", "detail", "until"}], ..}``.

    task: as stores/tasks.py finds it. pepper: key of hashed suppressions. links: secret of the tokens in
    Message-IDs. lease: silence after which a process counts as gone. NotFound where it is no contact.
    """
    contact = _contact(connection, email)
    row = ledger.row_of(connection, task["id"], contact["id"])
    suppressed = _suppression(connection, task, contact, pepper)
    if row is None:
        return _not_listed(connection, task, contact, suppressed, now)
    blocked: list[Blocked] = []
    if row["status"] == RowStatus.PENDING:
        blocked = _waiting_at(connection, task, contact, row, suppressed, now, lease)
    latest = events.latest(connection, EVENTS, task_id=task["id"], contact_id=contact["id"])
    # Asked for apart: many opens may have come after it.
    bounces = events.latest(
        connection, EVENTS, task_id=task["id"], contact_id=contact["id"], event_type=EventType.BOUNCE
    )
    error, error_of = _error(row, bounces)
    return {
        "task": tasks.reference(task),
        "email": contact["email"],
        "state": row["status"],
        "explanation": _sentence(connection, task, contact, row, blocked),
        "reason": row["reason"],
        "error": error,
        "error_of": error_of,
        "blocked_by": [_as_json(gate) for gate in blocked],
        "template": reports.template_names(connection).get(row["selected_template_id"]),
        "service": reports.service_names(connection).get(row["sender_service_id"]),
        "attempts": row["attempt"],
        "message_id": row["message_id"] or _message_id(connection, row, links),
        "times": {name: row[name] for name in _TIMES if row[name] is not None},
        "time_zone": why_time.zone_of(connection, task, contact).key,
        "events": events.named(connection, latest),
    }


def _contact(connection: Connection, given: str) -> Mapping[str, Any]:
    """The contact with this address, removed ones included; by id only those that are not."""
    if given.strip().isdecimal():
        return contacts.find(connection, given)
    found = contacts.by_keys(connection, [address.parse(given).key])
    return found[0] if found else contacts.find(connection, given)


def _waiting_at(
    connection: Connection,
    task: RowMapping,
    contact: Mapping[str, Any],
    row: RowMapping,
    suppressed: str | None,
    now: datetime,
    lease: timedelta,
) -> list[Blocked]:
    """All closed gates of a pending row, from the outside in."""
    live = [
        worker["id"]
        for worker in workers.unstopped(connection, "sender")
        if now - worker["heartbeat_at"] <= lease
    ]
    return [
        *gates.state_gates(task["campaign_status"], task["status"]),
        *gates.due_gate(row["scheduled_send_at"], row["reason"], now),
        *gates.away_gate(contact["away_until"], row["scheduled_send_at"], row["reason"], now),
        *gates.consent_gates(suppressed=suppressed, contact_removed=contact["deleted_at"] is not None),
        *why_sequence.gates_of_row(connection, task, contact, row),
        *why_time.gates_of_row(connection, task, contact, row, now),
        *gates.worker_gate(live),
    ]


def _suppression(
    connection: Connection, task: RowMapping, contact: Mapping[str, Any], pepper: bytes | None
) -> str | None:
    keys = keys_for(contact["email_key"], contact["email_domain"], pepper)
    found = suppressions.matching(connection, keys, task["campaign_id"])
    return next((str(reason.value) for reason in found.values()), None)


def _not_listed(
    connection: Connection,
    task: RowMapping,
    contact: Mapping[str, Any],
    suppressed: str | None,
    now: datetime,
) -> dict[str, Any]:
    """Why a contact has no row in the task's send list."""
    blocked = gates.consent_gates(suppressed=suppressed, contact_removed=contact["deleted_at"] is not None)
    if task["status"] in TASK_ENDED and task["expanded_at"] is None:
        blocked = [*gates.state_gates(task["campaign_status"], task["status"]), *blocked]
        explanation = "the task ended before this contact came into its send list"
    elif task["follows_task_id"] is not None:
        blocked = [*gates.stop_gate(why_sequence.stop(connection, task, contact)), *blocked]
        calendar = why_time.calendar_of(connection, task)
        explanation, step = why_sequence.before(connection, task, contact, calendar, now)
        blocked = [*gates.state_gates(task["campaign_status"], task["status"]), *step, *blocked]
        if not _matches(connection, task, contact, now):
            explanation = f"does not match the task's recipient rule; {explanation}"
    elif task["expanded_at"] is None:
        blocked = [*gates.state_gates(task["campaign_status"], task["status"]), *blocked]
        explanation = "the send list of this task has not been made yet"
        if not _matches(connection, task, contact, now):
            explanation += ", and as things stand this contact does not match the task's recipient rule"
    elif _matches(connection, task, contact, now):
        explanation = (
            "matches the task's rule, but was not among its contacts when the send list was made; "
            f"let it in with: coldsend task expand {quote(tasks.reference(task))}"
        )
    else:
        explanation = "does not match the task's recipient rule"
    return {
        "task": tasks.reference(task),
        "email": contact["email"],
        "state": NOT_LISTED,
        "explanation": explanation,
        "reason": None,
        "error": None,
        "error_of": None,
        "blocked_by": [_as_json(gate) for gate in blocked],
        "time_zone": why_time.zone_of(connection, task, contact).key,
    }


def _matches(connection: Connection, task: RowMapping, contact: Mapping[str, Any], now: datetime) -> bool:
    try:
        parsed = rule.load(task["recipient_rule"])
        condition = rule_sql.condition(parsed, rule.task_resolver(connection, task["campaign_id"]), now)
    except (NotFound, Refused):
        return False  # a task that the rule names is gone: it matches nobody any more
    query = sa.select(contacts_table.c.id).where(condition, contacts_table.c.id == contact["id"])
    return connection.execute(query).first() is not None


def _message_id(connection: Connection, row: RowMapping, links: bytes) -> str | None:
    """What to search the server's log for, where the process was lost before it could note it."""
    if row["status"] != RowStatus.UNKNOWN or row["sender_service_id"] is None:
        return None
    service = services.row(connection, row["sender_service_id"])
    return message_id(Tokens(links), row["id"], services.as_service(service)) if service else None


def _sentence(
    connection: Connection,
    task: RowMapping,
    contact: Mapping[str, Any],
    row: RowMapping,
    blocked: Sequence[Blocked],
) -> str:
    """One sentence for people."""
    reason = f" ({row['reason'].replace('_', ' ')})" if row["reason"] else ""
    match row["status"]:
        case RowStatus.PENDING:
            return "waits" if blocked else "goes out with the next turn of a sender process"
        case RowStatus.SENDING:
            return "is being sent right now"
        case RowStatus.UNKNOWN:
            return (
                "may have been delivered; it is not sent again by itself. "
                f"To decide: coldsend unknown list {quote(tasks.reference(task))}"
            )
        case RowStatus.SKIPPED:
            stopped = row["reason"] in sequence.ROW_REASONS
            why = why_sequence.stop(connection, task, contact) if stopped else None
            return f"was skipped: we declined to send it{reason}{f'; {why}' if why else ''}"
        case RowStatus.FAILED_TO_SEND:
            return f"failed and is not tried again{reason}"
        case RowStatus.SENT if row["reason"] == RowReason.MARKED_SENT:
            return "was counted as sent by hand (unknown mark-sent): no server's answer is known"
        case RowStatus.SENT:
            return "was accepted by the receiving server"
        case other:
            return f"was sent, and {_CAME_BACK[RowStatus(other)]}{_bounced_too(row)}"


_CAME_BACK = {
    RowStatus.DELIVERED: "its provider says that it was delivered",
    RowStatus.BOUNCED: "bounced: a server that had taken it could not deliver it",
    RowStatus.OPENED: "was opened",
    RowStatus.CLICKED: "a link in it was clicked",
    RowStatus.REPLIED: "the recipient replied",
    RowStatus.UNSUBSCRIBED: "the recipient unsubscribed from it",
    RowStatus.COMPLAINED: "the recipient complained about it, and gets nothing more",
}


def _bounced_too(row: RowMapping) -> str:
    """A bounce beside a state that is further: it was reached, whatever a server said."""
    if row["bounced_at"] is None or row["status"] == RowStatus.BOUNCED:
        return ""
    return f"; a bounce came as well, {row['bounced_at']:%Y-%m-%d %H:%M:%S} UTC"


def _error(row: RowMapping, bounces: Sequence[RowMapping]) -> tuple[str | None, str | None]:
    """What went wrong, and who says so: the "engine", a server in its "answer", the latest "bounce"."""
    if row["error_message"]:
        return row["error_message"], "engine" if row["status"] == RowStatus.SKIPPED else "answer"
    details = [event["details"] or {} for event in bounces]
    said = [one.get("diagnostic") or one.get("status") for one in details]
    words = next((words for words in reversed(said) if words), None)
    return words, "bounce" if words else None


def _as_json(blocked: Blocked) -> dict[str, Any]:
    return {"gate": blocked.gate.value, "detail": blocked.detail, "until": blocked.until}
