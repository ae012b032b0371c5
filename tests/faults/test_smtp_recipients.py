"""Servers that misbehave at some recipients, or at all of them once the message is on its way.

Only what is lost after the final dot is in doubt, and stays so; all else is tried again. One recipient at
whom a server goes wrong each time stops nobody but itself.
"""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.database.tables import contacts, event_log, sender_services
from tests.acceptance.scenario import Scenario
from tests.faults import trouble
from tests.faults.oracle import assert_intact
from tests.faults.trouble import (
    CLOSING,
    DRIPPING,
    FLOODING,
    GARBAGE,
    HUNG_UP,
    OVERLONG,
    RESET,
    SILENT,
    Deed,
)
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

CONNECTIONS = 6
SHORT_LIFE = "[delivery]\nretry_minutes = [6.0, 9.0]\ngive_up_days = 0.02\n"

UNASKED: Deed = {"do": "raw", "bytes": "250 2.1.5 OK\r\n250 2.1.5 OK\r\n354 go on\r\n250 2.0.0 taken\r\n"}
GREYLISTED: Deed = {"do": "reply", "reply": "450 4.2.0 greylisted, try again in five minutes"}
LATER: Deed = {"do": "reply", "reply": "451 4.3.0 local trouble"}
CHANGING: Deed = {"do": "raw", "bytes": "250-well\r\n550 no\r\n"}
EARLY: Deed = {"do": "raw", "bytes": "354 go on\r\n250 2.0.0 taken already\r\n"}

OUT_OF_STEP = (UNASKED, CHANGING, EARLY, GARBAGE, OVERLONG, FLOODING, DRIPPING)

# What the server does the first time it meets a recipient. None of it may be repeated without need.
BEFORE_THE_DOT: list[tuple[str, Deed]] = [
    *(
        ("rcpt", deed)
        for deed in (
            SILENT, RESET, HUNG_UP, DRIPPING, GARBAGE, OVERLONG, FLOODING, CLOSING, UNASKED, CHANGING,
            GREYLISTED, LATER,
        )
    ),
    *(("data", deed) for deed in (SILENT, RESET, HUNG_UP, GARBAGE, CLOSING, EARLY, LATER)),
    *(("final", deed) for deed in (CLOSING, LATER)),
]  # fmt: skip
AFTER_THE_DOT: list[Deed] = [
    {**SILENT, "recorded": True},
    {**SILENT, "recorded": False},
    {**RESET, "recorded": True},
    {**RESET, "recorded": False},
    {**HUNG_UP, "recorded": True},
    {**HUNG_UP, "recorded": False},
    {**DRIPPING, "recorded": True},
    {**GARBAGE, "recorded": True},
    {**CHANGING, "recorded": True},
    {"do": "reply", "reply": "354 go on", "recorded": True},
]


def at(point: str, number: int, deed: Deed, **more: Any) -> dict[str, Any]:
    return {"at": point, "to": f"p{number}@", **deed, **more}


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)  # the database has no part in it
def test_what_goes_wrong_at_single_recipients_is_tried_again_but_for_what_is_in_doubt(
    scenario: Scenario, server: RecordingServer
) -> None:
    faults = [at(point, 10 * n, deed, times=1) for n, (point, deed) in enumerate(BEFORE_THE_DOT, 1)]
    faults += [at("final", 10 * n + 5, deed, times=1) for n, deed in enumerate(AFTER_THE_DOT, 1)]
    server.control(faults=faults)
    trouble.impatient(scenario, final=trouble.PATIENCE)
    trouble.add_service(scenario, "alpha", server.port, connections=CONNECTIONS)
    trouble.prepare(scenario, 600)
    trouble.run_to_the_end(scenario)
    doubtful = {f"p{10 * n + 5}@example.com" for n in range(1, len(AFTER_THE_DOT) + 1)}
    unknown = trouble.addresses_in(scenario, "unknown")
    assert unknown >= doubtful
    # Behind a message travels the envelope of the next one. Where a server answers that one with replies that
    # nobody can tell apart, the answer to the message before may have been one of them.
    assert len(unknown - doubtful) <= sum(deed in OUT_OF_STEP for _point, deed in BEFORE_THE_DOT)
    assert_intact(scenario, server, recipients=600, unknown=len(unknown))
    assert trouble.addresses_in(scenario, "sent") == trouble.rows(scenario).keys() - unknown
    assert trouble.service(scenario, "alpha")["health_status"] == "active"
    assert trouble.log(scenario, "unexpected_error") == []


POISON: dict[str, dict[str, Any]] = {
    "hangs up": at("rcpt", 7, HUNG_UP),
    "resets": at("data", 17, RESET),
    "says nothing": at("rcpt", 27, SILENT),
    "closes": at("rcpt", 37, CLOSING),
    "closes at the end": at("final", 47, CLOSING),
    "slow down": at("rcpt", 57, {"reply": "450 4.7.1 too many messages, slow down"}),
    "sender refused": at("rcpt", 67, {"reply": "451 4.1.8 sender address rejected"}),
}


def test_a_recipient_at_whom_the_server_goes_wrong_each_time_stops_nobody_and_ends(
    sqlite_scenario: Scenario, server: RecordingServer
) -> None:
    scenario = sqlite_scenario
    server.control(faults=list(POISON.values()))
    trouble.impatient(scenario, more=SHORT_LIFE)
    trouble.add_service(scenario, "alpha", server.port, connections=2)
    trouble.prepare(scenario, 200)
    trouble.run_to_the_end(scenario)
    poisonous = {f"{fault['to']}example.com" for fault in POISON.values()}
    assert trouble.addresses_in(scenario, "failed_to_send") == poisonous
    assert len(server.messages()) == 200 - len(poisonous)
    assert_intact(scenario, server, recipients=200)
    for address in poisonous:
        row = trouble.rows(scenario)[address]
        assert row.reason == "expired"
        assert row.error_message
    shown = trouble.service(scenario, "alpha")
    assert shown["health_status"] == "active"
    assert trouble.log(scenario, "service_frozen") == []
    # Once for each recipient that asks for a rest, not once for each time it is tried.
    asks = [name for name in POISON if name.startswith(("closes", "slow", "sender"))]
    assert 1 <= len(trouble.log(scenario, "service_cooling_down")) <= len(asks)


def test_a_server_that_hangs_up_at_everybody_costs_few_recipients_a_try_and_comes_back(
    sqlite_scenario: Scenario, server: RecordingServer
) -> None:
    scenario = sqlite_scenario
    server.control(faults=[{"at": "data", **HUNG_UP}])
    trouble.impatient(scenario, patience=trouble.UNHURRIED)
    trouble.add_service(scenario, "alpha", server.port, connections=CONNECTIONS, max_errors=3)
    trouble.prepare(scenario, 2_000)
    process = trouble.start(scenario)
    trouble.until(
        scenario, lambda: trouble.service(scenario, "alpha")["health_status"] == "frozen", "it is frozen"
    )
    trouble.until(scenario, lambda: scenario.count("sending") == 0, "what was under way has ended")
    tried = sum(row.retries > 0 for row in trouble.rows(scenario).values())
    # Each connection once, and what was in their hands and right behind; then one at a time.
    assert 3 <= tried <= 3 * CONNECTIONS + 3
    waiting = next(address for address, row in trouble.rows(scenario).items() if row.retries == 0)
    assert "(at data)" in trouble.gates(scenario, waiting)["service_frozen"]
    assert "(at data)" in trouble.log(scenario, "service_frozen")[0]

    server.control(faults=[])
    trouble.keep_going(scenario)
    trouble.stop(process)
    assert_intact(scenario, server, recipients=2_000)
    assert len(trouble.log(scenario, "service_thawed")) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # the database has no part in it
def test_a_server_that_is_lost_after_every_dot_leaves_few_in_doubt(
    scenario: Scenario, server: RecordingServer
) -> None:
    server.control(faults=[{"at": "final", **RESET, "recorded": True}])
    trouble.impatient(scenario, patience=trouble.UNHURRIED)
    trouble.add_service(scenario, "alpha", server.port, connections=CONNECTIONS, max_errors=3)
    trouble.prepare(scenario, 2_000)
    process = trouble.start(scenario)
    trouble.until(
        scenario, lambda: trouble.service(scenario, "alpha")["health_status"] == "frozen", "it is frozen"
    )
    trouble.until(scenario, lambda: scenario.count("sending") == 0, "what was under way has ended")
    # Each connection once, then one at a time; three failures in a row freeze it.
    most = 2 * CONNECTIONS  # some in the time that a busy database takes to hear of it; without: all
    assert 3 <= scenario.count("unknown") <= most
    assert_intact(scenario, server, recipients=2_000, unknown=most, waiting=True)

    server.control(faults=[])
    trouble.keep_going(scenario)
    trouble.stop(process)
    assert_intact(scenario, server, recipients=2_000, unknown=most)


def test_a_probe_that_meets_bad_recipients_is_followed_by_another_at_once(
    sqlite_scenario: Scenario, server: RecordingServer
) -> None:
    scenario = sqlite_scenario
    server.control(faults=[{"at": "connect", **HUNG_UP}])
    trouble.impatient(scenario, patience=trouble.UNHURRIED)
    trouble.add_service(scenario, "alpha", server.port, max_errors=1)
    trouble.prepare(scenario, 50)
    process = trouble.start(scenario)
    trouble.until(
        scenario, lambda: trouble.service(scenario, "alpha")["health_status"] == "frozen", "it is frozen"
    )
    server.control(faults=[{"at": "rcpt", "reply": "550 5.1.1 no such user", "times": 3}])
    trouble.until(scenario, lambda: trouble.next_event(scenario) is not None, "everything waits")
    scenario.jump(31 * 60)
    # No further leap of the clock: the fourth recipient thaws it within the same rest.
    trouble.until(scenario, lambda: trouble.ended(scenario), "everything has ended")
    trouble.stop(process)
    assert scenario.statuses() == {"failed_to_send": 3, "sent": 47}
    assert_intact(scenario, server, recipients=50)


def test_a_server_that_refuses_for_a_while_is_asked_again_later(
    sqlite_scenario: Scenario, server: RecordingServer
) -> None:
    """4xx for everybody, some minutes long; and one that greylists every recipient it has not seen."""
    scenario = sqlite_scenario
    greylist = [{"at": "rcpt", "to": f"p{n}@", **GREYLISTED, "times": 1} for n in range(100, 200)]
    server.control(faults=[{"at": "rcpt", "to": f"p{n}@", **LATER} for n in range(100)] + greylist)
    trouble.impatient(scenario, patience=trouble.UNHURRIED)
    trouble.add_service(scenario, "alpha", server.port)
    trouble.add_service(scenario, "beta", server.port)
    trouble.prepare(scenario, 300)
    process = trouble.start(scenario)
    trouble.until(scenario, lambda: trouble.next_event(scenario) is not None, "everything waits")
    server.control(faults=[])
    assert len(server.messages()) == 100
    assert trouble.gates(scenario, "p5@example.com").keys() == {"not_due"}
    trouble.keep_going(scenario)
    trouble.stop(process)
    assert_intact(scenario, server, recipients=300)
    # A greylist knows recipient and sender together: the second try is the first one's service's.
    tries = services_that_tried(scenario)
    assert {len(tries[f"p{n}@example.com"]) for n in range(100, 200)} == {1}
    assert set.union(*tries.values()) == {"alpha", "beta"}


def services_that_tried(scenario: Scenario) -> dict[str, set[str]]:
    """Address -> names of the services that the event log has a try of."""
    statement = (
        sa.select(contacts.c.email_key, sender_services.c.name)
        .select_from(
            event_log.join(contacts, contacts.c.id == event_log.c.contact_id).join(
                sender_services, sender_services.c.id == event_log.c.sender_service_id
            )
        )
        .where(event_log.c.type == "send_api_try")
    )
    found: dict[str, set[str]] = {}
    with scenario.project.database.read() as connection:
        for address, name in connection.execute(statement):
            found.setdefault(address, set()).add(name)
    return found
