"""HTTP/1.1 with limits that uvicorn leaves to a proxy: how long a request may take, how long its head may be.

A client that drips its request (slowloris), or says nothing, is let go after ``REQUEST_SECONDS``; a head of
more than ``HEAD_BYTES`` is answered with 400. Bodies have limits where they are read. There is no timer for
each request: whoever serves calls :meth:`LimitedProtocol.let_go_if_slow` now and then.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_SECONDS = 20.0  # from the first byte to the last of a request, or from connecting to its first
HEAD_BYTES = 32 * 1024


class HeadTooLong(Exception):
    """Raised into the parser, which gives up; uvicorn answers with 400."""


class LimitedProtocol(HttpToolsProtocol):
    """Knows since when a request is on its way in."""

    _since: float | None = None
    _in_head = True
    _read = 0  # bytes since the request began

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._since = self.loop.time()

    def data_received(self, data: bytes) -> None:
        self._read += len(data)
        super().data_received(data)
        if self._in_head and self._read > HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too long.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._since = True, self.loop.time()

    def on_headers_complete(self) -> None:
        self._in_head = False
        # Counted only where it may be: what was read may hold the body, or requests that follow.
        if self._read > HEAD_BYTES and self._head_size() > HEAD_BYTES:
            raise HeadTooLong
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._since, self._read = None, 0
        super().on_message_complete()

    def let_go_if_slow(self, now: float) -> None:
        """Close the connection where a request takes too long. now: of the event loop."""
        if (
            self._since is not None
            and now - self._since > REQUEST_SECONDS
            and not self.transport.is_closing()
        ):
            self.transport.abort()

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
