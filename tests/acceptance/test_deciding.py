"""Answers are lost after the final dot; a person looks into the server's record and decides."""

from __future__ import annotations

from typing import Any

import pytest

from tests.acceptance.scenario import TASK, Scenario, assert_nobody_twice
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

# Some were taken and some were not: nobody can tell but the server.
LOST = [
    {"at": "final", "to": "p3@", "times": 1, "do": "drop", "recorded": True},
    {"at": "final", "to": "p7@", "times": 1, "do": "drop", "recorded": False},
]


@pytest.mark.parametrize(  # SQLite: the tests of planning
    "database_url", ["mariadb", pytest.param("sqlite", marks=pytest.mark.soak)], indirect=True
)
def test_with_the_servers_record_a_person_brings_every_unknown_row_to_its_true_end(
    scenario: Scenario, server: RecordingServer
) -> None:
    server.control(faults=LOST)
    scenario.service("alpha", server, connections=2)
    scenario.templates(1)
    scenario.contacts(30)
    scenario.campaign()
    scenario.run_until_idle()
    project = scenario.project
    assert scenario.statuses() == {"sent": 28, "unknown": 2}
    assert project.json("campaign", "show", "spring")["status"] == "completed", "unknown rows hold nothing up"

    log = {message.message_id for message in server.messages()}
    unknown = project.json("unknown", "list", TASK)
    taken = [row["email"] for row in unknown if row["message_id"] in log]
    missing = [row["email"] for row in unknown if row["message_id"] not in log]
    assert (taken, missing) == (["p3@example.com"], ["p7@example.com"])
    project.run("unknown", "mark-sent", TASK, *taken, "--yes")
    project.run("unknown", "resend", TASK, *missing, "--yes")
    assert project.json("campaign", "show", "spring")["status"] == "active"

    scenario.run_until_idle()
    assert scenario.statuses() == {"sent": 30}
    assert project.json("campaign", "show", "spring")["status"] == "completed"
    messages = server.messages()
    assert len(messages) == 30
    assert_nobody_twice(messages)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # the database has no part in it
def test_a_running_task_tells_its_rate_and_its_time_left_and_its_sender_what_it_does(
    scenario: Scenario, server: RecordingServer
) -> None:
    server.control(latency={"final": 0.1})
    scenario.service("alpha", server, connections=2)
    scenario.templates(1)
    scenario.contacts(600)
    scenario.campaign()
    scenario.command("scheduler", "run")
    server.wait_for(40)

    def task() -> dict[str, Any]:
        return dict(scenario.project.json("task", "show", TASK))

    scenario.until(lambda: float(task()["rate_per_second"] or 0) > 0, "a rate")
    shown = task()
    # Two connections, one message in 100 ms each; outcomes arrive in groups, so a short look may see more. A
    # machine may be as slow as it likes.
    assert shown["rate_per_second"] <= 5 * 2 / 0.1
    assert 0 < shown["seconds_left"] <= 600 / shown["rate_per_second"] + 1
    assert shown["pace"]["services"][0]["name"] == "alpha"

    def sender() -> dict[str, object]:
        rows = scenario.project.json("worker", "list")
        return next(row for row in rows if row["kind"] == "sender")

    scenario.until(lambda: float(str(sender()["rate"])) > 0, "a heartbeat with its rate")
    found = sender()
    assert (found["state"], found["services"]) == ("running", ["alpha"])
    assert len(found["buckets"]) == 61  # type: ignore[arg-type]
