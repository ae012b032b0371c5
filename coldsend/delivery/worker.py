"""The sender process: register, then turn after turn claim, send and record, until told to stop.

One event loop sends; one thread speaks with the database, so that a commit never holds up a connection. Work
is handed between them only as values. Stopping (SIGTERM) takes at most ten seconds: nothing more is claimed,
rows not yet on the wire are given back, what is under way may finish.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError

from coldsend import clock, logbook, meter
from coldsend.composing.source import site_of
from coldsend.config.secrets import KeyRing
from coldsend.config.settings import Settings
from coldsend.database import dialect
from coldsend.database.engine import Connection, Database
from coldsend.delivery import loop
from coldsend.delivery import view as views
from coldsend.delivery.attempt import Attempter, Result
from coldsend.delivery.claim import Claimer
from coldsend.delivery.composers import Composers, templates_of
from coldsend.delivery.enlisting import enlist, keep_journal
from coldsend.delivery.journal import Journal, StateFolder
from coldsend.delivery.lanes import Lanes, Opening, rest_unusable
from coldsend.delivery.record import Recorder
from coldsend.delivery.rescue import Rescuer
from coldsend.delivery.turn import DatabaseAway, Taken, Turns
from coldsend.delivery.view import View
from coldsend.domain.outcome import RetryPolicy
from coldsend.domain.service import Service
from coldsend.domain.states import RowStatus
from coldsend.errors import ColdsendError, Unreachable
from coldsend.feedback.applier import limits_of
from coldsend.pacing.followups import FollowupsDue
from coldsend.stores import signing_keys, workers

T = TypeVar("T")

REFRESH = 1.0  # seconds between two looks at the world
RESCUE = 5.0  # seconds between two looks after dead processes of this host
FLUSH = 0.2  # an outcome waits at most this long for company
ANSWERS_WAIT = 0.02  # and its line in the journal for a dot to be written with
NOTHING_DUE = 0.3  # seconds before asking again where nothing was due
AWAY = 1.0  # seconds between two tries at a database that is away
LAST_TRIES = 3  # at the end, for outcomes the database has not taken


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at the world. openings: of wanted services; gaps: seconds to the end of throttle gaps."""

    view: View
    openings: Mapping[int, tuple[Service, Opening]]
    gaps: Mapping[int, float]
    edited: Collection[int]


@dataclass
class Worker:
    """See the module. ``should_stop`` is asked several times a second."""

    settings: Settings
    keys: KeyRing
    database: Database
    should_stop: Callable[[], bool] = lambda: False
    sent: int = 0
    worker_id: int = 0
    _results: list[Result] = field(default_factory=list)
    _view: View = field(default_factory=View)
    _followups: FollowupsDue = field(default_factory=FollowupsDue)
    _lease_ends: float = 0.0
    _declared_dead: bool = False
    _wake_at: int = 1  # results in hand that end a sleep
    _flush: asyncio.TimerHandle | None = None
    _away: set[str] = field(default_factory=set)  # reasons given since the database was there last

    def run(self) -> None:
        """Work until told to stop; registers anew where others had declared this process dead."""
        while True:
            self._declared_dead = False
            loop.run(self._life())
            if not self._declared_dead or self.should_stop():
                return
            logbook.worker_declared_dead(self.worker_id)

    async def _life(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="database")
        self._wake = asyncio.Event()
        try:
            await self._register()
            try:
                while not (self.should_stop() or self._declared_dead):
                    await self._step()
            except BaseException:
                # A bug. What is under way may finish, so that the journal has its answers for the rescue.
                await self._lanes.close()
                self._journal.close(remove=False)
                raise
            await self._finish()
        finally:
            self._thread.shutdown(wait=False)

    async def _register(self) -> None:
        delivery = self.settings.delivery
        started = clock.monotonic()

        def work() -> tuple[int, Journal, bytes, bytes]:
            with self.database.read() as connection:
                link_secret = signing_keys.load(connection, self.keys, "links")
                pepper = signing_keys.load(connection, self.keys, "suppression")
            return *enlist(self.database, self.settings, "sender"), link_secret, pepper

        self.worker_id, self._journal, link_secret, pepper = await self._in_thread(work)
        self._extend_lease(started)
        self._composers = Composers(site_of(self.settings, link_secret))
        policy = RetryPolicy(delivery.retry_minutes, delivery.give_up_days)
        self._lanes = Lanes(
            self.settings,
            self.keys,
            self.database,
            self._composers,
            Attempter(self._journal, policy, self._lease_valid),
            self._report,
            self.worker_id,
        )
        self._turns = Turns(
            self.database,
            self.worker_id,
            Claimer(self.worker_id, pepper, delivery.probe_minutes),
            Recorder(self.worker_id, delivery.probe_minutes),
            delivery.render_errors_pause,
            limits_of(self.settings),
        )
        self._rescuer = Rescuer(
            self.database, Path(self.settings.state_dir), delivery.lease_seconds, self.worker_id
        )
        self._refreshed = self._rescued = -1e9
        self._ask_after = 0.0

    async def _step(self) -> None:
        """Refresh the view when it is due, take a turn, then sleep until something happens."""
        try:
            if clock.monotonic() - self._refreshed >= REFRESH:
                await self._refresh()
            claimed = await self._turn(self._wants())
            self._database_is(away=None)
        except (DatabaseAway, Unreachable) as error:
            self._database_is(away=str(error))
            await self._rest(AWAY)
            return
        await self._sleep(0.0 if claimed else min(NOTHING_DUE, self._lanes.opens_in()))

    def _wants(self) -> dict[int, int]:
        if clock.monotonic() < self._ask_after or not self._lease_valid():
            return {}
        return self._lanes.wants(self._view, clock.now())

    async def _turn(self, wants: dict[int, int]) -> int:
        """Write what is known, claim what is wanted; returns how many rows were claimed."""
        results, self._results = self._results, []
        if not results and not wants:
            return 0
        started = clock.monotonic()
        try:
            taken: Taken = await self._in_thread(lambda: self._turns.take(results, wants, self._view))
        except BaseException:
            self._results = results + self._results
            raise
        meter.turn(results, len(taken.claims), clock.monotonic() - started)
        self._settle_journal(taken)
        self.sent += sum(result.outcome.status == RowStatus.SENT for result in results)
        await self._load_templates(templates_of(taken.claims))
        for claim in taken.claims:
            self._lanes.put(claim)
        if wants and not taken.claims:
            self._ask_after = clock.monotonic() + NOTHING_DUE
        return len(taken.claims)

    def _settle_journal(self, taken: Taken) -> None:
        try:
            self._journal.settle(taken.written)
        except OSError as error:
            logbook.journal_failed(str(error))

    def _flush_journal(self) -> None:
        self._flush = None
        try:
            self._journal.flush()
        except OSError as error:
            # The answers are known all the same: only a crash before this turn's commit makes them unknown.
            logbook.journal_failed(str(error))

    async def _load_templates(self, template_ids: set[int]) -> None:
        missing = self._composers.missing(template_ids)
        if not missing:
            return

        def work() -> None:
            with self.database.read() as connection:
                self._composers.load(connection, missing)

        # The rows are claimed: they must reach their lane whatever the database does.
        try:
            await self._in_thread(work)
        except (ColdsendError, DatabaseAway) as error:
            self._database_is(away=str(error))

    async def _refresh(self) -> None:
        """Heartbeat, view, lanes; rescue now and then. All in the database thread but the arranging."""
        self._refreshed = clock.monotonic()
        keep_journal(self._journal, self.worker_id)
        summary = {**self._lanes.summary(), "sent": self.sent}
        known = self._composers.known()
        busy = self._lanes.busy() | {result.claim.row.service_id for result in self._results}
        complaints = self._lanes.take_complaints()
        seen = await self._in_thread(lambda: self._look(summary, known, busy, complaints))
        if seen is None:
            self._declared_dead = True
            return
        self._view = seen.view
        meter.look(seen.view.services, summary["held"], self._journal.size)
        self._composers.drop(seen.edited)
        self._lanes.arrange(seen.openings, seen.gaps)
        self._lanes.withdraw(seen.view, clock.now())
        if clock.monotonic() - self._rescued >= RESCUE:
            self._rescued = clock.monotonic()
            await self._in_thread(self._rescue)

    def _rescue(self) -> None:
        try:
            self._rescuer.rescue_own_host()
        except Unreachable:
            raise
        except StateFolder as error:
            logbook.journal_failed(error.message)
        except Exception as error:  # a bug met in what another process left must not end this one as well
            logbook.unexpected_error("rescue", error)

    def _look(
        self,
        summary: Mapping[str, Any],
        known: Mapping[int, datetime],
        busy: Collection[int],
        complaints: Mapping[int, str],
    ) -> Seen | None:
        """Beat and look, in one transaction; None where others have declared this process dead."""
        started = clock.monotonic()

        def work(connection: Connection) -> Seen | None:
            now = clock.now()
            lease = self.settings.delivery.lease_seconds
            if not workers.beat(connection, self.worker_id, now, lease, summary):
                return None
            rest_unusable(connection, complaints, now)
            view = views.read(connection, now, self._followups)
            gaps = self._lanes.own_throttled(connection, view, now, busy)
            if any(view.owners.get(service_id) != self.worker_id for service_id in gaps):
                view = views.read(connection, now, self._followups)  # owners have changed just now
            edited = self._composers.edited(connection, known)
            return Seen(view, self._lanes.load_openings(connection, view), gaps, edited)

        seen = self.database.run(work)
        if seen is not None:
            self._extend_lease(started)
        return seen

    async def _finish(self) -> None:
        """Give back, finish, write, sign off. What the database does not take stays in the journal."""
        await self._lanes.close()
        for _ in range(LAST_TRIES):
            try:
                await self._turn({})
                await self._in_thread(partial(self._rescuer.sign_off, self._journal.memory()))
            except (DatabaseAway, Unreachable) as error:
                self._database_is(away=str(error))
                await asyncio.sleep(AWAY / 4)
            else:
                self._journal.close(remove=True)
                logbook.worker_stopped(self.worker_id, kind="sender", sent=self.sent)
                return
        self._journal.close(remove=False)

    def _report(self, result: Result) -> None:
        """A lane has a result: write it with the next turn."""
        self._results.append(result)
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(ANSWERS_WAIT, self._flush_journal)
        if len(self._results) >= self._wake_at:
            self._wake.set()

    async def _rest(self, seconds: float) -> None:
        """Do nothing for so long, whatever there would be to do, or until told to stop."""
        ends = clock.monotonic() + seconds
        while clock.monotonic() < ends and not self.should_stop():
            await asyncio.sleep(0.1)

    async def _sleep(self, seconds: float) -> None:
        """Until something wants writing or claiming, or ``seconds`` have passed."""
        if seconds > 0 and not self._results:
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), min(seconds, REFRESH))
            except TimeoutError:
                return
        # Wait for company: a turn writes many outcomes at the price of one, and claims as many.
        waited_until = clock.monotonic() + FLUSH
        while self._results and clock.monotonic() < waited_until and not self._wants():
            self._wake.clear()
            self._wake_at = len(self._results) + self._lanes.fed_for()
            # A throttle gap that ends meanwhile makes its lane hungry without waking anybody.
            patience = min(waited_until - clock.monotonic(), self._lanes.opens_in())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), patience)
        self._wake_at = 1

    def _extend_lease(self, started: float) -> None:
        """Counted from before the heartbeat was written, with a margin: never longer than others count."""
        lease = self.settings.delivery.lease_seconds
        self._lease_ends = started + lease - min(5.0, lease / 4)

    def _lease_valid(self) -> bool:
        return clock.monotonic() < self._lease_ends

    def _database_is(self, away: str | None) -> None:
        if away is not None and away not in self._away:
            logbook.database_away(away, outcomes_held=len(self._results))
            self._away.add(away)
        elif away is None and self._away:
            logbook.database_back(outcomes_held=len(self._results))
            self._away.clear()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run ``work`` in the database thread; lost and away databases become DatabaseAway."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except DBAPIError as error:
            if dialect.must_pause(error) or dialect.connection_lost(error):
                raise DatabaseAway(self.database.trouble(error)) from error
            raise
