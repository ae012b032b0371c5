"""The periodic jobs. Each is idempotent and safe to run late, twice, or from two schedulers at once.

name      every   who         what
lead      5 s *   everyone    renew the heartbeat and the leader lease
plan      1 s     the leader  begin due tasks, make send lists, skip what was cancelled, close what has ended
rescue    5 s *   everyone    settle rows of dead processes of this host; the leader also of silent ones
quota     60 s    the leader  roll quota days over into the mirrors that people read, forget old counts
inbox     60 s +  the leader  read the mailboxes that are enabled, and act on what is about mail of ours
judge     10 s    the leader  judge experiments that it is time for, give winners to those who wait
rollup    10 s    the leader  count the event log for reports
alerts    10 s    the leader  see what is wrong or done, and tell the targets of [alerts]
retention 10 min  the leader  delete what has been kept as long as [retention] says

* with a short lease a quarter of it: who looks more rarely sees no silence, who beats more rarely is silent
+ [inbox] poll_seconds
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from coldsend import clock, logbook, meter
from coldsend.alerts.watch import Watch
from coldsend.analytics.rollup import RollUp
from coldsend.audience.retention import Keeper
from coldsend.config.secrets import load_key_ring
from coldsend.config.settings import Settings
from coldsend.database.engine import Connection, Database
from coldsend.delivery.enlisting import enlist, keep_journal
from coldsend.delivery.rescue import Rescuer
from coldsend.errors import ColdsendError
from coldsend.pacing import quota
from coldsend.planning import experiments, lifecycle
from coldsend.stores import leases, mailboxes, workers

LEADER = leases.SCHEDULER
LEADER_SECONDS = 20.0  # at most; a lease when that is shorter
BEAT_SECONDS = 5.0  # at most
JUDGE_SECONDS = 10.0
ROLLUP_SECONDS = 10.0
ALERTS_SECONDS = 10.0
RETENTION_SECONDS = 600.0


@dataclass
class Jobs:
    """One scheduler's jobs and its presence in ``workers``."""

    settings: Settings
    database: Database
    should_stop: Callable[[], bool]
    worker_id: int = 0
    leads: bool = False
    planned_once: bool = False
    _failing: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._rollup = RollUp(self.database, self.should_stop)
        self._keeper = Keeper(self.database, self.settings.retention, self.should_stop)
        self._watch = Watch(self.database, self.settings, self.should_stop)

    def register(self) -> None:
        """Become present, and try to lead at once."""
        self._enrol()
        self._rescuer.rescue_own_host()
        self.lead()

    def _enrol(self) -> None:
        # The lock that goes with a journal tells others on this host whether this process lives.
        self.worker_id, self._presence = enlist(self.database, self.settings, "scheduler")
        self._rescuer = Rescuer(
            self.database,
            Path(self.settings.state_dir),
            self.settings.delivery.lease_seconds,
            self.worker_id,
        )

    def table(self) -> list[tuple[str, float, Callable[[], None]]]:
        """(name, seconds between runs, function), each guarded so that a failure is logged, not fatal."""
        beat = min(BEAT_SECONDS, self.settings.delivery.lease_seconds / 4)
        return [
            ("lead", beat, self._guarded("lead", self.lead)),
            ("plan", 1.0, self._guarded("plan", self.plan)),
            ("rescue", beat, self._guarded("rescue", self.rescue)),
            ("quota", 60.0, self._guarded("quota", self.roll_quota)),
            ("inbox", self.settings.inbox.poll_seconds, self._guarded("inbox", self.poll_mailboxes)),
            ("judge", JUDGE_SECONDS, self._guarded("judge", self.judge_experiments)),
            ("rollup", ROLLUP_SECONDS, self._guarded("rollup", self.roll_up)),
            ("alerts", ALERTS_SECONDS, self._guarded("alerts", self.watch)),
            ("retention", RETENTION_SECONDS, self._guarded("retention", self.keep_or_delete)),
        ]

    def lead(self) -> None:
        """Heartbeat, and the leader lease; registers anew where others had declared this process dead."""

        def work(connection: Connection) -> bool | None:
            now = clock.now()
            lease = self.settings.delivery.lease_seconds
            if not workers.beat(connection, self.worker_id, now, lease, {"leads": self.leads}):
                return None
            return leases.lead(connection, LEADER, self.worker_id, now, min(LEADER_SECONDS, lease))

        leads = self.database.run(work)
        if leads is None:
            logbook.worker_declared_dead(self.worker_id)
            before = self._presence
            self._enrol()
            before.close(remove=True)
            leads = bool(self.database.run(work))
        if leads != self.leads:
            logbook.leading(self.worker_id, leads=leads)
        self.leads = leads
        meter.beat()
        keep_journal(self._presence, self.worker_id)

    def plan(self) -> None:
        """Move campaigns and tasks along."""
        if not self.leads:
            return
        lifecycle.activate_due(self.database, clock.now())
        lifecycle.expand_due(self.database, clock.now(), self.should_stop)
        lifecycle.skip_cancelled(self.database, clock.now(), self.should_stop)
        lifecycle.finish_ended(self.database, clock.now())
        self.planned_once = True

    def rescue(self) -> None:
        """Settle what dead processes left behind."""
        self._rescuer.rescue_own_host()
        if self.leads:
            self._rescuer.rescue_silent()
            self._rescuer.rescue_orphans()

    def roll_quota(self) -> None:
        """Bring the mirrors of the quota days up to date, and delete counts of limits that are long past."""
        if self.leads:
            self.database.run(lambda connection: quota.roll_days(connection, clock.now()))
            quota.forget_counts(self.database, clock.now(), self.should_stop)

    def poll_mailboxes(self) -> None:
        """Read what came back by mail; nothing happens where no mailbox is enabled."""
        if not self.leads:
            return
        with self.database.read() as connection:
            if not mailboxes.enabled(connection):
                return
        # Loaded once there is a mailbox: what reads messages is a fifth of what a scheduler loads to start.
        from coldsend.inbox.polling import Poller  # noqa: PLC0415

        keys = load_key_ring(self.settings)
        Poller(self.database, self.settings, keys, clock.now, self.should_stop).poll_due()

    def judge_experiments(self) -> None:
        """Look at experiments, and let their winners be sent."""
        if self.leads:
            experiments.keep_up(self.database, clock.now(), self.should_stop)

    def roll_up(self) -> None:
        """Count what has come into the event log."""
        if self.leads:
            self._rollup.run(clock.now())

    def watch(self) -> None:
        """See what is wrong or done, and tell it."""
        if self.leads:
            self._watch.round()

    def keep_or_delete(self) -> None:
        """Delete what has been kept long enough."""
        if self.leads:
            self._keeper.run(clock.now())

    def last_round(self) -> None:
        """Idle, and nobody may look for long: what was done by then is told now."""
        self._guarded("alerts", self.watch)()

    def sign_off(self) -> None:
        """Leave the lead to another at once."""

        def work(connection: Connection) -> None:
            leases.resign(connection, LEADER, self.worker_id)
            workers.stop(connection, self.worker_id, clock.now())

        self.database.run(work)
        self._presence.close(remove=True)
        logbook.worker_stopped(self.worker_id, kind="scheduler", sent=0)

    def _guarded(self, name: str, job: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            started, done = clock.monotonic(), False
            try:
                job()
                done = True
            except (ColdsendError, DBAPIError) as error:
                if name not in self._failing:  # once per outage, not once a second
                    logbook.job_failed(name, str(error))
                self._failing.add(name)
            except Exception as error:
                logbook.unexpected_error(f"job {name}", error)
            else:
                self._failing.discard(name)
            finally:
                meter.job(name, clock.monotonic() - started, done=done)

        return run
