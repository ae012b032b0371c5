"""An SMTP server in the test's own event loop that does what a list of deeds says, deterministically.

Each thing it is to answer ("greeting", "ehlo", "rset", "mail", "rcpt", "data", "lone", "final") asks
``deed(at, number)`` what to do; ``number`` counts the connections. It keeps the record that is the truth of
a test: which recipients were accepted how often, and what else happened.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

USUAL = {
    "greeting": "220 hello",
    "ehlo": "250-hello\r\n250-PIPELINING\r\n250 8BITMIME",
    "rset": "250 2.0.0 reset",
    "mail": "250 2.1.0 sender fine",
    "rcpt": "250 2.1.5 recipient fine",
    "data": "354 go on",
    "lone": "554 5.5.1 no valid recipients",
    "final": "250 2.0.0 taken",
    "quit": "221 bye",
}


@dataclass
class Deed:
    """What is done in place of the usual answer.

    reply: another answer; "" for none at all. meant: the code that counts, where it is not the one that is
    said. extra: answers behind it; before: one in front of it. closes: "" or "fin" or "rst" (behind the
    answer). discards: what has arrived behind this command is thrown away.
    """

    reply: str | None = None
    meant: int = 0
    before: str = ""
    extra: str = ""
    closes: str = ""
    discards: bool = False


@dataclass
class ScriptedServer:
    """See the module. Every write is cut into random pieces, some of which go out later."""

    deed: Callable[[str, int], Deed | None]
    chance: random.Random
    extensions: str = USUAL["ehlo"]
    accepted: Counter[str] = field(default_factory=Counter)
    bodies: dict[str, list[bytes]] = field(default_factory=dict)
    dots: Counter[str] = field(default_factory=Counter)
    for_nobody: list[bytes] = field(default_factory=list)  # what came after a 354 without a recipient
    connections: int = 0
    open: int = 0
    most_open: int = 0
    pieces: bool = True
    read_ahead: bool = False  # more had come in with the last dot
    port: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _server: Any = None

    async def __aenter__(self) -> ScriptedServer:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await _Session(self, reader, writer, self.connections).run()
        except (ConnectionError, asyncio.IncompleteReadError, _Over):
            pass
        finally:
            self.open -= 1
            writer.close()
            self._tasks.discard(task)


class _Over(Exception):
    """The server has closed the connection."""


class _Session:
    def __init__(
        self, server: ScriptedServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        self._server, self._reader, self._writer, self._number = server, reader, writer, number
        self._sender = self._recipient = ""
        self._out = b""
        self._discards = False

    async def run(self) -> None:
        await self._do("greeting")
        while True:
            if self._discards:
                self._discards = False
                self._reader._buffer.clear()  # type: ignore[attr-defined]
            if b"\n" not in self._reader._buffer:  # type: ignore[attr-defined]
                await self._flush()
            line = (await self._reader.readuntil(b"\n")).decode().strip()
            verb = line.upper()
            if verb.startswith("EHLO"):
                await self._do("ehlo")
            elif verb == "RSET":
                self._sender = self._recipient = ""
                await self._do("rset")
            elif verb.startswith("MAIL FROM:<") and not self._sender:
                if (await self._do("mail")) // 100 == 2:
                    self._sender = line
            elif verb.startswith("RCPT TO:<") and self._sender:
                if (await self._do("rcpt")) // 100 == 2:
                    self._recipient = line.split("<")[1].rstrip(">")
            elif verb == "DATA":
                await self._data()
            elif verb == "QUIT":
                await self._do("quit")
                await self._flush()
                return
            elif verb.split(" ")[0] in ("MAIL", "RCPT"):
                self._out += b"503 5.5.1 not now\r\n"
            else:
                self._out += b"500 5.5.2 what?\r\n"

    async def _data(self) -> None:
        if not self._recipient:
            code = await self._do("data", "503 5.5.1 need a recipient")
            if code != 354:
                return
            await self._flush()
            self._server.for_nobody.append(await self._reader.readuntil(b".\r\n"))
            await self._do("lone")
            return
        if await self._do("data") != 354:
            return
        await self._flush()
        body = (await self._reader.readuntil(b"\r\n.\r\n"))[:-3]
        recipient, self._sender, self._recipient = self._recipient, "", ""
        self._server.dots[recipient] += 1
        self._server.bodies.setdefault(recipient, []).append(body)
        self._server.read_ahead = bool(self._reader._buffer)  # type: ignore[attr-defined]
        await self._do("final", on_answer=lambda code: self._accept(recipient, code))

    def _accept(self, recipient: str, code: int) -> None:
        if code // 100 == 2:
            self._server.accepted[recipient] += 1

    async def _do(
        self, at: str, usual: str = "", on_answer: Callable[[int], None] = lambda _code: None
    ) -> int:
        """Answer, as the script says; the code that the server meant."""
        deed = self._server.deed(at, self._number) or Deed()
        usual = usual or (self._server.extensions if at == "ehlo" else USUAL[at])
        reply = usual if deed.reply is None else deed.reply
        code = deed.meant or int((reply or usual)[:3])
        on_answer(code)
        for one in (deed.before, reply, deed.extra):
            self._out += one.encode() + b"\r\n" if one else b""
        self._discards |= deed.discards
        if deed.closes:
            await self._flush()
            if deed.closes == "rst":
                self._writer.transport.abort()
            raise _Over
        return code

    async def _flush(self) -> None:
        """Send what was said, in pieces."""
        out, self._out = self._out, b""
        chance = self._server.chance
        while out:
            cut = chance.randint(1, len(out)) if self._server.pieces and chance.random() < 0.3 else len(out)
            self._writer.write(out[:cut])
            out = out[cut:]
            for _ in range(chance.randint(0, 3)):
                await asyncio.sleep(0)
        await self._writer.drain()
