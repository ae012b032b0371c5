"""Servers that fail at one point of the dialogue, whoever the recipient is: a service each, all at once.

Before the final dot nothing is in doubt; a service in trouble harms no other, and comes back by itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

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
from tests.servers.certificates import Authority
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

POINTS = ("connect", "ehlo", "starttls", "auth", "mail", "rcpt", "data")
DEEDS: dict[str, Mapping[str, Deed]] = {
    "silent": dict.fromkeys(POINTS, SILENT),
    "closing": dict.fromkeys(POINTS, CLOSING),
    "nonsense": dict(
        zip(POINTS, (FLOODING, OVERLONG, HUNG_UP, GARBAGE, DRIPPING, RESET, OVERLONG), strict=True)
    ),
}
HEALTHY_QUOTA = 160
BROKEN_QUOTA = 25
# More than the healthy service and all others but one can carry: each must come back.
RECIPIENTS = HEALTHY_QUOTA + (len(POINTS) - 1) * BROKEN_QUOTA + 5


@contextlib.contextmanager
def servers_that_fail(deeds: Mapping[str, Deed], folder: Path) -> Iterator[dict[str, RecordingServer]]:
    """One server for each point, which does the deed there every time."""
    authority = Authority(folder)
    special: dict[str, dict[str, Any]] = {
        "starttls": {"tls": "starttls", "certificate": authority.issue("127.0.0.1")},
        "auth": {"users": {"u": "secret-one"}},
    }
    with contextlib.ExitStack() as stack:
        servers = {point: stack.enter_context(RecordingServer(**special.get(point, {}))) for point in deeds}
        for point, deed in deeds.items():
            servers[point].control(faults=[{"at": point, **deed}])
        yield servers


def add_services(scenario: Scenario, servers: Mapping[str, RecordingServer], quota: int) -> None:
    for point, server in servers.items():
        trouble.add_service(
            scenario,
            point,
            server.port,
            daily_quota=quota,
            tls="starttls" if point == "starttls" else "none",
            password="secret-one" if point == "auth" else None,
        )


@pytest.mark.parametrize("deeds", DEEDS)
def test_a_server_that_fails_at_one_point_harms_nobody_and_its_service_comes_back(
    deeds: str, sqlite_scenario: Scenario, server: RecordingServer, tmp_path: Path
) -> None:
    scenario = sqlite_scenario
    trouble.impatient(scenario, f'ca_file = "{tmp_path / "ca.pem"}"\n')
    with servers_that_fail(DEEDS[deeds], tmp_path) as broken:
        add_services(scenario, broken, BROKEN_QUOTA)
        trouble.add_service(scenario, "healthy", server.port, daily_quota=HEALTHY_QUOTA)
        trouble.prepare(scenario, RECIPIENTS)
        process = trouble.start(scenario)
        server.wait_for(HEALTHY_QUOTA)
        trouble.until(
            scenario, lambda: all(trouble.troubled(scenario, name) for name in broken), "all have failed"
        )
        assert all(one.messages() == [] for one in broken.values())
        assert trouble.addresses_in(scenario, "unknown") == set()

        for one in broken.values():
            one.control(faults=[])
        trouble.keep_going(scenario)
        trouble.stop(process)
        assert_intact(scenario, server, *broken.values(), recipients=RECIPIENTS, quota=HEALTHY_QUOTA)
        assert {name for name, one in broken.items() if not one.messages()} == set(), "each has come back"
    assert "secret-one" not in scenario.logs.read_text()
    assert trouble.log(scenario, "unexpected_error") == []
    for name in broken:
        shown = trouble.service(scenario, name)
        assert (shown["health_status"], shown["consecutive_errors"]) == ("active", 0)
