"""Whole databases: into a file (`db backup`), out of one (`db restore`), and to another server (`db copy`).

A backup is a SQLite database of this version's schema, whatever it was made of, with one table more: what it
holds, so that a damaged file is known for one. What is encrypted stays so; the key is not in it.

A copy goes on where the source stopped. A restored database does not: what was sent since the backup is not
known in it, so its campaigns are paused, messages that were under way then are `unknown`, and no journal
decides about them.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.config.secrets import KeyRing
from coldsend.database import copying, revision
from coldsend.database.copying import Advance, Tally
from coldsend.database.engine import Database, read_only
from coldsend.errors import InvalidInput, NotFound, Refused, Unreachable, WrongState
from coldsend.stores import restored, sealed, workers

CONTENTS = sa.Table(
    "backup_contents",
    sa.MetaData(),
    sa.Column("table_name", sa.String(64), primary_key=True),
    sa.Column("row_count", sa.Integer(), nullable=False),
    sa.Column("digest", sa.String(32), nullable=False),
    sa.Column("taken_at", sa.DateTime(), nullable=False),  # UTC; the same for all
)


@dataclass(frozen=True, slots=True)
class Moved:
    """What was copied. taken_at: the moment whose state it is."""

    tables: dict[str, Tally]
    taken_at: datetime
    missing_keys: tuple[str, ...] = ()
    changed: restored.Changes = field(default_factory=restored.Changes)

    @property
    def rows(self) -> int:
        return sum(tally.rows for tally in self.tables.values())


def backup(database: Database, file: Path, now: datetime, advance: Advance) -> Moved:
    """Write a backup of ``database`` to ``file``, which must not exist; it is there whole or not at all.

    Senders may go on meanwhile. WrongState where the file exists, InvalidInput where it cannot be written.
    """
    if file.exists():
        raise WrongState(f"{file} exists already; nothing was written", hint="give every backup its own name")
    part = file.with_name(file.name + ".part")
    try:
        with _ours_alone(part):
            target = Database(f"sqlite:///{quote(str(part.absolute()))}")
            try:
                tables = copying.copy(database, target, advance, lambda _connection: None)
                with target.begin() as connection:
                    _write_contents(connection, tables, now)
                _as_one_file(target)
            finally:
                target.dispose()
            _make_durable(part)
            part.rename(file)
            _make_durable(file.parent)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written: {error.strerror}") from error
    return Moved(tables, now)


def restore(file: Path, database: Database, keys: KeyRing | None, now: datetime, advance: Advance) -> Moved:
    """Fill ``database``, which must be empty, with a backup; made safe as the module says.

    keys: those of this installation, to tell which ones the backup needs besides. InvalidInput where the file
    is no backup or is damaged; errors of :func:`coldsend.database.copying.copy`.
    """
    with opened(file) as source:
        with _readable(file):
            told, taken_at = _contents(source, file)
            with source.read() as connection:
                found = copying.tallies(connection, advance)
                needed = sealed.key_ids(connection)
        if wrong := [name for name in told if told[name] != found.get(name)]:
            raise InvalidInput(
                f"{file} is damaged: table {wrong[0]} does not hold what was written into it",
                hint="use another backup",
            )
        changes = restored.Changes()

        def finish(connection: Connection) -> None:
            nonlocal changes
            changes = restored.make_safe(connection, taken_at, now)

        copying.copy(source, database, advance, finish)
    missing = tuple(sorted(set(needed) - set(keys.ids if keys else ())))
    return Moved(found, taken_at, missing, changes)


def copy(source: Database, to: Database, now: datetime, advance: Advance) -> Moved:
    """Everything into another, empty database, which goes on from there.

    WrongState while processes work on the source: both would send what is not sent yet.
    """
    _refuse_running(source, now)
    tables = copying.copy(source, to, advance, lambda _connection: _refuse_running(source, now))
    return Moved(tables, now)


def rows_to_handle(database: Database, times: int) -> int:
    """What ``advance`` adds up to, for a progress bar; times: how often each row is looked at."""
    with database.read() as connection:
        return times * copying.row_count(connection)


@contextmanager
def opened(file: Path) -> Iterator[Database]:
    """A backup to read from: nothing in it or beside it is changed."""
    if not file.is_file():
        raise NotFound(f"there is no file {file}")
    with file.open("rb") as beginning:
        if not beginning.read(16).startswith(b"SQLite format 3"):
            raise InvalidInput(f"{file} is no backup: it is not a SQLite database")
    source = Database(read_only(file))
    try:
        with _readable(file):
            at = revision.status(source)
        if not at.is_current:
            way_out = "restore it with the version that made it"
            if not at.is_newer:
                way_out += ", then upgrade; or without it, as docs/backup.md shows"
            raise Refused(
                f"{file} is of schema {at.revision or 'nobody knows which'}, this version needs {at.head}",
                hint=way_out,
            )
        yield source
    finally:
        source.dispose()


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """What the database says of a damaged file leads to a backup: this is one."""
    try:
        yield
    except Unreachable as error:
        raise InvalidInput(f"{file} is damaged and cannot be read", hint="use another backup") from error


def _contents(source: Database, file: Path) -> tuple[dict[str, Tally], datetime]:
    with source.read() as connection:
        if not sa.inspect(connection).has_table(CONTENTS.name):
            raise InvalidInput(
                f"{file} is a database, but no backup: what it should hold is not written in it",
                hint="to move a database: coldsend db copy --to URL",
            )
        rows = connection.execute(sa.select(CONTENTS)).all()
    if not rows:
        raise InvalidInput(f"{file} is damaged: what it should hold is missing", hint="use another backup")
    told = {row.table_name: Tally(row.row_count, row.digest) for row in rows}
    return told, rows[0].taken_at.replace(tzinfo=UTC)


def _write_contents(connection: Connection, tables: dict[str, Tally], taken_at: datetime) -> None:
    CONTENTS.create(connection)
    moment = taken_at.astimezone(UTC).replace(tzinfo=None)
    rows = [
        {"table_name": name, "row_count": tally.rows, "digest": tally.digest, "taken_at": moment}
        for name, tally in tables.items()
    ]
    connection.execute(sa.insert(CONTENTS), rows)


def _refuse_running(database: Database, now: datetime) -> None:
    with database.read() as connection:
        running = [row for row in workers.unstopped(connection) if row["lease_until"] > now]
    if running:
        shown = ", ".join(f"{row['kind']} {row['id']} on {row['host']}" for row in running[:3])
        raise WrongState(
            f"{database.display_url()} is being worked on ({shown}): it and its copy would both send what is "
            "not sent yet",
            hint="stop them first, and the web part and inbox polls too; coldsend worker list shows them",
        )


def _as_one_file(target: Database) -> None:
    """Nothing of it stays in a second file, and it can be read where it cannot be written."""
    with target.engine.connect() as connection:
        raw: Any = connection.connection.dbapi_connection
        raw.execute("PRAGMA journal_mode=DELETE")


def _make_durable(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _ours_alone(part: Path) -> Iterator[None]:
    """An empty file that nobody else writes to until the end; what is left of it then is removed.

    One that a killed process left is emptied: its lock went with it.
    """
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _locked(descriptor, part):
            raise WrongState(
                f"{part} is being written by another process; nothing was written",
                hint="wait until it has finished, or name another file",
            )
        os.ftruncate(descriptor, 0)
        _clear(part, "-wal", "-shm", "-journal")
        try:
            yield
        finally:
            _clear(part, "", "-wal", "-shm", "-journal")
    finally:
        os.close(descriptor)


def _locked(descriptor: int, part: Path) -> bool:
    """Whether the file is ours now; not where it was finished before, and has another name."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return part.exists() and os.path.samestat(os.fstat(descriptor), part.stat())


def _clear(part: Path, *suffixes: str) -> None:
    for suffix in suffixes:
        part.with_name(part.name + suffix).unlink(missing_ok=True)
