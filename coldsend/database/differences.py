"""How a live schema differs from the one this version is written for.

Both sides are brought to the same plain form (types by the names the database shows, without display
widths), so that what MariaDB and MySQL merely spell differently (JSON as longtext) is no difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect, Inspector

from coldsend.database.tables import metadata
from coldsend.database.types import BINARY_COLLATION
from coldsend.domain.finding import Finding

VERSION_TABLE = "alembic_version"
BINARY_COLLATIONS = frozenset({BINARY_COLLATION, "ascii_bin"})
ALTERED_HINT = "somebody changed the schema by hand: mend it after the snapshots in schema/ (docs/schema.md)"
ADDED_HINT = "coldsend leaves it alone; a later upgrade might not"


def differences(connection: Connection) -> list[Finding]:
    """Every difference; an error where coldsend would fail or lose a guarantee, a warning for additions."""
    inspector = sa.inspect(connection)
    there = set(inspector.get_table_names())
    found: list[Finding] = []
    for table in metadata.sorted_tables:
        if table.name in there:
            found.extend(_table(inspector, table, connection.dialect))
        else:
            found.append(_wrong(table.name, "the table is missing"))
    strangers = sorted(there - set(metadata.tables) - {VERSION_TABLE})
    found.extend(_added(name, "a table that coldsend does not know") for name in strangers)
    return found


def _table(inspector: Inspector, table: sa.Table, dialect: Dialect) -> Iterator[Finding]:
    options = inspector.get_table_options(table.name)
    engine = options.get("mysql_engine", "InnoDB")
    if engine != "InnoDB":
        yield _wrong(table.name, f"the storage engine is {engine}, not InnoDB: nothing it holds is durable")
    yield from _columns(inspector, table, dialect, str(options.get("mysql_collate", "")))
    yield from _keys(inspector, table)
    yield from _foreign_keys(inspector, table)
    yield from _checks(inspector, table)


def _columns(inspector: Inspector, table: sa.Table, dialect: Dialect, collation: str) -> Iterator[Finding]:
    live = {column["name"]: column for column in inspector.get_columns(table.name)}
    for column in table.columns:
        subject = f"{table.name}.{column.name}"
        if column.name not in live:
            yield _wrong(subject, "the column is missing")
            continue
        is_now = live[column.name]
        pairs = (
            ("type", _type(column.type, dialect), _type(is_now["type"], dialect)),
            ("NULL allowed", column.nullable, is_now["nullable"]),
            ("default", _default(_default_of(column, dialect)), _default(is_now["default"])),
        )
        for what, wanted, found in pairs:
            if wanted != found:
                yield _differs(subject, what, wanted, found)
        compares = getattr(is_now["type"], "collation", None) or collation
        if compares and isinstance(column.type, sa.String) and compares not in BINARY_COLLATIONS:
            yield _differs(subject, "collation", BINARY_COLLATION, compares)
    for name in live.keys() - set(table.columns.keys()):
        required = not live[name]["nullable"] and live[name]["default"] is None
        text = "a column that coldsend does not know"
        if required:
            yield _wrong(f"{table.name}.{name}", f"{text}, and that cannot stay empty: every INSERT fails")
        else:
            yield _added(f"{table.name}.{name}", text)


def _keys(inspector: Inspector, table: sa.Table) -> Iterator[Finding]:
    """Primary key, unique keys and indexes, by their columns; names matter only where a query forces one."""
    primary = tuple(inspector.get_pk_constraint(table.name)["constrained_columns"])
    if set(primary) != set(table.primary_key.columns.keys()):
        yield _differs(table.name, "primary key", _list(table.primary_key.columns.keys()), _list(primary))
    live_indexes = inspector.get_indexes(table.name)
    live_unique = {tuple(key["column_names"]) for key in inspector.get_unique_constraints(table.name)}
    live_unique |= {_index_columns(index) for index in live_indexes if index["unique"]}
    unique = {
        tuple(key.columns.keys()) for key in table.constraints if isinstance(key, sa.UniqueConstraint)
    } | {tuple(index.columns.keys()) for index in table.indexes if index.unique}
    for columns in sorted(unique - live_unique):
        yield _wrong(table.name, f"the unique key over {_list(columns)} is missing")
    for columns in sorted(live_unique - unique):
        yield _wrong(table.name, f"a unique key over {_list(columns)} that coldsend does not know")
    indexes = {str(index.name): tuple(index.columns.keys()) for index in table.indexes if not index.unique}
    live = {str(index["name"]): _index_columns(index) for index in live_indexes if not index["unique"]}
    for name, columns in sorted(indexes.items()):
        if name not in live:
            yield _wrong(table.name, f"the index {name} over {_list(columns)} is missing")
        elif live[name] != columns:
            yield _differs(table.name, f"index {name}", _list(columns), _list(live[name]))
    # InnoDB gives a foreign key an index of its own where none begins with its column.
    of_keys = {tuple(key.column_keys) for key in table.foreign_key_constraints}
    for name in sorted(name for name in live.keys() - indexes.keys() if live[name] not in of_keys):
        yield _added(table.name, f"an index {name} that coldsend does not know")


def _foreign_keys(inspector: Inspector, table: sa.Table) -> Iterator[Finding]:
    wanted = {
        (tuple(key.column_keys), key.referred_table.name, tuple(e.column.name for e in key.elements))
        for key in table.foreign_key_constraints
    }
    live = {
        (tuple(key["constrained_columns"]), key["referred_table"], tuple(key["referred_columns"]))
        for key in inspector.get_foreign_keys(table.name)
    }
    for columns, target, others in sorted(wanted - live):
        shown = f"{_list(columns)} to {target} ({_list(others)})"
        yield _wrong(table.name, f"the foreign key {shown} is missing")
    for columns, target, others in sorted(live - wanted):
        shown = f"{_list(columns)} to {target} ({_list(others)})"
        yield _wrong(table.name, f"a foreign key {shown} that coldsend does not know: it may deadlock")


def _checks(inspector: Inspector, table: sa.Table) -> Iterator[Finding]:
    """Where the database has no ENUM type, a CHECK holds its values."""
    live = [str(check["sqltext"]) for check in inspector.get_check_constraints(table.name)]
    for column in table.columns:
        if not isinstance(column.type, sa.Enum) or _has_enum_type(inspector):
            continue
        wanted = set(column.type.enums)
        texts = [text for text in live if re.match(rf'"?{column.name}"?\s+IN\s*\(', text, re.IGNORECASE)]
        found = set(re.findall(r"'([^']*)'", texts[0])) if texts else set()
        if found != wanted:
            values = _list(sorted(found)) if found else "anything"
            yield _differs(f"{table.name}.{column.name}", "values", _list(sorted(wanted)), values)


def _has_enum_type(inspector: Inspector) -> bool:
    return bool(inspector.dialect.supports_native_enum)


def _type(kind: sa.types.TypeEngine[Any], dialect: Dialect) -> str:
    text = kind.compile(dialect=dialect).lower()
    text = re.sub(r" (character set|charset|collate) \w+", "", text)
    text = re.sub(r"\b(bigint|int|integer|smallint|tinyint)\(\d+\)", r"\1", text)
    text = re.sub(r"^numeric", "decimal", re.sub(r"^int\b", "integer", text))
    text = re.sub(r"^bool$", "tinyint", text)  # another name for it in MySQL; SQLite's is "boolean"
    return "json" if text == "longtext" else text.replace(", ", ",")


def _default_of(column: sa.Column[Any], dialect: Dialect) -> str | None:
    compiler = dialect.ddl_compiler(dialect, None)  # type: ignore[arg-type]
    return compiler.get_column_default_string(column)


def _default(text: str | None) -> str:
    if text is None:
        return "none"
    plain = re.sub(r"['\"()\s]", "", text.lower())
    plain = {"true": "1", "false": "0"}.get(plain, plain)
    return re.sub(r"\.0+$", "", plain)


def _index_columns(index: Any) -> tuple[str, ...]:
    return tuple(str(name) for name in index["column_names"])


def _list(names: Any) -> str:
    return ", ".join(names)


def _wrong(subject: str, message: str) -> Finding:
    return Finding("error", subject, message, ALTERED_HINT)


def _added(subject: str, message: str) -> Finding:
    return Finding("warning", subject, message, ADDED_HINT)


def _differs(subject: str, what: str, wanted: Any, found: Any) -> Finding:
    return _wrong(subject, f"{what}: should be {wanted}, is {found}")
