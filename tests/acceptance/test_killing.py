"""kill -9 of any process at any time: nobody twice, nobody lost, what is in doubt is bounded and shown."""

from __future__ import annotations

import os
import random
import signal

import pytest

from tests.acceptance.scenario import Scenario, assert_nobody_twice
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

CONNECTIONS = 10


def kill_one(scenario: Scenario, chance: random.Random) -> bool:
    """A sender is killed; False where there was none, or it has just ended by itself."""
    senders = scenario.sender_pids()
    try:
        os.kill(chance.choice(senders), signal.SIGKILL)
    except (IndexError, ProcessLookupError):
        return False
    return True


@pytest.mark.parametrize(  # SQLite: tests/faults kills it in mid-commit
    "database_url", ["mariadb", pytest.param("sqlite", marks=pytest.mark.soak)], indirect=True
)
def test_ten_kills_while_rows_are_sending(
    scenario: Scenario, server: RecordingServer, database_url: str
) -> None:
    """Five on SQLite: tests/faults kills it in mid-commit as well."""
    wanted, recipients = (5, 2_500) if database_url.startswith("sqlite") else (10, 5_000)
    server.control(latency={"final": 0.1})  # rows are left for the last kill, however late this test is
    scenario.service("alpha", server, connections=CONNECTIONS)
    scenario.templates(2)
    scenario.contacts(recipients)
    scenario.campaign()
    chance = random.Random(20261121)
    open_connections = kills = 0
    scheduler = scenario.command("scheduler", "run", "--workers", "2")
    for kill in range(wanted):
        seen = server.taken()
        scenario.until(
            lambda seen=seen: server.taken() > seen + 150 and scenario.count("sending") > 0,
            f"kill {kill}: rows in sending",
        )
        if kill % 3 == 2:
            os.kill(scheduler.pid, signal.SIGKILL)
            scheduler.wait()
            scheduler = scenario.command("scheduler", "run", "--workers", "2")
        else:
            # Those of a scheduler that was killed may be gone, their successors not there yet.
            scenario.until(lambda: kill_one(scenario, chance), "a sender lives")
            open_connections += CONNECTIONS
        kills += 1
    assert kills == wanted
    assert scenario.count("pending") > 0, "the last kill, too, was in the middle of the run"
    server.control(latency={})
    scenario.until(lambda: scenario.count("pending", "sending") == 0, "everything has ended", 600)
    scheduler.send_signal(signal.SIGTERM)
    assert scheduler.wait(60) == 0
    messages = server.messages()
    assert_nobody_twice(messages)
    statuses = scenario.statuses()
    assert sum(statuses.values()) == recipients
    assert set(statuses) <= {"sent", "unknown"}
    assert statuses.get("unknown", 0) <= open_connections
    assert statuses["sent"] <= len(messages) <= statuses["sent"] + statuses.get("unknown", 0)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # the database has no part in it
def test_a_stopped_scheduler_drains_within_ten_seconds(scenario: Scenario, server: RecordingServer) -> None:
    server.control(latency={"final": 0.2})
    scenario.service("alpha", server)
    scenario.templates(1)
    scenario.contacts(500)
    scenario.campaign()
    scheduler = scenario.command("scheduler", "run")
    server.wait_for(20)
    scheduler.send_signal(signal.SIGTERM)
    assert scheduler.wait(60) == 0
    assert "stopped_hard" not in scenario.logs.read_text(), "what it does when the ten seconds are over"
    statuses = scenario.statuses()
    assert set(statuses) == {"sent", "pending"}, "nothing is left in doubt"
    assert statuses["sent"] == len(server.messages())
    assert scenario.project.json("worker", "list") == []


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)  # the database has no part in it
def test_a_second_scheduler_is_harmless(scenario: Scenario, server: RecordingServer) -> None:
    scenario.service("alpha", server)
    scenario.templates(3)
    scenario.contacts(600)
    scenario.campaign()
    other = scenario.command("scheduler", "run", "--until-idle")
    scenario.run_until_idle()
    assert other.wait(240) == 0
    messages = server.messages()
    assert len(messages) == 600
    assert_nobody_twice(messages)
