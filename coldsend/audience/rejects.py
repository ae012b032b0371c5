"""The rejects file: what was not imported, where it stood, and why.

A CSV file in UTF-8 with the columns ``line`` and ``reason`` before those of the input, so that it can be
corrected and imported like any other: import leaves the first two columns out. It is written beside itself
and put in its place in one step when the import is done; without rejects there is no file.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from coldsend.errors import UsageError

HEAD = ("line", "reason")
_RAW_LIMIT = 20_000
_CELL_LIMIT = 200


def default_path(input_file: str) -> Path:
    """``people.rejects.csv`` beside ``people.csv``; in the working directory for standard input."""
    path = Path("stdin.csv" if input_file == "-" else input_file)
    return path.with_name(f"{path.stem}.rejects.csv")


def is_rejects_header(header: Sequence[str]) -> bool:
    return tuple(text.strip() for text in header[:2]) == HEAD


def short(cells: list[str]) -> list[str]:
    """Cells as they are kept: whole, unless the row is so long that it could only be hostile."""
    if sum(map(len, cells)) <= _RAW_LIMIT:
        return cells
    kept = [text if len(text) <= _CELL_LIMIT else text[:_CELL_LIMIT] + "…" for text in cells[:100]]
    return kept if len(cells) <= 100 else [*kept, "…"]


class Rejects:
    """Writes rejected rows; a context manager that puts the file in place unless the import was cut off."""

    def __init__(self, path: Path, header: Sequence[str] = ()) -> None:
        if path.is_dir():  # told before anything is imported, or rejected rows would be lost
            raise UsageError(
                f"the rejects file {path} cannot be written: it is a folder",
                hint="name another place: --rejects FILE",
            )
        self.path = path
        self.count = 0
        self._header = header
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._file: TextIO | None = None
        self._writer: Any = None

    @property
    def file(self) -> str | None:
        """Path of the rejects file; None where nothing was rejected."""
        return str(self.path) if self.count else None

    def add(self, rows: Iterable[tuple[int, str, list[str]]]) -> None:
        """Rows as (line, reason, raw cells)."""
        for line, reason, cells in rows:
            if self._file is None:
                self._open()
            self._writer.writerow([line, reason, *cells])
            self.count += 1

    def _open(self) -> None:
        try:
            self._file = self._part.open("w", encoding="utf-8", errors="backslashreplace", newline="")
        except OSError as error:
            raise UsageError(
                f"the rejects file {self.path} cannot be written: {error.strerror}",
                hint="name another place: --rejects FILE",
            ) from error
        self._writer = csv.writer(self._file)
        self._writer.writerow([*HEAD, *self._header])

    def __enter__(self) -> Rejects:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        self._file.close()
        if kind is None:
            self._part.replace(self.path)
        else:
            self._part.unlink(missing_ok=True)
