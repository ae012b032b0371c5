"""Statements over many rows at once, with their values written into the text.

PyMySQL puts values into the text of a statement itself; SQLAlchemy's handling of each of them on the way
costs more than the database's work for the row. So statements of the hot path are written here: integers,
times and texts become SQL literals with one look each. Only values of these types are taken, never SQL.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from pymysql.converters import escape_string
from sqlalchemy import ColumnElement, Table
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.types import UserDefinedType

_STATEMENT = 500_000  # servers take 16 MB, if nobody has set them to 1


class _Listed(UserDefinedType[Collection[int] | Collection[str]]):
    """Values as a list in brackets; only for parameters that become part of the text."""

    cache_ok = True

    def literal_processor(self, dialect: Dialect) -> Callable[[Any], str]:
        def process(values: Collection[int] | Collection[str]) -> str:
            listed = ",".join([str(value) if type(value) is int else _quoted(value) for value in values])
            # The driver puts the other parameters in with Python's ``%``.
            return f"({listed})" if dialect.name == "sqlite" else f"({listed})".replace("%", "%%")

        return process


def _quoted(value: Any) -> str:
    """A text between quotes; SQLAlchemy doubles backslashes for the databases that want it."""
    text = value.replace("\0", "").replace("'", "''")
    return f"'{text}'"


def among(column: ColumnElement[Any], values: Collection[int] | Collection[str]) -> ColumnElement[bool]:
    """``column IN (values)``, for hundreds of values: they become part of the text when it is executed.

    Without values nothing matches.
    """
    if not values:
        return sa.false()
    # Not in_(): it takes each value through three calls.
    return column.bool_op("IN")(sa.bindparam(None, values, _Listed(), literal_execute=True))


def update_many(
    connection: Connection,
    table: Table,
    assignments: Mapping[str, str],
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    guard: str,
) -> int:
    """One UPDATE that gives each row its own values; returns how many rows matched.

    columns, rows: names and values of the relation ``v``, ``id`` among them; the table is ``t``. assignments:
    column -> SQL expression over ``v`` and ``t``. guard: SQL condition besides ``t.id = v.id``.
    A loop of single-row UPDATEs costs a round trip each (60 us against 10 us here).
    """
    write = writer(connection)
    if connection.dialect.name == "sqlite":
        sets = ", ".join(f"{column} = {expression}" for column, expression in assignments.items())
        values = ", ".join([f"({', '.join(map(write, row))})" for row in rows])
        named = ", ".join(f"column{number} AS {name}" for number, name in enumerate(columns, start=1))
        # Not WITH v AS ..: Python's sqlite3 counts rows only of statements that begin with UPDATE.
        statement = (
            f"UPDATE {table.name} AS t SET {sets} "  # noqa: S608
            f"FROM (SELECT {named} FROM (VALUES {values})) AS v WHERE t.id = v.id AND {guard}"
        )
    else:
        sets = ", ".join(f"t.{column} = {expression}" for column, expression in assignments.items())
        # STRAIGHT_JOIN: walk the few new values and look each row up by its primary key, never the other way.
        statement = (
            f"UPDATE {_relation(connection, columns, rows, write)} v STRAIGHT_JOIN {table.name} t "  # noqa: S608
            f"ON t.id = v.id SET {sets} WHERE {guard}"
        )
    return _execute(connection, statement)


def update_each(
    connection: Connection,
    table: Table,
    same: Mapping[str, str],
    each: Mapping[str, Sequence[Any]],
    ids: Sequence[int],
    guard: str,
) -> int:
    """One UPDATE of the rows ``ids`` that gives some columns a value per row; returns how many rows matched.

    same: column -> SQL expression. each: column -> one value for each id. guard: SQL condition on the table's
    columns. On MySQL a third of what :func:`update_many` costs, which needs temporary tables; the search for
    a row's value is linear, so at most some hundreds of ids.
    """
    write = writer(connection)
    sets = [f"{column} = {expression}" for column, expression in same.items()]
    if connection.dialect.name == "sqlite":
        sets += [f"{column} = v.new_{column}" for column in each]
        named = ", ".join(
            f"column{number} AS new_{name}" for number, name in enumerate(("id", *each), start=1)
        )
        rows = zip(ids, *each.values(), strict=True)
        values = ", ".join([f"({', '.join(map(write, row))})" for row in rows])
        statement = (
            f"UPDATE {table.name} SET {', '.join(sets)} "  # noqa: S608
            f"FROM (SELECT {named} FROM (VALUES {values})) AS v WHERE id = v.new_id AND {guard}"
        )
    else:
        listed = ",".join(map(str, ids))
        sets += [
            f"{column} = ELT(FIELD(id,{listed}),{','.join(map(write, values))})"
            for column, values in each.items()
        ]
        statement = f"UPDATE {table.name} SET {', '.join(sets)} WHERE id IN ({listed}) AND {guard}"  # noqa: S608
    return _execute(connection, statement)


def insert_many(
    connection: Connection,
    table: Table,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    ignore: bool = False,
    adding: Sequence[str] = (),
) -> None:
    """INSERT rows, in statements of at most ``_STATEMENT`` characters and one row.

    Documents are given as the text of their JSON. ignore: leave out rows whose unique key exists already.
    adding: columns whose new value is added to the stored one where the primary key exists already.
    """
    write = writer(connection)
    sqlite = connection.dialect.name == "sqlite"
    verb = "INSERT IGNORE" if ignore and not sqlite else "INSERT"
    begin = f"{verb} INTO {table.name} ({', '.join(columns)}) VALUES "
    end = " ON CONFLICT DO NOTHING" if ignore and sqlite else ""
    if adding and sqlite:
        keys = ", ".join(column.name for column in table.primary_key)
        sums = ", ".join(f"{name} = {name} + excluded.{name}" for name in adding)
        end = f" ON CONFLICT ({keys}) DO UPDATE SET {sums}"
    elif adding:
        sums = ", ".join(f"{name} = {name} + VALUES({name})" for name in adding)
        end = f" ON DUPLICATE KEY UPDATE {sums}"
    written: list[str] = []
    size = 0
    for row in rows:
        values = f"({','.join(map(write, row))})"
        written.append(values)
        size += len(values)
        if size > _STATEMENT:
            _execute(connection, f"{begin}{','.join(written)}{end}")
            written, size = [], 0
    if written:
        _execute(connection, f"{begin}{','.join(written)}{end}")


def _relation(
    connection: Connection,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    write: Callable[[Any], str],
) -> str:
    """The rows as a derived table; MySQL has no WITH over VALUES, which MariaDB reads a third faster."""
    if getattr(connection.dialect, "is_mariadb", False):
        values = ", ".join([f"({', '.join(map(write, row))})" for row in rows])
        return f"(WITH v({', '.join(columns)}) AS (VALUES {values}) SELECT * FROM v)"  # noqa: S608
    first = ", ".join(f"{write(value)} AS {name}" for name, value in zip(columns, rows[0], strict=True))
    rest = "".join([f" UNION ALL SELECT {', '.join(map(write, row))}" for row in rows[1:]])
    return f"(SELECT {first}{rest})"


def _execute(connection: Connection, statement: str) -> int:
    # Without parameters a per cent sign is one.
    return connection.execution_options(no_parameters=True).exec_driver_sql(statement).rowcount


def writer(connection: Connection) -> Callable[[Any], str]:
    """How this database writes a value: None, int, aware datetime or str. TypeError at anything else."""
    return _write_sqlite if connection.dialect.name == "sqlite" else _write_mysql


def _write_mysql(value: Any) -> str:
    if type(value) is int:
        return str(value)
    if isinstance(value, str):
        if "\\" in value or "\0" in value:
            return f"'{escape_string(value)}'"
        # As nearly all texts are: a tenth of what looking at each character costs.
        return f"""'{value.replace("'", "''")}'"""
    return _write_other(value)


def _write_sqlite(value: Any) -> str:
    if type(value) is int:
        return str(value)
    # SQLite reads a statement only up to a NUL.
    return _quoted(value) if isinstance(value, str) else _write_other(value)


def _write_other(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise TypeError(f"a naive datetime cannot be stored: {value!r}")
        if value.tzinfo is not UTC:
            value = value.astimezone(UTC)
        return f"'{value.isoformat(' ', 'microseconds')[:26]}'"
    if isinstance(value, int):
        return str(int(value))
    raise TypeError(f"{type(value).__name__} cannot be written into a statement")
