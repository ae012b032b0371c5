"""Run the one Alembic chain in ``schema/``, up or down, on any of the databases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from coldsend.database import revision
from coldsend.database.engine import Database, sqlite_file
from coldsend.database.tables import metadata
from coldsend.errors import Refused


def upgrade(database: Database, to: str = "head") -> None:
    """Bring the schema up to ``to``. May be interrupted, repeated, and run twice at once.

    SchemaOutdated where a newer coldsend was here, Refused where the tables belong to something else.
    """
    file = sqlite_file(database.url)
    if file is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise revision.folder_trouble(database, error) from error
    with database.schema_change() as connection:
        at = revision.status_at(revision.revision_of(connection))
        if at.is_newer:
            raise revision.outdated(database, at)
        if at.revision is None:
            _refuse_tables_of_others(database, connection)
        command.upgrade(config(connection), to)


def downgrade(database: Database, to: str) -> None:
    """Take the schema back to ``to`` ("base": nothing is left). Data goes with it."""
    with database.schema_change() as connection:
        command.downgrade(config(connection), to)


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
    config.set_main_option("script_location", str(revision.schema_folder() / "migrations"))
    if connection is not None:
        config.attributes["connection"] = connection
    return config
