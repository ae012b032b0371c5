from __future__ import annotations

import pytest

from coldsend.database.engine import Database
from tests.feedback.happenings import Sent


@pytest.fixture
def world(database: Database) -> Sent:
    return Sent(database)
