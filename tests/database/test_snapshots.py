"""schema/mysql.sql and schema/sqlite.sql say what the migrations make, and can be loaded."""

from __future__ import annotations

import runpy
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from coldsend.database import revision
from coldsend.database.engine import Database

SCHEMA = Path(__file__).parent.parent.parent / "schema"


@pytest.mark.parametrize("name", ["mysql", "sqlite"])
def test_the_snapshot_is_the_one_that_make_schema_writes(name: str) -> None:
    written = (SCHEMA / f"{name}.sql").read_text(encoding="utf-8")
    assert written == runpy.run_path(str(SCHEMA / "snapshot.py"))["snapshot"](name), "run: make schema"


def test_loading_the_sqlite_snapshot_gives_what_migrating_gives(sqlite_url: str, tmp_path: Path) -> None:
    loaded = sqlite3.connect(tmp_path / "loaded.db")
    loaded.executescript((SCHEMA / "sqlite.sql").read_text(encoding="utf-8"))
    migrated = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    try:
        assert sqlite_shape(loaded) == sqlite_shape(migrated)
    finally:
        loaded.close()
        migrated.close()


def test_loading_the_mysql_snapshot_gives_what_migrating_gives(
    mariadb_url: str, empty_mariadb_url: str
) -> None:
    migrated, loaded = Database(mariadb_url), Database(empty_mariadb_url)
    try:
        with loaded.engine.connect() as connection:
            for statement in statements((SCHEMA / "mysql.sql").read_text(encoding="utf-8")):
                connection.exec_driver_sql(statement)
            connection.commit()
        assert mariadb_shape(loaded) == mariadb_shape(migrated)
        assert revision.status(loaded).is_current
    finally:
        migrated.dispose()
        loaded.dispose()


def test_a_loaded_sqlite_snapshot_needs_no_upgrade(tmp_path: Path) -> None:
    file = tmp_path / "loaded.db"
    connection = sqlite3.connect(file)
    connection.executescript((SCHEMA / "sqlite.sql").read_text(encoding="utf-8"))
    connection.close()
    database = Database(f"sqlite:///{file}")
    assert revision.status(database).is_current
    database.dispose()


def statements(script: str) -> list[str]:
    lines = [line for line in script.splitlines() if not line.startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";\n") if part.strip().rstrip(";")]


def mariadb_shape(database: Database) -> dict[str, str]:
    """SHOW CREATE TABLE of every table; its own text is the most exact description there is."""
    with database.read() as connection:
        names = [row[0] for row in connection.exec_driver_sql("SHOW TABLES")]
        shape = {}
        for name in names:
            lines = connection.exec_driver_sql(f"SHOW CREATE TABLE `{name}`").one()[1].splitlines()
            options = " ".join(part for part in lines[-1].split() if not part.startswith("AUTO_INCREMENT="))
            # Keys are shown in the order in which they were made, which means nothing.
            shape[name] = "\n".join(sorted(line.rstrip(",") for line in lines[1:-1])) + options
    shape["alembic_version"] = shape["alembic_version"].replace("latin1_swedish_ci", "*")
    return shape


def sqlite_shape(connection: sqlite3.Connection) -> dict[str, Any]:
    """Tables with columns, keys, foreign keys, checks and AUTOINCREMENT, whatever the SQL's layout."""
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
    shape: dict[str, Any] = {}
    for name, sql in rows:
        indexes = connection.execute(f'PRAGMA index_list("{name}")').fetchall()
        shape[name] = {
            "columns": connection.execute(f'PRAGMA table_xinfo("{name}")').fetchall(),
            "indexes": sorted(
                (
                    index[1] if index[3] == "c" else "",
                    index[2],
                    [part[2] for part in connection.execute(f'PRAGMA index_info("{index[1]}")')],
                )
                for index in indexes
            ),
            "foreign_keys": sorted(
                row[2:] for row in connection.execute(f'PRAGMA foreign_key_list("{name}")')
            ),
            "checks": sorted(line.strip(" ,\t") for line in sql.splitlines() if "CHECK" in line),
            "autoincrement": "AUTOINCREMENT" in sql,
        }
    return shape
