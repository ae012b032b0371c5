"""A world to apply files in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coldsend.blueprint.applying import World
from coldsend.database.engine import Database
from tests.blueprint.files import world_on


@pytest.fixture
def world(database: Database) -> World:
    """On SQLite and on MariaDB, as admin."""
    return world_on(database)


@pytest.fixture
def sqlite_world(sqlite_url: str) -> Iterator[World]:
    """For what has nothing to do with the database."""
    database = Database(sqlite_url)
    yield world_on(database)
    database.dispose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a file lies that names others."""
    return tmp_path
