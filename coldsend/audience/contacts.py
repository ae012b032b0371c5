"""What operators do with single contacts: add, change, tag, remove, look at. Contacts are shared by all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from coldsend import logbook
from coldsend.audience import merging
from coldsend.database.engine import Connection, Database
from coldsend.domain.contact import COLUMNS, ContactData
from coldsend.domain.suppression import keys_for
from coldsend.errors import Refused
from coldsend.stores import contact_tags, contacts, suppressions


@dataclass(frozen=True, slots=True)
class Changes:
    """What to change in a contact. columns and fields: name -> new value, "" takes the value away."""

    columns: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert set(self.columns) <= set(COLUMNS)


def add(database: Database, data: ContactData, now: datetime) -> dict[str, Any]:
    """Add one contact, or bring back a removed one; Refused where it exists. Returns the contact."""

    def work(connection: Connection) -> dict[str, Any]:
        known = contacts.by_keys(connection, [data.address.key], lock=True)
        if known and known[0]["deleted_at"] is None:
            raise Refused(
                f"contact {known[0]['email']!r} exists already",
                hint=f"change it: coldsend contact update {known[0]['email']} --help",
            )
        merging.merge(connection, [data], now)
        return shown(contacts.find(connection, data.address.email)) | {"revived": bool(known)}

    return merging.committed(database, work)


def update(database: Database, given: str, changes: Changes, now: datetime) -> tuple[dict[str, Any], bool]:
    """Change one contact's columns and fields. Returns the contact, and whether anything changed."""

    def work(connection: Connection) -> tuple[dict[str, Any], bool]:
        row = contacts.find(connection, given, lock=True)
        new = dict(row) | {name: value or None for name, value in changes.columns.items()}
        fields = {**(row["fields"] or {}), **changes.fields}
        new["fields"] = {name: value for name, value in fields.items() if value} or None
        changed = new != dict(row)
        if changed:
            contacts.update(connection, [{**new, "updated_at": now}])
        return shown(contacts.find(connection, str(row["id"]))), changed

    return database.run(work)


def tag(
    database: Database, given: Sequence[str], *, add: Sequence[str], remove: Sequence[str], now: datetime
) -> list[str]:
    """Add and take away tags of contacts, all or none. Returns the addresses in which something changed."""

    def work(connection: Connection) -> list[str]:
        changed = []
        for row in _found(connection, given):
            known = row["tags"] or []
            new = [name for name in known if name not in remove]
            new += [name for name in add if name not in new]
            if new == known:
                continue
            contacts.update(connection, [{**row, "tags": new or None, "updated_at": now}])
            contact_tags.remove(connection, row["id"], [name for name in known if name not in new])
            contact_tags.add_from(connection, [row["email_key"]])
            changed.append(str(row["email"]))
        return changed

    return database.run(work)


def remove(database: Database, given: Sequence[str], now: datetime, *, by: str) -> list[str]:
    """Remove contacts, all or none; rows that wait in send lists are skipped when their turn comes."""

    def work(connection: Connection) -> list[dict[str, Any]]:
        rows = _found(connection, given)
        contacts.mark_removed(connection, [row["id"] for row in rows], now)
        return rows

    removed = database.run(work)
    for row in removed:
        logbook.contact_removed(row["id"], by)
    return [str(row["email"]) for row in removed]


def details(connection: Connection, given: str, pepper: bytes | None) -> dict[str, Any]:
    """Everything about one contact: itself, whether it is suppressed and why, what was sent to it."""
    row = contacts.find(connection, given)
    keys = keys_for(row["email_key"], row["email_domain"], pepper)
    sends = contacts.sends(connection, row["id"])
    return {
        **shown(row),
        "away_until": row["away_until"],
        "suppressed": [
            {name: entry[name] for name in ("scope", "value", "reason", "campaign", "source", "created_at")}
            | {"list": entry["list_name"] or None}
            for entry in suppressions.entries(connection, keys)
        ],
        "sends": {
            "rows": sum(entry["number"] for entry in sends),
            "by_status": {entry["status"]: entry["number"] for entry in sends},
            "last_sent_at": max(
                (entry["last_sent_at"] for entry in sends if entry["last_sent_at"]), default=None
            ),
        },
    }


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A contact as commands show it."""
    return {
        "id": row["id"],
        "email": row["email"],
        "nickname": row["nickname"],
        "tags": row["tags"] or [],
        "fields": row["fields"] or {},
        "time_zone": row["time_zone"],
        "source": row["source"],
        "lawful_basis": row["lawful_basis"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def _found(connection: Connection, given: Sequence[str]) -> list[dict[str, Any]]:
    """The contacts, each once, locked in the order of their ids so that two commands cannot deadlock."""
    ids = {int(contacts.find(connection, text)["id"]) for text in given}
    return [contacts.find(connection, str(contact_id), lock=True) for contact_id in sorted(ids)]
