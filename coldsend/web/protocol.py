"""HTTP/1.1 with limits that uvicorn leaves to a proxy: how long a request may take, how long its head may be.

A client that drips its request (slowloris), or says nothing, is let go after ``REQUEST_SECONDS``; a head of
more than ``HEAD_BYTES`` is answered with 400. Bodies have limits where they are read.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_SECONDS = 20.0  # from the first byte to the last of a request, or from connecting to its first
HEAD_BYTES = 32 * 1024


class HeadTooLong(Exception):
    """Raised into the parser, which gives up; uvicorn answers with 400."""


class LimitedProtocol(HttpToolsProtocol):
    """Arms a timer while a request is on its way in."""

    _timer: asyncio.TimerHandle | None = None
    _in_head = True
    _head = 0  # bytes of the head, counted as they come
    _parsed = 0  # bytes of the head, counted as they are understood

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head += len(data)
        super().data_received(data)
        if self._in_head and self._head > HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too long.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head, self._parsed = True, 0, 0
        self._arm()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._disarm()
        super().on_message_complete()

    def _count(self, size: int) -> None:
        self._parsed += size
        if self._parsed > HEAD_BYTES:
            raise HeadTooLong

    def _arm(self) -> None:
        self._disarm()
        self._timer = self.loop.call_later(REQUEST_SECONDS, self._too_slow)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        if not self.transport.is_closing():
            self.transport.abort()
