"""Write contacts as CSV, in a form that import reads back to the same contacts.

UTF-8, comma separated: the built-in columns, then every custom field in use. Values are written as they
are: a cell that begins with ``=`` stays one, because a guard for spreadsheets would come back as data at the
next import. Open exports in a spreadsheet as text.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from coldsend.database.engine import Connection
from coldsend.errors import UsageError
from coldsend.stores import contacts

_BUILT_IN = ("email", "nickname", "tags", "time_zone", "source", "lawful_basis")


def export_contacts(connection: Connection, tag: str | None, out: TextIO) -> int:
    """Write all contacts (with a tag) to ``out``; returns their number."""
    names = contacts.field_names(connection, tag)
    rows = (_cells(row, names) for row in contacts.walk(connection, tag))
    return write(out, [*_BUILT_IN, *names], rows)


def write(out: TextIO, header: Sequence[str], rows: Iterable[Sequence[str]]) -> int:
    """Write a CSV file; returns the number of rows below the header."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    count = 0
    for row in rows:
        writer.writerow(row)
        count += 1
    return count


@contextmanager
def replaced(path: Path) -> Iterator[TextIO]:
    """A text file that takes its place in one step when it is complete."""
    if path.is_dir():
        raise UsageError(f"{path} cannot be written: it is a folder")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as file:
            yield file
        part.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def _cells(row: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    fields = row["fields"] or {}
    built_in = [row[name] or "" for name in _BUILT_IN if name != "tags"]
    built_in.insert(_BUILT_IN.index("tags"), ",".join(row["tags"] or ()))
    return [*built_in, *(fields.get(name, "") for name in names)]
