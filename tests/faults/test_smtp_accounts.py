"""What servers say about the account that sends: passwords, limits, standing, and what each leads to."""

from __future__ import annotations

import contextlib

import pytest

from tests.acceptance.scenario import Scenario
from tests.faults import trouble
from tests.faults.oracle import assert_intact
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]


def test_credentials_revoked_in_mid_run_are_never_tried_again_until_there_are_new_ones(
    sqlite_scenario: Scenario,
) -> None:
    scenario = sqlite_scenario
    trouble.impatient(scenario, patience=trouble.UNHURRIED)
    with RecordingServer(users={"u": "secret-one"}, latency={"final": 0.02}) as server:
        trouble.add_service(scenario, "alpha", server.port, password="secret-one")
        trouble.prepare(scenario, 300)
        process = trouble.start(scenario)
        server.wait_for(50)
        server.control(users={"u": "secret-two"}, faults=[{"at": "mail", **trouble.CLOSING}])
        for _ in range(5):
            trouble.until(scenario, lambda: scenario.count("sending") == 0, "what was under way has ended")
            if trouble.service(scenario, "alpha")["health_status"] == "frozen":
                break
            scenario.jump(90)
            trouble.until(
                scenario,
                lambda: (
                    trouble.service(scenario, "alpha")["health_status"] == "frozen"
                    or trouble.next_event(scenario) is not None
                ),
                "it is frozen, or rests again",
            )
        waiting = next(iter(trouble.addresses_in(scenario, "pending")))
        assert "535" in trouble.gates(scenario, waiting)["service_frozen"]
        tried = server.control(faults=[])["connections"]
        heartbeats = trouble.heartbeats(scenario)
        scenario.jump(2 * 86_400)
        trouble.until(
            scenario, lambda: trouble.heartbeats(scenario) > heartbeats, "the sender has looked at the clock"
        )
        assert server.control()["connections"] == tried, "nobody knocks with a password that was refused"
        scenario.project.run("service", "update", "alpha", "--password-stdin", stdin="secret-two\n")
        trouble.keep_going(scenario)
        trouble.stop(process)
        assert_intact(scenario, server, recipients=300)
    assert "secret-" not in scenario.logs.read_text()


SAID_OF_SERVICES = {
    "suspended": ("mail", "550 5.1.8 Access denied, bad outbound sender"),
    "used-up": ("mail", "550 5.4.5 Daily user sending limit exceeded"),
    "listed": ("rcpt", "554 5.7.1 Service unavailable; client host blocked using zen.spamhaus.org"),
    "unsigned": ("final", "550 5.7.26 This mail has been blocked because the sender is unauthenticated"),
    "logins": ("auth", "454 4.7.0 Too many login attempts, please try again later"),
    "slow": ("connect", "421 4.7.0 too many connections from your address"),
}


def test_what_is_said_about_the_sender_costs_no_recipient_anything(
    sqlite_scenario: Scenario, server: RecordingServer
) -> None:
    scenario = sqlite_scenario
    trouble.impatient(scenario, patience=trouble.UNHURRIED)
    with contextlib.ExitStack() as stack:
        for name, (point, reply) in SAID_OF_SERVICES.items():
            users = {"users": {"u": "secret-one"}} if point == "auth" else {}
            one = stack.enter_context(RecordingServer(faults=[{"at": point, "reply": reply}], **users))
            trouble.add_service(scenario, name, one.port, password="secret-one" if users else None)
        trouble.add_service(scenario, "healthy", server.port)
        trouble.prepare(scenario, 400)
        process = trouble.start(scenario)
        trouble.until(
            scenario,
            lambda: all(was_told(scenario, name) for name in SAID_OF_SERVICES),
            "all were told",
        )
        trouble.keep_going(scenario)
        trouble.stop(process)
    assert len(server.messages()) == 400
    assert_intact(scenario, server, recipients=400)
    frozen = {
        name for name in SAID_OF_SERVICES if trouble.service(scenario, name)["health_status"] == "frozen"
    }
    assert frozen == {"suspended"}
    log = trouble.log(scenario, "service_")
    resting = {name for name in SAID_OF_SERVICES if any(f"service={name} " in line for line in log)}
    assert resting == set(SAID_OF_SERVICES), "each says so in the log"


def was_told(scenario: Scenario, name: str) -> bool:
    """The service has failed, rests, or rests for one provider."""
    paused = trouble.log(scenario, "service_paused_for_provider")
    return trouble.troubled(scenario, name) or any(f"service={name} " in line for line in paused)


def test_what_is_said_about_a_recipient_or_a_message_costs_the_service_nothing(
    sqlite_scenario: Scenario, server: RecordingServer
) -> None:
    scenario = sqlite_scenario
    replies = {
        1: ("rcpt", "550 5.1.1 no such user", "failed_to_send"),
        2: ("rcpt", "552 5.2.2 mailbox full", "sent"),
        3: ("final", "552 5.3.4 message too big", "failed_to_send"),
        4: ("final", "554 5.7.1 rejected as spam", "failed_to_send"),
        5: ("rcpt", "452 4.5.3 too many recipients", "sent"),
        6: ("rcpt", "550 5.2.1 mailbox disabled", "failed_to_send"),
    }
    server.control(
        faults=[
            {"at": point, "to": f"p{n}@", "reply": reply, "times": 1}
            for n, (point, reply, _end) in replies.items()
        ]
    )
    trouble.impatient(scenario, patience=trouble.UNHURRIED)
    trouble.add_service(scenario, "alpha", server.port)
    trouble.prepare(scenario, 50)
    trouble.run_to_the_end(scenario)
    rows = trouble.rows(scenario)
    assert {n: rows[f"p{n}@example.com"].status for n in replies} == {
        n: end for n, (*_, end) in replies.items()
    }
    assert_intact(scenario, server, recipients=50)
    shown = trouble.service(scenario, "alpha")
    assert (shown["health_status"], shown["consecutive_errors"]) == ("active", 0)
    assert trouble.log(scenario, "service_") == []
