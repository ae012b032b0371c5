"""Add, lift and export suppressions.

Consent wins: anybody may add a suppression; one that the recipient asked for (an unsubscribe, a complaint,
an erasure) is lifted only by an admin who insists and says why. A suppression for one campaign belongs to
who may use the campaign. What stands on a list is an operator's decision, so it never carries such a reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from shlex import quote
from typing import Any, TextIO

from coldsend import logbook
from coldsend.audience.exporting import write
from coldsend.database.engine import Connection, Database
from coldsend.database.tables import campaigns
from coldsend.domain import address
from coldsend.domain.access import Actor, require_admin, require_owner
from coldsend.domain.contact import checked_value
from coldsend.domain.states import SuppressionReason, SuppressionScope
from coldsend.domain.suppression import (
    ALL_CAMPAIGNS,
    ASKED_BY_RECIPIENT,
    NO_LIST,
    checked_list_name,
    keys_for,
    read,
    target,
)
from coldsend.errors import InvalidInput, NotFound, Refused
from coldsend.stores import lookup, suppressions
from coldsend.stores.suppressions import Added

DETAIL_LIMIT = 1000
_BATCH = 2000

_COLUMNS = ("value", "reason", "campaign", "source", "detail", "created_at", "list")


def add(
    database: Database,
    targets: Sequence[str],
    reason: SuppressionReason,
    now: datetime,
    actor: Actor,
    *,
    campaign: str | None = None,
    detail: str | None = None,
    list_name: str = NO_LIST,
) -> Added:
    """Suppress addresses and domains, all or none; those that are suppressed already stay so."""
    if reason is SuppressionReason.ERASED:
        raise InvalidInput("'erased' is set by erasing a contact", hint="use: --reason manual")
    list_name = checked_list(list_name, reason, campaign)
    detail = checked_value(detail, "detail", DETAIL_LIMIT) if detail else None

    def work(connection: Connection) -> Added:
        place = campaign_id(connection, campaign, actor)
        entries = [
            read(
                text,
                reason,
                campaign_id=place,
                source=f"cli:{actor.username}",
                detail=detail,
                list_name=list_name,
            )
            for text in targets
        ]
        return suppressions.add(connection, entries, now)

    return database.run(work)


def checked_list(list_name: str, reason: SuppressionReason, campaign: str | None) -> str:
    """The list's name as it is stored, "" for none; InvalidInput where a list cannot hold such entries."""
    if list_name == NO_LIST:
        return NO_LIST
    if campaign is not None:
        raise InvalidInput("a list holds for all campaigns", hint="leave out --list or --campaign")
    if reason in ASKED_BY_RECIPIENT:
        raise InvalidInput(
            f"'{reason}' is what a recipient asked for, and no list may take it back",
            hint="leave out --list",
        )
    return checked_list_name(list_name)


@dataclass(frozen=True, slots=True)
class Lifted:
    """values: what was lifted, as it was written. remaining: (one of them, what still suppresses it).."""

    values: list[str]
    remaining: list[tuple[str, str]]


def remove(
    database: Database,
    targets: Sequence[str],
    actor: Actor,
    *,
    campaign: str | None = None,
    list_name: str = NO_LIST,
    force: bool = False,
    detail: str | None = None,
) -> Lifted:
    """Lift suppressions, or take entries off a list, all or none; NotFound where one is not there."""
    if list_name != NO_LIST:
        list_name = checked_list(list_name, SuppressionReason.MANUAL, campaign)
    keys = [(text.strip(), target(text)[0]) for text in targets]

    def work(connection: Connection) -> tuple[list[tuple[str, dict[str, Any]]], list[tuple[str, str]]]:
        place = campaign_id(connection, campaign, actor)
        found = []
        for text, key in keys:
            entry = suppressions.find(connection, key, place, list_name)
            if entry is None:
                raise _not_there(connection, text, key, campaign, list_name)
            _check_may_lift(text, SuppressionReason(entry["reason"]), actor, force=force, detail=detail)
            suppressions.remove(connection, key, place, list_name)
            found.append((text, entry))
        return found, [(text, still) for text, key in keys for still in _still(connection, text, key)]

    lifted, remaining = database.run(work)
    for _, entry in lifted:
        logbook.suppression_lifted(
            entry["suppression_key"], entry["reason"], entry["campaign_id"], actor.username, detail=detail
        )
    return Lifted([text for text, _ in lifted], remaining)


def remove_list(database: Database, name: str, actor: Actor) -> int:
    """Take a whole list away; NotFound where there is none. Returns how many entries it had.

    Batch by batch: interrupted, the rest of the list stays in force, and the same command goes on.
    """
    name = checked_list_name(name)
    with database.read() as connection:
        require_list(connection, name)
    removed = 0

    def work(connection: Connection) -> int:
        rows = suppressions.listed(connection, search=None, after=0, limit=_BATCH, list_name=name)
        return suppressions.remove_ids(connection, [row["id"] for row in rows])

    while count := database.run(work):
        removed += count
    logbook.suppression_list_changed(name, added=0, removed=removed, by=actor.username)
    return removed


def require_list(connection: Connection, name: str) -> None:
    """NotFound where there is no such list."""
    if not suppressions.listed(connection, search=None, after=0, limit=1, list_name=name):
        raise NotFound(f"there is no list {name!r}", hint="see: coldsend suppression lists")


def _not_there(connection: Connection, text: str, key: str, campaign: str | None, list_name: str) -> NotFound:
    if list_name:
        return NotFound(
            f"{text!r} is not on the list {list_name!r}",
            hint=f"see: coldsend suppression list --list {quote(list_name)}",
        )
    entries = suppressions.entries(connection, [key])
    on = [row["list_name"] for row in entries if row["list_name"]]
    of = [row["campaign"] for row in entries if row["campaign"]]
    if on and campaign is None:
        return NotFound(
            f"{text!r} is suppressed only by the list {on[0]!r}",
            hint=f"take it off: coldsend suppression remove {text} --list {quote(on[0])}",
        )
    if of and campaign is None:
        return NotFound(
            f"{text!r} is suppressed only for the campaign {of[0]!r}",
            hint=f"lift that: coldsend suppression remove {text} --campaign {quote(of[0])}",
        )
    where = f" for campaign {campaign!r}" if campaign else ""
    return NotFound(
        f"{text!r} is not suppressed{where}", hint="search: coldsend suppression list --search TEXT"
    )


def _still(connection: Connection, text: str, key: str) -> list[str]:
    """What suppresses an address or domain all the same, in words. Hashes are not looked at here."""
    if key.startswith("h:"):
        return []
    found = address.parse(text if key.startswith("a:") else f"x@{text.removeprefix('@')}")
    keys = keys_for(found.key, found.domain, None)
    rows = suppressions.entries(connection, keys if key.startswith("a:") else keys[1:])
    return [_words(row) for row in rows]


def _words(row: Mapping[str, Any]) -> str:
    words = f"{'@' if row['scope'] == SuppressionScope.DOMAIN else ''}{row['value']} ({row['reason']}"
    if row["list_name"]:
        words += f", list {row['list_name']!r}"
    if row["campaign"]:
        words += f", campaign {row['campaign']!r}"
    return f"{words})"


def _check_may_lift(
    text: str, reason: SuppressionReason, actor: Actor, *, force: bool, detail: str | None
) -> None:
    if reason not in ASKED_BY_RECIPIENT:
        return
    require_admin(actor, f"lift a suppression that the recipient asked for ({text}: {reason})")
    if not force or not detail:
        raise Refused(
            f"{text!r} is suppressed because the recipient asked for it ({reason})",
            hint="with proof of new consent: --force --detail 'what proves it'",
        )


def campaign_id(connection: Connection, campaign: str | None, actor: Actor) -> int:
    """The id of a campaign that the actor may use, by name or id; ALL_CAMPAIGNS where none is named."""
    if campaign is None:
        return ALL_CAMPAIGNS
    row = lookup.by_name_or_id(connection, campaigns, campaign, "campaign")
    require_owner(actor, row["created_by"], f"campaign {row['name']!r}")
    return int(row["id"])


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A suppression as commands show it; of an erased person only the hash is left."""
    names = ("id", "scope", "value", "reason", "campaign", "source", "detail", "created_at")
    return {name: row[name] for name in names} | {
        "value": row["value"] or row["suppression_key"],
        "list": row["list_name"] or None,
    }


def export(connection: Connection, out: TextIO, list_name: str | None = None) -> int:
    """Write all suppressions (of a list) as CSV, hashed ones as ``h:<hash>``; import reads them back."""
    return write(out, _COLUMNS, (_cells(row) for row in suppressions.walk(connection, list_name)))


def _cells(row: Mapping[str, Any]) -> list[str]:
    prefix = "@" if row["scope"] == SuppressionScope.DOMAIN else ""
    value = f"{prefix}{row['value']}" if row["value"] is not None else row["suppression_key"]
    texts = [row[name] or "" for name in ("reason", "campaign", "source", "detail")]
    created = row["created_at"].isoformat().replace("+00:00", "Z")
    return [value, *texts, created, row["list_name"]]
