"""One turn of a worker at the database: outcomes of the last rows, intents of the next, one transaction.

What is done about database errors (codes in ``database/dialect.py``):
undone by the server (deadlock, conflict, lock wait) - run the whole turn again, not for ever;
connection lost, so that nobody knows whether it was committed - run it again, which the tokens make safe:
outcomes that were written match no row any more, and rows whose intent was committed are found under their
token and put back, because what was checked for them then may not be true any more;
server away, read-only or full - :class:`DatabaseAway`: keep the outcomes (the journal has them too) and wait.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from coldsend import clock, logbook, meter
from coldsend.database import dialect
from coldsend.database.engine import PATIENCE, Database
from coldsend.delivery import record
from coldsend.delivery.attempt import Claim, Result
from coldsend.delivery.claim import Claimer
from coldsend.delivery.record import Recorded, Recorder, StaleOutcomes
from coldsend.delivery.refusals import Refusals
from coldsend.delivery.view import View, own_buckets
from coldsend.domain import outcome as outcomes
from coldsend.domain.outcome import RowOutcome
from coldsend.domain.states import RowStatus
from coldsend.feedback.breaker import Limits
from coldsend.pacing import services as health
from coldsend.pacing.calendar import Calendar, Whereabouts
from coldsend.stores import claims, ledger

REPEATS = 20


class DatabaseAway(Exception):
    """The database cannot be worked with right now; nothing was written, or it is not known."""


@dataclass(frozen=True, slots=True)
class Taken:
    """claims: committed rows to send. written: (row, token) whose outcomes the database has now."""

    claims: Sequence[Claim] = ()
    written: Sequence[tuple[int, int]] = ()


@dataclass(slots=True)
class Turns:
    """A worker's turns. Used from one thread at a time."""

    database: Database
    worker_id: int
    claimer: Claimer
    recorder: Recorder
    render_errors_pause: int
    limits: Limits = field(default_factory=Limits)
    _refusals: Refusals = field(init=False)
    _batch: int = 0
    _check: bool = False  # look which rows are still ours before writing: after anything doubtful
    _doubtful: list[tuple[list[int], int, datetime]] = field(default_factory=list)
    _render_errors: dict[int, int] = field(default_factory=dict)  # task id -> in a row

    def __post_init__(self) -> None:
        self._refusals = Refusals(self.database, self.limits)

    def take(self, results: Sequence[Result], wants: Mapping[int, int], view: View) -> Taken:
        """Write ``results``, claim rows for ``wants`` (service id -> how many); else DatabaseAway."""
        began = clock.monotonic()
        for repeat in range(REPEATS):
            try:
                return self._once(results, wants, view)
            except StaleOutcomes:
                self._check = True
            except DBAPIError as error:
                self._digest(error, repeat, clock.monotonic() - began)
        raise DatabaseAway(f"the transaction was undone {REPEATS} times in a row")

    def _digest(self, error: DBAPIError, repeat: int, spent: float) -> None:
        """Decide whether a turn that failed is run again (return) or waits (DatabaseAway).

        spent: seconds since the turn began; waits for locks can take nearly a minute each.
        """
        if dialect.must_repeat(error):
            if spent > PATIENCE:
                raise DatabaseAway(self.database.trouble(error)) from error
            meter.transaction_repeated(dialect.error_code(error))
            time.sleep(random.uniform(0, min(0.5, 0.005 * 2**repeat)))
            return
        if dialect.connection_lost(error):
            self._check = True
            if repeat < 2:
                return
            raise DatabaseAway(self.database.trouble(error)) from error
        if dialect.must_pause(error):
            raise DatabaseAway(self.database.trouble(error)) from error
        raise error

    def _once(self, results: Sequence[Result], wants: Mapping[int, int], view: View) -> Taken:
        self._batch += 1
        token = ledger.token_of(self.worker_id, self._batch)
        now = clock.now()
        doubt: tuple[list[int], int, datetime] | None = None
        try:
            with self.database.engine.begin() as connection:
                self._put_back_doubtful(connection, view, now, token)
                recorded = self._record(connection, results, view)
                claims: list[Claim] = []
                if wants:
                    claimed = self.claimer.claim(
                        connection, wants, view, own_buckets(view, self.worker_id), token, now
                    )
                    claims = claimed.claims
                    doubt = (claimed.row_ids, token, now)
        except DBAPIError as error:
            if doubt is not None and not dialect.must_repeat(error):
                self._doubtful.append(doubt)
            raise
        self._check = False
        self._doubtful.clear()
        self._tell(recorded)
        # The journal keeps what is in doubt: nothing else tells that such a row may have been sent.
        decided = [result.outcome for result in results if result.outcome.status != RowStatus.UNKNOWN]
        written = [(outcome.row_id, outcome.token) for outcome in decided]
        return Taken(claims, written)

    def _put_back_doubtful(self, connection: Connection, view: View, now: datetime, fresh: int) -> None:
        """Rows of an earlier turn whose COMMIT was in doubt and did happen: they are ours and unsent."""
        for row_ids, _token, _claimed_at in self._doubtful:
            claims.fence(connection, row_ids, fresh)  # that COMMIT may still be under way
        released = [
            outcomes.released(Claim(row, token, 0, claimed_at).attempt, now, "commit_in_doubt")
            for row_ids, token, claimed_at in self._doubtful
            for row in ledger.claimed(connection, row_ids, token)
        ]
        record.outcomes_of_rows(connection, released, view.services, check=False)

    def _record(self, connection: Connection, results: Sequence[Result], view: View) -> Recorded:
        if not results:
            return Recorded()
        calendars = {task.id: task.calendar for task in view.tasks}
        decided = [_within_window(result, calendars.get(result.claim.row.task_id)) for result in results]
        open_keys = record.outcomes_of_rows(connection, decided, view.services, check=self._check)
        mine = [result for result in results if (result.outcome.row_id, result.outcome.token) in open_keys]
        now = clock.now()
        recorded = record.consequences(connection, self.recorder, mine, view.services, now)
        streaks = self._streaks(mine)
        for task_id, count in streaks.items():
            if count >= self.render_errors_pause:
                last = next(r for r in reversed(mine) if r.render_error and r.claim.row.task_id == task_id)
                why = last.outcome.error_message
                reason = f"{count} recipients in a row could not be composed, the last: {why}"
                record.pause_task(connection, task_id, reason, now, recorded)
                streaks[task_id] = 0
        for task_id, why in {r.claim.row.task_id: r.broken for r in mine if r.broken}.items():
            record.pause_task(connection, task_id, why, now, recorded)
        recorded.streaks = streaks
        return recorded

    def _streaks(self, results: Sequence[Result]) -> dict[int, int]:
        """Render errors in a row per task, including these results; kept only once the turn is committed."""
        counts = dict(self._render_errors)
        for result in results:
            task_id = result.claim.row.task_id
            if result.render_error:
                counts[task_id] = counts.get(task_id, 0) + 1
            elif result.outcome.tried:
                counts.pop(task_id, None)
        return counts

    def _tell(self, recorded: Recorded) -> None:
        """After the commit: keep the streaks, log what changed."""
        if recorded.streaks is not None:
            self._render_errors = recorded.streaks
        for change in recorded.changes:
            health.announce(change)
        for kind, row_id, reason in recorded.paused:
            logbook.paused_by_engine(kind, row_id, reason)
        self._refusals.look(recorded.refused)


def _within_window(result: Result, calendar: Calendar | None) -> RowOutcome:
    """The outcome of an attempt; a retry that would fall outside the campaign's window moves into it."""
    outcome, row = result.outcome, result.claim.row
    if outcome.scheduled_send_at is None or calendar is None or calendar.any_time:
        return outcome
    contact = Whereabouts.of(row.contact_id, row.time_zone, row.fields)
    opens = calendar.open(outcome.scheduled_send_at, contact)
    return outcome if opens is None else replace(outcome, scheduled_send_at=opens)
