"""Hands notices over to their targets: each at least once, whoever is killed, and none holding up another.

A delivery is claimed before it is tried, by compare-and-set, for :data:`CLAIM`; where its process dies it is
tried again after that, under the same message id. Targets are told at the same time, each one's notices one
after the other, or gathered in one message where there are many. After a failure the rest for that target
waits, too: where nobody answers, nobody is asked a hundred times.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from coldsend import logbook, meter
from coldsend.alerts.seam import SECONDS, NotDelivered, Target
from coldsend.database.engine import Connection, Database
from coldsend.domain.alert import AlertEvent, Notice, message_id, next_attempt, notice_of
from coldsend.stores import alerts

CLAIM = timedelta(minutes=5)
BATCH = 50  # deliveries claimed at a time
NOT_CONFIGURED = "the configuration names this target no more"

Row = Mapping[str, Any]


@dataclass(slots=True)
class Delivered:
    """How many notices were handed over, failed for now, and were given up."""

    done: int = 0
    failed: int = 0
    given_up: int = 0

    def add(self, other: Delivered) -> None:
        self.done += other.done
        self.failed += other.failed
        self.given_up += other.given_up


@dataclass(slots=True)
class _Result:
    """What came of one target's deliveries. error: of the first that failed; final: nothing can mend that."""

    target: str
    done: list[Row] = field(default_factory=list)
    failed: list[Row] = field(default_factory=list)
    left: list[Row] = field(default_factory=list)
    error: str = ""
    final: bool = False


@dataclass(frozen=True)
class Deliverer:
    """targets: by name. digest_over: more than so many at once are gathered. now: the clock."""

    database: Database
    targets: Mapping[str, Target]
    digest_over: int
    now: Callable[[], datetime]
    should_stop: Callable[[], bool] = lambda: False

    def deliver(self) -> Delivered:
        """Hand over all that is due, batch by batch."""
        total = Delivered()
        while not self.should_stop():
            claimed = self.database.run(self._claim)
            if not claimed:
                break
            results = asyncio.run(self._send_all(claimed))
            total.add(self._settle(results))
        return total

    def _claim(self, connection: Connection) -> list[Row]:
        now = self.now()
        due = alerts.due(connection, now, BATCH)
        return [row for row in due if alerts.claim(connection, row, now + CLAIM)]

    async def _send_all(self, claimed: Sequence[Row]) -> list[_Result]:
        by_target: dict[str, list[Row]] = {}
        for row in claimed:
            by_target.setdefault(row["target"], []).append(row)
        return list(await asyncio.gather(*(self._send(name, rows) for name, rows in by_target.items())))

    async def _send(self, name: str, rows: Sequence[Row]) -> _Result:
        target, result = self.targets.get(name), _Result(name)
        if target is None:
            return _Result(name, failed=list(rows), error=NOT_CONFIGURED, final=True)
        for group in _groups(rows, gather=target.gathers and len(rows) > self.digest_over):
            if result.error or self.should_stop():
                result.left += group
                continue
            try:
                async with asyncio.timeout(SECONDS):
                    await target.send(*self._message(group), self.now())
            except TimeoutError:
                result.error = f"no answer within {SECONDS:g} seconds"
            except NotDelivered as error:
                result.error, result.final = str(error), error.final
            except Exception as error:
                logbook.unexpected_error(f"alert to {name}", error)
                result.error = f"a bug in coldsend: {type(error).__name__}"
            if result.error:
                result.failed += group
            else:
                result.done += group
        return result

    def _message(self, group: Sequence[Row]) -> tuple[list[Notice], str]:
        notices = [notice_of(row["alert"], AlertEvent(row["event"])) for row in group]
        return notices, message_id([(row["id"], row["alert"]["raised_at"]) for row in group])

    def _settle(self, results: Sequence[_Result]) -> Delivered:
        now = self.now()
        self.database.run(lambda connection: _write(connection, results, now))
        total = Delivered()
        for result in results:
            again = {row["id"]: _again(row, now, final=result.final) for row in result.failed}
            given_up = sum(moment is None for moment in again.values())
            found = Delivered(len(result.done), len(again) - given_up, given_up)
            channel = result.target.partition(":")[0]
            for outcome, count in (("done", found.done), ("retry", found.failed), ("given_up", given_up)):
                if count:
                    meter.alert_delivery(channel, outcome, count)
            for row in result.failed:
                logbook.alert_not_delivered(
                    result.target, result.error, attempts=row["attempts"] + 1, again_at=again[row["id"]]
                )
            total.add(found)
        return total


def _write(connection: Connection, results: Sequence[_Result], now: datetime) -> None:
    for result in results:
        alerts.delivered(connection, [row["id"] for row in result.done], now)
        waits = []
        for row in result.failed:
            again = _again(row, now, final=result.final)
            alerts.failed(connection, row["id"], result.error, again)
            waits.append(again)
        soonest = min((moment for moment in waits if moment is not None), default=now)
        if result.left:
            alerts.put_back(connection, [row["id"] for row in result.left], soonest)
        if soonest > now:
            alerts.postpone(connection, result.target, now, soonest)


def _again(row: Row, now: datetime, *, final: bool) -> datetime | None:
    return None if final else next_attempt(row["attempts"] + 1, now)


def _groups(rows: Sequence[Row], *, gather: bool) -> list[list[Row]]:
    return [list(rows)] if gather else [[row] for row in rows]
