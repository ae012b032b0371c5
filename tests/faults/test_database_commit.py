"""The connection to MariaDB is cut at a chosen statement: what was committed may not be known to anybody.

These run on the test run's own server, through a proxy that reads the protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests.acceptance.scenario import Scenario
from tests.conftest import Project
from tests.faults.sending import Sending
from tests.faults.statement_proxy import Cut, StatementProxy
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

RECIPIENTS = 1_500
CUTS = 12
COMMIT = r"\s*COMMIT"
TURN = r"\s*UPDATE (task_contacts SET status='sending'|\(.* task_contacts t\b)"  # an intent, or outcomes


@pytest.fixture
def proxy(mariadb_url: str) -> Iterator[StatementProxy]:
    port = make_url(mariadb_url).port
    assert port is not None
    with StatementProxy(port) as running:
        yield running


@pytest.fixture
def installation(mariadb_url: str, proxy: StatementProxy, tmp_path: Path) -> Iterator[Scenario]:
    """An installation whose processes reach MariaDB through the proxy, and whose test does not."""
    project = Project(tmp_path, mariadb_url)
    made = Scenario(project)
    through = make_url(mariadb_url).set(port=proxy.port)
    made.environ["COLDSEND_DATABASE_URL"] = through.render_as_string(hide_password=False)
    yield made
    made.close()
    project.database.dispose()


def send_through(installation: Scenario, proxy: StatementProxy, server: RecordingServer, cut: Cut) -> Sending:
    """Send everything, with the cuts in the middle of it; nobody ended, nothing is in doubt."""
    sending = Sending(installation, server, RECIPIENTS)
    sending.wait_for(100)
    proxy.cut(cut)
    sending.until_ended()
    sending.assert_intact()
    assert proxy.cuts >= min(3, cut.times)
    return sending


@pytest.mark.parametrize("executed", [False, True], ids=["never executed", "executed, answer lost"])
def test_cut_at_commit(
    installation: Scenario, proxy: StatementProxy, server: RecordingServer, executed: bool
) -> None:
    send_through(installation, proxy, server, Cut(COMMIT, TURN, executed=executed, times=CUTS, every=2))


def test_cut_at_an_update(installation: Scenario, proxy: StatementProxy, server: RecordingServer) -> None:
    """At outcomes and at intents, as it falls; the server has done it, and undoes it."""
    send_through(installation, proxy, server, Cut(TURN, executed=True, times=CUTS, every=3))


@pytest.mark.soak
def test_every_commit_is_cut_for_a_while(
    installation: Scenario, proxy: StatementProxy, server: RecordingServer
) -> None:
    """No turn comes through: that is an outage, and is called one."""
    sending = send_through(installation, proxy, server, Cut(COMMIT, executed=True, times=30))
    assert sending.events("database_away")
    assert sending.events("database_back")
