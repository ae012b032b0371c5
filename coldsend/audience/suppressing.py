"""Add, lift, import and export suppressions.

Consent wins: anybody may add a suppression; one that the recipient asked for (an unsubscribe, a complaint,
an erasure) is lifted only by an admin who insists and says why. A suppression for one campaign belongs to
who may use the campaign.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from coldsend import logbook
from coldsend.audience.csv_detect import folded
from coldsend.audience.csv_source import CsvSource, Record
from coldsend.audience.exporting import write
from coldsend.audience.rejects import Rejects, default_path, is_rejects_header, short
from coldsend.database.engine import Connection, Database
from coldsend.database.tables import campaigns
from coldsend.domain.access import Actor, require_admin, require_owner
from coldsend.domain.contact import checked_value
from coldsend.domain.states import SuppressionReason
from coldsend.domain.suppression import ALL_CAMPAIGNS, ASKED_BY_RECIPIENT, Suppression, read, target
from coldsend.errors import InvalidInput, NotFound, Refused
from coldsend.stores import lookup, suppressions
from coldsend.stores.suppressions import Added

CHUNK_ROWS = 2000
DETAIL_LIMIT = 1000

_COLUMNS = ("value", "reason", "campaign", "source", "detail", "created_at")
_VALUE_HEADERS = frozenset(
    {"value", "email", "mail", "emailaddress", "address", "domain", "suppression", "邮箱", "emailadresse"}
)


def add(
    database: Database,
    targets: Sequence[str],
    reason: SuppressionReason,
    now: datetime,
    actor: Actor,
    *,
    campaign: str | None = None,
    detail: str | None = None,
) -> Added:
    """Suppress addresses and domains, all or none; those that are suppressed already stay so."""
    if reason is SuppressionReason.ERASED:
        raise InvalidInput("'erased' is set by erasing a contact", hint="use: --reason manual")
    detail = checked_value(detail, "detail", DETAIL_LIMIT) if detail else None

    def work(connection: Connection) -> Added:
        place = _campaign_id(connection, campaign, actor)
        entries = [
            read(text, reason, campaign_id=place, source=f"cli:{actor.username}", detail=detail)
            for text in targets
        ]
        return suppressions.add(connection, entries, now)

    return database.run(work)


def remove(
    database: Database,
    targets: Sequence[str],
    actor: Actor,
    *,
    campaign: str | None = None,
    force: bool = False,
    detail: str | None = None,
) -> list[str]:
    """Lift suppressions, all or none; NotFound where one is not there. Returns what was lifted."""
    keys = [(text.strip(), target(text)[0]) for text in targets]

    def work(connection: Connection) -> list[tuple[str, dict[str, Any]]]:
        place = _campaign_id(connection, campaign, actor)
        found = []
        for text, key in keys:
            entry = suppressions.find(connection, key, place)
            if entry is None:
                where = f" for campaign {campaign!r}" if campaign else ""
                raise NotFound(
                    f"{text!r} is not suppressed{where}",
                    hint="search: coldsend suppression list --search TEXT",
                )
            _check_may_lift(text, SuppressionReason(entry["reason"]), actor, force=force, detail=detail)
            suppressions.remove(connection, key, place)
            found.append((text, entry))
        return found

    lifted = database.run(work)
    for _, entry in lifted:
        logbook.suppression_lifted(
            entry["suppression_key"], entry["reason"], entry["campaign_id"], actor.username, detail=detail
        )
    return [text for text, _ in lifted]


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


def _campaign_id(connection: Connection, campaign: str | None, actor: Actor) -> int:
    if campaign is None:
        return ALL_CAMPAIGNS
    row = lookup.by_name_or_id(connection, campaigns, campaign, "campaign")
    require_owner(actor, row["created_by"], f"campaign {row['name']!r}")
    return int(row["id"])


@dataclass(frozen=True, slots=True)
class Result:
    """What an import did."""

    added: int
    strengthened: int
    known: int
    rejected: int
    rejects_file: str | None


def import_file(
    database: Database,
    file: str,
    now: datetime,
    actor: Actor,
    *,
    reason: SuppressionReason = SuppressionReason.IMPORT,
    campaign: str | None = None,
    rejects: Path | None = None,
    progress: Callable[[int, int | None], None] = lambda _done, _total: None,
) -> Result:
    """Import suppressions: one address or domain a line, or a CSV file such as export writes.

    A header is recognised by a column named value, email, address or domain; the columns reason, campaign,
    source and detail are understood, others left out.
    """
    total = Added()
    known_campaigns = _Campaigns(database, campaign, actor)
    with CsvSource(file, knows=_VALUE_HEADERS) as source:
        records = source.records()
        places, header, first = _header(records)
        reader = _Reader(places, reason, f"import:{source.name}"[:255], known_campaigns)
        with Rejects(rejects or default_path(file), header) as rejected:
            for good, bad in _chunks(first, records, reader):
                rejected.add(bad)
                total += database.run(partial(suppressions.add, given=good, now=now))
                progress(source.bytes_read, source.size)
    logbook.suppressions_imported(file, total.added, total.strengthened, total.known, rejected.count)
    return Result(total.added, total.strengthened, total.known, rejected.count, rejected.file)


class _Campaigns:
    """Ids of campaigns by name; each is looked up, and its access checked, once."""

    def __init__(self, database: Database, told: str | None, actor: Actor) -> None:
        self._database = database
        self._actor = actor
        self._known: dict[str, int] = {}
        self._default = self.id(told) if told else ALL_CAMPAIGNS

    def id(self, name: str) -> int:
        if not name:
            return self._default
        if name not in self._known:
            with self._database.read() as connection:
                self._known[name] = _campaign_id(connection, name, self._actor)
        return self._known[name]


@dataclass(frozen=True, slots=True)
class _Reader:
    """Turns rows into suppressions. places: column name -> place in the row."""

    places: Mapping[str, int]
    reason: SuppressionReason
    source: str
    campaigns: _Campaigns

    def read(self, record: Record) -> Suppression | str:
        """The suppression in a row, or why there is none."""
        if record.problem:
            return record.problem
        try:
            return self._suppression(record.cells)
        except (InvalidInput, NotFound, Refused) as error:
            return error.message

    def _suppression(self, cells: Sequence[str]) -> Suppression:
        def cell(name: str, limit: int) -> str:
            place = self.places.get(name, len(cells))
            return checked_value(cells[place], name, limit) if place < len(cells) else ""

        return read(
            cell("value", 330),
            _reason(cell("reason", 50)) or self.reason,
            campaign_id=self.campaigns.id(cell("campaign", 255)),
            source=cell("source", 255) or self.source,
            detail=cell("detail", DETAIL_LIMIT) or None,
        )


def _reason(text: str) -> SuppressionReason | None:
    if not text:
        return None
    try:
        return SuppressionReason(text.lower())
    except ValueError as error:
        raise InvalidInput(
            f"{text[:60]!r} is no reason",
            hint=f"one of: {', '.join(reason.value for reason in SuppressionReason)}",
        ) from error


def _header(records: Iterator[Record]) -> tuple[dict[str, int], list[str], list[Record]]:
    """(places of the columns, header for the rejects file, records already read that are data)."""
    first = next(records, None)
    if first is None:
        return {"value": 0}, [], []
    skipped = 2 if is_rejects_header(first.cells) else 0
    names = [folded(text) for text in first.cells]
    value = [place for place, name in enumerate(names) if place >= skipped and name in _VALUE_HEADERS]
    if first.problem or not value:
        return {"value": 0}, ["value"], [first]
    places: dict[str, int] = {
        name: names.index(name, skipped)
        for name in ("reason", "campaign", "source", "detail")
        if name in names[skipped:]
    }
    return places | {"value": value[0]}, first.cells[skipped:], []


def _chunks(
    first: list[Record], records: Iterator[Record], reader: _Reader
) -> Iterator[tuple[list[Suppression], list[tuple[int, str, list[str]]]]]:
    good: list[Suppression] = []
    bad: list[tuple[int, str, list[str]]] = []
    for record in _after(first, records):
        entry = reader.read(record)
        if isinstance(entry, str):
            bad.append((record.line, entry, short(record.cells)))
        else:
            good.append(entry)
        if len(good) + len(bad) >= CHUNK_ROWS:
            yield good, bad
            good, bad = [], []
    yield good, bad


def _after(first: list[Record], records: Iterator[Record]) -> Iterator[Record]:
    yield from first
    yield from records


def shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """A suppression as commands show it; of an erased person only the hash is left."""
    names = ("id", "scope", "value", "reason", "campaign", "source", "detail", "created_at")
    return {name: row[name] for name in names} | {"value": row["value"] or row["suppression_key"]}


def export(connection: Connection, out: TextIO) -> int:
    """Write all suppressions as CSV, hashed ones as ``h:<hash>``; import reads them back."""
    return write(out, _COLUMNS, (_cells(row) for row in suppressions.walk(connection)))


def _cells(row: Mapping[str, Any]) -> list[str]:
    prefix = "@" if row["scope"] == "domain" else ""
    value = f"{prefix}{row['value']}" if row["value"] is not None else row["suppression_key"]
    created = row["created_at"].isoformat().replace("+00:00", "Z")
    return [value, row["reason"], row["campaign"] or "", row["source"] or "", row["detail"] or "", created]
