"""The network on the way: nobody listens, nobody answers, the other side is gone, no name is found."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.scenario import Scenario
from tests.faults import trouble
from tests.faults.oracle import assert_intact
from tests.faults.trouble import SILENT
from tests.servers.ports import free_port
from tests.servers.proxy import Proxy
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

CONNECTIONS = 4
ROOT = Path(__file__).parents[2]


def test_a_listener_that_goes_away_in_mid_run_and_comes_back(
    sqlite_scenario: Scenario, server: RecordingServer
) -> None:
    scenario = sqlite_scenario
    server.control(latency={"final": 0.02})
    trouble.impatient(scenario, patience=trouble.UNHURRIED)
    trouble.add_service(scenario, "alpha", server.port, connections=CONNECTIONS)
    trouble.prepare(scenario, 1_000)
    process = trouble.start(scenario)
    for outage in range(1, 3):
        server.wait_for(200 * outage)
        server.stop()
        trouble.until(scenario, lambda: trouble.next_event(scenario) is not None, "everything waits")
        waiting = next(iter(trouble.addresses_in(scenario, "pending")))
        assert "service_cooling_down" in trouble.gates(scenario, waiting)
        server.start()
        # The rest of the service, and the retries of those whose connection broke under them.
        scenario.jump(6 * 60)
    trouble.keep_going(scenario)
    trouble.stop(process)
    assert_intact(scenario, server, recipients=1_000, unknown=2 * CONNECTIONS)
    assert trouble.service(scenario, "alpha")["health_status"] == "active"


def test_connections_whose_other_end_is_gone_without_a_word(
    sqlite_scenario: Scenario, server: RecordingServer
) -> None:
    """Half-open: packets go nowhere, no reset comes; new connections work."""
    scenario = sqlite_scenario
    server.control(latency={"final": 0.01})
    trouble.impatient(scenario, final=trouble.PATIENCE)
    with Proxy(server.port) as proxy:
        trouble.add_service(scenario, "alpha", proxy.port, connections=CONNECTIONS)
        trouble.prepare(scenario, 800)
        process = trouble.start(scenario)
        for times in range(1, 3):
            server.wait_for(150 * times)
            proxy.strand()
        trouble.keep_going(scenario)
        trouble.stop(process)
    assert_intact(scenario, server, recipients=800, unknown=2 * CONNECTIONS)
    assert trouble.service(scenario, "alpha")["health_status"] == "active"


def test_idle_connections_that_the_server_closes_cost_nobody_anything(
    sqlite_scenario: Scenario, server: RecordingServer
) -> None:
    """A 421 that nobody asked for, on each connection, a moment after each message; throttled, so idle."""
    scenario = sqlite_scenario
    late = {"do": "late", "seconds": 0.02, "bytes": "421 4.4.2 idle for too long\r\n"}
    server.control(faults=[{"at": "final", "recorded": True, **late}])
    trouble.impatient(scenario, patience=trouble.UNHURRIED)
    trouble.add_service(scenario, "alpha", server.port, throttle_sec=0.1)
    trouble.prepare(scenario, 20)
    process = trouble.start(scenario)
    trouble.until(scenario, lambda: trouble.ended(scenario), "everything has ended")
    trouble.stop(process)
    assert_intact(scenario, server, recipients=20)
    assert server.control()["connections"] >= 20
    assert trouble.log(scenario, "service_cooling_down") == []


def test_servers_that_are_not_there_at_all_harm_no_other(
    sqlite_scenario: Scenario, server: RecordingServer
) -> None:
    """Refused; a listener whose queue is full, so that the network is silent; a greeting that never comes."""
    scenario = sqlite_scenario
    trouble.impatient(scenario)
    with socket.socket() as deaf, RecordingServer(faults=[{"at": "connect", **SILENT}]) as mute:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        filling = [socket.socket() for _ in range(8)]
        for one in filling:
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
        trouble.add_service(scenario, "nobody", free_port())
        trouble.add_service(scenario, "deaf", deaf.getsockname()[1])
        trouble.add_service(scenario, "mute", mute.port)
        trouble.add_service(scenario, "healthy", server.port)
        trouble.prepare(scenario, 200)
        process = trouble.start(scenario)
        trouble.until(scenario, lambda: trouble.ended(scenario), "everything has ended")
        names = ("nobody", "deaf", "mute")
        trouble.until(
            scenario, lambda: all(trouble.troubled(scenario, name) for name in names), "they have failed"
        )
        trouble.stop(process)
        for one in filling:
            one.close()
    assert len(server.messages()) == 200
    assert_intact(scenario, server, recipients=200)
    said = "\n".join(trouble.log(scenario, "service_cooling_down"))
    assert "connection refused" in said
    assert "no answer in time" in said
    assert "did not answer in time" in said


def test_a_name_that_is_not_found_and_then_is(sqlite_scenario: Scenario, server: RecordingServer) -> None:
    """Resolvers that say no, are in trouble, or say nothing: the others send, and all come back.

    The sender process runs with ``resolver.py`` where the system's resolver is asked.
    """
    scenario = sqlite_scenario
    trouble.impatient(scenario)
    names = scenario.project.write("names", "absent.test no\ntroubled.test trouble\nsilent.test silence\n")
    quotas = {"absent": 40, "troubled": 40, "silent": 40}
    for name, quota in quotas.items():
        trouble.add_service(
            scenario, name, server.port, host=f"{name}.test", daily_quota=quota, connections=20
        )
    trouble.add_service(scenario, "healthy", server.port, host="healthy.test", daily_quota=100)
    trouble.prepare(scenario, 220)
    planner = trouble.start(scenario, "--workers", "0")
    sender = start_sender(scenario, names)
    server.wait_for(100)
    trouble.until(
        scenario, lambda: all(trouble.troubled(scenario, name) for name in quotas), "all have failed"
    )
    said = "\n".join(trouble.log(scenario, "service_cooling_down"))
    for words in ("Name or service not known", "Temporary failure", "could not be resolved in time"):
        assert words in said
    names.write_text("")
    trouble.keep_going(scenario)
    trouble.stop(sender)
    trouble.stop(planner)
    assert_intact(scenario, server, recipients=220, quota=100)
    assert "stopped_hard" not in scenario.logs.read_text()


def test_a_process_ends_in_time_while_its_resolver_is_silent(sqlite_scenario: Scenario) -> None:
    scenario = sqlite_scenario
    names = scenario.project.write("names", "silent.test silence\n")
    trouble.add_service(scenario, "silent", 25, host="silent.test")
    trouble.prepare(scenario, 10)
    planner = trouble.start(scenario, "--workers", "0")
    sender = start_sender(scenario, names)
    trouble.until(scenario, lambda: Path(f"{names}.asked").exists(), "the name is looked up")
    trouble.stop(sender)
    trouble.stop(planner)
    assert scenario.statuses() == {"pending": 10}
    assert "stopped_hard" not in scenario.logs.read_text()


def start_sender(scenario: Scenario, names: Path) -> subprocess.Popen[str]:
    """A sender process that asks the resolver of ``resolver.py``."""
    with scenario.logs.open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.resolver", "worker", "run"],
            cwd=scenario.project.folder,
            env={**os.environ, **scenario.environ, "NAMES": str(names), "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=log,
            text=True,
        )
    scenario.processes.append(process)
    return process
