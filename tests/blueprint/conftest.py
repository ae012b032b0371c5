"""A world to apply files in."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from coldsend.blueprint.applying import World
from coldsend.database.engine import Database
from tests.blueprint.files import WHOLE, apply, world_on


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


@pytest.fixture(scope="session")
def _whole_file(_sqlite_migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("whole") / "whole.db"
    shutil.copy(_sqlite_migrated, file)
    database = Database(f"sqlite:///{file}")
    apply(world_on(database), WHOLE)
    database.dispose()  # the last connection takes the log beside the file into it
    return file


@pytest.fixture
def whole(_whole_file: Path, tmp_path: Path) -> Iterator[World]:
    """On SQLite, and WHOLE is applied already."""
    shutil.copy(_whole_file, tmp_path / "whole.db")
    database = Database(f"sqlite:///{tmp_path / 'whole.db'}")
    yield world_on(database)
    database.dispose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a file lies that names others."""
    return tmp_path
