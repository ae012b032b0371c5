"""Write schema/mysql.sql and schema/sqlite.sql: the newest schema, to read or to load into an empty database.

Compiled from the tables in coldsend/database/tables; a test loads both and holds them against what the
migrations make. Run with: make schema
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.engine import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from coldsend.database.tables import metadata

FOLDER = Path(__file__).parent
DIALECTS: dict[str, Dialect] = {"mysql": mysql.dialect(), "sqlite": sqlite.dialect()}

HEADER = """\
-- coldsend's schema at revision {revision}, for {product}. Written by `make schema`; do not edit.
-- Load it into an empty database, or let coldsend make it: coldsend db upgrade
"""
PRODUCTS = {"mysql": "MariaDB 10.6+ and MySQL 8", "sqlite": "SQLite 3.35+"}


def snapshot(name: str) -> str:
    """The schema as SQL for "mysql" or "sqlite"; ends by marking its revision as reached."""
    dialect = DIALECTS[name]
    parts = [HEADER.format(revision=head(), product=PRODUCTS[name])]
    for table in [*metadata.sorted_tables, _version_table()]:
        parts.append(_statement(CreateTable(table), dialect))
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            parts.append(_statement(CreateIndex(index), dialect))
    reached = sa.insert(_version_table()).values(version_num=sa.literal_column(f"'{head()}'"))
    parts.append(f"{reached};\n")
    return "\n".join(parts)


def head() -> str:
    """The newest revision there is."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER / "migrations"))
    return ScriptDirectory.from_config(config).get_current_head() or ""


def _version_table() -> sa.Table:
    """Where Alembic keeps the revision; its shape is Alembic's own."""
    column = sa.Column("version_num", sa.String(32), nullable=False)
    key = sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc")
    return sa.Table("alembic_version", sa.MetaData(), column, key)


def _statement(element: sa.schema.ExecutableDDLElement, dialect: Dialect) -> str:
    text = str(element.compile(dialect=dialect)).strip().replace("\t", "  ")
    return "\n".join(line.rstrip() for line in text.splitlines()) + ";\n"


def main() -> None:
    for name in DIALECTS:
        (FOLDER / f"{name}.sql").write_text(snapshot(name), encoding="utf-8")


if __name__ == "__main__":
    main()
