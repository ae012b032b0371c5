"""Ten seconds after SIGTERM a process is gone, whatever hangs; and what it held is settled by the next."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests.acceptance.scenario import Scenario
from tests.conftest import Project
from tests.servers.proxy import Proxy
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]


@pytest.fixture
def proxy(mariadb_url: str) -> Iterator[Proxy]:
    port = make_url(mariadb_url).port
    assert port is not None
    with Proxy(port) as running:
        yield running


@pytest.fixture
def scenario(mariadb_url: str, proxy: Proxy, tmp_path: Path) -> Iterator[Scenario]:
    """An installation whose processes reach their MariaDB through the proxy, and we do not."""
    project = Project(tmp_path, mariadb_url)
    made = Scenario(project)
    url = make_url(mariadb_url).set(port=proxy.port).render_as_string(hide_password=False)
    made.environ["COLDSEND_DATABASE_URL"] = url
    yield made
    proxy.go_on()
    made.close()
    project.database.dispose()


def campaign(scenario: Scenario, server: RecordingServer, count: int = 60) -> None:
    scenario.service("alpha", server)
    scenario.templates(1)
    scenario.contacts(count)
    scenario.campaign()


def test_a_database_that_hangs_holds_nobody_up(
    scenario: Scenario, proxy: Proxy, smtp_server: RecordingServer
) -> None:
    smtp_server.control(latency={"final": 0.1})
    campaign(scenario, smtp_server)
    scenario.environ["COLDSEND_DELIVERY_LEASE_SECONDS"] = "600"  # an answer is waited for a third of it
    scheduler = scenario.command("scheduler", "run")
    worker = scenario.command("worker", "run")
    smtp_server.wait_for(10)
    proxy.hang()
    for process in (scheduler, worker):
        process.send_signal(signal.SIGTERM)
    assert scheduler.wait(60) in (0, 5), "minutes, without a limit of its own"
    assert worker.wait(60) in (0, 5)
    proxy.go_on()
    scenario.run_until_idle()
    messages = smtp_server.messages()
    assert sum(scenario.statuses().values()) == 60
    assert set(scenario.statuses()) <= {"sent", "unknown"}
    assert len({message.rcpt_to for message in messages}) == len(messages), "nobody twice"


def test_a_mail_server_that_hangs_holds_nobody_up(scenario: Scenario, smtp_server: RecordingServer) -> None:
    smtp_server.control(
        faults=[
            {"at": "final", "do": "hang", "recorded": True, "times": 2},
            {"at": "rcpt", "do": "hang", "times": 1},
        ]
    )
    campaign(scenario, smtp_server)
    scheduler = scenario.command("scheduler", "run")
    smtp_server.wait_for(50)
    scheduler.send_signal(signal.SIGTERM)
    assert scheduler.wait(60) == 0, "ten minutes, without a limit of its own"
    statuses = scenario.statuses()
    assert scenario.count("sending") == 0
    assert statuses.get("unknown", 0) <= 2
    assert statuses["sent"] + statuses.get("unknown", 0) == len(smtp_server.messages())
