"""From the spool to the ledger: reads complete files, judges who it was, hands it to ``feedback``.

Unsubscribes go at once, opens when their file is complete. Clicks wait two seconds, because links that are
followed all at once are a scanner's, and only the last of them tells; opens through image proxies wait with
them, until it is written when their message was accepted. A file is removed when everything in it is
committed; a process that is killed before leaves it, and the keys of its hits keep them from counting twice.
One process of a host reads; where that ends, another takes over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import takewhile
from pathlib import Path

from sqlalchemy.engine import Connection

from coldsend import clock, logbook, meter
from coldsend.database.engine import Database
from coldsend.domain.visits import BURST_SECONDS, PERSON, Judged, bursts, is_timed, judge
from coldsend.errors import ColdsendError, Unreachable
from coldsend.feedback.applier import Applier
from coldsend.feedback.apply import Applied, announce, apply
from coldsend.feedback.undo import announce_undone, undo
from coldsend.stores import visits
from coldsend.web import spool
from coldsend.web.hits import Hit, HitKind, as_feedback, decode, encode, microseconds
from coldsend.web.spool import CONSENT, HITS, ROTATE_SECONDS, Reader

BATCH = 500  # hits in a transaction
CONSENT_FILES = 200  # in a round
AHEAD_BYTES = 32 << 20  # that are read before they are due
SLACK_SECONDS = 0.25  # that completing a file may be late

_SECOND = 1_000_000
_DELAY = round((ROTATE_SECONDS + BURST_SECONDS + SLACK_SECONDS) * _SECOND)
_BURST = round(BURST_SECONDS * _SECOND)
_CLOCK_SET_BACK = 60 * _SECOND

Click = tuple[int, float, str]


@dataclass
class Drain:
    """One reader of a host's spool. Not to be shared between threads."""

    folder: Path
    database: Database
    applier: Applier
    now: Callable[[], datetime] = clock.now
    away: str = ""  # why the database cannot be used; "" while it can
    _loaded: dict[Path, list[Hit]] = field(default_factory=dict)
    _recent: deque[Click] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._reader = Reader(self.folder)

    def round(self, *, everything: bool = False, go_on: Callable[[], bool] = lambda: True) -> int:
        """Bring what is due to the ledger; returns how many hits that were. Never raises for the database.

        everything: also what is not due yet, because no more will come. go_on: asked between transactions.
        """
        if not self._reader.acquire():
            return 0
        done = 0
        try:
            recovered = self._reader.take_over()
            if recovered:
                logbook.web_spool_recovered(recovered)
            done += self._consents()
            self._load()
            for path in list(self._loaded):
                if not go_on():
                    break
                done += self._opens(path)
            for path in list(self._loaded):
                if not go_on() or not (everything or self._is_due(path)):
                    break
                done += self._file(path)
        except Unreachable as error:
            if not self.away:
                logbook.web_database_away(error.message)
            self.away = error.message
        else:
            if self.away:
                logbook.web_database_back()
            self.away = ""
        self._measure()
        return done

    def left(self) -> int:
        """Files that wait."""
        return len(self._reader.files(HITS)) + len(self._reader.files(CONSENT))

    def close(self) -> None:
        self._reader.release()

    def _measure(self) -> None:
        files = [path for prefix in (HITS, CONSENT) for path in self._reader.files(prefix)]
        oldest = min(map(spool.began, files), default=None)
        age = 0 if oldest is None else (microseconds(self.now()) - oldest) / _SECOND
        meter.spool(spool.waiting(self.folder).size, max(0, age))

    def _consents(self) -> int:
        """Unsubscribes and what takes them back, by the time they came."""
        files = self._reader.files(CONSENT)[:CONSENT_FILES]
        read = [_parsed(path) for path in files]
        hits = sorted((hit for found, _refused in read for hit in found), key=lambda hit: hit.at)
        together: list[Hit] = []
        for hit in hits:
            if hit.kind is HitKind.UNDO:
                self._apply_all(together)
                together = []
                self._guarded([hit], self._undo)
            else:
                together.append(hit)
        self._apply_all(together)
        self._refuse([line for _found, refused in read for line in refused])
        _remove(files)
        return len(hits)

    def _load(self) -> None:
        """Read files up to what could still belong to a burst, as far as memory allows."""
        held = sum(map(len, self._loaded.values())) * 250
        known = len(self._loaded)
        for path in self._reader.files(HITS):
            if held > AHEAD_BYTES:
                break
            if path not in self._loaded:
                held += path.stat().st_size
                self._loaded[path], refused = _parsed(path)
                self._refuse(refused)
        if 0 < known < len(self._loaded):
            # One that was begun earlier may have been completed later.
            self._loaded = dict(sorted(self._loaded.items()))

    def _is_due(self, path: Path) -> bool:
        hits = self._loaded[path]
        waited = microseconds(self.now()) - (hits[-1].at if hits else spool.began(path))
        return waited >= _DELAY or waited < -_CLOCK_SET_BACK

    def _opens(self, path: Path) -> int:
        """Bring the opens of a file to the ledger; what is timed waits, and the file with it."""
        hits = self._loaded[path]
        timed = [hit for hit in hits if _is_timed(hit)]
        if hits and len(timed) == len(hits):
            return 0
        done = self._batches([hit for hit in hits if not _is_timed(hit)], set())
        self._loaded[path] = timed
        if not timed:
            _remove([path])
            del self._loaded[path]
        return done

    def _batches(self, hits: Sequence[Hit], in_bursts: set[Click]) -> int:
        """Bring these to the ledger, and what consent comes meanwhile; returns how many that were."""
        consents = 0
        for start in range(0, len(hits), BATCH):
            self._guarded(hits[start : start + BATCH], lambda some: self._visits(some, in_bursts))
            consents += self._consents()  # nobody who leaves waits for thousands who only look
        return len(hits) + consents

    def _file(self, path: Path) -> int:
        """Bring what had to wait of a file to the ledger; returns how many hits that were."""
        hits = self._loaded[path]
        done = self._batches(hits, self._bursts(hits))
        _remove([path])
        del self._loaded[path]
        self._recent.extend(_clicks(hits))
        # Not only what is too old: a clock that was set back would keep the rest for as long as it was.
        while self._recent and abs(self._recent[-1][1] - self._recent[0][1]) > BURST_SECONDS:
            self._recent.popleft()
        return done

    def _bursts(self, hits: Sequence[Hit]) -> set[Click]:
        """The clicks among these that belong to a burst, with those shortly before and after."""
        mine = list(_clicks(hits))
        if not mine:
            return set()
        until = max(at for _row, at, _url in mine) + BURST_SECONDS
        near = takewhile(lambda one: spool.began(one[0]) / _SECOND <= until, self._loaded.items())
        others = [click for _path, later in near if later is not hits for click in _clicks(later)]
        clicks = [*self._recent, *mine, *others]
        return {clicks[place] for place in bursts(clicks)}

    def _apply_all(self, hits: Sequence[Hit]) -> None:
        for start in range(0, len(hits), BATCH):
            self._guarded(hits[start : start + BATCH], lambda some: self._visits(some, set()))

    def _guarded(self, hits: Sequence[Hit], work: Callable[[Sequence[Hit]], None]) -> None:
        """Do the work; where it fails not for the database's sake, in halves, so that one does not stop
        all."""
        if not hits:
            return
        try:
            work(hits)
        except Unreachable:
            raise
        except Exception as error:
            if len(hits) > 1:
                middle = len(hits) // 2
                self._guarded(hits[:middle], work)
                self._guarded(hits[middle:], work)
                return
            if not isinstance(error, ColdsendError):
                logbook.unexpected_error("web spool", error)
            self._refuse([encode(hits[0])])

    def _visits(self, hits: Sequence[Hit], in_bursts: set[Click]) -> None:
        now = self.now()
        timed = {hit.row_id for hit in hits if _is_timed(hit)}

        def work(connection: Connection) -> Applied:
            sent = visits.accepted_at(connection, timed)
            items = [as_feedback(hit, _judged(hit, sent.get(hit.row_id), in_bursts)) for hit in hits]
            return apply(connection, items, now, self.applier)

        announce(self.database.run(work))

    def _undo(self, hits: Sequence[Hit]) -> None:
        [hit] = hits
        scope, at = hit.rest
        told = as_feedback(Hit(HitKind.UNSUBSCRIBE, hit.row_id, int(at), rest=(scope, "page")), PERSON)
        now = self.now()
        lifted = self.database.run(lambda connection: undo(connection, told, hit.moment, now, self.applier))
        announce_undone(hit.row_id, lifted=lifted)

    def _refuse(self, lines: Sequence[bytes]) -> None:
        if lines:
            self._reader.refuse(lines)
            logbook.web_hits_refused(len(lines))


def _parsed(path: Path) -> tuple[list[Hit], list[bytes]]:
    """The hits of a file, and what is none. A torn last line was never answered: it is nothing."""
    content = path.read_bytes()
    found = list(decode(content))
    if found and isinstance(found[-1], bytes) and not content.endswith(b"\n"):
        found.pop()
    return [one for one in found if isinstance(one, Hit)], [one for one in found if isinstance(one, bytes)]


def _clicks(hits: Iterable[Hit]) -> Iterator[Click]:
    return ((hit.row_id, hit.at / _SECOND, hit.url) for hit in hits if hit.kind is HitKind.CLICK)


def _is_timed(hit: Hit) -> bool:
    visit = hit.kind in (HitKind.OPEN, HitKind.CLICK)
    return visit and is_timed(hit.agent, is_click=hit.kind is HitKind.CLICK)


def _judged(hit: Hit, sent_at: datetime | None, in_bursts: set[Click]) -> Judged:
    if hit.kind is HitKind.UNSUBSCRIBE:
        return PERSON
    return judge(
        hit.agent,
        hit.signs,
        is_click=hit.kind is HitKind.CLICK,
        after_sending=(hit.moment - sent_at).total_seconds() if sent_at is not None else None,
        in_burst=(hit.row_id, hit.at / _SECOND, hit.url) in in_bursts,
    )


def _remove(files: Iterable[Path]) -> None:
    for path in files:
        with suppress(FileNotFoundError):
            path.unlink()
