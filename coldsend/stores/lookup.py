"""Finding one row by what an operator typed: a name, or an id (all digits; names never are)."""

from __future__ import annotations

import difflib
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.domain.printable import require_plain
from coldsend.errors import InvalidInput, NotFound

NAME_LIMIT = 255
ID_DIGITS = 18  # more than that is no id: databases count to 2**63


def by_name_or_id(
    connection: Connection,
    table: sa.Table,
    given: str | int,
    noun: str,
    *where: sa.ColumnElement[bool],
    name_column: str = "name",
) -> RowMapping:
    """The row of ``table`` with this name or id; NotFound names the noun and the nearest name."""
    text = str(given).strip()
    column = table.c[name_column]
    is_id = text.isdecimal() and len(text) <= ID_DIGITS
    matches = table.c.id == int(text) if is_id else column == text
    row = connection.execute(sa.select(table).where(matches, *where)).mappings().first()
    if row is not None:
        return row
    names = list(connection.execute(sa.select(column).where(*where).limit(1000)).scalars())
    near = difflib.get_close_matches(text, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"see: coldsend {noun.replace(' ', '-')} list"
    raise NotFound(f"{noun} {text!r} does not exist", hint=hint)


def id_of(digits: str) -> int:
    """The id that is typed; of more digits than any has 0, which no row has."""
    return int(digits) if len(digits) <= ID_DIGITS else 0


def checked_name(name: str, noun: str) -> str:
    """A new thing's name, stripped; InvalidInput where it could be taken for a path, an id or a header."""
    name = name.strip()
    if not name:
        raise InvalidInput(f"a {noun} needs a name")
    if len(name) > NAME_LIMIT:
        raise InvalidInput(f"the name of a {noun} has at most {NAME_LIMIT} characters, not {len(name)}")
    if "/" in name or name.isdecimal():
        raise InvalidInput(
            f"{name!r} cannot be the name of a {noun}: no '/' and not only digits",
            hint="'/' separates campaign and task, digits alone are ids",
        )
    require_plain(name, f"the name of a {noun}")
    return name


def inserted_id(result: sa.CursorResult[Any]) -> int:
    """The id that an INSERT of one row was given."""
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


def record(row: RowMapping) -> dict[str, Any]:
    """A row as a plain dictionary."""
    return dict(row)
