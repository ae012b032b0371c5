"""Sequences in the answer to "why": stops, conditions, and the message before that a follow-up waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from shlex import quote
from typing import Any

from sqlalchemy.engine import Connection, RowMapping

from coldsend.domain import gates, sequence
from coldsend.domain.gates import Blocked, Gate
from coldsend.domain.sequence import Chain, Condition
from coldsend.domain.states import ROW_SENT, ROW_WAITING, RowStatus, StopReason
from coldsend.domain.suppression import keys_for
from coldsend.pacing.calendar import Calendar, Whereabouts
from coldsend.stores import chains, ledger, sequence_stops, tasks

_TOLD = {
    StopReason.REPLIED: "a reply came",
    StopReason.BOUNCED: "a message of this campaign bounced",
    StopReason.MANUAL: "an operator stopped it",
}
_STEP_ENDED = {
    RowStatus.SKIPPED: "was skipped",
    RowStatus.FAILED_TO_SEND: "failed",
    RowStatus.UNKNOWN: "may have been delivered: coldsend unknown list tells how to decide",
}


def gates_of_row(
    connection: Connection, task: RowMapping, contact: Mapping[str, Any], row: RowMapping
) -> list[Blocked]:
    """What will end a pending row when it is due: a stop, a condition that does not hold."""
    messages = chains.earlier(connection, [row["id"]]).get(row["id"], [])
    chain = sequence.chain_of([dict(message) for message in messages])
    conditions = sequence.read_conditions(task["follows_condition"] or ())
    missed = sequence.unmet(conditions, chain)
    return [
        *gates.stop_gate(stop(connection, task, contact, conditions, chain)),
        *gates.condition_gate(str(missed) if missed else None, _known(messages)),
    ]


def stop(
    connection: Connection,
    task: RowMapping,
    contact: Mapping[str, Any],
    conditions: Sequence[Condition] = (),
    chain: Chain | None = None,
) -> str | None:
    """Why and since when the sequence is stopped for a contact, in words; None where it is not."""
    keys = keys_for(contact["email_key"], contact["email_domain"], None)
    found = sequence_stops.of_keys(connection, task["campaign_id"], keys)
    reasons = [StopReason(one["reason"]) for one in found]
    ends = sequence.stop_that_ends(reasons, conditions, chain or Chain())
    if ends is None:
        return None
    one = found[reasons.index(ends)]
    whom = "this address" if one["stop_key"] == keys[0] else f"everybody at {one['value']}"
    return f"the sequence was stopped for {whom}: {_TOLD[ends]}, {_moment(one['created_at'])}"


def before(
    connection: Connection, task: RowMapping, contact: Mapping[str, Any], calendar: Calendar, now: datetime
) -> tuple[str, list[Blocked]]:
    """Why a contact is not in a follow-up's list, as the message before tells: a sentence, and gates."""
    step = tasks.get(connection, task["follows_task_id"])
    row = ledger.row_of(connection, step["id"], contact["id"])
    name = f"{step['name']!r}"
    if row is None:
        reference = quote(tasks.reference(step))
        words = f"follows {name}, and this contact is not in its list: coldsend why {reference}"
        return f"{words} {contact['email']}", [Blocked(Gate.WAITS_FOR_STEP, f"{name} has not been sent")]
    days = _days(task)
    where = Whereabouts.of(contact["id"], contact["time_zone"], contact["fields"])

    def due_after(moment: datetime) -> datetime:
        business = bool(task["follows_business_days"])
        return calendar.follow_up(moment, task["follows_days"], business, where)

    if row["status"] in ROW_SENT and row["sent_at"] is not None:
        due = due_after(row["sent_at"])
        detail = f"{name} was sent {_moment(row['sent_at'])}; this one follows {days} later"
        if task["expanded_at"] is None:
            return f"comes into the list within a minute; {detail}", [
                Blocked(Gate.WAITS_FOR_STEP, detail, max(due, now))
            ]
        return f"{detail}, but its list is complete", []
    if row["status"] in ROW_WAITING:
        expected = max(row["scheduled_send_at"] or now, now)
        detail = f"follows {name} by {days}, which is not sent yet and due {_moment(expected)}"
        return f"{detail}; earliest {_moment(due_after(expected))}", [
            Blocked(Gate.WAITS_FOR_STEP, detail, due_after(expected))
        ]
    reason = f" ({row['reason'].replace('_', ' ')})" if row["reason"] else ""
    ended = _STEP_ENDED.get(RowStatus(row["status"]), "was not sent")
    detail = f"follows {name}, which {ended}{reason}"
    return detail, [Blocked(Gate.WAITS_FOR_STEP, detail)]


def _days(task: RowMapping) -> str:
    number = task["follows_days"]
    kind = "business day" if task["follows_business_days"] else "day"
    return f"{number} {kind}{'' if number == 1 else 's'}"


def _known(messages: Sequence[RowMapping]) -> str:
    """What is known of the messages before: who did what first."""
    named = {"opened_at": "opened", "clicked_at": "clicked", "replied_at": "replied"}
    known = []
    for column, word in named.items():
        times = [message[column] for message in messages if message[column] is not None]
        if times:
            known.append(f"{word} {_moment(min(times))}")
    categories = sorted({message["reply_category"] for message in messages if message["reply_category"]})
    if categories:
        known.append(f"the reply is {', '.join(categories)}".replace("_", " "))
    return "; ".join(known) or "neither opened nor clicked nor replied"


def _moment(at: datetime) -> str:
    # To the next whole second: what is due then must not seem to be due before.
    return f"{at + timedelta(microseconds=999_999 * bool(at.microsecond)):%Y-%m-%d %H:%M:%S} UTC"
