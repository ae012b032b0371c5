"""Working the event log off into the roll-ups that reports read. A job of the scheduler that leads.

Blocks of ids are counted from the oldest on. What a block comes to is added in one transaction that also
moves the position by compare-and-set: killed anywhere, or run by two, each event counts once.

Ids are given out in order, but may be committed out of order, so a block is only closed when nothing older
can still come. An id is given out by the statement that writes its row. So first it is waited until the
highest id that anybody sees, also uncommitted ones, is GRACE old: the statements that had been given lower
ids have by then written their rows, or the first of them. Then the rows that are written but not committed
are looked for, by a reader who sees these as well: the block ends before the first of them, and goes on when
their transaction has ended, however long that takes. Where one transaction writes at a time (SQLite) ids
come in order anyhow. In a cluster others' uncommitted rows cannot be seen: there the wait is CLUSTER_GRACE,
longer than any transaction of ours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from datetime import datetime

from coldsend import clock
from coldsend.analytics.link_names import LinkNames
from coldsend.database import views
from coldsend.database.engine import Connection, Database
from coldsend.domain.links import digest as link_digest
from coldsend.stores import counting, rollups
from coldsend.stores.counting import Click
from coldsend.stores.rollups import Link

BLOCK = 10_000  # events in a transaction
SECONDS = 5.0  # one run works no longer: the next one goes on
GRACE = 5.0  # seconds
CLUSTER_GRACE = 900.0


class RollUp:
    """Counts again and again. Remembers which ids were seen when, on the steady clock."""

    def __init__(
        self,
        database: Database,
        should_stop: Callable[[], bool] = lambda: False,
        *,
        grace: float | None = None,
        steady: Callable[[], float] = clock.monotonic,
    ) -> None:
        self._database = database
        self._should_stop = should_stop
        self._grace = grace
        self._steady = steady
        self._seen: deque[tuple[float, int]] = deque()  # (when, the highest id then)
        self._aged = 0

    def run(self, now: datetime, seconds: float = SECONDS) -> int:
        """Count what has come in, for so long at most; returns how many events were counted."""
        ends = self._steady() + seconds
        newest = self._look()
        counted = 0
        while not self._should_stop():
            with self._database.read() as connection:
                after = rollups.position(connection)
                upto = counting.end_of_block(connection, after, newest, BLOCK) if after < newest else after
            upto = self._closed(after, upto)
            if upto <= after:
                break
            counted += self._count(after, upto, now)
            if self._steady() > ends:
                break
        return counted

    def _look(self) -> int:
        """Up to which id all rows that were to be written are written."""
        with views.uncommitted(self._database) as dirty:
            if dirty is None:
                with self._database.read() as connection:
                    return counting.newest(connection)
            if self._grace is None:
                self._grace = CLUSTER_GRACE if views.in_cluster(dirty) else GRACE
            moment = self._steady()
            self._seen.append((moment, counting.newest(dirty)))
        while self._seen and self._seen[0][0] + self._grace <= moment:
            self._aged = max(self._aged, self._seen.popleft()[1])
        return self._aged

    def _closed(self, after: int, upto: int) -> int:
        """Up to where all rows that are written are committed: at most ``upto``."""
        if upto <= after:
            return after
        with views.uncommitted(self._database) as dirty:
            if dirty is None:
                return upto
            written = counting.how_many(dirty, after, upto)
            # Looked at later: what is committed by now was written then, and counts are equal only if all is.
            with self._database.read() as connection:
                if counting.how_many(connection, after, upto) == written:
                    return upto
        with views.uncommitted(self._database) as dirty:
            seen = counting.ids(dirty, after, upto) if dirty is not None else set()
        with self._database.read() as connection:
            open_ids = seen - counting.ids(connection, after, upto)
        return min(open_ids) - 1 if open_ids else upto

    def _count(self, after: int, upto: int, now: datetime) -> int:
        """Count one block; 0 where somebody else has, or a domain was forgotten meanwhile.

        Counting takes long and changes nothing: no lock is held for it. The block is closed, so what is read
        stays true, but for domains of people who are erased at the same moment.
        """
        with views.snapshot(self._database) as connection:  # of events that retention deletes, too
            erasures = rollups.erasures(connection)
            cells = counting.cells(connection, after, upto, by_domain=True)
            links = of_links(connection, after, upto)

        def write(connection: Connection) -> bool:
            if rollups.locked_position(connection) != after or rollups.erasures(connection) != erasures:
                return False
            rollups.advance(connection, after, upto, now)
            rollups.add(connection, cells, links)
            return True

        return sum(cell.events for cell in cells) if self._database.run(write) else 0


def of_links(
    connection: Connection, after: int, upto: int, task_ids: Collection[int] | None = None
) -> list[Link]:
    """Clicks with an id in between, added up by link; of each recipient the first on a link counts apart."""
    clicks = counting.clicks(connection, after, upto, task_ids)
    if not clicks:
        return []
    names = LinkNames(connection)
    before = counting.clicks_before(connection, after, upto, task_ids)
    seen = {_whose(click, names.of(click)) for click in before}
    sums: dict[tuple[int, int, str, str], list[int]] = {}
    for click in clicks:
        name = names.of(click)
        numbers = sums.setdefault((click.task_id, click.template_id, click.nature, name), [0, 0])
        numbers[0] += 1
        numbers[1] += _whose(click, name) not in seen
        seen.add(_whose(click, name))
    return [
        Link(task_id, template_id, link_digest(name), nature, name, count, recipients)
        for (task_id, template_id, nature, name), (count, recipients) in sums.items()
    ]


def _whose(click: Click, name: str) -> tuple[int, int, str, str]:
    return click.task_id, click.contact_id, click.nature, name
