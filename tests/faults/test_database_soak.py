"""Database faults at random, one after the other, for SOAK_MINUTES; SOAK_SEED repeats a run's decisions."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.acceptance.scenario import Scenario
from tests.faults.sending import CONNECTIONS, Sending
from tests.faults.statement_proxy import Cut, StatementProxy
from tests.faults.test_database_commit import COMMIT, TURN
from tests.faults.test_database_mariadb import LEASE, disconnect, installed
from tests.servers.mariadb import MariaDB
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.soak]

MINUTES = float(os.environ.get("SOAK_MINUTES", "10"))
LATENCY = 0.2
# Two senders with all their connections busy: they have work for the whole time.
RECIPIENTS = int(MINUTES * 60 * 2 * CONNECTIONS / LATENCY)


def chance() -> random.Random:
    seed = int(os.environ.get("SOAK_SEED", random.SystemRandom().randrange(2**32)))
    print(f"SOAK_SEED={seed}")
    return random.Random(seed)


def soak(sending: Sending, faults: list[Callable[[], None]], decide: random.Random) -> int:
    """Faults with a second or so of quiet between them; how many."""
    ends, count = time.monotonic() + MINUTES * 60, 0
    while time.monotonic() < ends and sending.taken() < sending.recipients - 500:
        fault = decide.choice(faults)
        print(
            f"{time.monotonic():.1f} {getattr(fault, '__name__', fault)}, {sending.taken()} messages so far"
        )
        fault()
        time.sleep(decide.uniform(0.2, 2))
        count += 1
    return count


@pytest.fixture
def mariadb() -> Iterator[MariaDB]:
    made = MariaDB(durable=True)
    yield made
    made.remove()


class Troubles:
    """What can befall a MariaDB; each method ends with the server in order again."""

    def __init__(self, mariadb: MariaDB, proxy: StatementProxy, scenario: Scenario) -> None:
        self.mariadb, self.proxy, self.scenario = mariadb, proxy, scenario

    def restart(self) -> None:
        self.mariadb.stop()
        self.mariadb.start()

    def kill(self) -> None:
        self.mariadb.stop(kill=True)
        self.mariadb.start()

    def freeze(self) -> None:
        assert self.mariadb.process is not None
        self.mariadb.process.send_signal(signal.SIGSTOP)
        time.sleep(1.5 * LEASE)
        self.mariadb.process.send_signal(signal.SIGCONT)

    def read_only(self) -> None:
        self.mariadb.execute("SET GLOBAL read_only = 1")
        time.sleep(2)
        self.mariadb.execute("SET GLOBAL read_only = 0")

    def change_password(self) -> None:
        self.mariadb.execute("ALTER USER plain@'127.0.0.1' IDENTIFIED BY 'second'")
        disconnect(self.mariadb)
        time.sleep(2)
        self.mariadb.execute("ALTER USER plain@'127.0.0.1' IDENTIFIED BY 'first'")

    def disconnect(self) -> None:
        for _ in range(10):
            disconnect(self.mariadb)
            time.sleep(0.1)

    def cut_before_commit(self) -> None:
        self.proxy.cut(Cut(COMMIT, TURN, times=3))

    def cut_after_commit(self) -> None:
        self.proxy.cut(Cut(COMMIT, TURN, executed=True, times=3))

    def hold_locks(self) -> None:
        engine = self.scenario.project.database.engine
        engine.dispose()  # what it has open did not outlive the last fault
        with engine.connect() as rival, rival.begin():
            rival.execute(sa.text("SELECT * FROM sender_quota FOR UPDATE")).all()
            time.sleep(3)

    def all(self) -> list[Callable[[], None]]:
        return [
            self.restart, self.kill, self.freeze, self.read_only, self.change_password, self.disconnect,
            self.cut_before_commit, self.cut_after_commit, self.hold_locks,
        ]  # fmt: skip


@pytest.mark.timeout(0)
def test_mariadb_in_every_trouble(mariadb: MariaDB, tmp_path: Path, server: RecordingServer) -> None:
    with installed(mariadb, tmp_path) as scenario, StatementProxy(mariadb.port) as proxy:
        through = scenario.project.database.url.set(drivername="mysql", port=proxy.port)
        scenario.environ["COLDSEND_DATABASE_URL"] = through.render_as_string(hide_password=False)
        sending = Sending(scenario, server, RECIPIENTS, latency=LATENCY, lease=LEASE)
        sending.wait_for(50)
        assert soak(sending, Troubles(mariadb, proxy, scenario).all(), chance()) >= MINUTES
        sending.scenario.project.database.dispose()
        sending.until_ended()
        sending.assert_intact()


@pytest.mark.timeout(0)
def test_sqlite_locked_and_its_processes_killed(sqlite_scenario: Scenario, server: RecordingServer) -> None:
    name = sqlite_scenario.project.database.url.database
    sqlite_scenario.environ["COLDSEND_DATABASE_URL"] = f"sqlite:///{name}?timeout=1"
    sending = Sending(sqlite_scenario, server, RECIPIENTS, latency=LATENCY)
    sending.wait_for(50)
    decide, killed = chance(), []

    def lock() -> None:
        holder = sqlite3.connect(str(name), isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        time.sleep(decide.uniform(0.5, 15))
        holder.close()

    def kill() -> None:
        for pid in sqlite_scenario.sender_pids():
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    assert soak(sending, [lock, kill], decide) >= MINUTES
    sending.until_ended()
    sending.assert_intact(unknown=len(killed) * CONNECTIONS, lived=False)
