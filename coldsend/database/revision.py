"""At which revision a database stands, and at which this version of coldsend is.

Read without Alembic: every command asks, and loading it costs a quarter of what a command takes to start.
Revisions are the numbers that the files of ``schema/migrations/versions`` begin with, one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

import coldsend
from coldsend.database.engine import Connection, Database, sqlite_file
from coldsend.errors import NotFound, SchemaOutdated, Unreachable

_PACKAGE = Path(coldsend.__file__).parent
_TABLE = "alembic_version"

# Stands in the place of a revision, and before it, while rows are copied in: nothing works with a part of a
# database.
HALF_COPIED = "half copied"


def schema_folder() -> Path:
    """``schema/`` beside the package in a checkout, inside it in an installed wheel."""
    for folder in (_PACKAGE / "schema", _PACKAGE.parent / "schema"):
        if (folder / "migrations").is_dir():
            return folder
    raise NotFound("the schema folder is missing from this installation", hint="install coldsend again")


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Where a database stands: its revision, the newest one, and the revisions between."""

    revision: str | None
    head: str
    pending: tuple[str, ...]

    @property
    def state(self) -> str:
        """In a word (or two): current, empty, half copied, newer or outdated."""
        if self.is_current:
            return "current"
        if self.is_half_copied:
            return HALF_COPIED
        if self.revision is None:
            return "empty"
        return "newer" if self.is_newer else "outdated"

    @property
    def is_current(self) -> bool:
        return self.revision == self.head

    @property
    def is_half_copied(self) -> bool:
        """A copy into it was begun and has not come to its end."""
        return self.revision is not None and self.revision.startswith(HALF_COPIED)

    @property
    def may_be_copied_into(self) -> bool:
        """Half copied, and of this version's schema: the copy may begin anew."""
        return self.revision == _mark(self.head)

    @property
    def is_newer(self) -> bool:
        """Not to be used by this version: made by a later one, or half copied."""
        return self.revision is not None and not self.is_current and not self.pending


def status(database: Database) -> SchemaStatus:
    """Read the database's revision; Unreachable where it does not answer."""
    if _file_is_missing(database):
        return status_at(None)  # looking must not create the file
    with database.read() as connection:
        return status_at(revision_of(connection))


def revision_of(connection: Connection) -> str | None:
    """The revision a database says it is at; None before the first one."""
    if not sa.inspect(connection).has_table(_TABLE):
        return None
    number = sa.column("version_num", sa.String())
    return connection.execute(sa.select(number).select_from(sa.table(_TABLE))).scalar()


def status_at(revision: str | None) -> SchemaStatus:
    known = known_revisions()
    if revision is not None and revision not in known:
        return SchemaStatus(revision, known[-1], ())
    newer = known if revision is None else known[known.index(revision) + 1 :]
    return SchemaStatus(revision, known[-1], tuple(newer))


def known_revisions() -> list[str]:
    """All revisions of this version of coldsend, oldest first."""
    files = (schema_folder() / "migrations" / "versions").glob("[0-9]*_*.py")
    return sorted(file.name.partition("_")[0] for file in files)


def _file_is_missing(database: Database) -> bool:
    file = sqlite_file(database.url)
    try:
        return file is not None and not file.exists()
    except OSError as error:
        raise folder_trouble(database, error) from error


def folder_trouble(database: Database, error: OSError) -> Unreachable:
    return Unreachable(
        f"the database {database.display_url()} cannot be used: {error.strerror}: {error.filename}",
        hint="check the path in [database] url or COLDSEND_DATABASE_URL, and who may write there",
    )


def require_current(database: Database) -> None:
    """SchemaOutdated with the way out unless the schema is the one this version needs."""
    at = status(database)
    if not at.is_current:
        raise outdated(database, at)


def outdated(database: Database, at: SchemaStatus) -> SchemaOutdated:
    where = database.display_url()
    if at.revision is None:
        return SchemaOutdated(f"the database {where} has no coldsend schema yet", hint="run: coldsend init")
    if at.is_half_copied and not at.may_be_copied_into:
        return SchemaOutdated(
            f"the database {where} holds a part of another one, which another version of coldsend began to "
            f"copy: it is {at.revision}, this version needs {at.head}",
            hint="empty it (delete the file, or drop and create the database), or give another empty one; "
            "then copy again: coldsend db restore FILE, or coldsend db copy --to URL",
        )
    if at.is_half_copied:
        return SchemaOutdated(
            f"the database {where} holds a part of another one: copying was interrupted",
            hint="copy again, it begins anew: coldsend db restore FILE, or coldsend db copy --to URL",
        )
    if at.is_newer:
        return SchemaOutdated(
            f"the database {where} is at revision {at.revision}, which this version does not know",
            hint="it was upgraded by a newer coldsend: install that version",
        )
    return SchemaOutdated(
        f"the database {where} is at revision {at.revision}, this version needs {at.head}",
        hint="run: coldsend db upgrade",
    )


def set_half_copied(connection: Connection, *, begins: bool) -> None:
    """Mark a database of this version before rows are copied into it, and take the mark away afterwards."""
    head = known_revisions()[-1]
    version = sa.table(_TABLE, sa.column("version_num"))
    connection.execute(sa.update(version).values(version_num=_mark(head) if begins else head))


def _mark(head: str) -> str:
    return f"{HALF_COPIED} {head}"
