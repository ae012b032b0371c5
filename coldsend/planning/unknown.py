"""A person decides about rows whose outcome nobody knows: send again, count as sent, give up.

coldsend never does any of it by itself. Each decision is a compare-and-set on the row *and* the attempt that
the person saw: a row that a late answer has settled, or that was tried again, is reported and left alone.
Decisions stand in the event log as the result that the attempt never had, with the name of who decided:
``send_api_success`` for mark-sent, ``send_api_fail`` for the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial
from shlex import quote
from typing import Any

from sqlalchemy.engine import RowMapping

from coldsend import logbook
from coldsend.config.settings import Settings
from coldsend.database.engine import Connection, Database
from coldsend.domain import address
from coldsend.domain.access import Actor, require_owner
from coldsend.domain.finding import Finding
from coldsend.domain.states import EventType, RowReason, RowStatus, TaskEvent, TaskStatus
from coldsend.domain.suppression import keys_for
from coldsend.errors import InvalidInput, NotFound, Refused, WrongState
from coldsend.planning import tasks as task_life
from coldsend.stores import (
    campaigns,
    contacts,
    enrolment,
    events,
    ledger,
    services,
    suppressions,
    tasks,
    unknown,
)

CHUNK = 500  # rows one transaction decides


class Decision(StrEnum):
    RESEND = "resend"
    MARK_SENT = "mark-sent"
    GIVE_UP = "give-up"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows: ids, or addresses of a task (``where``), or with ``every`` all of ``where`` and service.

    where: CAMPAIGN/TASK, with ``every`` also CAMPAIGN; service: of the attempt.
    """

    row_ids: Sequence[int] = ()
    where: str | None = None
    emails: Sequence[str] = ()
    service: str | None = None
    every: bool = False


@dataclass(frozen=True, slots=True)
class Decided:
    """done: rows decided. left: rows that stay as they are, each with why. task_states: of reopened tasks."""

    done: Sequence[RowMapping] = ()
    left: Sequence[tuple[RowMapping, str]] = ()
    task_states: Mapping[str, TaskStatus] = field(default_factory=dict)
    warnings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class _Deed:
    """One decision, as each of its transactions needs it. pepper: key of hashed suppressions."""

    decision: Decision
    actor: Actor
    now: datetime
    settings: Settings | None = None
    pepper: bytes | None = None


def listed(
    connection: Connection, actor: Actor, where: str | None, service: str | None, limit: int
) -> tuple[list[RowMapping], int]:
    """The oldest unknown rows that the actor may decide about, at most ``limit``, and how many there are."""
    found = _ids(connection, actor, where, service)
    return unknown.shown(connection, found[:limit]), len(found)


def find(database: Database, actor: Actor, wanted: Wanted) -> list[RowMapping]:
    """The rows to decide about. Nothing is changed here, and nothing is found where one of those named is
    missing, another's, or not unknown: NotFound, NotAllowed, WrongState.
    """
    with database.read() as connection:
        if wanted.every:
            return unknown.shown(connection, _ids(connection, actor, wanted.where, wanted.service))
        found = _named(connection, actor, wanted)
        for row in found:
            require_owner(actor, row["owner"], f"campaign {row['campaign']!r}")
    settled = [row for row in found if row["status"] != RowStatus.UNKNOWN]
    if settled:
        listed_rows = "; ".join(f"{row['email']} is {_words(row['status'])}" for row in settled[:5])
        raise WrongState(
            f"only unknown rows are decided by hand, and {listed_rows}"
            + (f"; and {len(settled) - 5} more" if len(settled) > 5 else ""),
            hint="nothing was changed; see: coldsend unknown list",
        )
    return found


def resend(
    database: Database,
    actor: Actor,
    rows: Sequence[RowMapping],
    settings: Settings,
    pepper: bytes | None,
    now: datetime,
) -> Decided:
    """Make rows pending again, with a new lifetime of retries; finished tasks and campaigns go on.

    Addresses that have been suppressed or removed since are left unknown.
    """
    return _decide(database, rows, _Deed(Decision.RESEND, actor, now, settings, pepper))


def mark_sent(database: Database, actor: Actor, rows: Sequence[RowMapping], now: datetime) -> Decided:
    """Count rows as sent at the time of their attempt."""
    return _decide(database, rows, _Deed(Decision.MARK_SENT, actor, now))


def give_up(database: Database, actor: Actor, rows: Sequence[RowMapping], now: datetime) -> Decided:
    """End rows as failed, reason ``given_up``; `task retry` does not take them up again."""
    return _decide(database, rows, _Deed(Decision.GIVE_UP, actor, now))


def _ids(connection: Connection, actor: Actor, where: str | None, service: str | None) -> list[int]:
    found = _tasks(connection, actor, where)
    begun = [row["id"] for row in found if row["actual_start_time"] is not None]
    service_id = None if service is None else int(services.find(connection, service)["id"])
    return unknown.ids(connection, begun, service_id)


def _tasks(connection: Connection, actor: Actor, where: str | None) -> list[RowMapping]:
    """The tasks of a campaign, the one task, or all that the actor may see."""
    if where is None:
        return tasks.listed(connection, owner=None if actor.is_admin else actor.id)
    if "/" in where:
        task = tasks.find(connection, where)
        require_owner(actor, task["owner"], f"campaign {task['campaign']!r}")
        return [task]
    campaign = campaigns.find(connection, where)
    require_owner(actor, campaign["created_by"], f"campaign {campaign['name']!r}")
    return tasks.listed(connection, campaign_id=campaign["id"])


def _named(connection: Connection, actor: Actor, wanted: Wanted) -> list[RowMapping]:
    if wanted.row_ids:
        row_ids = list(dict.fromkeys(wanted.row_ids))
        found = unknown.shown(connection, row_ids)
        missing = set(row_ids) - {row["id"] for row in found}
        if missing:
            raise NotFound(
                f"row {min(missing)} is in no send list", hint="ids stand in: coldsend unknown list"
            )
        return found
    if wanted.where is None or not wanted.emails:
        raise InvalidInput("no recipient is named", hint="name a task and addresses, or ids, or use --all")
    task = tasks.find(connection, wanted.where)
    require_owner(actor, task["owner"], f"campaign {task['campaign']!r}")
    keys = {address.parse(email).key: email for email in wanted.emails}
    people = {row["email_key"]: row["id"] for row in contacts.by_keys(connection, list(keys))}
    rows = {row["contact_id"]: row for row in unknown.of_contacts(connection, task["id"], [*people.values()])}
    for key, email in keys.items():
        if people.get(key) not in rows:
            reference = tasks.reference(task)
            raise NotFound(
                f"{email!r} is not in the send list of {reference!r}",
                hint=f"see: coldsend unknown list {quote(reference)}",
            )
    return [rows[people[key]] for key in keys]


def _decide(database: Database, rows: Sequence[RowMapping], deed: _Deed) -> Decided:
    by_task: dict[int, list[RowMapping]] = {}
    for row in rows:
        by_task.setdefault(row["task_id"], []).append(row)
    done: list[RowMapping] = []
    left: list[tuple[RowMapping, str]] = []
    states: dict[str, TaskStatus] = {}
    warnings: list[Finding] = []
    for task_id, mine in by_task.items():
        for chunk in (mine[start : start + CHUNK] for start in range(0, len(mine), CHUNK)):
            try:
                made = database.run(partial(_decide_chunk, task_id=task_id, rows=chunk, deed=deed))
            except Refused as error:
                left += [(row, error.message) for row in chunk]
                continue
            if made.done:
                reference = tasks.reference(made.done[0])
                count = len(made.done)
                logbook.unknown_decided(reference, task_id, deed.decision, count, by=deed.actor.username)
            done += made.done
            left += made.left
            states |= made.task_states
            warnings += [warning for warning in made.warnings if warning not in warnings]
    return Decided(done, left, states, tuple(warnings))


def _decide_chunk(connection: Connection, task_id: int, rows: Sequence[RowMapping], deed: _Deed) -> Decided:
    """One transaction. Rows are locked before the task, in the order in which late answers lock them."""
    ids = [row["id"] for row in rows]
    ledger.lock(connection, ids)
    now_at = {row["id"]: row for row in unknown.shown(connection, ids)}
    left = [(row, why) for row in rows if (why := _settled(row, now_at[row["id"]])) is not None]
    still = [now_at[row["id"]] for row in rows if _settled(row, now_at[row["id"]]) is None]
    states: dict[str, TaskStatus] = {}
    warnings: tuple[Finding, ...] = ()
    if deed.decision is Decision.RESEND:
        declined = _declined(connection, still, deed.pepper)
        left += [(row, declined[row["id"]]) for row in still if row["id"] in declined]
        still = [row for row in still if row["id"] not in declined]
        if still:
            assert deed.settings is not None
            task = tasks.get(connection, task_id)
            after, warnings = task_life.reopen(connection, task, TaskEvent.RETRY, deed.settings, deed.now)
            states[tasks.reference(task)] = after
    if still and _write(connection, [row["id"] for row in still], deed) != len(still):
        raise WrongState("some of these rows were settled at the same moment", hint="run it again")
    if still and deed.decision is Decision.MARK_SENT:
        enrolment.look_again(connection, [row["id"] for row in still], deed.now)
    events.append(connection, [_event(row, deed) for row in still])
    return Decided(still, left, states, warnings)


def _write(connection: Connection, row_ids: Sequence[int], deed: _Deed) -> int:
    if deed.decision is Decision.MARK_SENT:
        return unknown.make_sent(connection, row_ids, deed.now, RowReason.MARKED_SENT)
    if deed.decision is Decision.GIVE_UP:
        return unknown.make_failed(connection, row_ids, RowReason.GIVEN_UP)
    return unknown.make_pending(connection, row_ids, deed.now)


def _settled(seen: RowMapping, now_at: RowMapping) -> str | None:
    """Why a decision about the row as it was seen is not one about the row as it is; None where it is."""
    if now_at["status"] != RowStatus.UNKNOWN:
        return f"it was settled meanwhile: it is {_words(now_at['status'])}"
    if now_at["claim_token"] != seen["claim_token"]:
        return "it was tried again meanwhile: look at it anew"
    return None


def _declined(connection: Connection, rows: Sequence[RowMapping], pepper: bytes | None) -> dict[int, str]:
    """row id -> why its address must get nothing any more. rows: of one campaign."""
    if not rows:
        return {}
    keys = {row["id"]: keys_for(row["email_key"], row["email_domain"], pepper) for row in rows}
    wanted = sorted({key for of_row in keys.values() for key in of_row})
    hits = suppressions.matching(connection, wanted, rows[0]["campaign_id"])
    declined = {row["id"]: "the contact was removed" for row in rows if row["deleted_at"] is not None}
    for row_id, of_row in keys.items():
        reason = next((hits[key] for key in of_row if key in hits), None)
        if reason is not None:
            declined[row_id] = f"the address is suppressed ({_words(reason)})"
    return declined


def _event(row: RowMapping, deed: _Deed) -> dict[str, Any]:
    sent = deed.decision is Decision.MARK_SENT
    details = {
        "decision": deed.decision.value,
        "by": deed.actor.username,
        "message_id": row["message_id"],
        "error": row["error_message"],
        "retry_at": deed.now.isoformat() if deed.decision is Decision.RESEND else None,
    }
    return {
        "task_id": row["task_id"],
        "contact_id": row["contact_id"],
        "sender_service_id": row["sender_service_id"],
        "event_tracking_uid": row["event_tracking_uid"],
        "type": (EventType.SEND_API_SUCCESS if sent else EventType.SEND_API_FAIL).value,
        "ts": deed.now,
        "details": {name: value for name, value in details.items() if value is not None},
    }


def _words(code: str) -> str:
    return str(code).replace("_", " ")
