"""An SMTP server that takes everything and answers late: ``python slow_sink.py PORT LATENCY``.

A far server in one process: each answer leaves LATENCY seconds after what it answers came in, and many
connections wait at once. smtp-sink can only wait whole seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import cast

HELLO = b"250-slow.sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n"


class Session(asyncio.Protocol):
    """One connection."""

    def __init__(self, latency: float) -> None:
        self._latency = latency
        self._rest = b""
        self._in_body = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is none by inheritance
        self._transport.write(b"220 slow.sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        answers: list[bytes] = []
        while data:
            if self._in_body:
                _body, dot, after = data.partition(b"\r\n.\r\n")
                if not dot:
                    # Only the end can still become part of the final dot.
                    data = data[-4:]
                    break
                self._in_body, data = False, after
                answers.append(b"250 2.0.0 Ok\r\n")
                continue
            line, end, after = data.partition(b"\r\n")
            if not end:
                break
            data = after
            answers.append(self._answer(line[:4].upper()))
        self._rest = data
        if answers:
            asyncio.get_running_loop().call_later(self._latency, self._say, b"".join(answers))

    def _answer(self, verb: bytes) -> bytes:
        if verb == b"EHLO":
            return HELLO
        if verb == b"DATA":
            self._in_body = True
            return b"354 End data with <CR><LF>.<CR><LF>\r\n"
        return b"221 2.0.0 Bye\r\n" if verb == b"QUIT" else b"250 2.1.0 Ok\r\n"

    def _say(self, answers: bytes) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(answers)
        if answers.endswith(b"Bye\r\n"):
            self._transport.close()


async def serve(port: int, latency: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Session(latency), "127.0.0.1", port, backlog=1000)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
