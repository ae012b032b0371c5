"""The orderly end of a process, and its limit: ten seconds after SIGTERM it is over, whatever hangs.

What hangs is a database that neither answers nor refuses, which nothing can be told any more. Nothing is lost
with the process: what it knows of its rows is in its journal, and the next process of this host settles them.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Self

from coldsend import logbook
from coldsend.errors import Unreachable

LIMIT_SECONDS = 9.5


class Stopping:
    """A context manager; within it SIGTERM, SIGINT and SIGHUP call ``stop`` instead of ending it at once.

    SIGHUP (the terminal was closed) stays ignored where it is: that is what nohup asks for.
    """

    def __init__(self, stop: Callable[[], None], limit: float = LIMIT_SECONDS) -> None:
        self._stop = stop
        self._limit = threading.Timer(limit, _give_up, [limit])
        self._limit.daemon = True
        self._requested = False

    def __enter__(self) -> Self:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._signalled)
        return self

    def __exit__(self, *_: object) -> None:
        self._limit.cancel()

    def request(self) -> None:
        """Ask for the end, as a signal does; more than once is once."""
        if not self._requested:
            self._requested = True
            self._limit.start()
            self._stop()

    def _signalled(self, _number: int, _frame: FrameType | None) -> None:
        self.request()


def _give_up(limit: float) -> None:
    logbook.stopped_hard(os.getpid(), limit)
    os._exit(Unreachable.exit_code)
