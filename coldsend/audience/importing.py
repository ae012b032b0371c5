"""Import contacts from a CSV file: read, check, merge, commit in chunks, report every rejected row.

Memory does not grow with the file. Each chunk is one transaction, so an interrupted import leaves whole
chunks, and running it again completes it: rows that are in already are unchanged. A row is rejected alone,
whatever is wrong with it; of several rows with one address the first counts.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from coldsend import logbook
from coldsend.audience.csv_columns import EMAIL_HEADERS, Columns, columns
from coldsend.audience.csv_source import CsvSource, Record
from coldsend.audience.merging import Merged, committed, merge
from coldsend.audience.rejects import Rejects, default_path, is_rejects_header, short
from coldsend.audience.seen import Seen
from coldsend.database.engine import Database
from coldsend.domain.contact import ContactData
from coldsend.errors import InvalidInput

CHUNK_ROWS = 4000
CHUNK_CHARACTERS = 4_000_000  # a chunk ends earlier where its rows are long


@dataclass(frozen=True, slots=True)
class Request:
    """What to import and how.

    file: path, or "-" for standard input. tags, source, lawful_basis: for every contact (a file's own
    column wins over the latter two). mapping: header -> field. dry_run: check everything, change nothing.
    """

    file: str
    tags: tuple[str, ...] = ()
    mapping: Mapping[str, str] = field(default_factory=dict)
    source: str | None = None
    lawful_basis: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    rejects: Path | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What an import did; ``rejects_file`` is None where nothing was rejected."""

    imported: int
    updated: int
    unchanged: int
    rejected: int
    rejects_file: str | None
    encoding: str
    encoding_is_guess: bool
    delimiter: str
    ignored_columns: tuple[str, ...]


@dataclass(slots=True)
class _Chunk:
    """Rows that go into one transaction, and those of the same stretch of the file that do not go in."""

    good: dict[str, tuple[Record, ContactData]] = field(default_factory=dict)
    bad: list[tuple[int, str, list[str]]] = field(default_factory=list)
    characters: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.good) + len(self.bad) >= CHUNK_ROWS or self.characters > CHUNK_CHARACTERS

    def reject(self, record: Record, reason: str) -> None:
        self.bad.append((record.line, reason, short(record.cells)))


def import_contacts(
    database: Database,
    request: Request,
    now: datetime,
    *,
    progress: Callable[[int, int | None], None] = lambda _done, _total: None,
) -> Result:
    """Import a file. progress: told (bytes read, bytes in all or None) after each chunk."""
    total = Merged()
    with CsvSource(
        request.file, encoding=request.encoding, delimiter=request.delimiter, knows=EMAIL_HEADERS
    ) as source:
        records = source.records()
        header, found, skipped = _header(source, records, request.mapping)
        with (
            Seen() as seen,
            Rejects(request.rejects or default_path(request.file), header) as rejects,
            _collecting_by_chunk(),
        ):
            for chunk in _chunks(records, found, skipped, request):
                _reject_duplicates(chunk, seen)
                total += _store(database, chunk, now, dry_run=request.dry_run)
                rejects.add(sorted(chunk.bad))
                gc.collect(0)
                progress(source.bytes_read, source.size)
    result = Result(
        total.imported,
        total.updated,
        total.unchanged,
        rejects.count,
        rejects.file,
        source.encoding,
        source.is_guess,
        source.delimiter,
        found.ignored,
    )
    if not request.dry_run:
        logbook.contacts_imported(request.file, total.imported, total.updated, total.unchanged, rejects.count)
    return result


@contextmanager
def _collecting_by_chunk() -> Iterator[None]:
    """Leave cyclic garbage to :func:`gc.collect` after each chunk.

    By itself the collector would walk each chunk many times while it grows, which takes as long as reading
    and checking it. Without any collection, each transaction's statements would stay in memory.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _header(
    source: CsvSource, records: Iterator[Record], mapping: Mapping[str, str]
) -> tuple[list[str], Columns, int]:
    """(header, its meaning, cells to leave out at the start of each row)."""
    first = next(records, None)
    if first is None or first.problem:
        raise InvalidInput(
            f"{source.name} has no header" + (f": {first.problem}" if first else ""),
            hint="the first line names the columns: email,nickname,company",
        )
    skipped = 2 if is_rejects_header(first.cells) else 0
    header = first.cells[skipped:]
    try:
        return header, columns(header, mapping), skipped
    except InvalidInput as error:
        raise InvalidInput(f"{source.name}: {error.message}", hint=error.hint) from error


def _chunks(records: Iterator[Record], found: Columns, skipped: int, request: Request) -> Iterator[_Chunk]:
    chunk = _Chunk()
    for record in records:
        if skipped:
            record = _without(record, skipped)  # noqa: PLW2901
        _take(chunk, record, found, request)
        if chunk.is_full:
            yield chunk
            chunk = _Chunk()
    yield chunk


def _without(record: Record, skipped: int) -> Record:
    """A row of a rejects file as it stood in its input."""
    return record if record.problem else record._replace(cells=record.cells[skipped:])


def _take(chunk: _Chunk, record: Record, found: Columns, request: Request) -> None:
    """Check one record and put it into the chunk, among the good or the bad."""
    chunk.characters += sum(map(len, record.cells))
    if record.problem:
        chunk.reject(record, record.problem)
        return
    try:
        data = found.read(record.cells)
    except InvalidInput as error:
        chunk.reject(record, f"{error.message} ({error.hint})" if error.hint else error.message)
        return
    key = data.address.key
    if key in chunk.good:
        chunk.reject(record, _same_as(chunk.good[key][0].line))
        return
    if request.tags:
        data.tags = tuple(dict.fromkeys((*data.tags, *request.tags)))
    data.source = data.source or request.source
    data.lawful_basis = data.lawful_basis or request.lawful_basis
    chunk.good[key] = (record, data)


def _reject_duplicates(chunk: _Chunk, seen: Seen) -> None:
    """Reject the rows whose address stood in an earlier chunk."""
    lines = {key: record.line for key, (record, _) in chunk.good.items()}
    for key, line in seen.earlier(lines).items():
        record, _ = chunk.good.pop(key)
        chunk.reject(record, _same_as(line))


def _same_as(line: int) -> str:
    return f"the same address as in line {line}"


def _store(database: Database, chunk: _Chunk, now: datetime, *, dry_run: bool) -> Merged:
    given = [data for _, data in chunk.good.values()]
    if dry_run:
        with database.read() as connection:
            return merge(connection, given, now, dry_run=True)
    return committed(database, lambda connection: merge(connection, given, now)) if given else Merged()
