"""The one Alembic chain in ``schema/`` for all databases: run it, and tell where a database stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

import coldsend
from coldsend.database.engine import Database, sqlite_file
from coldsend.database.tables import metadata
from coldsend.errors import NotFound, Refused, SchemaOutdated, Unreachable

_PACKAGE = Path(coldsend.__file__).parent

# Stands in the place of a revision while rows are copied in: nothing works with a part of a database.
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
        return self.revision == HALF_COPIED

    @property
    def is_newer(self) -> bool:
        """Not to be used by this version: made by a later one, or half copied."""
        return self.revision is not None and not self.is_current and not self.pending


def status(database: Database) -> SchemaStatus:
    """Read the database's revision; Unreachable where it does not answer."""
    if _file_is_missing(database):
        return _status_at(None)  # looking must not create the file
    with database.read() as connection:
        return _status_at(MigrationContext.configure(connection).get_current_revision())


def _status_at(revision: str | None) -> SchemaStatus:
    script = ScriptDirectory.from_config(config())
    known = [entry.revision for entry in script.walk_revisions()]  # newest first
    if revision is not None and revision not in known:
        return SchemaStatus(revision, known[0], ())
    newer = known if revision is None else known[: known.index(revision)]
    return SchemaStatus(revision, known[0], tuple(reversed(newer)))


def _file_is_missing(database: Database) -> bool:
    file = sqlite_file(database.url)
    try:
        return file is not None and not file.exists()
    except OSError as error:
        raise _folder_trouble(database, error) from error


def _folder_trouble(database: Database, error: OSError) -> Unreachable:
    return Unreachable(
        f"the database {database.display_url()} cannot be used: {error.strerror}: {error.filename}",
        hint="check the path in [database] url or COLDSEND_DATABASE_URL, and who may write there",
    )


def require_current(database: Database) -> None:
    """SchemaOutdated with the way out unless the schema is the one this version needs."""
    at = status(database)
    if not at.is_current:
        raise _outdated(database, at)


def _outdated(database: Database, at: SchemaStatus) -> SchemaOutdated:
    where = database.display_url()
    if at.revision is None:
        return SchemaOutdated(f"the database {where} has no coldsend schema yet", hint="run: coldsend init")
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


def upgrade(database: Database, revision: str = "head") -> None:
    """Bring the schema up to ``revision``. May be interrupted, repeated, and run twice at once.

    SchemaOutdated where a newer coldsend was here, Refused where the tables belong to something else.
    """
    file = sqlite_file(database.url)
    if file is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _folder_trouble(database, error) from error
    with database.schema_change() as connection:
        at = _status_at(MigrationContext.configure(connection).get_current_revision())
        if at.is_newer:
            raise _outdated(database, at)
        if at.revision is None:
            _refuse_tables_of_others(database, connection)
        command.upgrade(config(connection), revision)


def downgrade(database: Database, revision: str) -> None:
    """Take the schema back to ``revision`` ("base": nothing is left). Data goes with it."""
    with database.schema_change() as connection:
        command.downgrade(config(connection), revision)


def set_half_copied(connection: sa.Connection, *, begins: bool) -> None:
    """Mark a database of this version before rows are copied into it, and take the mark away afterwards."""
    head = _status_at(None).head
    version = sa.table("alembic_version", sa.column("version_num"))
    connection.execute(sa.update(version).values(version_num=HALF_COPIED if begins else head))


def _refuse_tables_of_others(database: Database, connection: sa.Connection) -> None:
    """A first upgrade goes into a database without our tables, or goes on after an interruption.

    An interrupted first upgrade has left an empty version table, and tables that nobody has used yet.
    """
    there = set(sa.inspect(connection).get_table_names())
    ours = sorted(there & set(metadata.tables))
    if "alembic_version" in there:
        ours = [name for name in ours if connection.execute(sa.select(1).select_from(sa.table(name))).first()]
    if ours:
        raise Refused(
            f"the database {database.display_url()} has tables that coldsend did not make: "
            f"{', '.join(ours)}; nothing was changed",
            hint="give coldsend a database of its own: [database] url or COLDSEND_DATABASE_URL",
        )


def config(connection: sa.Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(schema_folder() / "migrations"))
    if connection is not None:
        config.attributes["connection"] = connection
    return config
