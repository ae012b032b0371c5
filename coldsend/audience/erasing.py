"""Erase a person: of all that is known only a keyed hash is left, which keeps mail from them for good.

In this order, so that it can be interrupted anywhere and run again: the hash is entered, so that nothing new
starts; what others' rows say of the address is taken out, table by table in short transactions; then, in one,
the person's own rows, events and messages lose their words, suppressions in clear go, and the contact is made
nobody. Rows of send lists stay with their times, so that reports still count right.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from coldsend import logbook
from coldsend.database.engine import Connection, Database
from coldsend.database.tables import audit_log, contacts, event_log, inbox_messages, unmatched_events
from coldsend.domain import address
from coldsend.domain.access import Actor, require_admin
from coldsend.domain.address import Address
from coldsend.domain.redaction import Redactor, plain_facts
from coldsend.domain.states import SuppressionReason, SuppressionScope
from coldsend.domain.suppression import Suppression, address_key, hashed_key
from coldsend.errors import NotFound, PartlyDone
from coldsend.stores import audit, contact_tags, personal, rollups, sequence_stops, suppressions


@dataclass(frozen=True, slots=True)
class Erased:
    """What was done. contact_id: None where the address was no contact (any more).

    rows, events, messages: of theirs, that lost their words; mentions: rows of others that named the address;
    suppression: the hash that is left; before: whether the address had been erased already.
    """

    contact_id: int | None
    rows: int
    events: int
    messages: int
    suppressions: int
    mentions: int
    suppression: str
    before: bool


def erase(
    database: Database,
    email: str,
    pepper: bytes,
    now: datetime,
    actor: Actor,
    *,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Erased:
    """Erase whoever has this address. progress: told (ids looked at, ids in all).

    NotFound where nothing is known of it; PartlyDone where a message to it is under way: nothing new starts,
    and its answer, which may name the address, must be waited for.
    """
    require_admin(actor, "erase people")
    given = address.parse(email.strip())
    hashed = hashed_key(given.key, pepper)
    with database.read() as connection:
        entries = suppressions.entries(connection, [hashed, address_key(given.key)])
        before = {entry["suppression_key"] for entry in entries}
        contact = personal.known(connection, given.key)
    redactor = redactor_of(given, contact)
    contact_id = contact["id"] if contact is not None else None
    if contact_id is not None or before:
        _stop(database, hashed, now, actor)
    mentions = _redact(database, redactor, contact_id, progress)
    if contact_id is None and not before:
        if not mentions:
            raise NotFound(
                f"nothing is known of {email!r}",
                hint=f"to keep mail from it: coldsend suppression add {email}",
            )
        _stop(database, hashed, now, actor)
    done = database.run(lambda connection: _clear(connection, given, now))
    erased = Erased(mentions=mentions, suppression=hashed, before=hashed in before, **done)
    told = hashlib.sha256(hashed.encode()).hexdigest()
    logbook.contact_erased(erased.contact_id, told, actor.username, mentions=mentions)
    return erased


def redactor_of(given: Address, contact: RowMapping | None) -> Redactor:
    """What finds an address as it was given, and as it stands in the contact's row."""
    known = [given]
    if contact is not None:
        known.append(Address(contact["email"], contact["email_key"], contact["email_domain"]))
    return Redactor(known)


def clear_late(database: Database, since: datetime) -> int:
    """Take the words out of what came in about people who were erased since then; how many rows had any.

    Answers and messages may arrive after an erasure: they are stored for what they say of the mail.
    """
    with database.read() as connection:
        ids = personal.erased_since(connection, since)
    cleared = 0
    for contact_id in ids:
        counts = database.run(partial(personal.clear, contact_id=contact_id))
        cleared += sum(counts.values())
    return cleared


def _stop(database: Database, hashed: str, now: datetime, actor: Actor) -> None:
    """From here on nothing to this address starts."""
    entry = Suppression(
        hashed, SuppressionScope.HASHED, None, SuppressionReason.ERASED, source=f"cli:{actor.username}"
    )
    database.run(lambda connection: suppressions.add(connection, [entry], now))


def _redact(
    database: Database, redactor: Redactor, own: int | None, progress: Callable[[int, int], None]
) -> int:
    """Take the address out of what is about others; returns how many rows named it. own: the contact."""
    with database.read() as connection:
        spans = [
            (table, after, upto)
            for table in personal.SEARCHED
            for after, upto in personal.windows(connection, table)
        ]
    total, done, changed = sum(upto - after for _table, after, upto in spans), 0, 0
    for table, after, upto in spans:
        with database.read() as connection:
            anything = personal.mentions(connection, table, redactor.sought, after, upto)
        if anything:
            work = partial(_look, table=table, after=after, upto=upto, redactor=redactor, own=own)
            changed += database.run(work)
        done += upto - after
        progress(done, total)
    return changed


def _look(
    connection: Connection, table: sa.Table, after: int, upto: int, redactor: Redactor, own: int | None
) -> int:
    """Take the address out of one stretch of a table, but what is about the person: that is cleared."""
    found = personal.mentions(connection, table, redactor.sought, after, upto)
    whose = "id" if table is contacts else "contact_id"
    others = [row for row in found if own is None or row.get(whose) != own]
    return sum(_take_out(connection, table, row, redactor) for row in others)


def _take_out(connection: Connection, table: sa.Table, row: RowMapping, redactor: Redactor) -> bool:
    """Rewrite one candidate; whether it named the address at all."""
    named = [name for name in personal.SEARCHED[table] if redactor.finds(row[name])]
    if not named:
        return False
    if table is inbox_messages and "from_email" in named:
        personal.clear_messages(connection, inbox_messages.c.id == row["id"])
        return True
    values = {name: redactor.without(row[name]) for name in named}
    if table is audit_log:
        values["arguments"] = audit.ERASED  # what else was given with the address is about them, too
    if table in (event_log, unmatched_events) and "dedup_key" in named:
        values["dedup_key"] = None
    if table is unmatched_events:
        values["details"] = plain_facts(row["details"])
    personal.rewrite(connection, table, row, values)
    if table is contacts and "tags" in named:
        contact_tags.replace(connection, row["id"], list(dict.fromkeys(values["tags"])))
    return True


def _clear(connection: Connection, given: Address, now: datetime) -> dict[str, Any]:
    """The person's own rows, all in one transaction."""
    gone = suppressions.remove_everywhere(connection, address_key(given.key))
    sequence_stops.forget(connection, given.key)
    contact = personal.known(connection, given.key, lock=True)
    if contact is None:
        return {"contact_id": None, "rows": 0, "events": 0, "messages": 0, "suppressions": gone}
    if personal.has_sending(connection, contact["id"]):
        raise PartlyDone(
            f"a message to {given.email} is under way: nothing more will be sent to it, "
            "but its answer has to be waited for",
            hint=f"in a minute: coldsend contact erase {given.email}",
        )
    cleared = personal.clear(connection, contact["id"])
    audit.forget_contact(connection, contact["id"])
    personal.anonymise(connection, contact["id"], now)
    rollups.forget_domain(connection, contact["email_domain"])
    return {"contact_id": contact["id"], "suppressions": gone, **cleared}
