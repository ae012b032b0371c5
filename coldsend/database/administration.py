"""Where SQLite and MySQL/MariaDB differ for an administrator: changing the schema, settings, versions.

The second half of ``dialect.py``; nothing else branches on the dialect.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from coldsend.errors import Unreachable

SCHEMA_LOCK_SECONDS = 60
PATIENT_SECONDS = 3600


@contextmanager
def schema_change(engine: Engine) -> Iterator[Connection]:
    """A transaction for migrations; a second one waits for the first.

    SQLite undoes it whole; foreign keys are checked at its end, because tables are rebuilt to change them.
    MySQL commits each DDL statement by itself, so a named lock keeps other upgrades out.
    """
    with engine.connect() as connection:
        change = _sqlite_change if engine.dialect.name == "sqlite" else _mysql_change
        with change(connection):
            yield connection


@contextmanager
def _sqlite_change(connection: Connection) -> Iterator[None]:
    raw: Any = connection.connection.dbapi_connection
    raw.execute("PRAGMA foreign_keys=OFF")  # has no effect once a transaction is open
    try:
        with connection.begin():
            yield
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
            if broken:
                raise Unreachable(
                    f"a row of {broken[0]} refers to a row of {broken[2]} that does not exist; "
                    "the schema was left as it was",
                    hint="restore the database from a backup, or mend that row first",
                )
    finally:
        if not connection.invalidated:
            raw.execute("PRAGMA foreign_keys=ON")


@contextmanager
def _mysql_change(connection: Connection) -> Iterator[None]:
    lock = sa.func.concat("coldsend schema ", sa.func.left(sa.func.database(), 40))
    if connection.execute(sa.select(sa.func.get_lock(lock, SCHEMA_LOCK_SECONDS))).scalar() != 1:
        raise Unreachable("another process is changing the schema", hint="wait for it: coldsend db status")
    try:
        yield
        connection.commit()
    finally:
        with suppress(DBAPIError):  # a connection that broke has given up its lock
            connection.rollback()
            connection.execute(sa.select(sa.func.release_lock(lock)))


def settings(connection: Connection) -> dict[str, str]:
    """Settings of server and session that durability and correctness hang on, in lower case."""
    if connection.dialect.name == "sqlite":
        names = ("synchronous", "journal_mode", "foreign_keys")
        found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names}
    else:
        session = (
            "SHOW SESSION VARIABLES WHERE Variable_name IN ('innodb_flush_log_at_trx_commit', 'sync_binlog', "
            "'log_bin', 'transaction_isolation', 'tx_isolation', 'character_set_connection', 'sql_mode', "
            "'time_zone')"
        )
        found = {row[0]: row[1] for row in connection.exec_driver_sql(session)}
        if "tx_isolation" in found:  # what MariaDB before 11.1 calls it
            found.setdefault("transaction_isolation", found.pop("tx_isolation"))
    return {name: str(value).lower() for name, value in found.items()}


def largest_statement(connection: Connection) -> int | None:
    """Bytes that the server takes in one statement, values included; None where there is no such limit."""
    if connection.dialect.name == "sqlite":
        return None
    return int(connection.exec_driver_sql("SELECT @@max_allowed_packet").scalar_one())


def server_time(connection: Connection) -> datetime | None:
    """What the database server's clock says; None where it is this host's own (SQLite)."""
    if connection.dialect.name == "sqlite":
        return None
    told: datetime = connection.exec_driver_sql("SELECT UTC_TIMESTAMP(6)").scalar_one()
    return told.replace(tzinfo=UTC)


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A connection that sees one moment of the whole database, however long it reads; it takes no lock."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            reader = connection.execution_options(coldsend_readonly=True)
        else:
            reader = connection.execution_options(isolation_level="REPEATABLE READ")
            reader.detach()  # its settings are of no use to others
            # The server waits for us while what was read is written elsewhere.
            reader.exec_driver_sql(f"SET SESSION net_write_timeout={PATIENT_SECONDS}")
            reader.rollback()
        with reader.begin():
            yield reader


@contextmanager
def filling(engine: Engine) -> Iterator[Connection]:
    """A connection to fill tables with: rows need not come in the order of their foreign keys."""
    with engine.connect() as connection:
        connection.detach()
        if engine.dialect.name == "sqlite":
            raw: Any = connection.connection.dbapi_connection
            raw.execute("PRAGMA foreign_keys=OFF")
        else:
            connection.exec_driver_sql("SET SESSION foreign_key_checks=0, unique_checks=0")
            connection.commit()
        yield connection


def empty(connection: Connection, table: str) -> None:
    """Take all rows out of a table; on a connection of :func:`filling`."""
    verb = "DELETE FROM" if connection.dialect.name == "sqlite" else "TRUNCATE TABLE"
    connection.exec_driver_sql(f"{verb} {table}")


def next_id(connection: Connection, table: str) -> int | None:
    """The least id that the next row of a table will get; None where nothing tells: it never had one."""
    if connection.dialect.name == "sqlite":
        select = "SELECT seq + 1 FROM sqlite_sequence WHERE name = ?"
        found = connection.exec_driver_sql(select, (table,)).scalar()
        return None if found is None else int(found)
    # Not from information_schema, where MySQL 8 shows what it was up to a day ago.
    text = str(connection.exec_driver_sql(f"SHOW CREATE TABLE {table}").one()[1])
    told = re.search(r"\bAUTO_INCREMENT=(\d+)", text)
    return int(told[1]) if told else None


def set_next_id(connection: Connection, table: str, number: int) -> None:
    """No row that is added gets a lower id; commits by itself on MySQL and MariaDB."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
        insert = "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)"
        connection.exec_driver_sql(insert, (table, number - 1))
    else:
        connection.exec_driver_sql(f"ALTER TABLE {table} AUTO_INCREMENT = {number:d}")


def product(connection: Connection) -> tuple[str, tuple[int, ...]]:
    """Which database this is, and its version: ("MariaDB", (10, 11, 6))."""
    if connection.dialect.name == "sqlite":
        name, text = "SQLite", str(connection.exec_driver_sql("SELECT sqlite_version()").scalar())
    else:
        text = str(connection.exec_driver_sql("SELECT VERSION()").scalar())
        name = "MariaDB" if "mariadb" in text.lower() else "MySQL"
    return name, tuple(int(part) for part in re.findall(r"\d+", text)[:3])
