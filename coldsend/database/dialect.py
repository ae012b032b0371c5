"""The only place that knows SQLite from MySQL/MariaDB, with administration.py for schema and settings.

Engine set-up, error codes, and the few constructs that differ. Error codes of MySQL and MariaDB:
1213 deadlock, 1205 lock wait, 1020 row changed since read (MariaDB snapshot isolation), 3101 conflict in
Group Replication, 1467 no automatic id (an INSERT was interrupted while it waited for one), 1180 error at
COMMIT, 1317/1927/1969/3024 interrupted (KILL, time limit), 2006/2013/2055 connection lost, 1047 node not
ready (Galera), 1290 read-only, 1114 table full, 2002/2003 cannot connect, 1040/1203/1226 too many
connections, 1129/1130 host refused, 1044/1045/1698 login or database refused, 1142/1143/1227/1370 right
missing, 1049 no such database.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Insert, Table, event
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.engine import URL, Connection, Engine, ExceptionContext
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from coldsend import clock
from coldsend.config.hosts import address
from coldsend.database.connecting import CONVERSIONS, connector, in_cluster

DUPLICATE = 1062  # of a unique key
REPEAT = frozenset({1213, 1205, 1020, 3101, 1467})
RECONNECT = frozenset({2006, 2013, 2014, 2055, 1180, 1317, 1927, 1969, 3024, 4031})
REFUSED = frozenset({1044, 1045, 1049, 1129, 1130, 1142, 1143, 1203, 1226, 1227, 1370, 1698})
PAUSE = frozenset({1047, 1290, 1114, 2002, 2003, 1040, 1053, 1021, 1836}) | REFUSED
PAUSE_SQLITE = ("disk I/O error", "database or disk is full", "readonly database", "unable to open database")
SCHEMA_MISSING = frozenset({1146, 1054})
LEAVE = frozenset({1047, 1053, 1180, 1290, 1836})  # this node cannot be worked with, another one may

OTHER_HOSTS = "other_hosts"  # in a URL's query: nodes of a cluster besides the first
DEFAULT_PORT = 3306
ANSWER_SECONDS = 300.0

# A process that is stopped in the middle of a transaction would keep its locks, and whoever settles its rows
# waiting, until it goes on: the server ends its connection instead. MySQL has nothing like it.
IDLE_SECONDS = 20

SQLITE_BUSY_SECONDS = 30
BUSY_TIMEOUT = "timeout"  # in a URL's query: other than that
READ_ONLY = "mode"  # in a URL's query, "ro": a file that nothing is changed in, not even its journal mode


def create_engine(
    url: URL, *, pool_size: int, connect_timeout: float, answer_timeout: float = ANSWER_SECONDS
) -> Engine:
    """An engine whose sessions are in UTC, READ COMMITTED (SQLite: serialised) and durable at COMMIT.

    Seconds: connect_timeout until a server greets, answer_timeout until a statement is answered.
    """
    if url.get_backend_name() == "sqlite":
        return _sqlite_engine(url)
    others = hosts_of(url.query.get(OTHER_HOSTS, ()))
    engine = sa.create_engine(
        url.difference_update_query([OTHER_HOSTS]).update_query_dict({"charset": "utf8mb4"}),
        pool_size=pool_size,
        max_overflow=10,
        pool_recycle=1800,
        isolation_level="READ COMMITTED",
        hide_parameters=True,  # errors are logged
        connect_args={
            "connect_timeout": int(max(1, connect_timeout)),
            "read_timeout": answer_timeout,
            "write_timeout": answer_timeout,
            "conv": CONVERSIONS,
        },
        json_serializer=compact_json,
    )
    event.listen(engine, "connect", _mysql_session)
    event.listen(engine, "handle_error", _forget_refused)
    if url.host:
        hosts = [(url.host, url.port or DEFAULT_PORT), *(address(host, DEFAULT_PORT) for host in others)]
        event.listen(engine, "do_connect", connector(hosts, connect_timeout))
    event.listen(engine, "handle_error", _leave_node)
    return engine


def hosts_of(value: str | tuple[str, ...]) -> tuple[str, ...]:
    """The hosts in a URL's query, where one of them is plain text."""
    return (value,) if isinstance(value, str) else value


def _mysql_session(dbapi_connection: Any, _record: Any) -> None:
    with dbapi_connection.cursor() as cursor:
        cursor.execute(
            "SET SESSION time_zone='+00:00', "
            "sql_mode='STRICT_TRANS_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO'"
        )
        if "MariaDB" in dbapi_connection.get_server_info():
            cursor.execute(f"SET SESSION idle_write_transaction_timeout={IDLE_SECONDS}")
        if in_cluster(dbapi_connection):
            # Each transaction begins with what other nodes had committed by then: a suppression, a pause and
            # the rows of a dead worker must be seen whichever node they were written on. Waited for once a
            # transaction, by its first statement, whatever that is (1 reads, 2 updates, 4 inserts).
            cursor.execute("SET SESSION wsrep_sync_wait=7")


def _forget_refused(context: ExceptionContext) -> None:
    """A session keeps the rights it was opened with: only a new one sees that they were given back."""
    if isinstance(context.sqlalchemy_exception, DBAPIError):
        context.is_disconnect |= error_code(context.sqlalchemy_exception) in REFUSED


def _leave_node(context: ExceptionContext) -> None:
    """The next connection goes to a node that is ready; whether this one was committed is not known."""
    if isinstance(context.sqlalchemy_exception, DBAPIError):
        context.is_disconnect |= error_code(context.sqlalchemy_exception) in LEAVE


def _sqlite_engine(url: URL) -> Engine:
    busy = url.query.get(BUSY_TIMEOUT, SQLITE_BUSY_SECONDS)
    changes = url.query.get(READ_ONLY) != "ro"
    engine = sa.create_engine(
        url,
        connect_args={"timeout": float(str(busy)), "check_same_thread": False},
        json_serializer=compact_json,
        hide_parameters=True,  # errors are logged
    )

    @event.listens_for(engine, "connect")
    def _session(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.isolation_level = (
            None  # transactions begin where _begin says, not where pysqlite guesses
        )
        if changes:
            _write_ahead(dbapi_connection)
        dbapi_connection.execute("PRAGMA synchronous=FULL")
        dbapi_connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # IMMEDIATE: a reader that turns writer half-way would get SQLITE_BUSY at once, whatever the timeout.
        readonly = connection.get_execution_options().get("coldsend_readonly")
        connection.exec_driver_sql("BEGIN" if readonly else "BEGIN IMMEDIATE")

    return engine


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Journal mode WAL, a property of the file. Where two set it at once SQLite refuses one at once."""
    give_up = clock.monotonic() + SQLITE_BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or clock.monotonic() > give_up:
                raise
            time.sleep(0.01)
        else:
            return


# One encoder for all values: json.dumps would make one for each, which doubles its cost.
compact_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def error_code(error: DBAPIError) -> int:
    """The server's error number, 0 where there is none (SQLite)."""
    arguments = getattr(error.orig, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else 0


def must_repeat(error: DBAPIError) -> bool:
    """The transaction was undone by the database and may simply be run again."""
    return error_code(error) in REPEAT or "database is locked" in str(error.orig)


def already_there(error: DBAPIError) -> bool:
    """A unique key is taken: where it was not when we looked, by somebody at the same moment.

    SQLite lets nobody write between a look and what follows it.
    """
    return error_code(error) == DUPLICATE


def connection_lost(error: DBAPIError) -> bool:
    """The connection broke: whether this one was committed is not known."""
    return error_code(error) in RECONNECT or bool(error.connection_invalidated)


def must_pause(error: DBAPIError) -> bool:
    """The server is away, read-only, full, or refuses us: wait and try again; the work is all right."""
    return error_code(error) in PAUSE or any(sign in str(error.orig) for sign in PAUSE_SQLITE)


def unusable(error: DBAPIError) -> bool:
    """The server or file cannot be worked with at all: away, refused, not a database."""
    text = str(error.orig)
    return isinstance(error, OperationalError | InterfaceError) or any(
        sign in text for sign in ("file is not a database", "disk image is malformed")
    )


def way_out(error: DBAPIError) -> str:
    """What an operator can do about a database that cannot be used."""
    text = str(error.orig)
    for sign, hint in _WAYS_OUT.items():
        if (sign in text) if isinstance(sign, str) else (sign == error_code(error)):
            return hint.replace("NAME", _first_quoted(text))
    return "check that the server runs and [database] url is right: coldsend doctor"


_CREDENTIALS_HINT = "check user, password and database name in [database] url or COLDSEND_DATABASE_URL"
_FILE_HINT = "check the path in [database] url or COLDSEND_DATABASE_URL"

_WAYS_OUT: dict[int | str, str] = {
    1045: _CREDENTIALS_HINT,
    1044: _CREDENTIALS_HINT,
    1698: _CREDENTIALS_HINT,
    1049: "create it as a database administrator: "
    "CREATE DATABASE NAME CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    1142: "grant this user all privileges on the database (db upgrade creates and alters tables)",
    "unable to open database file": _FILE_HINT + ": the folder must exist and be writable",
    "readonly database": _FILE_HINT + ": the file and its folder must be writable for you",
    "file is not a database": _FILE_HINT + ": this file is something else",
    "disk image is malformed": "the file is damaged: restore it from a backup",
    "database is locked": "another process holds it for long: see coldsend worker list, then try again",
    "disk is full": "make room on the disk and try again",
}


def _first_quoted(text: str) -> str:
    found = re.search(r"'([^']+)'", text)
    return found[1] if found else "NAME"


def reason(error: DBAPIError) -> str:
    """What the database said, as a sentence with its number."""
    code = error_code(error)
    arguments: tuple[Any, ...] = getattr(error.orig, "args", ())
    return f"{arguments[1]} ({code})" if code and len(arguments) > 1 else str(error.orig)


def schema_missing(error: DBAPIError) -> bool:
    text = str(error.orig)
    return error_code(error) in SCHEMA_MISSING or "no such table" in text or "no such column" in text


def insert_ignore(table: Table, dialect_name: str) -> Insert:
    """INSERT that leaves rows alone whose unique key exists already."""
    if dialect_name == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    return mysql.insert(table).prefix_with("IGNORE")


def upsert(table: Table, dialect_name: str, keys: list[str], changed: list[str]) -> Insert:
    """INSERT that updates ``changed`` from the new values where a row with the same ``keys`` exists."""
    if dialect_name == "sqlite":
        statement = sqlite.insert(table)
        return statement.on_conflict_do_update(
            index_elements=keys, set_={name: statement.excluded[name] for name in changed}
        )
    mine = mysql.insert(table)
    return mine.on_duplicate_key_update({name: mine.inserted[name] for name in changed})


def upsert_adding(table: Table, dialect_name: str, keys: list[str], counted: str) -> Insert:
    """INSERT that adds to ``counted`` where a row with the same ``keys`` exists."""
    if dialect_name == "sqlite":
        statement = sqlite.insert(table)
        total = table.c[counted] + statement.excluded[counted]
        return statement.on_conflict_do_update(index_elements=keys, set_={counted: total})
    mine = mysql.insert(table)
    return mine.on_duplicate_key_update({counted: table.c[counted] + mine.inserted[counted]})


def text_of(number: ColumnElement[int], dialect_name: str) -> ColumnElement[str]:
    """A number as text: CAST AS CHAR on MySQL, AS TEXT on SQLite."""
    return sa.cast(number, mysql.CHAR() if dialect_name != "sqlite" else sa.Text())


def force_index(table: Table, index: str) -> Any:
    """Say which index a SELECT walks, where MariaDB's optimiser has been seen to choose a far slower one.

    SQLite is left to choose: what leads it astray is a condition that fits another index; see
    stores/sequence_stops.py for one that is kept from it.
    """
    return lambda select: select.with_hint(table, f"FORCE INDEX ({index})", "mysql")


def json_texts(document: ColumnElement[Any], dialect_name: str) -> sa.TableValuedAlias:
    """The texts of a JSON array as rows of one column, ``value``; joins to each row of its table."""
    if dialect_name == "sqlite":
        return sa.func.json_each(document).table_valued("value", name="item")
    columns = "'$[*]' COLUMNS (value VARCHAR(1000) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$')"
    return sa.func.json_table(document, sa.literal_column(columns)).table_valued("value", name="item")
