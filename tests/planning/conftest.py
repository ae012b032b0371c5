from __future__ import annotations

import pytest

from coldsend.database.engine import Database
from tests.planning.world import World


@pytest.fixture
def world(database: Database) -> World:
    return World(database)
