"""Everything at once, at random, for minutes: kills, stops, clock jumps, a database that restarts.

SOAK_MINUTES (10) says how long, SOAK_SEED repeats a run's decisions.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coldsend.database import migrate
from coldsend.database.engine import Database
from tests.acceptance.scenario import Scenario, assert_nobody_twice
from tests.conftest import Project
from tests.faults.crew import Crew, assert_gaps, from_service
from tests.faults.oracle import assert_intact
from tests.servers.mariadb import MariaDB
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.soak]

MINUTES = float(os.environ.get("SOAK_MINUTES", "10"))
CONNECTIONS = 4
THROTTLE = 0.2
HOSTS = ("host-a", "host-b")


@pytest.fixture
def own_mariadb() -> Iterator[MariaDB]:
    """A durable server of its own: a kill must not undo a commit."""
    server = MariaDB(durable=True)
    yield server
    server.remove()


@pytest.fixture(params=["sqlite", "mariadb"])
def soaked(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Scenario, MariaDB | None]]:
    database: MariaDB | None = None
    if request.param == "mariadb":
        database = request.getfixturevalue("own_mariadb")
        assert database is not None
        database.execute("CREATE DATABASE soak CHARACTER SET latin1")
        url = database.url("soak")
        migrate.upgrade(Database(url))
    else:
        url = request.getfixturevalue("sqlite_url")
    project = Project(tmp_path, url)
    scenario = Scenario(project)
    yield scenario, database
    scenario.close()
    project.database.dispose()


class Chaos:
    """Two hosts of senders, a scheduler, and what happens to them."""

    def __init__(self, crew: Crew, chance: random.Random, database: MariaDB | None) -> None:
        self.crew, self.chance, self.database = crew, chance, database
        self.scheduler = crew.scheduler(1)
        self.senders = [self._sender(), self._sender()]
        self.in_doubt = 0  # the most rows that may be unknown for all that was done
        self.deeds: list[Callable[[], None]] = [
            self.kill_sender, self.kill_scheduler, self.kill_all, self.stop_for_a_moment,
            self.stop_past_the_lease, self.end_in_order, self.jump,
        ]  # fmt: skip
        if database is not None:
            self.deeds += [self.restart_database, self.kill_database]

    def _sender(self, host: str = "") -> subprocess.Popen[str]:
        host = host or self.chance.choice(HOSTS)
        return self.crew.sender(COLDSEND_STATE_DIR=str(self.crew.state_dir(host)))

    def _replace(self, position: int) -> None:
        self.crew.kill(self.senders[position])
        self.senders[position] = self._sender()

    def kill_sender(self) -> None:
        self.in_doubt += CONNECTIONS + 1
        self._replace(self.chance.randrange(len(self.senders)))

    def kill_scheduler(self) -> None:
        """Its sender sees that it is gone, and drains."""
        self.crew.kill(self.scheduler)
        self.scheduler = self.crew.scheduler(1)

    def kill_all(self) -> None:
        self.in_doubt += 3 * (CONNECTIONS + 1)
        self.crew.kill(self.scheduler, *self.senders)
        self.scheduler = self.crew.scheduler(1)
        self.senders = [self._sender(), self._sender()]

    def stop_for_a_moment(self) -> None:
        self._stop(self.chance.uniform(0.1, 2))

    def stop_past_the_lease(self) -> None:
        self._stop(self.chance.uniform(8, 14))

    def _stop(self, seconds: float) -> None:
        process = self.chance.choice([self.scheduler, *self.senders])
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)  # the fault itself lasts so long
        process.send_signal(signal.SIGCONT)

    def end_in_order(self) -> None:
        position = self.chance.randrange(len(self.senders))
        self.senders[position].send_signal(signal.SIGTERM)
        # -15: it had not even begun, and held nothing.
        assert self.senders[position].wait(20) in (0, 5, -signal.SIGTERM)
        self.senders[position] = self._sender()

    def jump(self) -> None:
        self.crew.scenario.jump(self.chance.choice([1, -1]) * self.chance.choice([2, 100, 7200, 90_000]))

    def restart_database(self) -> None:
        assert self.database is not None
        self.database.stop()
        time.sleep(self.chance.uniform(0, 2))
        self.database.start()

    def kill_database(self) -> None:
        assert self.database is not None
        self.database.stop(kill=True)
        self.database.start()

    def bring_every_host_back(self) -> None:
        """Its journals settle what was given up with its processes."""
        self.senders += [self._sender(host) for host in HOSTS]

    def until_it_goes_on(self) -> None:
        """Until messages come again, or for as long as a lease and a start may take."""
        seen, ends = len(self.crew.server.messages()), time.monotonic() + 30
        while len(self.crew.server.messages()) == seen and time.monotonic() < ends:
            self.mend()
            time.sleep(0.05)

    def mend(self) -> None:
        """Start again what has ended by itself: a scheduler or sender that could not reach its database."""
        if self.scheduler.poll() is not None:
            self.scheduler = self.crew.scheduler(1)
        for position, sender in enumerate(self.senders):
            if sender.poll() is not None:
                self.senders[position] = self._sender()


@pytest.mark.timeout(MINUTES * 60 + 900)
def test_chaos(soaked: tuple[Scenario, MariaDB | None], server: RecordingServer) -> None:
    scenario, database = soaked
    seed = int(os.environ.get("SOAK_SEED", random.SystemRandom().randrange(2**32)))
    print(f"SOAK_SEED={seed}")
    server.control(latency={"final": 0.1})
    scenario.service("slow", server, throttle_sec=THROTTLE)
    recipients = int(MINUTES * 60 * 3 * CONNECTIONS / 0.1)
    crew = Crew(scenario, server, recipients, connections=CONNECTIONS)
    chaos = Chaos(crew, random.Random(seed), database)
    ends = time.monotonic() + MINUTES * 60
    while time.monotonic() < ends:
        deed = chaos.chance.choice(chaos.deeds)
        print(
            f"{ends - time.monotonic():6.0f} s left: {deed.__name__}, {len(server.messages())} messages",
            flush=True,
        )
        deed()
        chaos.mend()
        if chaos.chance.random() < 0.7:
            chaos.until_it_goes_on()
        time.sleep(chaos.chance.uniform(0, 3))  # at any moment
        assert_nobody_twice(server.messages())
    scenario.clock.write_text("100000")  # later than any moment a row may be due
    server.control(latency={})
    chaos.bring_every_host_back()
    scenario.project.database.dispose()  # our own connections, to a server that was killed since
    _until_ended(chaos, crew)
    # Whoever was started last must have begun: before that, a process does not know how to end in order.
    scenario.until(lambda: _running(chaos) <= set(scenario.sender_pids()), "all senders have begun")
    crew.terminate(chaos.scheduler, *chaos.senders)
    assert_intact(scenario, server, recipients=recipients, unknown=chaos.in_doubt)
    assert_gaps(from_service(server.messages(), "slow"), THROTTLE)
    crew.assert_no_bug()


def _running(chaos: Chaos) -> set[int]:
    return {process.pid for process in chaos.senders if process.poll() is None}


def _until_ended(chaos: Chaos, crew: Crew) -> None:
    limit = time.monotonic() + 600
    while crew.scenario.count("pending", "sending") > 0:
        assert time.monotonic() < limit, crew.log()[-4000:]
        chaos.mend()
        time.sleep(0.5)  # real processes are waited for
