"""A scheduler with sender processes that works while a fault is injected."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Sequence

from sqlalchemy.exc import SQLAlchemyError

from coldsend.errors import Unreachable
from tests.acceptance.scenario import Scenario
from tests.faults.oracle import assert_intact
from tests.servers.smtp import RecordingServer

CONNECTIONS = 8
WORKERS = 2
BRAKED = 2.0  # seconds for an answer
# Seconds without any change. Long: a sender that died often is started again after half a minute only.
STALLED = float(os.environ.get("FAULTS_STALLED", "120"))
_UNFORESEEN = re.compile(r"unexpected_error|Traceback \(most recent")


class Sending:
    """``recipients`` of one task, on their way through one service, by a scheduler with two senders.

    latency: seconds the server takes for the answer to each message, which sets the pace and keeps messages
    under way; for the last quarter it takes longer, so that a test that is not let run for a while still
    comes in the middle of sending. lease: lease_seconds, where the fault is longer than one.
    """

    def __init__(
        self,
        scenario: Scenario,
        server: RecordingServer,
        recipients: int,
        *,
        latency: float = 0.02,
        lease: float | None = None,
        workers: int = WORKERS,
        **service: object,
    ) -> None:
        self.scenario, self.server, self.recipients = scenario, server, recipients
        self.latency = {"final": latency}
        server.control(latency=self.latency, brake=[recipients * 3 // 4, BRAKED])
        if lease is not None:
            scenario.environ["COLDSEND_DELIVERY_LEASE_SECONDS"] = str(lease)
        scenario.service("alpha", server, **{"connections": CONNECTIONS, **service})
        scenario.templates(1)
        scenario.contacts(recipients)
        scenario.campaign()
        self.workers = workers
        self._fault_at = 0  # length of the log
        self.scheduler = scenario.command("scheduler", "run", "--workers", str(workers))

    def wait_for(self, messages: int) -> None:
        """Until the server has so many messages in all: faults come in the middle of sending."""
        assert messages < self.recipients
        until(lambda: self.taken() >= messages, f"{messages} messages", log=self.log)
        self._fault_at = len(self.log())

    def more(self, messages: int) -> None:
        """Until so many more messages have come: it goes on."""
        self.wait_for(self.taken() + messages)

    def taken(self) -> int:
        """How many messages the server has taken so far."""
        return self.server.record.read_bytes().count(b"\n")

    def log(self) -> str:
        return self.scenario.logs.read_text()

    def events(self, name: str, since: int = 0) -> list[str]:
        """Lines of the log that are this event; since: from so many characters on."""
        return [line for line in self.log()[since:].splitlines() if f" {name} " in line]

    def until_logged(self, name: str, count: int = 1, deadline: float = 150) -> None:
        until(lambda: len(self.events(name)) >= count, f"{count} x {name} in the log", deadline, self.log)

    def away(self, said: str = "") -> int:
        """How often senders have called the database away for this reason since the last :meth:`wait_for`."""
        return sum(said in line for line in self.events("database_away", self._fault_at))

    def until_away(self, said: str = "") -> None:
        """Until as many senders as there are have done so."""
        until(lambda: self.away(said) >= self.workers, f"{self.workers} x away: {said}", log=self.log)

    def until_quiet(self, deadline: float = 150) -> None:
        """Until nothing comes to the server any more."""
        seen, since, ends = -1, 0.0, time.monotonic() + deadline
        while time.monotonic() < ends:
            count = self.taken()
            if count != seen:
                seen, since = count, time.monotonic()
            elif time.monotonic() - since > 0.5:
                return
            time.sleep(0.02)
        raise AssertionError(f"still sending after {deadline:g} s\n{self.log()[-3000:]}")

    def until_ended(self) -> None:
        """Until no row waits or is under way; then the scheduler is stopped, which must be orderly.

        Where nothing moves any more before that, the oracle says what is wrong.
        """
        self.server.control(latency=self.latency, brake=None)
        seen, since = "", time.monotonic()
        while left := self._left():
            state = f"{self.taken()} {left}"
            if state != seen:
                seen, since = state, time.monotonic()
            elif time.monotonic() - since > STALLED:
                self.stop()
                self.assert_intact()
            time.sleep(0.1)
        self.stop()

    def stop(self) -> None:
        self.scheduler.send_signal(signal.SIGTERM)
        assert self.scheduler.wait(60) == 0, self.log()[-3000:]

    def _left(self) -> str:
        """Rows that wait and rows under way; empty where there are none."""
        with contextlib.suppress(Unreachable, SQLAlchemyError):
            if left := self.scenario.count("pending", "sending"):
                return f"{self.scenario.count('pending')} of {left}"
            return ""
        return "?"

    def assert_intact(self, *, unknown: int = 0, foreseen: Sequence[str] = (), lived: bool = True) -> None:
        """The oracle, and the log: no bug was met; ``lived``: no sender process ended by itself.

        foreseen: events that must be in the log.
        """
        assert_intact(self.scenario, self.server, recipients=self.recipients, unknown=unknown)
        log = self.log()
        met = _UNFORESEEN.search(log)
        assert met is None, log[max(0, met.start() - 500) : met.start() + 4000]
        for name in foreseen:
            assert self.events(name), f"no {name} in the log:\n{log[-3000:]}"
        if lived:
            assert self.events("worker_process_ended") == []


def until(
    true: Callable[[], bool],
    what: str,
    deadline: float = 150,
    log: Callable[[], str] = lambda: "",
    *,
    pause: float = 0.02,
) -> None:
    """Wait for something to become true; look every ``pause`` seconds."""
    ends = time.monotonic() + deadline
    while not true():
        assert time.monotonic() < ends, f"not within {deadline:g} s: {what}\n{log()[-3000:]}"
        time.sleep(pause)
