"""A TCP proxy that reads the MySQL protocol, and cuts a connection at a chosen statement.

Client packets are ``length (3 bytes, little endian), sequence (1 byte), payload``; a packet with sequence 0
is a command, payload ``0x03`` + text a query. Only what
PyMySQL speaks here: no compression, no TLS.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

HOST = "127.0.0.1"
QUERY = 0x03
_ENDS_TRANSACTION = re.compile(r"\s*(COMMIT|ROLLBACK)\b", re.I)


@dataclass
class Cut:
    """Where to cut.

    at: pattern of the statement. after: pattern that an earlier statement of its transaction must have.
    executed: the server gets the statement, and its answer is lost; else it never gets it.
    times: how often. every: only each n-th such statement.
    """

    at: str
    after: str = ""
    executed: bool = False
    times: int = 1
    every: int = 1

    def fits(self, statement: str, earlier: list[str]) -> bool:
        if not re.match(self.at, statement, re.I | re.S):
            return False
        return not self.after or any(re.match(self.after, each, re.I | re.S) for each in earlier)


class StatementProxy:
    """``with StatementProxy(port) as proxy:`` forwards ``proxy.port`` of 127.0.0.1 to ``port`` of it."""

    def __init__(self, port: int) -> None:
        self._target = (HOST, port)
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._cut: Cut | None = None
        self._fitting = 0
        self.cuts = 0  # so far
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in [self._listener, *self._sockets]:
            _close(each)

    def cut(self, cut: Cut) -> None:
        """From now on, until it has been done ``cut.times``."""
        with self._lock:
            self._cut, self._fitting, self.cuts = cut, 0, 0

    def done(self) -> bool:
        """Whether the cut has been made as often as was asked for."""
        with self._lock:
            return self._cut is None

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                client, _address = self._listener.accept()
                try:
                    server = socket.create_connection(self._target)
                except OSError:
                    client.close()
                    continue
                self._sockets += [client, server]
                _Connection(self, client, server).start()

    def due(self, statement: str, earlier: list[str]) -> Cut | None:
        """The cut to make at this statement, if any."""
        with self._lock:
            cut = self._cut
            if cut is None or not cut.fits(statement, earlier):
                return None
            self._fitting += 1
            if self._fitting % cut.every:
                return None
            self.cuts += 1
            if self.cuts == cut.times:
                self._cut = None
            return cut


class _Connection:
    """One client's connection: a thread for each direction."""

    def __init__(self, proxy: StatementProxy, client: socket.socket, server: socket.socket) -> None:
        self.proxy, self.client, self.server = proxy, client, server
        self.answer_is_lost = False
        self.statements: list[str] = []  # of the transaction so far

    def start(self) -> None:
        for direction in (self._to_server, self._to_client):
            threading.Thread(target=direction, daemon=True).start()

    def _to_server(self) -> None:
        with contextlib.suppress(OSError):
            for packet in self._packets():
                cut = self._look(packet)
                if cut is not None and not cut.executed:
                    break
                # Set before the server can answer.
                self.answer_is_lost = cut is not None
                self.server.sendall(packet)
        if not self.answer_is_lost:
            self._end()

    def _look(self, packet: bytes) -> Cut | None:
        if packet[3] != 0 or len(packet) < 5 or packet[4] != QUERY:
            return None
        statement = packet[5:].decode("utf-8", "replace")
        cut = self.proxy.due(statement, self.statements)
        if _ENDS_TRANSACTION.match(statement):
            self.statements.clear()
        else:
            self.statements.append(statement)
        return cut

    def _packets(self) -> Iterator[bytes]:
        buffer = b""
        while data := self.client.recv(65536):
            buffer += data
            while len(buffer) >= 4 and len(buffer) >= (size := 4 + int.from_bytes(buffer[:3], "little")):
                yield buffer[:size]
                buffer = buffer[size:]

    def _to_client(self) -> None:
        with contextlib.suppress(OSError):
            while data := self.server.recv(65536):
                if self.answer_is_lost:
                    break
                self.client.sendall(data)
        self._end()

    def _end(self) -> None:
        for each in (self.client, self.server):
            _close(each)


def _close(each: socket.socket) -> None:
    # shutdown wakes a thread that waits in recv or accept; close alone would not.
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
