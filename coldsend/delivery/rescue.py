"""Rescue: settle the rows that a dead process left in ``sending``, each to the best of what can be known.

A process of this host is dead when its lock can be taken; its journal then tells: an answer (K) is recorded
as if the process had lived, a row without D was never sent and is pending again, a D without K is unknown.
A process of another host, or one that hangs, is given up when its heartbeat stood still for a whole lease,
measured on this process's steady clock, so that no clock jump and no skew between hosts can declare a living
worker dead; nor can an outage of the database, in which nobody's heartbeat could move. Its journal cannot be
read, so its rows become ``unknown``; if it lives after all, its own outcomes still arrive, because an unknown
row keeps its token.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend import clock, logbook
from coldsend.database.engine import Database
from coldsend.delivery import journal as journals
from coldsend.delivery.journal import Memory
from coldsend.delivery.record import outcomes_of_rows
from coldsend.domain import outcome as outcomes
from coldsend.domain.outcome import Attempt, RowOutcome
from coldsend.domain.states import RowReason, RowStatus
from coldsend.pacing.facts import service_facts
from coldsend.stores import claims, workers

NO_JOURNAL = "its process was lost, and no journal tells whether the server took the message"
NO_ANSWER = "its process died after the final dot, before the server's answer was noted"


@dataclass(slots=True)
class Rescuer:
    """Keeps watch over the other processes; ``own_id`` is the watcher's.

    ``lease_seconds``: silence after which a process is given up.
    """

    database: Database
    state_dir: Path
    lease_seconds: float
    own_id: int
    _seen: dict[int, tuple[datetime, float]] = field(default_factory=dict)
    _looked: float = 0.0

    def rescue_own_host(self) -> int:
        """Settle what dead processes of this host left; returns how many processes there were."""
        host_id = journals.host_id(self.state_dir)
        with self.database.read() as connection:
            here = [row for row in workers.unstopped(connection) if row["host_id"] == host_id]
        self._settle_by_late_journals({row["id"] for row in here})
        return sum(self._rescue_if_dead(row["id"], row["started_at"]) for row in here)

    def _settle_by_late_journals(self, present: Collection[int]) -> None:
        """Journals of processes that were given up and died later, or whose host was away: late proof.

        Answers in them settle rows that are unknown, and rows they have no dot of were never sent. Files of
        another installation that shares the folder are left alone.
        """
        late = journals.workers_in(self.state_dir) - set(present)
        if not late:
            return
        with self.database.read() as connection:
            stopped = [(row["id"], row["started_at"]) for row in workers.stopped(connection, sorted(late))]
        for worker_id, started_at in stopped:
            self._rescue_if_dead(worker_id, started_at)

    def rescue_silent(self) -> int:
        """Give up processes whose heartbeat stood still for a lease while we watched; returns how many."""
        moment = clock.monotonic()
        with self.database.read() as connection:
            others = {row["id"]: row for row in workers.unstopped(connection) if row["id"] != self.own_id}
        present = {worker_id: row["heartbeat_at"] for worker_id, row in others.items()}
        if moment - self._looked > self.lease_seconds / 2:
            self._seen.clear()  # while we could not look the others may not have been able to beat
        self._looked = clock.monotonic()
        self._seen = {
            worker_id: self._seen[worker_id]
            if worker_id in self._seen and self._seen[worker_id][0] == beat
            else (beat, moment)
            for worker_id, beat in present.items()
        }
        silent = [wid for wid, (_beat, since) in self._seen.items() if moment - since >= self.lease_seconds]
        for worker_id in silent:
            if not self._rescue_if_dead(worker_id, others[worker_id]["started_at"]):
                self._settle(worker_id, None)
        return len(silent)

    def rescue_orphans(self) -> int:
        """Settle rows in ``sending`` of processes that are gone for good; returns how many processes.

        There are none but where a process was given up the very moment it claimed, and was then killed.
        """
        with self.database.read() as connection:
            orphaned = claims.orphaned(connection)
        for worker_id in orphaned:
            self._settle(worker_id, None)
        return len(orphaned)

    def sign_off(self, memory: Memory) -> None:
        """Stop the watcher itself. Rows still in ``sending`` are settled by its own journal's ``memory``."""
        self._settle(self.own_id, memory, orderly=True)

    def _rescue_if_dead(self, worker_id: int, started_at: datetime) -> bool:
        """Rescue by journal where the process is provably dead; False where it lives or is another host's."""
        dead = journals.open_dead(self.state_dir, worker_id, started_at)
        if dead is None:
            return False
        settled = False
        try:
            self._settle(worker_id, dead.read())
            settled = True
        finally:
            dead.close(remove=settled)
        return True

    def _settle(self, worker_id: int, memory: Memory | None, *, orderly: bool = False) -> None:
        """Give every row of the worker an outcome and sign it off, in one transaction."""

        def work(connection: Connection) -> tuple[bool, dict[str, int]]:
            now = clock.now()
            rows = claims.of_worker(connection, worker_id)
            settled = [_outcome(row, memory, now) for row in rows]
            settled += _answers_of_others(rows, memory)
            if memory is not None and memory.intact:
                given_up = claims.of_worker(connection, worker_id, RowStatus.UNKNOWN)
                settled += _never_sent(given_up, memory, now)
            open_keys = outcomes_of_rows(connection, settled, service_facts(connection, now), check=True)
            written = [outcome for outcome in settled if (outcome.row_id, outcome.token) in open_keys]
            return workers.stop(connection, worker_id, now), _counts(written)

        stopped, counts = self.database.run(work)
        if counts or (stopped and not orderly):
            logbook.worker_rescued(worker_id, counts, by_journal=memory is not None)


def _outcome(row: sa.Row[Any], memory: Memory | None, now: datetime) -> RowOutcome:
    """What becomes of one row in ``sending``."""
    attempt = _attempt(row, now)
    if memory is None:
        return replace(outcomes.unknown(attempt, now, NO_JOURNAL), reason=RowReason.PROCESS_LOST)
    key = (row.id, row.claim_token)
    if key in memory.outcomes:
        return memory.outcomes[key]
    if key in memory.dots or not memory.intact:
        return outcomes.unknown(attempt, now, NO_ANSWER if key in memory.dots else NO_JOURNAL)
    return outcomes.released(attempt, now, "rescued")


def _attempt(row: sa.Row[Any], now: datetime) -> Attempt:
    return Attempt(
        row.id,
        row.claim_token,
        row.sender_service_id,
        row.attempt_at or now,
        row.retries,
        row.first_attempt_at,
        keeps_service=row.reason == RowReason.KEEPS_SERVICE,
    )


def _never_sent(rows: Sequence[sa.Row[Any]], memory: Memory, now: datetime) -> list[RowOutcome]:
    """Of rows that were given up without a journal, those that it proves were never on the wire."""
    on_the_wire = memory.dots | memory.outcomes.keys()
    return [
        outcomes.released(_attempt(row, now), now, "rescued")
        for row in rows
        if row.reason == RowReason.PROCESS_LOST and (row.id, row.claim_token) not in on_the_wire
    ]


def _answers_of_others(rows: Sequence[sa.Row[Any]], memory: Memory | None) -> list[RowOutcome]:
    """Journaled answers of rows that are not in ``sending`` any more: late proof for unknown ones."""
    if memory is None:
        return []
    present = {(row.id, row.claim_token) for row in rows}
    return [outcome for key, outcome in memory.outcomes.items() if key not in present]


def _counts(settled: Sequence[RowOutcome]) -> dict[str, int]:
    counts: Mapping[str, int] = {
        status.value: sum(outcome.status == status for outcome in settled)
        for status in (RowStatus.SENT, RowStatus.PENDING, RowStatus.UNKNOWN, RowStatus.FAILED_TO_SEND)
    }
    return {status: count for status, count in counts.items() if count}
