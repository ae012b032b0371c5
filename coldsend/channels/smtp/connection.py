"""One SMTP connection: bytes out, replies in, and a deadline on everything that is waited for.

An asyncio.Protocol without streams. A connection that failed in any way says so in ``failure`` and is of no
further use; nothing here raises for what a server does. Replies that were not asked for make a connection
fail, so that an early "250" can never pass for the answer to a final dot.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from typing import Protocol, cast

from coldsend.channels.seam import Transcript
from coldsend.channels.smtp.auth import Secrets
from coldsend.channels.smtp.reply import Reply, ReplyReader, Unreadable
from coldsend.channels.smtp.wire import Extensions

GOODBYE_SECONDS = 2.0


class Listener(Protocol):
    """Whoever is told what comes in, as it comes in."""

    def hear(self, arrived: list[Reply], more_began: bool) -> None: ...

    def failed(self) -> None: ...


class Connection(asyncio.Protocol):
    """Used by one task at a time. All timeouts are in seconds; times are those of the event loop."""

    def __init__(self, secrets: Secrets, transcript: Transcript | None = None) -> None:
        self.secrets = secrets
        self.transcript = transcript
        self.extensions = Extensions()
        self.failure = ""  # why it cannot be used any more
        self.timed_out = False  # that is why
        self.unreadable = False  # or this: what came is no reply
        self.uninvited: Reply | None = None  # a reply that nobody asked for
        self.used = False  # has carried a message before
        self.needs_reset = False  # a transaction was left open
        self.idle_since = 0.0
        self.listener: Listener | None = None  # takes the answers in place of replies()
        self.deadline = float("inf")  # of the message in hand as a whole
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = ReplyReader()
        self._replies: list[Reply] = []
        self._owed = 1  # replies we are to get and have not taken; the greeting comes unasked
        self._wanted = 0
        self._timeouts: Sequence[float] = ()
        self._waiter: asyncio.Future[None] | None = None
        self._wait_ends = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._gone = self._loop.create_future()

    # what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class

    def data_received(self, data: bytes) -> None:
        arrived: list[Reply] = []
        try:
            self._reader.feed(data, arrived)
        except Unreadable as error:
            self._take(arrived)
            self.unreadable = not self.failure
            self.fail(f"the server does not speak SMTP: {error}")
        else:
            self._take(arrived)

    def eof_received(self) -> None:
        self.fail("the server closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        self.fail("the connection was lost" + (f": {reason(exc)}" if exc else ""))
        if not self._gone.done():
            self._gone.set_result(None)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if not self._wanted:
            self._wake()

    # what a transaction calls

    def write(self, data: bytes, replies: int = 0) -> None:
        """Send ``data``, which the server owes this many replies for."""
        if self._reader.pending and not self.failure:
            self.fail("the server spoke out of turn")
        if self.failure or self._transport is None:
            return
        self._owed += replies
        self._transport.write(data)

    def say(self, text: str) -> None:
        """Show what we said, line by line, to whom it may concern."""
        if self.transcript:
            for line in text.split("\n"):
                self.transcript("C", line)

    @property
    def quiet(self) -> bool:
        """Healthy, and nothing of a reply has arrived that was not taken."""
        return not (self.failure or self._replies or self._reader.pending)

    async def replies(self, count: int, timeouts: Sequence[float]) -> list[Reply]:
        """The next ``count`` replies, fewer where the connection failed; one timeout for each."""
        if len(self._replies) < count and not self.failure:
            self._wanted, self._timeouts = count, timeouts
            await self._wait(timeouts[len(self._replies)])
            self._wanted = 0
        taken, self._replies = self._replies, []
        self._owed -= len(taken)
        return taken

    async def drained(self, timeout: float) -> None:
        """Wait until the peer has taken enough of what was written; fails after ``timeout``."""
        # The event loop tells of a broken connection only when it gets to run.
        await asyncio.sleep(0)
        if self._paused and not self.failure:
            await self._wait(timeout)

    async def start_tls(self, context: ssl.SSLContext, host: str, timeout: float) -> None:
        """Encrypt the connection; raises OSError (with ssl.SSLError) where that fails."""
        if not self.quiet or self._transport is None:
            # Plain text after the answer to STARTTLS was put there by somebody in between.
            raise ConnectionError(self.failure or "the server sent plain text after its answer to STARTTLS")
        seconds = max(0.001, min(timeout, self.deadline - self._loop.time()))
        transport = await self._loop.start_tls(
            self._transport, self, context, server_hostname=host, ssl_handshake_timeout=seconds
        )
        if transport is None:
            raise ConnectionError(self.failure or "the connection was lost")
        self._transport = transport

    def peer(self) -> str:
        """IP address of the other side."""
        name = self._transport.get_extra_info("peername") if self._transport else None
        return str(name[0]) if name else ""

    def own_address(self) -> str:
        name = self._transport.get_extra_info("sockname") if self._transport else None
        return str(name[0]) if name else ""

    def fail(self, why: str) -> None:
        """Give the connection up at once; the first reason counts."""
        if not self.failure:
            self.failure = why
        if self._transport is not None:
            self._transport.abort()
        self._wake()
        if self.listener is not None:
            self.listener.failed()

    def answer_within(self, seconds: float) -> None:
        """The listener's next answer is awaited for so long from now."""
        self._wait_until(seconds)

    async def goodbye(self) -> None:
        """QUIT where that is still possible, and let go."""
        if self.quiet:
            self.deadline = self._loop.time() + GOODBYE_SECONDS
            self.write(b"QUIT\r\n", 1)
            self.say("QUIT")
            await self.replies(1, (GOODBYE_SECONDS,))
        self.fail("closed by us")
        await self.gone()

    async def gone(self) -> None:
        """Wait until the event loop has let go of the socket."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            await asyncio.wait([self._gone], timeout=GOODBYE_SECONDS)

    def _take(self, arrived: list[Reply]) -> None:
        if not arrived:
            return
        if self.listener is not None:
            self.listener.hear(arrived, self._reader.pending)
            return
        if self.transcript:
            self._show_replies(arrived)
        self._replies += arrived
        if len(self._replies) > self._owed:
            self.uninvited = self._replies[self._owed]
            self.fail(f"the server spoke out of turn: {self.secrets.mask(_shown(self.uninvited))}")
        elif self._waiter is not None and self._wanted:
            if len(self._replies) >= self._wanted:
                self._wake()
            else:
                self._wait_until(self._timeouts[len(self._replies)])

    # waiting

    async def _wait(self, seconds: float) -> None:
        self._waiter = self._loop.create_future()
        self._wait_until(seconds)
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _wait_until(self, seconds: float) -> None:
        """Set the deadline. The timer is moved only when it would fire too late: almost never."""
        self._wait_ends = min(self._loop.time() + seconds, self.deadline)
        if self._timer is None or self._timer.when() > self._wait_ends:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(self._wait_ends, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer = None
        if self._waiter is None and self.listener is None:
            return
        if self._loop.time() < self._wait_ends - 0.001:
            self._timer = self._loop.call_at(self._wait_ends, self._time_is_up)
        else:
            self.timed_out = not self.failure
            self.fail("the server did not answer in time")

    def _show_replies(self, arrived: list[Reply]) -> None:
        assert self.transcript
        for reply in arrived:
            for line in self.secrets.mask(_shown(reply)).split("\n"):
                self.transcript("S", line)


def _shown(reply: Reply) -> str:
    lines = reply.text.decode("utf-8", "replace").split("\n")
    return "\n".join(
        f"{reply.code}{'-' if number < len(lines) else ' '}{line}" for number, line in enumerate(lines, 1)
    )


def reason(error: Exception) -> str:
    """What went wrong, in a few words."""
    if isinstance(error, ssl.SSLError):
        return str(getattr(error, "verify_message", "") or error.reason or error)
    return str(getattr(error, "strerror", "") or error)
