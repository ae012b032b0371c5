"""What an operator does while a campaign runs, and what the engine does by itself."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from coldsend.database.tables import sender_services
from tests.acceptance.scenario import TASK, Scenario, assert_nobody_twice
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # the database has no part in it
def test_a_service_whose_password_is_refused_freezes_and_its_work_moves(
    scenario: Scenario, server: RecordingServer
) -> None:
    # The account is closed after twenty messages.
    closed = [
        {"at": "mail", "skip": 20, "reply": "421 4.3.0 bye"},
        {"at": "auth", "skip": 1, "reply": "535 5.7.8 Authentication credentials invalid"},
    ]
    with RecordingServer(users={"u": "secret-one"}, faults=closed) as guarded:
        scenario.project.write("password", "secret-one")
        scenario.project.run(
            "service", "add", "guarded", "--type", "smtp", "--host", "127.0.0.1", "--port",
            str(guarded.port), "--tls", "none", "--from", "guarded@sender.example", "--daily-quota", "1000",
            "--throttle-sec", "0.01", "--username", "u", "--password-stdin",
            stdin="secret-one\n",
        )  # fmt: skip
        scenario.service("open", server, throttle_sec="0.01")
        scenario.templates(1)
        scenario.contacts(300)
        scenario.campaign()
        process = scenario.command("scheduler", "run", "--until-idle")
        assert process.wait(240) == 0
        messages = guarded.messages() + server.messages()
    assert len(messages) == 300
    assert_nobody_twice(messages)
    shown = scenario.project.json("service", "show", "guarded")
    assert shown["health_status"] == "frozen"
    assert "535" in shown["frozen_reason"]
    assert "secret-one" not in scenario.logs.read_text()


@pytest.mark.parametrize(  # MariaDB: the tests of planning
    "database_url", ["sqlite", pytest.param("mariadb", marks=pytest.mark.soak)], indirect=True
)
def test_pause_holds_everything_and_resume_goes_on(scenario: Scenario, server: RecordingServer) -> None:
    server.control(latency={"final": 0.05})
    scenario.service("alpha", server, connections=2)
    scenario.templates(1)
    scenario.contacts(600)
    scenario.campaign()
    scenario.command("scheduler", "run")
    server.wait_for(50)
    scenario.project.run("campaign", "pause", "spring")
    scenario.until(lambda: scenario.count("sending") == 0, "what was under way has ended")
    held = len(server.messages())
    assert held < 600
    gates = scenario.project.json("why", TASK, "p599@example.com")["blocked_by"]
    assert "campaign_state" in [gate["gate"] for gate in gates]
    scenario.project.run("campaign", "resume", "spring")
    server.control(latency={})
    assert_nobody_twice(server.wait_for(600))


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)  # the database has no part in it
def test_cancel_skips_what_is_left(scenario: Scenario, server: RecordingServer) -> None:
    server.control(latency={"final": 0.05})
    scenario.service("alpha", server, connections=2)
    scenario.templates(1)
    scenario.contacts(600)
    scenario.campaign()
    process = scenario.command("scheduler", "run", "--until-idle")
    server.wait_for(50)
    scenario.project.run("campaign", "cancel", "spring", "--yes")
    assert process.wait(240) == 0
    statuses = scenario.statuses()
    assert statuses["sent"] == len(server.messages())
    assert statuses["sent"] + statuses["skipped"] == 600


@pytest.mark.parametrize(  # SQLite: test_unsubscribing
    "database_url", ["mariadb", pytest.param("sqlite", marks=pytest.mark.soak)], indirect=True
)
def test_an_address_suppressed_while_queued_gets_nothing(scenario: Scenario, server: RecordingServer) -> None:
    # The one connection stands still after twenty messages.
    server.control(
        latency={"mail": 300}, faults=[{"at": "mail", "do": "delay", "seconds": 0.001, "times": 20}]
    )
    scenario.service("alpha", server, throttle_sec="0.02")
    scenario.templates(1)
    scenario.contacts(110)
    scenario.campaign()
    process = scenario.command("scheduler", "run", "--until-idle")
    server.wait_for(20)
    gone = {message.rcpt_to[0] for message in server.messages()}
    late = [f"p{n}@example.com" for n in range(110) if f"p{n}@example.com" not in gone][-50:]
    scenario.project.run("suppression", "add", *(address.upper() for address in late))
    in_time = {m.rcpt_to[0] for m in server.messages()}
    server.control(latency={})
    assert process.wait(240) == 0
    received = {message.rcpt_to[0] for message in server.messages()}
    assert len((received - in_time) & set(late)) <= 1, (
        "one may have been handed to the one connection already"
    )
    assert scenario.statuses()["skipped"] >= 40


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # the database has no part in it
def test_a_passing_refusal_is_tried_again_and_a_lasting_one_is_not(
    scenario: Scenario, server: RecordingServer
) -> None:
    server.control(
        faults=[
            {
                "at": "rcpt",
                "to": "p1@",
                "do": "reply",
                "reply": "451 4.7.1 greylisted, try again",
                "times": 1,
            },
            {"at": "rcpt", "to": "p2@", "do": "reply", "reply": "550 5.1.1 no such user"},
            {"at": "final", "to": "p3@", "do": "drop", "recorded": True},
        ]
    )
    scenario.service("alpha", server)
    scenario.templates(1)
    scenario.contacts(6)
    scenario.campaign()
    scenario.run_until_idle()
    assert scenario.statuses() == {"failed_to_send": 1, "pending": 1, "sent": 3, "unknown": 1}
    why = scenario.project.json("why", TASK, "p1@example.com")
    assert why["state"] == "pending"
    assert why["blocked_by"][0]["gate"] == "not_due"
    scenario.jump(6 * 60)
    scenario.run_until_idle()
    assert scenario.statuses() == {"failed_to_send": 1, "sent": 4, "unknown": 1}
    assert_nobody_twice(server.messages())
    suppressed = scenario.project.json("suppression", "list")
    assert [entry["value"] for entry in suppressed] == ["p2@example.com"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # the database has no part in it
def test_a_service_that_cannot_be_opened_rests_with_the_reason_and_ends_nobodys_waiting(
    scenario: Scenario, server: RecordingServer
) -> None:
    scenario.service("alpha", server)
    scenario.templates(1)
    scenario.contacts(2)
    scenario.campaign()
    with scenario.project.database.begin() as connection:
        statement = sa.update(sender_services).values(settings={"host": "", "port": 25, "tls": "none"})
        connection.execute(statement)
    scenario.run_until_idle()
    assert server.messages() == []
    blocked = scenario.project.json("why", TASK, "p1@example.com")["blocked_by"]
    assert any(gate["gate"] == "service_cooling_down" and "has no host" in gate["detail"] for gate in blocked)
