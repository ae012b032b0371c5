"""Processes killed, stopped, started twice, without files, without a terminal: nobody twice, nobody lost."""

from __future__ import annotations

import os
import pty
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from coldsend.database.tables import sender_leases, task_contacts
from tests.acceptance.scenario import Scenario
from tests.faults.crew import Crew, assert_gaps, children, from_service, signal_all
from tests.faults.oracle import assert_intact
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

CONNECTIONS = 4


@contextmanager
def outcomes_held_up(crew: Crew) -> Iterator[None]:
    """Nobody can commit an outcome: another transaction has the rows."""
    database = crew.scenario.project.database
    with database.engine.connect() as connection, connection.begin() as transaction:
        connection.execute(sa.select(task_contacts.c.id).with_for_update()).all()
        yield
        transaction.rollback()


def answered(crew: Crew) -> int:
    """Answers in the journals; 0 while a message is under way."""
    lines = [line for file in crew.journals() for line in file.read_bytes().splitlines()]
    dots, answers = (sum(b" %b " % kind in line for line in lines) for kind in (b"D", b"K"))
    return answers if answers == dots else 0


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)  # SQLite: the two below
def test_killed_after_the_intent_and_before_the_dot_nothing_is_in_doubt(
    scenario: Scenario, server: RecordingServer
) -> None:
    crew = Crew(scenario, server, 60, connections=CONNECTIONS)
    server.control(latency={"mail": 300})
    scheduler, sender = crew.scheduler(), crew.sender()
    scenario.until(lambda: scenario.count("sending") >= CONNECTIONS, "rows are claimed")
    scenario.until(lambda: server.control()["open"] == CONNECTIONS, "connections wait for the answer to MAIL")
    crew.kill(sender)
    server.control(latency={})
    sender = crew.sender()
    crew.until_ended()
    crew.terminate(sender, scheduler)
    assert_intact(scenario, server, recipients=60, unknown=0)
    crew.assert_no_bug()


def test_killed_between_the_dot_in_the_journal_and_the_dot_on_the_wire_it_is_in_doubt_and_bounded(
    sqlite_scenario: Scenario, server: RecordingServer
) -> None:
    scenario = sqlite_scenario
    crew = Crew(scenario, server, 60, connections=CONNECTIONS)
    # The server takes nothing more in from the body on: the dot never reaches it.
    deaf = {"at": "data", "do": "raw", "bytes": "354 go on\r\n", "then": "stop reading", "times": CONNECTIONS}
    server.control(faults=[deaf])
    scheduler, sender = crew.scheduler(), crew.sender()

    def dots() -> int:
        return sum(file.read_bytes().count(b" D ") for file in crew.journals())

    scenario.until(lambda: dots() >= CONNECTIONS, "dots in the journal")
    crew.kill(sender)
    sender = crew.sender()
    crew.until_ended()
    crew.terminate(sender, scheduler)
    assert_intact(scenario, server, recipients=60, unknown=CONNECTIONS)
    assert scenario.count("unknown") == CONNECTIONS
    assert len(server.messages()) == 60 - CONNECTIONS, "what is in doubt was not sent again"
    crew.assert_no_bug()


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)  # SQLite: the one above
def test_killed_between_the_dot_and_the_answer_it_is_in_doubt_and_bounded(
    scenario: Scenario, server: RecordingServer
) -> None:
    crew = Crew(scenario, server, 60, connections=CONNECTIONS)
    server.control(latency={"final": 300})
    scheduler, sender = crew.scheduler(), crew.sender()
    server.wait_for(CONNECTIONS)
    crew.kill(sender)
    server.control(latency={})
    sender = crew.sender()
    crew.until_ended()
    crew.terminate(sender, scheduler)
    assert_intact(scenario, server, recipients=60, unknown=CONNECTIONS)
    assert scenario.count("unknown") == CONNECTIONS
    assert len(server.messages()) == 60
    crew.assert_no_bug()


def test_killed_between_the_answer_and_its_commit_nothing_is_in_doubt(
    scenario: Scenario, server: RecordingServer
) -> None:
    crew = Crew(scenario, server, 60, connections=CONNECTIONS)
    server.control(latency={"mail": 0.3})
    scheduler, sender = crew.scheduler(), crew.sender()
    scenario.until(lambda: scenario.count("sending") >= CONNECTIONS, "rows are claimed")
    with outcomes_held_up(crew):
        scenario.until(lambda: answered(crew) >= CONNECTIONS, "answers are in the journal")
        known = answered(crew)
        crew.kill(sender)
    assert scenario.count("sending") >= known, "and not in the database"
    server.control(latency={})
    sender = crew.sender()
    crew.until_ended()
    crew.terminate(sender, scheduler)
    assert_intact(scenario, server, recipients=60, unknown=0)
    crew.assert_no_bug()


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)  # SQLite: test_database_sqlite.py
def test_all_processes_killed_at_once_leave_nothing_behind_that_a_cold_start_does_not_settle(
    scenario: Scenario, server: RecordingServer
) -> None:
    server.control(latency={"final": 0.05})
    crew = Crew(scenario, server, 500, connections=CONNECTIONS)
    scheduler, extra = crew.scheduler(2), crew.sender()
    server.wait_for(60)
    scenario.until(lambda: len(children(scheduler.pid)) == 2, "its senders live")
    pids = [scheduler.pid, extra.pid, *children(scheduler.pid)]
    signal_all(signal.SIGKILL, *pids)
    scheduler.wait()
    extra.wait()
    again = crew.scheduler(1, "--until-idle")
    assert again.wait(240) == 0, crew.log()[-3000:]
    assert_intact(scenario, server, recipients=500, unknown=3 * CONNECTIONS)
    assert list((crew.state_dir() / "journal").glob("worker-*")) == [], "their files are gone as well"
    crew.assert_no_bug()


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)  # the database has no part in it
def test_what_hangs_is_given_up_and_when_it_goes_on_it_sends_nothing_and_settles_its_own(
    scenario: Scenario, server: RecordingServer
) -> None:
    """The leader and its sender, which owns a throttled service, are stopped for longer than their leases."""
    throttle, latency = 0.4, 0.3  # rows are left when the service has its new owner, however late that is
    server.control(latency={"final": latency})
    scenario.service("slow", server, throttle_sec=throttle)
    crew = Crew(scenario, server, 600, connections=2, lease=6)
    first = crew.scheduler(1)
    crew.until_logged("leading")
    scenario.until(lambda: len(from_service(server.messages(), "slow")) >= 2, "the slow service sends")
    second = crew.scheduler(1)
    crew.until_logged("worker_started", 4)
    hung = [first.pid, *children(first.pid)]
    owner = crew_owner(crew)
    assert owner == hung[1], "the service is owned by the sender that will be stopped"
    signal_all(signal.SIGSTOP, *hung)
    crew.until_logged("worker_rescued", 2)  # it may have been stopped holding locks
    slow = len(from_service(server.messages(), "slow"))
    scenario.until(lambda: len(from_service(server.messages(), "slow")) >= slow + 2, "it has a new owner")
    given_up = scenario.count("unknown")
    # A second of its work, and one of answers that a busy machine had not written yet.
    assert given_up <= 2 * crew.connections / latency + 1, "no more than what it held"
    signal_all(signal.SIGCONT, *hung)
    crew.until_logged("worker_declared_dead", 2)
    server.control(latency={})
    crew.until_ended()
    scenario.until(lambda: scenario.count("unknown") == 0, "all that was given up is settled")
    crew.terminate(first, second)
    assert_intact(scenario, server, recipients=600, unknown=0)
    assert_gaps(from_service(server.messages(), "slow"), throttle)
    crew.assert_no_bug()


def crew_owner(crew: Crew) -> int:
    """Process id of the sender that owns the throttled service."""
    from coldsend.database.tables import workers

    statement = sa.select(workers.c.pid).join(sender_leases, sender_leases.c.worker_id == workers.c.id)
    with crew.scenario.project.database.read() as connection:
        return int(connection.execute(statement).scalar_one())


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)  # the database has no part in it
def test_of_three_schedulers_started_together_one_leads_and_another_follows_it(
    scenario: Scenario, server: RecordingServer
) -> None:
    server.control(latency={"final": 0.05})
    crew = Crew(scenario, server, 600, connections=2)
    schedulers = [crew.scheduler(1) for _ in range(3)]
    crew.until_logged("leading")
    server.wait_for(50)

    def leader() -> int | None:
        rows = [row for row in scenario.project.json("worker", "list") if row["leads"]]
        return rows[0]["pid"] if len(rows) == 1 else None

    scenario.until(lambda: leader() is not None, "one leads")
    killed = leader()
    dead = next(process for process in schedulers if process.pid == killed)
    crew.kill(dead)
    crew.until_logged("leading", 2)
    crew.until_ended()
    rest = [process for process in schedulers if process is not dead]
    scenario.until(lambda: leader() not in (None, killed), "another leads")
    crew.terminate(*rest)
    # The sender of the one that was killed ends by itself.
    scenario.until(lambda: scenario.project.json("worker", "list") == [], "all have signed off")
    assert_intact(scenario, server, recipients=600, unknown=2)
    crew.assert_no_bug()


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)  # SQLite is for one host
def test_a_lost_host_leaves_a_second_of_work_in_doubt_and_settles_it_when_it_comes_back(
    scenario: Scenario, server: RecordingServer
) -> None:
    server.control(latency={"final": 0.1})
    crew = Crew(scenario, server, 1500, connections=10, lease=6)
    away = str(crew.state_dir("other-host"))
    scheduler = crew.scheduler()
    lost = crew.sender(COLDSEND_STATE_DIR=away)
    server.wait_for(250)
    rate = 10 / 0.1
    crew.kill(lost)
    scenario.until(lambda: scenario.count("sending") == 0, "it is given up")
    doubt = scenario.count("unknown")
    # By a rate that may have risen as far as the server lets it; and a second of answers not yet written.
    assert 0 < doubt <= 2 * rate, "about a second of its work"
    assert scenario.count("pending") > 0
    server.control(latency={})
    back = crew.sender(COLDSEND_STATE_DIR=away)
    scenario.until(lambda: scenario.count("unknown") <= 10, "its journal tells of all but its connections")
    crew.until_ended()
    crew.terminate(back, scheduler)
    assert_intact(scenario, server, recipients=1500, unknown=10)
    assert list((crew.state_dir("other-host") / "journal").glob("worker-*")) == []
    crew.assert_no_bug()


def test_signals_end_a_process_in_order_however_often_and_whichever_they_are(
    sqlite_scenario: Scenario, server: RecordingServer
) -> None:
    scenario = sqlite_scenario
    server.control(latency={"final": 0.5})
    crew = Crew(scenario, server, 400)
    scheduler, extra = crew.scheduler(1), crew.sender()
    server.wait_for(8)
    # A child that is told to end does so, and is replaced.
    [child] = children(scheduler.pid)
    os.kill(child, signal.SIGTERM)
    crew.until_logged("worker_process_ended")
    scenario.until(lambda: children(scheduler.pid) not in ([], [child]), "another is there")
    # SIGPIPE is no reason to end; SIGHUP is one, for a person has closed the terminal.
    extra.send_signal(signal.SIGPIPE)
    crew.more(4)
    assert extra.poll() is None
    extra.send_signal(signal.SIGHUP)
    assert extra.wait(60) == 0
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        scheduler.send_signal(number)
    assert scheduler.wait(60) == 0
    assert_intact(scenario, server, recipients=400, unknown=0, waiting=True)
    assert scenario.count("sending") == 0
    assert scenario.project.json("worker", "list") == []
    crew.assert_no_bug()


def test_a_sender_that_hangs_does_not_keep_its_scheduler_from_ending(
    sqlite_scenario: Scenario, server: RecordingServer
) -> None:
    scenario = sqlite_scenario
    server.control(latency={"final": 0.2})
    crew = Crew(scenario, server, 60)
    scheduler = crew.scheduler(1)
    server.wait_for(4)
    [child] = children(scheduler.pid)
    os.kill(child, signal.SIGSTOP)
    scheduler.send_signal(signal.SIGTERM)
    assert scheduler.wait(60) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    server.control(latency={})
    assert crew.scheduler(1, "--until-idle").wait(240) == 0
    assert_intact(scenario, server, recipients=60, unknown=crew.connections)


@pytest.mark.parametrize(
    "gone",
    [
        pytest.param("reader", marks=pytest.mark.soak),
        "disk",
        pytest.param("terminal", marks=pytest.mark.soak),
    ],
)
def test_logs_that_nobody_can_take_do_not_stop_sending(
    sqlite_scenario: Scenario, server: RecordingServer, gone: str
) -> None:
    scenario = sqlite_scenario
    server.control(latency={"final": 0.01})
    crew = Crew(scenario, server, 300)
    if gone == "disk":
        stream = os.open("/dev/full", os.O_WRONLY)
        leave = -1
    elif gone == "reader":
        leave, stream = os.pipe()
    else:
        leave, stream = pty.openpty()
    # As nohup starts it: a terminal that is closed must not end it.
    code = "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); sys.argv[0] = 'coldsend'; " \
        "from coldsend.cli.main import run; run()"  # fmt: skip
    environ = {**os.environ, **scenario.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    environ["COLDSEND_LOG_LEVEL"] = "debug"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "scheduler", "run"],
        cwd=scenario.project.folder, env=environ, stdin=stream if gone == "terminal" else subprocess.DEVNULL,
        stdout=stream, stderr=stream, start_new_session=True,
    )  # fmt: skip
    os.close(stream)
    server.wait_for(10)
    if leave >= 0:
        os.close(leave)
    [child] = children(process.pid)
    crew.until_ended()
    # A child that is replaced logs, and its scheduler logs its end.
    os.kill(child, signal.SIGKILL)
    scenario.until(lambda: children(process.pid) not in ([], [child]), "another is there")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert_intact(scenario, server, recipients=300, unknown=0)


def test_with_too_few_files_it_says_so_and_sends_through_fewer_connections(
    sqlite_scenario: Scenario, server: RecordingServer
) -> None:
    scenario = sqlite_scenario
    server.control(latency={"final": 0.05})
    crew = Crew(scenario, server, 300, connections=50)
    sender = crew.sender()
    crew.until_logged("worker_started")
    resource.prlimit(sender.pid, resource.RLIMIT_NOFILE, (48, 48))
    scheduler = crew.scheduler()  # now only: before there is a send list nobody connects
    crew.until_ended()
    crew.terminate(sender, scheduler)
    assert 1 < server.control()["most_open"] < 48
    assert "and this process may open 48: see ulimit -n" in crew.log()
    assert crew.logged("database_away") == 0, "its database has files left"
    shown = scenario.project.json("service", "show", "alpha")
    assert (shown["health_status"], shown["consecutive_errors"]) == ("active", 0), "it is not to blame"
    assert_intact(scenario, server, recipients=300, unknown=0)
    crew.assert_no_bug()


def test_a_sender_that_cannot_be_started_is_tried_again(
    sqlite_scenario: Scenario, server: RecordingServer
) -> None:
    scenario = sqlite_scenario
    server.control(latency={"final": 0.05})
    crew = Crew(scenario, server, 200)
    scheduler = crew.scheduler(1)
    server.wait_for(10)
    [child] = children(scheduler.pid)
    files = len(os.listdir(f"/proc/{scheduler.pid}/fd"))
    soft, hard = resource.prlimit(scheduler.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(scheduler.pid, resource.RLIMIT_NOFILE, (files, hard))
    os.kill(child, signal.SIGKILL)
    crew.until_logged("worker_process_not_started")
    assert scheduler.poll() is None
    resource.prlimit(scheduler.pid, resource.RLIMIT_NOFILE, (soft, hard))
    crew.until_ended()
    crew.terminate(scheduler)
    assert_intact(scenario, server, recipients=200, unknown=crew.connections)
