"""What this process has counted since it started, for metrics; one function per thing that is counted.

Nothing here knows Prometheus: counts are plain numbers, so that a sender process can hand them to its
scheduler as one line of JSON, and the sum of several processes is the sum of their numbers. Names and labels
are those of ``metrics/catalogue.py``. Labels take few values: services, outcomes, phases; never a recipient.

Sending is counted by the turn: one call for all results that a transaction has written, under half a
microsecond each; a test measures it.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from coldsend import clock
from coldsend.domain.answers import Answer
from coldsend.domain.gates import ServiceFacts
from coldsend.domain.states import RowStatus

# Upper bounds of histogram buckets, in seconds; the last bucket, without bound, is not named.
SEND_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
TURN_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

Key = tuple[str, ...]  # (name of the metric, label values ..)


class Outcome(Protocol):
    """What counting reads of an outcome; :class:`coldsend.domain.outcome.RowOutcome` has it."""

    @property
    def service_id(self) -> int: ...
    @property
    def status(self) -> RowStatus: ...
    @property
    def at(self) -> datetime: ...
    @property
    def attempt_at(self) -> datetime | None: ...
    @property
    def tried(self) -> bool: ...


class Result(Protocol):
    """What counting reads of a result; :class:`coldsend.delivery.attempt.Result` has it."""

    @property
    def outcome(self) -> Outcome: ...
    @property
    def answer(self) -> Answer | None: ...
    @property
    def render_error(self) -> bool: ...


@dataclass(slots=True)
class Durations:
    """A histogram: observations in each bucket (not cumulated, one more than there are bounds), their sum."""

    buckets: list[int]
    seconds: float = 0.0

    @classmethod
    def over(cls, bounds: Sequence[float]) -> Durations:
        return cls([0] * (len(bounds) + 1))

    def observe(self, bounds: Sequence[float], seconds: float) -> None:
        self.buckets[bisect_left(bounds, seconds)] += 1
        self.seconds += max(0.0, seconds)  # a clock may have been set back

    def add(self, other: Durations) -> None:
        self.buckets = [one + two for one, two in zip(self.buckets, other.buckets, strict=True)]
        self.seconds += other.seconds


@dataclass
class Counts:
    """Numbers of one process, or of several added up."""

    counters: dict[Key, float] = field(default_factory=dict)
    durations: dict[Key, Durations] = field(default_factory=dict)
    gauges: dict[Key, float] = field(default_factory=dict)

    def add(self, other: Counts, *, gauges: bool = True) -> None:
        """Add another's numbers; without its gauges where it has ended and holds nothing any more."""
        for key, value in other.counters.items():
            self.counters[key] = self.counters.get(key, 0) + value
        for key, durations in other.durations.items():
            if key in self.durations:
                self.durations[key].add(durations)
            else:
                self.durations[key] = Durations(list(durations.buckets), durations.seconds)
        for key, value in other.gauges.items() if gauges else ():
            self.gauges[key] = self.gauges.get(key, 0) + value

    def as_json(self) -> dict[str, Any]:
        return {
            "counters": [[*key, value] for key, value in self.counters.items()],
            "durations": [[*key, [d.buckets, d.seconds]] for key, d in self.durations.items()],
            "gauges": [[*key, value] for key, value in self.gauges.items()],
        }


def from_json(document: Mapping[str, Any]) -> Counts:
    """Inverse of :meth:`Counts.as_json`; KeyError, TypeError or ValueError on anything else."""
    return Counts(
        {tuple(map(str, key)): float(value) for *key, value in document["counters"]},
        {
            tuple(map(str, key)): Durations([int(count) for count in buckets], float(seconds))
            for *key, (buckets, seconds) in document["durations"]
        },
        {tuple(map(str, key)): float(value) for *key, value in document["gauges"]},
    )


@dataclass(slots=True)
class _Service:
    """Counts of one sender service, by id: names are put in when the numbers are read."""

    sent: int = 0
    others: dict[str, int] = field(default_factory=dict)  # by outcome
    refused: dict[str, int] = field(default_factory=dict)  # by phase
    render_errors: int = 0
    opened: int = 0  # connections
    durations: Durations = field(default_factory=lambda: Durations.over(SEND_BUCKETS))


class Meter:
    """The counts of a process. Threads may use it at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._services: dict[int, _Service] = {}
        self._names: Mapping[int, str] = {}
        self._counts = Counts()
        self.beaten_at: float | None = None  # on the steady clock

    def turn(self, results: Sequence[Result], claimed: int, seconds: float) -> None:
        """A turn was committed: these results are written, ``claimed`` rows are in hand."""
        with self._lock:
            last, service = -1, _Service()
            for result in results:
                outcome = result.outcome
                if outcome.service_id != last:
                    last = outcome.service_id
                    service = self._services.get(last) or self._services.setdefault(last, _Service())
                if outcome.status is RowStatus.SENT:
                    service.sent += 1
                else:
                    _count_other(service, result)
                since = outcome.attempt_at
                if outcome.tried and since is not None:
                    service.durations.observe(SEND_BUCKETS, (outcome.at - since).total_seconds())
            self._add(("coldsend_rows_claimed_total",), claimed)
            self._observe(("coldsend_turn_duration_seconds",), TURN_BUCKETS, seconds)

    def connection_opened(self, service_id: int) -> None:
        """A connection to a service's server was begun; 0: to one of no service (alerts by mail)."""
        if not service_id:
            return
        with self._lock:
            self._services.setdefault(service_id, _Service()).opened += 1

    def transaction_repeated(self, code: int) -> None:
        """The database undid a transaction (deadlock, conflict, lock wait); 0: SQLite's busy file."""
        with self._lock:
            self._add(("coldsend_transactions_repeated_total", str(code)), 1)

    def event(self, name: str) -> None:
        """An event of the logbook, whether its line was written or not."""
        with self._lock:
            self._add(("coldsend_events_total", name), 1)

    def feedback(self, kind: str, fate: str, count: int) -> None:
        """So many happenings of a kind came back: matched, unmatched or repeated."""
        with self._lock:
            self._add(("coldsend_feedback_total", kind, fate), count)

    def job(self, name: str, seconds: float, *, done: bool) -> None:
        """A periodic job of the scheduler has run."""
        with self._lock:
            self._add(("coldsend_job_runs_total", name, "done" if done else "failed"), 1)
            self._observe(("coldsend_job_duration_seconds", name), TURN_BUCKETS, seconds)

    def alert_delivery(self, channel: str, outcome: str, count: int) -> None:
        """Notices of alerts were handed over (done), failed in passing (retry), or were given up."""
        with self._lock:
            self._add(("coldsend_alert_deliveries_total", channel, outcome), count)

    def hit(self, kind: str, fate: str) -> None:
        """A visitor of the web part: accepted, repeated within seconds, dropped, or with a forged token."""
        with self._lock:
            self._add(("coldsend_web_hits_total", kind, fate), 1)

    def spool(self, size: int, age: float) -> None:
        """What waits in the web part's spool: bytes, and seconds since the oldest came."""
        with self._lock:
            self._counts.gauges[("coldsend_web_spool_bytes",)] = size
            self._counts.gauges[("coldsend_web_spool_age_seconds",)] = age

    def look(self, services: Mapping[int, ServiceFacts], rows_held: int, journal_bytes: int) -> None:
        """A sender process has beaten and looked at the world: these services, and what it has in hand."""
        with self._lock:
            self._names = {service_id: facts.service.name for service_id, facts in services.items()}
            self._counts.gauges[("coldsend_sender_processes",)] = 1
            self._counts.gauges[("coldsend_rows_held",)] = rows_held
            self._counts.gauges[("coldsend_journal_bytes",)] = journal_bytes
        self.beat()

    def beat(self) -> None:
        """The database has taken this process's heartbeat."""
        self.beaten_at = clock.monotonic()

    def read(self) -> Counts:
        """A copy of all numbers, with services by name."""
        found = Counts()
        with self._lock:
            found.add(self._counts)
            for service_id, service in self._services.items():
                found.add(_named(self._names.get(service_id, f"#{service_id}"), service))
        return found

    def reset(self) -> None:
        """Forget everything, as a new process would."""
        with self._lock:
            self._services, self._names, self._counts = {}, {}, Counts()
            self.beaten_at = None

    def _add(self, key: Key, amount: float) -> None:
        self._counts.counters[key] = self._counts.counters.get(key, 0) + amount

    def _observe(self, key: Key, bounds: Sequence[float], seconds: float) -> None:
        durations = self._counts.durations.get(key)
        if durations is None:
            durations = self._counts.durations[key] = Durations.over(bounds)
        durations.observe(bounds, seconds)


def _count_other(service: _Service, result: Result) -> None:
    """A result that is not an acceptance: by outcome, by phase, and whether it was our own composing."""
    outcome = result.outcome
    name = outcome.status.value
    if outcome.status is RowStatus.PENDING:
        name = "retry" if outcome.tried else "put_back"
    service.others[name] = service.others.get(name, 0) + 1
    service.render_errors += result.render_error
    if result.answer is not None:
        phase = result.answer.phase.value
        service.refused[phase] = service.refused.get(phase, 0) + 1


def _named(name: str, service: _Service) -> Counts:
    outcomes = {RowStatus.SENT.value: service.sent, **service.others}
    return Counts(
        {
            **{("coldsend_messages_total", name, one): count for one, count in outcomes.items()},
            **{("coldsend_failures_total", name, phase): count for phase, count in service.refused.items()},
            ("coldsend_compose_failures_total", name): service.render_errors,
            ("coldsend_connections_opened_total", name): service.opened,
        },
        {("coldsend_send_duration_seconds", name): service.durations},
    )


_process = Meter()
turn = _process.turn
connection_opened = _process.connection_opened
transaction_repeated = _process.transaction_repeated
event = _process.event
feedback = _process.feedback
job = _process.job
alert_delivery = _process.alert_delivery
hit = _process.hit
spool = _process.spool
look = _process.look
beat = _process.beat
read = _process.read
reset = _process.reset


def silent_for() -> float | None:
    """Seconds since the database took this process's heartbeat; None where it never has."""
    return None if _process.beaten_at is None else clock.monotonic() - _process.beaten_at
