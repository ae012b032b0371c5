"""Taking hits in: each is in the spool before its answer goes out, whatever the database does.

Opens and clicks cost one ``write`` to a file each. The same client that does the same within ten seconds has
done it once: where this process has seen both, it keeps one; the key that the event log guards has the same
slot of time, so that several processes mostly agree. Where the database is away for so long that the spool
has reached its limit, opens are dropped, and clicks at twice the limit; visitors get their pixel and their
page all the same. Unsubscribes are never dropped: one that cannot be made durable is answered with an error.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from coldsend import clock, logbook, meter
from coldsend.web import spool
from coldsend.web.hits import SAME_SECONDS, Hit, HitKind, encode
from coldsend.web.spool import ConsentSpool, Spool

REMEMBERED = 100_000  # hits in each of two generations: some 30 MB at most
SELDOM = 20  # times as long as the last look at the spool took, until the next

_SAME = SAME_SECONDS * 1_000_000
_Same = tuple[str, int, str, tuple[str, ...], int]


class Intake:
    """Of one server process; its event loop calls everything here."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        """folder: of the spool. limit_bytes: of opens and clicks that may wait in it, for all processes."""
        self._folder = folder
        self._spool = Spool(folder)
        self._consent = ConsentSpool(folder)
        self._limit = limit_bytes
        self._waiting = 0
        self._next_look = 0.0
        self._recent: dict[_Same, int] = {}
        self._older: dict[_Same, int] = {}
        self._queue: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="consent")
        self.ailment = ""  # why nothing can be taken in, in a sentence

    def visit(self, hit: Hit) -> None:
        """An open or a click. Never raises: what cannot be kept is counted."""
        if self._is_repeated(hit):
            meter.hit(hit.kind, "repeated")
        elif self._waiting > self._limit * (2 if hit.kind is HitKind.CLICK else 1):
            meter.hit(hit.kind, "dropped")
        else:
            self._write(hit)

    async def consent(self, hit: Hit) -> None:
        """An unsubscribe, or its undoing: durable when this returns. OSError where it cannot be made so."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((encode(hit), done))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_consents())
        await done
        meter.hit(hit.kind, "accepted")

    def look(self) -> None:
        """Let the reader have what has waited a while, and see how much waits; to be called very often."""
        self._spool.complete_old()
        began = clock.monotonic()
        if began < self._next_look:
            return
        try:
            self._waiting, self._spool.behind = spool.waiting(self._folder)
            if self.ailment:
                # Who asks for our health before sending us visitors would never send any again.
                spool.probe(self._folder)
                self.ailment = ""
        except OSError as error:
            self._fails(error)
        ended = clock.monotonic()
        # With many files a look takes long, and nobody is answered meanwhile.
        self._next_look = ended + SELDOM * (ended - began)

    async def close(self) -> None:
        """Everything taken in is in complete files."""
        if self._writing is not None:
            await self._writing
        self._spool.complete()
        self._thread.shutdown()

    def _is_repeated(self, hit: Hit) -> bool:
        # Of a URL its hash: of long ones 200,000 would be hundreds of megabytes.
        key = (hit.kind.value, hit.row_id, hit.client, hit.signs, hash(hit.url))
        before = self._recent.get(key) or self._older.get(key)
        if before is not None and 0 <= hit.at - before < _SAME:
            return True
        if len(self._recent) >= REMEMBERED:
            self._older, self._recent = self._recent, {}
        self._recent[key] = hit.at
        return False

    def _write(self, hit: Hit) -> None:
        try:
            self._spool.write(encode(hit))
        except OSError as error:
            self._fails(error)
            meter.hit(hit.kind, "dropped")
        else:
            self.ailment = ""
            meter.hit(hit.kind, "accepted")

    async def _write_consents(self) -> None:
        """Write all that wait as one file: a flood of them costs no more than a few fsyncs at a time."""
        loop = asyncio.get_running_loop()
        while self._queue:
            waiting, self._queue = self._queue, []
            lines = [line for line, _done in waiting]
            try:
                await loop.run_in_executor(self._thread, self._consent.write, lines)
            except OSError as error:
                self._fails(error)
                for _line, done in waiting:
                    if not done.done():
                        done.set_exception(error)
            else:
                self.ailment = ""
                for _line, done in waiting:
                    if not done.done():
                        done.set_result(None)

    def _fails(self, error: OSError) -> None:
        if not self.ailment:
            logbook.web_spool_failed(error.strerror or str(error))
        self.ailment = f"the spool cannot be written: {error.strerror or error}"
