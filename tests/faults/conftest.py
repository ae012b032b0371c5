"""Fixtures of the fault suite: an installation, the SMTP server it sends to, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.scenario import Scenario
from tests.conftest import Project
from tests.servers.smtp import RecordingServer


@pytest.fixture
def scenario(project: Project) -> Iterator[Scenario]:
    """An installation; the test runs once on SQLite and once on MariaDB. Its processes end with the test."""
    made = Scenario(project)
    yield made
    made.close()


@pytest.fixture
def sqlite_scenario(sqlite_project: Project) -> Iterator[Scenario]:
    """An installation on SQLite, for faults that have nothing to do with the database."""
    made = Scenario(sqlite_project)
    yield made
    made.close()


@pytest.fixture
def server() -> Iterator[RecordingServer]:
    """The SMTP server; its record is the oracle."""
    with RecordingServer() as running:
        yield running
