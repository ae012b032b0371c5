"""What a reader sees of the others' work: one moment of it, or what is not committed yet, too.

A database that knows no such levels (one writer at a time, readers of one moment each) needs neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.engine import Connection

from coldsend.database import connecting
from coldsend.database.engine import Database

_ONE_MOMENT = "REPEATABLE READ"
_UNCOMMITTED = "READ UNCOMMITTED"


@contextmanager
def snapshot(database: Database) -> Iterator[Connection]:
    """A connection for reading that sees the database as it was at its first statement."""
    with _reading(database, _ONE_MOMENT) as connection:
        yield connection


@contextmanager
def uncommitted(database: Database) -> Iterator[Connection | None]:
    """A connection that sees rows which others have written, but not committed yet.

    None where there can be no such rows beside a reader's: one transaction writes at a time.
    """
    with _reading(database, _UNCOMMITTED) as connection:
        yield connection if _knows(connection, _ONE_MOMENT) else None


def in_cluster(connection: Connection) -> bool:
    """Whether others' uncommitted rows may be on another server, where nobody here sees them."""
    return connecting.in_cluster(connection.connection.dbapi_connection)


@contextmanager
def _reading(database: Database, level: str) -> Iterator[Connection]:
    with database.errors_translated(), database.engine.connect() as connection:
        reader = connection.execution_options(coldsend_readonly=True)
        if _knows(reader, _ONE_MOMENT):
            reader = reader.execution_options(isolation_level=level)
        with reader.begin():
            yield reader


def _knows(connection: Connection, level: str) -> bool:
    driver = connection.connection.dbapi_connection
    assert driver is not None
    return level in connection.dialect.get_isolation_level_values(driver)
