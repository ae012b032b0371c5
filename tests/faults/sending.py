"""A scheduler with sender processes that works while a fault is injected."""

from __future__ import annotations

import contextlib
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
_UNFORESEEN = re.compile(r"unexpected_error|Traceback \(most recent")


class Sending:
    """``recipients`` of one task, on their way through one service, by a scheduler with two senders.

    latency: seconds the server takes for the answer to each message, which sets the pace and keeps messages
    under way. lease: lease_seconds, where the fault is longer than one.
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
        server.control(latency={"final": latency})
        if lease is not None:
            scenario.environ["COLDSEND_DELIVERY_LEASE_SECONDS"] = str(lease)
        scenario.service("alpha", server, **{"connections": CONNECTIONS, **service})
        scenario.templates(1)
        scenario.contacts(recipients)
        scenario.campaign()
        self.workers = workers
        self.scheduler = scenario.command("scheduler", "run", "--workers", str(workers))

    def wait_for(self, messages: int) -> None:
        """Until the server has so many messages in all: faults come in the middle of sending."""
        assert messages < self.recipients
        self.server.wait_for(messages, 60)

    def more(self, messages: int) -> None:
        """Until so many more messages have come: it goes on."""
        self.wait_for(len(self.server.messages()) + messages)

    def log(self) -> str:
        return self.scenario.logs.read_text()

    def events(self, name: str) -> list[str]:
        """Lines of the log that are this event."""
        return [line for line in self.log().splitlines() if f" {name} " in line]

    def until_logged(self, name: str, count: int = 1, deadline: float = 30) -> None:
        self.scenario.until(lambda: len(self.events(name)) >= count, f"{count} x {name} in the log", deadline)

    def until_quiet(self, deadline: float = 15) -> None:
        """Until nothing comes to the server any more."""
        seen, since, ends = -1, 0.0, time.monotonic() + deadline
        while time.monotonic() < ends:
            count = len(self.server.messages())
            if count != seen:
                seen, since = count, time.monotonic()
            elif time.monotonic() - since > 0.5:
                return
            time.sleep(0.02)
        raise AssertionError(f"still sending after {deadline:g} s\n{self.log()[-3000:]}")

    def until_ended(self, deadline: float = 90) -> None:
        """Until no row waits or is under way; then the scheduler is stopped, which must be orderly."""
        self.scenario.until(self._nothing_left, "everything has ended", deadline)
        self.stop()

    def stop(self) -> None:
        self.scheduler.send_signal(signal.SIGTERM)
        assert self.scheduler.wait(20) == 0, self.log()[-3000:]

    def _nothing_left(self) -> bool:
        with contextlib.suppress(Unreachable, SQLAlchemyError):
            return self.scenario.count("pending") + self.scenario.count("sending") == 0
        return False

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


def until(true: Callable[[], bool], what: str, deadline: float = 30) -> None:
    """Wait for something to become true."""
    ends = time.monotonic() + deadline
    while not true():
        assert time.monotonic() < ends, f"not within {deadline:g} s: {what}"
        time.sleep(0.01)
