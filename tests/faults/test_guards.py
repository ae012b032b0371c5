"""Situations in which one guard of an UPDATE is all there is between two senders and one recipient.

``test_sabotage.py`` takes those guards away and sees these tests fail.
"""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.acceptance.scenario import TASK, Scenario
from tests.conftest import Project
from tests.faults.crew import Crew
from tests.faults.oracle import assert_intact
from tests.faults.sending import until
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

QUOTA = 60


@pytest.fixture
def mariadb_scenario(tmp_path: Path, mariadb_url: str) -> Iterator[Scenario]:
    """An installation on MariaDB: on SQLite writers never overlap."""
    project = Project(tmp_path, mariadb_url)
    made = Scenario(project)
    yield made
    made.close()
    project.database.dispose()


def waiting_for_locks(connection: sa.Connection) -> int:
    """Transactions in this database that wait for a lock; not news within a tenth of a second."""
    statement = sa.text(
        "SELECT COUNT(*) FROM information_schema.innodb_trx t "
        "JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id "
        "WHERE t.trx_state = 'LOCK WAIT' AND p.db = DATABASE()"
    )
    return int(connection.execute(statement).scalar_one())


def hang(process: subprocess.Popen[str], scenario: Scenario) -> None:
    """Stop a process outside a transaction: inside one it would keep SQLite's only lock from all others."""
    with closing(sqlite3.connect(scenario.project.folder / "coldsend.db", timeout=2)) as database:
        for _attempt in range(20):
            process.send_signal(signal.SIGSTOP)
            until(lambda: state(process.pid) == "T", "it is stopped")
            try:
                database.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:  # locked
                process.send_signal(signal.SIGCONT)
                time.sleep(0.05)
            else:
                database.rollback()
                return
    raise AssertionError("always met inside a transaction")


def state(pid: int) -> str:
    """The letter that the kernel has for what a process is doing; proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_of_two_senders_that_have_chosen_the_same_rows_each_row_has_one(
    mariadb_scenario: Scenario, server: RecordingServer
) -> None:
    scenario, recipients = mariadb_scenario, 30
    crew = Crew(scenario, server, recipients, lease=60, connections=20)
    scheduler = crew.scheduler()
    until(lambda: crew.rows() == recipients, "the send list", log=crew.log)
    with scenario.project.database.engine.connect() as rival, rival.begin():
        rival.execute(sa.text("SELECT id FROM task_contacts FOR UPDATE")).all()
        senders = [crew.sender(), crew.sender()]
        # Each wants more rows than there are, has read which are pending, and waits to write its intents.
        until(lambda: waiting_for_locks(rival) == 2, "both", log=crew.log, pause=0.2)
    crew.until_ended()
    crew.terminate(*senders, scheduler)
    assert_intact(scenario, server, recipients=recipients)


def test_two_senders_never_exceed_a_quota(sqlite_scenario: Scenario, server: RecordingServer) -> None:
    sqlite_scenario.service("alpha", server, quota=QUOTA, connections=8)
    sqlite_scenario.templates(1)
    sqlite_scenario.contacts(300)
    sqlite_scenario.campaign()
    sqlite_scenario.run_until_idle(workers=2)
    assert_intact(sqlite_scenario, server, recipients=300, waiting=True, quota=QUOTA)
    assert len(server.messages()) == QUOTA


def test_an_answer_from_before_counts_for_nothing_once_a_person_has_decided(
    sqlite_scenario: Scenario, server: RecordingServer
) -> None:
    """The first sender hangs with a row in hand, is given up, and goes on while the second one sends it."""
    server.control(faults=[{"at": "connect", "do": "delay", "seconds": 8, "times": 1}])
    crew = Crew(sqlite_scenario, server, 1, lease=6)
    scheduler = crew.scheduler()
    first = crew.sender()
    until(lambda: server.control()["connections"] == 1, "it connects", log=crew.log)
    hang(first, sqlite_scenario)
    until(lambda: sqlite_scenario.count("unknown") == 1, "it is given up", log=crew.log)
    sqlite_scenario.project.run("unknown", "resend", TASK, "p0@example.com", "--yes")
    server.control(faults=[{"at": "final", "do": "delay", "seconds": 8, "times": 1, "recorded": True}])
    second = crew.sender()
    server.wait_for(1)
    first.send_signal(signal.SIGCONT)
    crew.until_logged("worker_declared_dead")
    crew.until_ended()
    crew.terminate(first, second, scheduler)
    assert_intact(sqlite_scenario, server, recipients=1)
