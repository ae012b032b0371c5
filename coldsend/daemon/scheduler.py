"""The scheduler process: jobs on a timer, sender processes beside it, until told to stop or until idle."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, timedelta

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy.exc import DBAPIError

from coldsend import clock, logbook
from coldsend.config.settings import Settings
from coldsend.daemon import idle
from coldsend.daemon.jobs import Jobs
from coldsend.daemon.processes import Processes
from coldsend.daemon.reports import Reports
from coldsend.database.engine import Database
from coldsend.errors import Unreachable

TICK = 0.2
IDLE_CHECK = 1.0
IDLE_TWICE = 2  # looks in a row that must find nothing: between two of them a job may have made work


class _ClockWatch:
    """Compares the machine's clock with the steady one."""

    def __init__(self) -> None:
        self._offset = self._measured()

    def jumped(self) -> bool:
        """Whether the clock was set by a second or more since this was asked last."""
        before, self._offset = self._offset, self._measured()
        seconds = self._offset - before
        if abs(seconds) < 1:
            return False
        logbook.clock_jumped(seconds)
        return True

    def _measured(self) -> float:
        return clock.unshifted_now().timestamp() - clock.monotonic()


class SendersEnd(Unreachable):
    """No sender process stays alive."""

    code = "senders_end"


@dataclass
class Scheduler:
    """See the module. workers: sender processes to run, 0 only plans.

    on_tick: for live progress. on_line, reports: take what sender processes log and count, see
    :class:`Processes`.
    """

    settings: Settings
    database: Database
    workers: int
    options: Sequence[str] = ()
    until_idle: bool = False
    on_tick: Callable[[], None] = lambda: None
    on_line: Callable[[str], None] | None = None
    reports: Reports | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Ask for an orderly end; safe in a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Work until :meth:`stop` or, with ``until_idle``, until nothing more can be sent soon.

        SendersEnd with ``until_idle`` where no sender process stays alive: nobody would come and look.
        """
        jobs = Jobs(self.settings, self.database, self._stop.is_set)
        jobs.register()
        timer = self._timer(jobs)
        processes = Processes(self.workers, self.options, self.on_line, self.reports)
        timer.start()
        try:
            processes.start()
            self._watch(jobs, processes, timer)
            if not self._stop.is_set():
                jobs.last_round()
        finally:
            self._stop.set()
            processes.drain()
            timer.shutdown(wait=True)
            self._last_words(jobs)

    def _timer(self, jobs: Jobs) -> BackgroundScheduler:
        # A long plan job makes the next ones late, which is as it should be: not worth a line each second.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        timer = BackgroundScheduler(executors={"default": ThreadPoolExecutor(8)}, timezone=UTC)
        first = clock.unshifted_now()  # the timer's own clock, which a test clock does not move
        for position, (name, seconds, job) in enumerate(jobs.table()):
            timer.add_job(
                job,
                "interval",
                seconds=seconds,
                id=name,
                coalesce=True,
                max_instances=1,
                misfire_grace_time=None,
                next_run_time=first + timedelta(milliseconds=20 * position),
            )
        return timer

    def _run_now(self, timer: BackgroundScheduler) -> None:
        """The timer goes by the machine's clock: set back an hour, it would rest for an hour."""
        for job in timer.get_jobs():
            job.modify(next_run_time=clock.unshifted_now())

    def _watch(self, jobs: Jobs, processes: Processes, timer: BackgroundScheduler) -> None:
        quiet = 0
        looked = clock.monotonic()
        watch = _ClockWatch()
        while not self._stop.wait(TICK):
            if watch.jumped():
                self._run_now(timer)
            processes.keep()
            self.on_tick()
            if not self.until_idle or clock.monotonic() - looked < IDLE_CHECK:
                continue
            if processes.hopeless:
                raise SendersEnd(
                    "the sender processes end as soon as they are started",
                    hint="their log says why; or see it at first hand: coldsend worker run",
                )
            looked = clock.monotonic()
            quiet = quiet + 1 if self._is_idle(jobs) else 0
            if quiet >= IDLE_TWICE:
                return

    def _is_idle(self, jobs: Jobs) -> bool:
        if jobs.leads and not jobs.planned_once:
            return False
        try:
            return idle.nothing_soon(self.database, senders=self.workers > 0)
        except (Unreachable, DBAPIError):
            return False

    def _last_words(self, jobs: Jobs) -> None:
        """A last look, so that what the senders finished at the end is closed; then sign off."""
        try:
            jobs.plan()
            jobs.sign_off()
        except (Unreachable, DBAPIError):
            # The database is away: the lease runs out by itself, and the next scheduler does the rest.
            return
