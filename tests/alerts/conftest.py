"""Fixtures of the tests of alerts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coldsend.database.engine import Database
from tests.planning.world import World
from tests.servers.http import Receiver


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


@pytest.fixture
def quick_world(sqlite_url: str) -> Iterator[World]:
    """On SQLite only, for what has nothing to do with the database."""
    database = Database(sqlite_url)
    yield World(database)
    database.dispose()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running
