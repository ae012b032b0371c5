"""Metrics of several processes: what sender processes count reaches the scheduler that started them.

Each sender writes all its numbers once a second, as one line of JSON, into a pipe that it was started with.
The scheduler keeps the last line of each, and of one that has ended adds it to the sum for good: so the sum
never falls, and of a process that was killed at most the last second is missing. The pipe ends with its
process, however that ended; there is nothing to clean up. Neither side waits for the other: a full pipe holds
up a thread of the sender that does nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from coldsend import meter
from coldsend.config.settings import Settings
from coldsend.meter import Counts
from coldsend.metrics import collecting, survey
from coldsend.metrics.application import application
from coldsend.metrics.listener import Listener

INTERVAL = 1.0
LAST_WORD = 2.0  # seconds that the end of a process waits for its last report to be taken


class Reports:
    """What the sender processes of one scheduler have reported."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended = Counts()
        self._living: dict[int, Counts] = {}
        self._next = 0

    @contextmanager
    def for_child(self) -> Iterator[int]:
        """A file descriptor that the process started inside may report to. OSError where there is none."""
        read, write = os.pipe()
        self._next += 1
        threading.Thread(target=self._listen, args=(self._next, read), name="reports", daemon=True).start()
        try:
            yield write
        finally:
            os.close(write)

    def total(self) -> Counts:
        """This process and all its sender processes, those that have ended included."""
        found = meter.read()
        with self._lock:
            found.add(self._ended)
            for counts in self._living.values():
                found.add(counts)
        return found

    def _listen(self, child: int, read: int) -> None:
        with os.fdopen(read, "rb") as lines:
            for line in lines:
                # A line that was cut off: its process was killed while it wrote.
                with contextlib.suppress(ValueError, TypeError, KeyError):
                    counts = meter.from_json(json.loads(line))
                    with self._lock:
                        self._living[child] = counts
        with self._lock:
            self._ended.add(self._living.pop(child, Counts()), gauges=False)


@contextmanager
def reporting(descriptor: int) -> Iterator[None]:
    """Report to the scheduler that gave this descriptor, until the end and once more at the end."""
    ended = threading.Event()
    reporter = threading.Thread(target=_report, args=(descriptor, ended), name="reporter", daemon=True)
    reporter.start()
    try:
        yield
    finally:
        ended.set()
        reporter.join(LAST_WORD)


def _report(descriptor: int, ended: threading.Event) -> None:
    # Where the scheduler is gone there is nobody to tell.
    with contextlib.suppress(OSError), os.fdopen(descriptor, "wb") as out:
        last = False
        while not last:
            last = ended.wait(INTERVAL)
            out.write(json.dumps(meter.read().as_json(), separators=(",", ":")).encode() + b"\n")
            out.flush()


def served(
    settings: Settings,
    counts: Callable[[], Counts],
    look: Callable[[], survey.Readings] | None = None,
    ailment: Callable[[], str] | None = None,
) -> Listener:
    """The listener of ``[metrics]``; nothing where it is off. look: takes a survey of the database.

    ailment: why this process does not work, "" while it does; None: judged by its heartbeat.
    """

    def silence() -> str:
        silent = meter.silent_for()
        if silent is None:
            return "it has not begun yet"
        if silent > settings.delivery.lease_seconds:
            return f"the database has not taken its heartbeat for {silent:.0f} seconds"
        return ""

    return Listener(
        settings.metrics.host,
        settings.metrics.port,
        lambda: application(collecting.registry(counts, look), ailment or silence),
    )
