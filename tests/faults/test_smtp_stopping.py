"""SIGTERM while servers hang at every point of the dialogue: an end in time, doubt only behind the dot."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import pytest

from tests.acceptance.scenario import Scenario
from tests.faults import trouble
from tests.faults.oracle import assert_intact
from tests.faults.test_smtp_phases import POINTS, add_services, servers_that_fail
from tests.faults.trouble import SILENT
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

RECIPIENTS = 400


def test_a_process_that_is_told_to_stop_ends_in_time_wherever_its_servers_hang(
    sqlite_scenario: Scenario, server: RecordingServer, tmp_path: Path
) -> None:
    """Default timeouts: nobody gives up by himself within the ten seconds."""
    scenario = sqlite_scenario
    config = scenario.project.config
    config.write_text(config.read_text() + f'[smtp]\nca_file = "{tmp_path / "ca.pem"}"\n')
    server.control(latency={"final": 0.1})
    with contextlib.ExitStack() as stack:
        hanging = stack.enter_context(servers_that_fail(dict.fromkeys(POINTS, SILENT), tmp_path))
        last = stack.enter_context(RecordingServer(faults=[{"at": "final", **SILENT, "recorded": True}]))
        add_services(scenario, hanging, 1_000)
        trouble.add_service(scenario, "final", last.port)
        trouble.add_service(scenario, "healthy", server.port)
        trouble.prepare(scenario, RECIPIENTS)
        process = trouble.start(scenario)
        last.wait_for(4)
        server.wait_for(20)
        trouble.until(
            scenario, lambda: all(one.control()["open"] >= 1 for one in hanging.values()), "all hang"
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, "one of the servers would be waited for for minutes"
        assert len(last.messages()) == 4, "one for each connection"
        assert trouble.addresses_in(scenario, "unknown") == {m.rcpt_to[0] for m in last.messages()}
        assert_intact(scenario, server, last, recipients=RECIPIENTS, unknown=4, waiting=True)
        assert "stopped_hard" not in scenario.logs.read_text()
        assert scenario.project.json("worker", "list") == []

        for one in (*hanging.values(), last):
            one.control(faults=[])
        trouble.run_to_the_end(scenario)
        assert_intact(scenario, server, last, *hanging.values(), recipients=RECIPIENTS, unknown=4)
