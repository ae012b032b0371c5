"""Which addresses of a file have been seen already, and on which line: exact, in flat memory.

A million keys in a Python dictionary take 200 MB; here they lie in a temporary B-tree on disk, which is
nobody else's and vanishes with the process.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from types import TracebackType

_ASKED_AT_ONCE = 500


class Seen:
    """Keys with the line each was first seen on; a context manager."""

    def __init__(self) -> None:
        self._tree = sqlite3.connect("", isolation_level=None)  # "": a private temporary file
        self._tree.execute("PRAGMA journal_mode=OFF")
        self._tree.execute("PRAGMA synchronous=OFF")
        self._tree.execute("PRAGMA cache_size=-16384")
        self._tree.execute("CREATE TABLE seen (key TEXT PRIMARY KEY, line INTEGER) WITHOUT ROWID")
        self._tree.execute("BEGIN")

    def earlier(self, lines: Mapping[str, int]) -> dict[str, int]:
        """Those of the given keys (key -> line) that were given before, with their first line.

        The others are remembered.
        """
        before = self._tree.total_changes
        rows = sorted(lines.items())
        self._tree.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", rows)
        if self._tree.total_changes - before == len(rows):
            return {}
        found: dict[str, int] = {}
        for start in range(0, len(rows), _ASKED_AT_ONCE):
            keys = [key for key, _ in rows[start : start + _ASKED_AT_ONCE]]
            marks = ",".join("?" * len(keys))
            query = f"SELECT key, line FROM seen WHERE key IN ({marks})"  # noqa: S608 - only question marks
            found.update((key, line) for key, line in self._tree.execute(query, keys) if line != lines[key])
        return found

    def __enter__(self) -> Seen:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tree.close()
