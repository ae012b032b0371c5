"""Bytes to and from an IMAP server, with an end to everything that is waited for.

``imaplib`` speaks the protocol; this replaces the part of it that touches the socket, because there a server
may announce any size, drip a byte a minute, or say things before TLS that would be believed after it.
"""

from __future__ import annotations

import imaplib
import socket
import ssl
from collections.abc import Callable
from typing import Any

from coldsend import clock

TICK = 0.25  # seconds between looks at whether to stop
LONGEST_LINE = 16 * 2**20  # the answer to a search is one line
MOST_BYTES = 64 * 2**20  # in answer to one command
CONNECT_SECONDS = 10.0


class Stopped(Exception):
    """The process was asked to end while it waited."""


class Wire(imaplib.IMAP4):
    """One connection. context: TLS from the first byte; None: plain, until ``starttls``.

    timeout: seconds a server may be silent, and a quarter of those one command may take. should_stop is
    asked all the time. Errors are those of ``imaplib`` and of sockets, and Stopped.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        context: ssl.SSLContext | None,
        timeout: float,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._context = context
        self._timeout = timeout
        self._should_stop = should_stop
        self._buffer = bytearray()
        self._buffer_of: socket.socket | None = None
        self.begin_command()
        super().__init__(host, port)

    def begin_command(self) -> None:
        """The time and the bytes for one command begin."""
        self._ends = clock.monotonic() + 4 * self._timeout
        self._left = MOST_BYTES

    # what imaplib calls

    def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:
        """Connect; ``timeout`` is not used."""
        self.host, self.port = host, port
        plain = socket.create_connection((host, port), min(CONNECT_SECONDS, self._timeout))
        try:
            plain.settimeout(self._timeout)
            self.sock = (
                plain if self._context is None else self._context.wrap_socket(plain, server_hostname=host)
            )
        except BaseException:
            plain.close()
            raise

    def read(self, size: int) -> bytes:
        """Exactly ``size`` bytes."""
        if size > self._left:
            raise self.abort(f"the server announced {size} bytes, more than it was asked for")
        while len(self._current()) < size:
            self._receive()
        return self._take(size)

    def readline(self) -> bytes:
        """Up to and with the next line feed."""
        looked_at = 0
        while (end := self._current().find(b"\n", looked_at)) < 0:
            looked_at = len(self._buffer)
            if looked_at > LONGEST_LINE:
                raise self.abort("the server sent a line without an end")
            self._receive()
        return self._take(end + 1)

    def send(self, data: Any) -> None:
        """All of ``data``."""
        self.sock.settimeout(self._timeout)
        self.sock.sendall(data)

    def shutdown(self) -> None:
        """Close the socket, whatever state it is in."""
        self.sock.close()

    # what it rests on

    def _current(self) -> bytearray:
        """What has come in over the socket in use: what came before TLS is not believed after it."""
        if self._buffer_of is not self.sock:
            self._buffer.clear()
            self._buffer_of = self.sock
        return self._buffer

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _receive(self) -> None:
        """Wait for some more bytes."""
        silent_until = min(clock.monotonic() + self._timeout, self._ends)
        while True:
            if self._should_stop():
                raise Stopped
            self.sock.settimeout(TICK)
            try:
                data = self.sock.recv(65536)
            except TimeoutError:
                if clock.monotonic() >= silent_until:
                    raise TimeoutError("the server did not answer in time") from None
                continue
            if not data:
                raise self.abort("the server closed the connection")
            self._left -= len(data)
            if self._left < 0:
                raise self.abort("the server sent more than it was asked for")
            self._buffer += data
            if clock.monotonic() >= self._ends:
                raise TimeoutError("the server took too long to answer")
            return
