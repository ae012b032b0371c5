"""MariaDB in trouble while real processes send: nobody twice, nobody lost, and it goes on by itself."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from coldsend.database import migrate
from coldsend.database.engine import Database
from tests.acceptance.scenario import Scenario
from tests.conftest import Project
from tests.faults.sending import Sending
from tests.servers.mariadb import MariaDB
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

RECIPIENTS = 2_000
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDB]:
    """A server of our own, durable, that tests may kill."""
    made = MariaDB(durable=True)
    yield made
    made.remove()


@pytest.fixture
def installation(mariadb: MariaDB, tmp_path: Path) -> Iterator[Scenario]:
    """An installation on that server whose user has the rights that docs/schema.md gives, and no more."""
    name = f"faults_{next(_numbers)}"
    mariadb.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
    mariadb.execute("CREATE OR REPLACE USER plain@'127.0.0.1' IDENTIFIED BY 'first'")
    mariadb.execute(f"GRANT ALL PRIVILEGES ON {name}.* TO plain@'127.0.0.1'")
    url = f"mysql://plain:first@127.0.0.1:{mariadb.port}/{name}"
    database = Database(url)
    migrate.upgrade(database)
    database.dispose()
    project = Project(tmp_path, url)
    made = Scenario(project)
    yield made
    made.close()
    project.database.dispose()
    mariadb.execute(f"DROP DATABASE {name}")


def test_a_clean_restart(installation: Scenario, mariadb: MariaDB, server: RecordingServer) -> None:
    sending = Sending(installation, server, RECIPIENTS)
    sending.wait_for(300)
    mariadb.stop()
    sending.until_logged("database_away", 2)
    mariadb.start()
    sending.until_ended()
    sending.assert_intact(foreseen=["database_back"])


def test_kill_9_three_times_in_a_row(
    installation: Scenario, mariadb: MariaDB, server: RecordingServer
) -> None:
    sending = Sending(installation, server, RECIPIENTS)
    for kill in range(3):
        sending.more(200)
        mariadb.stop(kill=True)
        sending.until_logged("database_away", 2 * (kill + 1))
        mariadb.start()
    sending.until_ended()
    sending.assert_intact(foreseen=["database_back"])
