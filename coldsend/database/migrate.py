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
from coldsend.errors import NotFound, SchemaOutdated

_PACKAGE = Path(coldsend.__file__).parent


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
    def is_current(self) -> bool:
        return self.revision == self.head

    @property
    def is_newer(self) -> bool:
        """Made by a later version of coldsend than this one."""
        return self.revision is not None and not self.is_current and not self.pending


def status(database: Database) -> SchemaStatus:
    """Read the database's revision; Unreachable where it does not answer."""
    script = ScriptDirectory.from_config(_config())
    head = script.get_current_head() or ""
    file = sqlite_file(database.url)
    if file is not None and not file.exists():
        revision = None  # looking must not create the file
    else:
        with database.read() as connection:
            revision = MigrationContext.configure(connection).get_current_revision()
    known = [entry.revision for entry in script.walk_revisions()]  # newest first
    if revision is not None and revision not in known:
        return SchemaStatus(revision, head, ())
    newer = known if revision is None else known[: known.index(revision)]
    return SchemaStatus(revision, head, tuple(reversed(newer)))


def require_current(database: Database) -> None:
    """SchemaOutdated with the way out unless the schema is the one this version needs."""
    at = status(database)
    if at.is_current:
        return
    where = database.display_url()
    if at.revision is None:
        raise SchemaOutdated(f"the database {where} has no coldsend schema yet", hint="run: coldsend init")
    if at.is_newer:
        raise SchemaOutdated(
            f"the database {where} is at revision {at.revision}, which this version does not know",
            hint="it was upgraded by a newer coldsend: install that version",
        )
    raise SchemaOutdated(
        f"the database {where} is at revision {at.revision}, this version needs {at.head}",
        hint="run: coldsend db upgrade",
    )


def upgrade(database: Database, revision: str = "head") -> None:
    file = sqlite_file(database.url)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    with database.begin() as connection:
        command.upgrade(_config(connection), revision)


def downgrade(database: Database, revision: str) -> None:
    with database.begin() as connection:
        command.downgrade(_config(connection), revision)


def _config(connection: sa.Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(schema_folder() / "migrations"))
    if connection is not None:
        config.attributes["connection"] = connection
    return config
