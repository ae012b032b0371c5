"""`coldsend web run`: the socket, the server processes behind it, and the thread that works the spool off.

The process itself answers nobody. It listens, starts the server processes and starts them again when they
end, and brings what they have taken in to the ledger: a slow database never holds an answer up.
"""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
import threading
from collections.abc import Callable
from typing import Protocol

from coldsend import clock, logbook
from coldsend.errors import Refused, Unreachable
from coldsend.web.drain import Drain

IDLE_SECONDS = 0.1
TROUBLED_SECONDS = 2.0
LAST_SECONDS = 3.0  # for what is left in the spool, at the end
BACKLOG = 2048
LESS_URGENT = 10  # nice


class Processes(Protocol):
    """The server processes, as this module needs them."""

    def start(self) -> None: ...
    def keep(self) -> None: ...
    def drain(self) -> None: ...
    @property
    def hopeless(self) -> bool: ...


class ServersEnd(Refused):
    """The server processes end as soon as they are started; what they have logged says why."""

    code = "servers_end"


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens, for processes to inherit; Unreachable where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise Unreachable(
            f"the web part cannot listen on {host} port {port}: {error.strerror or error}",
            hint="another [web] host or port, or COLDSEND_WEB_PORT for this process; is one running already?",
        ) from error
    made.set_inheritable(True)
    return made


def in_memory(secret: bytes) -> int:
    """A file descriptor that holds a secret for processes which inherit it; on no disk, in no command
    line."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("links")
    else:
        with tempfile.TemporaryFile() as file:  # without a name
            descriptor = os.dup(file.fileno())
    os.write(descriptor, secret)
    return descriptor


def from_memory(descriptor: int) -> bytes:
    """What :func:`in_memory` holds."""
    return os.pread(descriptor, 4096, 0)


class WebRun:
    """Serves until ``should_stop``, then lets server processes finish and works the spool off."""

    def __init__(self, processes: Processes, drain: Drain, should_stop: Callable[[], bool]) -> None:
        self._processes = processes
        self._drain = drain
        self._should_stop = should_stop
        self._ending = threading.Event()

    def run(self) -> None:
        """ServersEnd where no server process stays alive."""
        working = threading.Thread(target=self._work_off, name="drain")
        working.start()
        try:
            self._processes.start()
            while not self._should_stop():
                self._processes.keep()
                if self._processes.hopeless:
                    raise ServersEnd(
                        "every server process ends at once, again and again",
                        hint="see what they have logged above; then: coldsend doctor",
                    )
                self._ending.wait(IDLE_SECONDS)
        finally:
            try:
                self._processes.drain()
            finally:
                self._ending.set()
                working.join()
                self._last()
                self._drain.close()

    def _work_off(self) -> None:
        """Round after round until the end. Nothing stops it: what a round cannot do the next one may."""
        with contextlib.suppress(OSError, AttributeError):
            # Answers first: what is in the spool can wait. On Linux a thread has a priority of its own.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LESS_URGENT)
        while not self._ending.is_set():
            try:
                done = self._drain.round(go_on=lambda: not self._ending.is_set())
            except Exception as error:
                logbook.unexpected_error("web spool", error)
                done = 0
                self._ending.wait(TROUBLED_SECONDS)
            if self._drain.away:
                self._ending.wait(TROUBLED_SECONDS)
            elif not done:
                self._ending.wait(IDLE_SECONDS)

    def _last(self) -> None:
        """What the server processes have left behind, as far as there is time; the rest waits on disk."""
        ends = clock.monotonic() + LAST_SECONDS
        try:
            self._drain.round(everything=True, go_on=lambda: clock.monotonic() < ends)
            logbook.web_stopped(self._drain.left())
        except Exception as error:
            logbook.unexpected_error("web spool", error)
