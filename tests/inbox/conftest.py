from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import Project
from tests.inbox.post import Post
from tests.servers.dovecot import Dovecot


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Dovecot]:
    """A real IMAP server for all tests of a run; each has a mailbox of its own there."""
    with Dovecot() as server:
        yield server


@pytest.fixture
def post(project: Project, dovecot: Dovecot) -> Post:
    """A campaign that was sent, on both databases, and an empty mailbox."""
    return Post(project, dovecot)


@pytest.fixture
def sqlite_post(sqlite_project: Project, dovecot: Dovecot) -> Post:
    """For what has nothing to do with the database."""
    return Post(sqlite_project, dovecot)
