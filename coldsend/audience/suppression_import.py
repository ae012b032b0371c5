"""Import suppressions: one address or domain a line, or a CSV file such as export writes.

A header is recognised by a column named value, email, address or domain; the columns reason, campaign,
source, detail and list are understood, others left out. A row that cannot be read is rejected alone. A list
can be replaced as a whole: first all entries of the file are added, then what the file does not have is taken
off, so that what stands in both is never without its suppression, and an interrupted import leaves too much
suppressed rather than too little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from coldsend import logbook
from coldsend.audience.csv_detect import folded
from coldsend.audience.csv_source import CsvSource, Record
from coldsend.audience.rejects import Rejects, default_path, is_rejects_header, short
from coldsend.audience.seen import Seen
from coldsend.audience.suppressing import DETAIL_LIMIT, campaign_id, checked_list
from coldsend.database.engine import Connection, Database
from coldsend.domain.access import Actor
from coldsend.domain.contact import checked_value
from coldsend.domain.states import SuppressionReason
from coldsend.domain.suppression import (
    ALL_CAMPAIGNS,
    ASKED_BY_RECIPIENT,
    NO_LIST,
    Suppression,
    checked_list_name,
    read,
)
from coldsend.errors import InvalidInput, NotFound, Refused
from coldsend.stores import suppressions
from coldsend.stores.suppressions import Added

CHUNK_ROWS = 2000

_VALUE_HEADERS = frozenset(
    {"value", "email", "mail", "emailaddress", "address", "domain", "suppression", "邮箱", "emailadresse"}
)
_OTHERS = ("reason", "campaign", "source", "detail", "list")


@dataclass(frozen=True, slots=True)
class Request:
    """What to import. file: path, or "-" for standard input.

    reason, campaign, list_name: of rows that do not say. replace: take off the list what is not in the file.
    """

    file: str
    reason: SuppressionReason = SuppressionReason.IMPORT
    campaign: str | None = None
    list_name: str = NO_LIST
    replace: bool = False
    rejects: Path | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What an import did. removed: None where the list was not replaced, also for rejected rows' sake."""

    added: int
    strengthened: int
    known: int
    removed: int | None
    rejected: int
    rejects_file: str | None


def import_file(
    database: Database,
    request: Request,
    now: datetime,
    actor: Actor,
    *,
    progress: Callable[[int, int | None], None] = lambda _done, _total: None,
) -> Result:
    """Import a file. progress: told (bytes read, bytes in all or None) after each chunk.

    InvalidInput where a list is to be replaced by nothing at all. Where rows are rejected, nothing is taken
    off the list: they may be what it would lose.
    """
    list_name = checked_list(request.list_name, request.reason, request.campaign)
    if request.replace and not list_name:
        raise InvalidInput("only a list can be replaced", hint="name it: --list customers --replace")
    total = Added()
    known_campaigns = _Campaigns(database, request.campaign, actor)
    with ExitStack() as stack:
        source = stack.enter_context(CsvSource(request.file, knows=_VALUE_HEADERS))
        records = source.records()
        places, header, first = _header(records)
        defaults = _Defaults(request.reason, f"import:{source.name}"[:255], list_name, known_campaigns)
        reader = _Reader(places, defaults, only_list=request.replace)
        rejected = stack.enter_context(Rejects(request.rejects or default_path(request.file), header))
        seen = stack.enter_context(Seen())
        for good, bad in _chunks(first, records, reader):
            rejected.add(bad)
            total += database.run(partial(suppressions.add, given=good, now=now))
            if request.replace:
                seen.earlier({entry.key: 1 for entry in good if entry.list_name})
            progress(source.bytes_read, source.size)
        removed = None
        if request.replace and not rejected.count:
            removed = _take_off(database, list_name, seen, anything=reader.listed > 0)
    logbook.suppressions_imported(request.file, total.added, total.strengthened, total.known, rejected.count)
    if removed:
        logbook.suppression_list_changed(list_name, added=total.added, removed=removed, by=actor.username)
    return Result(total.added, total.strengthened, total.known, removed, rejected.count, rejected.file)


def _take_off(database: Database, list_name: str, seen: Seen, *, anything: bool) -> int:
    """Take off a list what the file does not have; returns how many entries."""
    if not anything:
        raise InvalidInput(
            f"the file has no entry for the list {list_name!r}: nothing was taken off it",
            hint=f"to take the whole list away: coldsend suppression remove --list {list_name}",
        )
    removed = after = 0

    def look(connection: Connection) -> tuple[int, int, int]:
        rows = suppressions.listed(
            connection, search=None, after=after, limit=CHUNK_ROWS, list_name=list_name
        )
        in_file = seen.earlier({row["suppression_key"]: 0 for row in rows})
        gone = [row["id"] for row in rows if row["suppression_key"] not in in_file]
        count = suppressions.remove_ids(connection, gone) if gone else 0
        return len(rows), count, rows[-1]["id"] if rows else after

    while True:
        looked, count, after = database.run(look)
        removed += count
        if not looked:
            return removed


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
                self._known[name] = campaign_id(connection, name, self._actor)
        return self._known[name]


@dataclass(frozen=True, slots=True)
class _Defaults:
    """What rows are where they do not say."""

    reason: SuppressionReason
    source: str
    list_name: str
    campaigns: _Campaigns


class _Reader:
    """Turns rows into suppressions. places: column name -> place in the row. only_list: refuse others.

    listed: how many of the rows read stand on a list.
    """

    def __init__(self, places: Mapping[str, int], defaults: _Defaults, *, only_list: bool) -> None:
        self._places = places
        self._defaults = defaults
        self._only_list = only_list
        self.listed = 0

    def read(self, record: Record) -> Suppression | str:
        """The suppression in a row, or why there is none."""
        if record.problem:
            return record.problem
        try:
            entry = self._suppression(record.cells)
        except (InvalidInput, NotFound, Refused) as error:
            return error.message
        self.listed += entry.list_name != NO_LIST
        return entry

    def _suppression(self, cells: Sequence[str]) -> Suppression:
        def cell(name: str, limit: int) -> str:
            place = self._places.get(name, len(cells))
            return checked_value(cells[place], name, limit) if place < len(cells) else ""

        reason = _reason(cell("reason", 50)) or self._defaults.reason
        campaign = self._defaults.campaigns.id(cell("campaign", 255))
        return read(
            cell("value", 330),
            reason,
            campaign_id=campaign,
            source=cell("source", 255) or self._defaults.source,
            detail=cell("detail", DETAIL_LIMIT) or None,
            list_name=self._list(cell("list", 255), reason, campaign),
        )

    def _list(self, told: str, reason: SuppressionReason, campaign: int) -> str:
        name = checked_list_name(told) if told else self._defaults.list_name
        if self._only_list and name != self._defaults.list_name:
            raise InvalidInput(f"this row is of the list {name!r}, not {self._defaults.list_name!r}")
        if name and campaign != ALL_CAMPAIGNS:
            raise InvalidInput("a list holds for all campaigns, this row for one")
        # What a recipient asked for stands by itself: no later version of a list takes it back.
        return NO_LIST if reason in ASKED_BY_RECIPIENT else name


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
    places: dict[str, int] = {name: names.index(name, skipped) for name in _OTHERS if name in names[skipped:]}
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
