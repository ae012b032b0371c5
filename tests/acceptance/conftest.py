"""Fixtures of the acceptance tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.acceptance.scenario import Scenario
from tests.conftest import Project
from tests.servers.smtp import RecordingServer


@pytest.fixture
def scenario(project: Project) -> Iterator[Scenario]:
    made = Scenario(project)
    yield made
    made.close()


@pytest.fixture
def server() -> Iterator[RecordingServer]:
    with RecordingServer() as running:
        yield running
