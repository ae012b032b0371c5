"""Live progress of `scheduler run` on a terminal: a bar for each task that sends."""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from coldsend import clock
from coldsend.database.engine import Database
from coldsend.domain.states import ROW_WAITING, TaskStatus
from coldsend.errors import Unreachable
from coldsend.stores import reports, tasks

EVERY = 1.0  # seconds between two looks; a look that takes long makes the next ones rarer


class LiveProgress:
    """A context manager; ``tick`` is called often and looks at the database now and then."""

    def __init__(self, database: Database, *, shown: bool) -> None:
        self._database = database
        self._bars: dict[int, TaskID] = {}
        self._next_look = 0.0
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            TimeElapsedColumn(),
            console=Console(stderr=True, emoji=False),
            disable=not shown,
        )
        self.shown = shown

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            if self.shown:
                self._look()
            self._progress.stop()

    def line(self, text: str) -> None:
        """Print a log line of a sender process above the bars; OSError where the terminal is gone."""
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def tick(self) -> None:
        """Look again if it is time."""
        started = clock.monotonic()
        if self.shown and started >= self._next_look:
            try:
                self._look()
            except OSError:
                self.shown = False  # the terminal was closed: that must not end what runs in it
            self._next_look = clock.monotonic() + max(EVERY, 10 * (clock.monotonic() - started))

    def _look(self) -> None:
        try:
            with self._database.read() as connection:
                sending = {row["id"]: row for row in tasks.in_status(connection, TaskStatus.SENDING)}
                known = {
                    row_id: tasks.get(connection, row_id) for row_id in self._bars if row_id not in sending
                }
                found = {**known, **sending}
                counts = reports.counts_by_status(connection, list(found))
                for task_id, row in found.items():
                    self._show(task_id, tasks.reference(row), counts.get(task_id, {}))
        except Unreachable:
            return  # the log says so; the bars go on when the database is back

    def _show(self, task_id: int, name: str, by_status: dict[str, int]) -> None:
        total = sum(by_status.values())
        done = total - sum(by_status.get(status.value, 0) for status in ROW_WAITING)
        if task_id not in self._bars:
            self._bars[task_id] = self._progress.add_task(name, total=total, detail="")
        detail = "  ".join(f"{status} {count:,}" for status, count in sorted(by_status.items()))
        self._progress.update(self._bars[task_id], total=total, completed=done, detail=detail)
