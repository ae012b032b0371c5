"""What is known about one person, whole: the answer to a request for access (GDPR Art. 15).

Everything that stands in the database under the address, and where others' rows name it. Of payloads that
tell of many people only which ones name this one: what they told is among the events.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from coldsend.audience.erasing import redactor_of
from coldsend.database.engine import Connection, Database
from coldsend.database.tables import contacts, inbox_messages, unmatched_events
from coldsend.database.tables import suppressions as suppressions_table
from coldsend.domain import address
from coldsend.domain.access import Actor, require_admin
from coldsend.domain.redaction import Redactor
from coldsend.domain.suppression import keys_for
from coldsend.errors import NotFound
from coldsend.stores import events, personal, sequence_stops, suppressions

_CONTACT = (
    "id",
    "email",
    "nickname",
    "time_zone",
    "source",
    "lawful_basis",
    "created_at",
    "updated_at",
    "away_until",
    "deleted_at",
)


def all_data(
    database: Database, email: str, pepper: bytes | None, now: datetime, actor: Actor
) -> dict[str, Any]:
    """Everything known about an address, as JSON can hold it; NotFound where nothing is."""
    require_admin(actor, "export all data about a person")
    given = address.parse(email.strip())
    with database.read() as connection:
        contact = personal.known(connection, given.key)
        redactor = redactor_of(given, contact)
        contact_id = contact["id"] if contact is not None else None
        found = _mentioning(connection, redactor)
        suppressed = suppressions.entries(connection, keys_for(given.key, given.domain, pepper))
        messages = _messages(connection, contact_id, found[inbox_messages], redactor)
        shown = {
            contacts: {contact_id},
            suppressions_table: {row["id"] for row in suppressed},
            inbox_messages: {row["id"] for row in messages},
            unmatched_events: {row["id"] for row in found[unmatched_events]},
        }
        document = {
            "address": given.email,
            "as_of": now,
            "contact": _contact(contact) if contact is not None else None,
            "suppressed": [_suppression(row) for row in suppressed],
            "stopped": sequence_stops.of_address(connection, given.key),
            "sends": personal.sends(connection, contact_id) if contact_id is not None else [],
            "events": _events(connection, contact_id) if contact_id is not None else [],
            "messages": messages,
            "unmatched": [
                {"source": row["source"], "details": row["details"]} for row in found[unmatched_events]
            ],
            "named_in": _named_in(found, shown, contact_id, redactor),
        }
    if not any(value for name, value in document.items() if name not in ("address", "as_of")):
        raise NotFound(f"nothing is known of {email!r}", hint="search: coldsend contact list --search TEXT")
    return document


def _contact(row: RowMapping) -> dict[str, Any]:
    known = {name: row[name] for name in _CONTACT}
    return known | {"tags": row["tags"] or [], "fields": row["fields"] or {}}


def _suppression(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("scope", "value", "reason", "campaign", "source", "detail", "created_at")
    return {name: row[name] for name in names} | {"list": row["list_name"] or None}


def _events(connection: Connection, contact_id: int) -> list[dict[str, Any]]:
    named = events.named(connection, personal.events(connection, contact_id))
    return [{name: value for name, value in row.items() if name != "contact"} for row in named]


def _messages(
    connection: Connection, contact_id: int | None, mentioning: Sequence[RowMapping], redactor: Redactor
) -> list[dict[str, Any]]:
    """Messages from the address or about mail to it, each once, as they came."""
    own = personal.messages(connection, contact_id) if contact_id is not None else []
    found = {row["id"]: row for row in own}
    for row in mentioning:
        if row["id"] not in found and redactor.finds(row["from_email"]):
            found[row["id"]] = personal.message(connection, row["id"])
    whole = ("from_email", "message_id", "subject", "text", "details")
    names = ("id", "kind", "category", "received_at", *whole)
    return [
        {name: found[key][name] for name in names} | {"raw": _readable(found[key]["raw"])}
        for key in sorted(found)
    ]


def _readable(raw: bytes | None) -> str | dict[str, str] | None:
    """A message as text, or in base64 where it is none."""
    if raw is None:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}


def _mentioning(connection: Connection, redactor: Redactor) -> dict[sa.Table, list[RowMapping]]:
    """Rows that name the address, of all tables that are searched."""
    return {
        table: [
            row
            for after, upto in list(personal.windows(connection, table))
            for row in personal.mentions(connection, table, redactor.sought, after, upto)
            if any(redactor.finds(row[name]) for name in columns)
        ]
        for table, columns in personal.SEARCHED.items()
    }


def _named_in(
    found: Mapping[sa.Table, Sequence[RowMapping]],
    shown: Mapping[sa.Table, set[int]],
    contact_id: int | None,
    redactor: Redactor,
) -> list[dict[str, Any]]:
    """Where the address stands in what is about others. shown: ids of rows the document has already."""
    return [
        {
            "table": table.name,
            "id": row.get("id"),
            "columns": [name for name in personal.SEARCHED[table] if redactor.finds(row[name])],
        }
        for table, rows in found.items()
        for row in rows
        if row.get("id") not in shown.get(table, ())
        and (contact_id is None or row.get("contact_id") != contact_id)
    ]
