"""Column types that mean the same on SQLite, MariaDB and MySQL.

Times are stored in UTC with microseconds and come back timezone-aware; keys, tags and tokens compare
byte by byte; enumerations are checked by the database on every dialect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Dialect, Enum, Integer, LargeBinary, String, Text, types
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import expression

BINARY_COLLATION = "utf8mb4_bin"


def _in_utc(value: datetime | None) -> datetime | None:
    return None if value is None else value.replace(tzinfo=UTC)


class UtcDateTime(types.TypeDecorator[datetime]):
    """An aware ``datetime``, stored as naive UTC with microseconds. Naive values are refused."""

    impl = types.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> types.TypeEngine[Any]:
        if dialect.name == "mysql":
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(types.DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise TypeError(f"a naive datetime cannot be stored: {value!r}")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return _in_utc(value)

    def result_processor(self, dialect: Dialect, coltype: Any) -> Callable[[Any], Any] | None:
        """Where the driver returns times, without the call in between that a TypeDecorator makes of it."""
        return _in_utc if dialect.name == "mysql" else super().result_processor(dialect, coltype)


def naive_time() -> types.TypeEngine[datetime]:
    """What an :class:`UtcDateTime` is stored as, for values that go from one database into another."""
    return types.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


class CurrentTimestamp(expression.FunctionElement[datetime]):
    """Server default of time columns: a net under rows written by hand; coldsend sets every time itself."""

    type = UtcDateTime()
    inherit_cache = True

    def __init__(self, *, on_update: bool = False) -> None:
        super().__init__()
        self.on_update = on_update


@compiles(CurrentTimestamp)
def _current_timestamp(element: CurrentTimestamp, compiler: Any, **_: Any) -> str:
    return "CURRENT_TIMESTAMP"


@compiles(CurrentTimestamp, "mysql")
@compiles(CurrentTimestamp, "mariadb")
def _current_timestamp_mysql(element: CurrentTimestamp, compiler: Any, **_: Any) -> str:
    default = "CURRENT_TIMESTAMP(6)"
    return f"{default} ON UPDATE {default}" if element.on_update else default


def big_id() -> types.TypeEngine[int]:
    """BIGINT; plain INTEGER on SQLite, whose row ids are 64 bits wide only under that name."""
    return BigInteger().with_variant(Integer(), "sqlite")


def binary_text(length: int) -> types.TypeEngine[str]:
    """VARCHAR that compares byte by byte: ``jose@`` and ``josé@``, ``VIP`` and ``vip`` stay apart."""
    return String(length).with_variant(
        mysql.VARCHAR(length, charset="utf8mb4", collation=BINARY_COLLATION), "mysql", "mariadb"
    )


def ascii_key(length: int) -> types.TypeEngine[str]:
    """VARCHAR for values that are ASCII by construction: tracking ids, de-duplication keys."""
    return String(length).with_variant(
        mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"), "mysql", "mariadb"
    )


def medium_text() -> types.TypeEngine[str]:
    """Text up to 16 MiB (plain TEXT on MySQL would cut at 64 KiB)."""
    return Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


def medium_blob() -> types.TypeEngine[bytes]:
    """Octets up to 16 MiB: messages and payloads as they came."""
    return LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")


def json_value() -> types.TypeEngine[Any]:
    """A JSON document; Python ``None`` is SQL NULL, never the JSON word ``null``."""
    return types.JSON(none_as_null=True)


def choice(name: str, values: Iterable[str]) -> Enum:
    """ENUM on MySQL, VARCHAR with a CHECK on SQLite. Values come back as plain strings."""
    return Enum(*values, name=name, create_constraint=True, validate_strings=True, length=32)
