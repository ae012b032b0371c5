"""An experiment from the first message to the last, by the SMTP server's own record.

Two templates, a quota that holds most recipients back, replies to one of them: when these have had their
time, whoever still waits gets that one, and nobody gets anything twice.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from coldsend import clock
from coldsend.config.loading import load
from coldsend.config.secrets import load_key_ring
from coldsend.database.tables import task_contacts
from coldsend.domain.feedback import Feedback, Kind
from coldsend.feedback.applier import applier_of
from coldsend.feedback.apply import apply
from coldsend.planning import experiments
from tests.acceptance.scenario import TASK, Scenario, assert_nobody_twice
from tests.conftest import Project
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

DAY = 86_400


def answers_to(project: Project, template: str) -> int:
    """Everybody who was sent the template answers an hour later; returns how many."""
    settings = load(str(project.config), environ={})
    rows = task_contacts.c
    with project.database.read() as connection:
        applier = applier_of(connection, settings, load_key_ring(settings))
        wanted = int(project.json("template", "show", template)["id"])
        sent = sa.select(rows.id).where(rows.selected_template_id == wanted, rows.sent_at.is_not(None))
        row_ids = list(connection.execute(sent).scalars())
    now = clock.now() + timedelta(hours=1)
    replies = [
        Feedback(Kind.REPLY, now, "inbox:test", key=f"reply {row_id}", row_id=row_id) for row_id in row_ids
    ]
    project.database.run(lambda connection: apply(connection, replies, now, applier))
    return len(row_ids)


def test_what_is_answered_is_what_the_rest_gets(sqlite_project: Project, tmp_path: Path) -> None:
    scenario = Scenario(sqlite_project)
    folder = tmp_path / "mail"
    folder.mkdir()

    def sent() -> list[str]:
        """Which template each message has, in the order they came."""
        return [
            next(name for name in ("t1", "t2") if f"this is {name}." in file.read_text(errors="replace"))
            for file in sorted(folder.glob("*.eml"))
        ]

    with RecordingServer(store=folder) as server:
        try:
            scenario.service("main", server, quota=40)
            scenario.templates(2)
            scenario.contacts(70)
            scenario.campaign("--experiment", "replies", "--min-sample", "20", "--wait-hours", "72")
            scenario.run_until_idle()
            assert Counter(sent()) == {"t1": 20, "t2": 20}
            assert answers_to(sqlite_project, "t2") == 20
            scenario.jump(4 * DAY)
            experiments.keep_up(sqlite_project.database, clock.now() + timedelta(days=4))
            found = sqlite_project.json("experiment", "show", TASK)
            assert (found["status"], found["winner"], found["decided_by"]) == ("decided", "t2", "test")
            scenario.run_until_idle()
            assert sent()[40:] == ["t2"] * 30
            assert_nobody_twice(server.messages())
        finally:
            scenario.close()
