"""All rows of one database into another: the machinery of `db backup`, `db restore` and `db copy`.

SQLite and MySQL/MariaDB both ways, in one consistent snapshot of the source, keeping ids. Tables are read as
a stream and written in batches, so that memory does not grow with them. What was written is read again, and
the number and digest of the rows of each table must be those of the source.

All or nothing: from before its first row until all is known to be right the target is marked as half copied
(:data:`coldsend.database.revision.HALF_COPIED`), and no command works with it. A copy that was interrupted
begins anew when it is run again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from hashlib import blake2b
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from coldsend.database import administration, dialect, migrate, revision
from coldsend.database.engine import Database
from coldsend.database.tables import metadata
from coldsend.database.types import UtcDateTime, naive_time
from coldsend.errors import InvalidInput, Unreachable, WrongState

BATCH_ROWS = 2_000
BATCH_LARGE_ROWS = 8  # of tables with whole messages in them

# What `coldsend init` makes. A database with nothing else in it is as good as an empty one.
LEFT_BY_INIT = frozenset({"users", "signing_keys", "audit_log"})

_MODULUS = 1 << 128

Advance = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Tally:
    """What a table holds. digest: the same for the same rows, in whatever order and on whatever database."""

    rows: int
    digest: str


def copy(
    source: Database, target: Database, advance: Advance, finish: Callable[[Connection], None]
) -> dict[str, Tally]:
    """All rows of ``source`` into ``target``, which becomes usable at the end; what each table holds.

    advance: called with the number of rows handled just now; each is handled twice, see :func:`row_count`.
    finish: is given the target in its last transaction. WrongState where the target holds rows already or is
    the source, Unreachable where a schema is not this version's or what arrived is not what was sent,
    InvalidInput where a value does not fit.
    """
    revision.require_current(source)
    _prepare(target)
    with (
        source.errors_translated(),
        administration.snapshot(source.engine) as reader,
        administration.filling(target.engine) as writer,
    ):
        with _in_words(target):
            _begin(writer, source)
        sent = {name: _copy_table(reader, writer, name, target, advance) for name in _PLAIN}
        with _in_words(target):
            arrived = tallies(writer, advance)
            writer.rollback()
        _require_same(sent, arrived, target)
        with _in_words(target):
            _continue_ids(reader, writer)
            finish(writer)
            revision.set_half_copied(writer, begins=False)
            writer.commit()
    return arrived


def tallies(connection: Connection, advance: Advance) -> dict[str, Tally]:
    """What each table holds; ``advance`` as :func:`copy` has it."""
    found = {}
    for name, table in _PLAIN.items():
        adder = _Adder(table)
        for batch in _batches(connection, table):
            adder.add(batch)
            advance(len(batch))
        found[name] = adder.tally
    return found


def row_count(connection: Connection) -> int:
    """Rows of all tables together."""
    return sum(
        connection.execute(sa.select(sa.func.count()).select_from(_PLAIN[name])).scalar_one()
        for name in _PLAIN
    )


def what_is_there(connection: Connection) -> list[str]:
    """Tables that hold more than `coldsend init` leaves behind; none: rows may be copied in."""
    found = [
        name
        for name in _PLAIN
        if name not in LEFT_BY_INIT
        and connection.execute(sa.select(sa.literal(1)).select_from(_PLAIN[name]).limit(1)).first()
    ]
    people = connection.execute(sa.select(sa.func.count()).select_from(_PLAIN["users"])).scalar_one()
    return [*(["users"] if people > 1 else []), *found]


def _prepare(target: Database) -> None:
    """This version's schema, and no rows that would be lost."""
    at = revision.status(target)
    if at.may_be_copied_into:
        return
    if at.revision is not None:
        revision.require_current(target)
    migrate.upgrade(target)
    with target.read() as connection:
        there = what_is_there(connection)
    if there:
        shown = ", ".join(there[:4]) + (f" and {len(there) - 4} more" if len(there) > 4 else "")
        raise WrongState(
            f"the database {target.display_url()} is not empty: it has rows in {shown}; nothing was changed",
            hint="give an empty database: rows are never mixed, and nothing is overwritten",
        )


def _begin(writer: Connection, source: Database) -> None:
    revision.set_half_copied(writer, begins=True)
    writer.commit()
    # By whatever name: a database that is its own copy would be emptied before it is read.
    if revision.status(source).is_half_copied:
        revision.set_half_copied(writer, begins=False)
        writer.commit()
        raise WrongState(
            f"{source.display_url()} is the very database that would be copied; nothing was changed",
            hint="give another, empty database",
        )
    for name in _PLAIN:
        administration.empty(writer, name)
    writer.commit()


def _copy_table(
    reader: Connection, writer: Connection, name: str, target: Database, advance: Advance
) -> Tally:
    table = _PLAIN[name]
    adder, insert = _Adder(table), sa.insert(table)
    keys = [column.key for column in table.columns]
    uncommitted = 0
    for batch in _batches(reader, table):
        with _in_words(target):
            writer.execute(insert, [dict(zip(keys, row, strict=True)) for row in batch])
            uncommitted += len(batch)
            if uncommitted >= BATCH_ROWS:
                writer.commit()
                uncommitted = 0
        adder.add(batch)
        advance(len(batch))
    with _in_words(target):
        writer.commit()
    return adder.tally


def _batches(connection: Connection, table: sa.Table) -> Iterator[Sequence[Sequence[Any]]]:
    large = any(isinstance(column.type, sa.LargeBinary) for column in table.columns)
    statement = sa.select(table)
    if "id" in table.columns:
        statement = statement.order_by(table.c.id)
    options = {"stream_results": True, "yield_per": BATCH_LARGE_ROWS if large else BATCH_ROWS}
    yield from connection.execute(statement, execution_options=options).partitions()


def _continue_ids(reader: Connection, writer: Connection) -> None:
    """Ids go on after those of the source, also after those whose rows are gone."""
    for name in _PLAIN:
        if "id" not in _PLAIN[name].columns:
            continue
        numbers = [administration.next_id(connection, name) for connection in (reader, writer)]
        if known := [number for number in numbers if number is not None]:
            administration.set_next_id(writer, name, max(known))


def _require_same(sent: Mapping[str, Tally], arrived: Mapping[str, Tally], target: Database) -> None:
    if wrong := [name for name in sent if sent[name] != arrived[name]]:
        name = wrong[0]
        raise Unreachable(
            f"{target.display_url()} does not hold what was copied: {len(wrong)} tables differ; {name} has "
            f"{arrived[name].rows} rows of {sent[name].rows}, or other values in them",
            hint="something else writes into it, or the server changes values: look at it, then copy again",
        )


@contextmanager
def _in_words(target: Database) -> Iterator[None]:
    """A value that the target does not take is told as such; the rest as every other error of a database."""
    try:
        yield
    except (DataError, IntegrityError) as error:
        raise InvalidInput(
            f"a row cannot be copied into {target.display_url()}: {dialect.reason(error)}",
            hint="mend that row in the database it comes from, then copy again: it begins anew",
        ) from error
    except DBAPIError as error:
        raise target.translated(error) from error


class _Adder:
    """Counts rows and adds up their digests: a sum does not depend on the order."""

    def __init__(self, table: sa.Table) -> None:
        self._rows = 0
        self._sum = 0
        self._documents = [place for place, column in enumerate(table.columns) if column.info.get("json")]
        self._decimals = [
            (place, Decimal(1).scaleb(-(column.type.scale or 0)))
            for place, column in enumerate(table.columns)
            if isinstance(column.type, sa.Numeric)
        ]

    def add(self, batch: Sequence[Sequence[Any]]) -> None:
        for row in batch:
            values = list(row)
            for place in self._documents:
                if values[place] is not None:  # MySQL writes documents in its own way
                    values[place] = json.dumps(json.loads(values[place]), sort_keys=True)
            for place, unit in self._decimals:
                if values[place] is not None:  # SQLite keeps more digits than the column has
                    values[place] = Decimal(str(values[place])).quantize(unit, ROUND_HALF_UP)
            self._sum += int.from_bytes(blake2b(repr(values).encode(), digest_size=16).digest(), "big")
        self._rows += len(batch)

    @property
    def tally(self) -> Tally:
        return Tally(self._rows, f"{self._sum % _MODULUS:032x}")


def _plain() -> dict[str, sa.Table]:
    """The tables with documents as their text, choices as words, times without zone: as they are stored."""
    plain = sa.MetaData()
    return {
        table.name: sa.Table(table.name, plain, *(_plain_column(column) for column in table.columns))
        for table in metadata.sorted_tables
    }


def _plain_column(column: sa.Column[Any]) -> sa.Column[Any]:
    kind: Any = column.type
    is_json = isinstance(kind, sa.JSON)
    if is_json or isinstance(kind, sa.Enum):
        kind = sa.Text()
    elif isinstance(kind, UtcDateTime):
        kind = naive_time()
    return sa.Column(column.name, kind, primary_key=column.primary_key, info={"json": is_json})


_PLAIN = _plain()
