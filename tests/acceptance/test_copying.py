"""A campaign that is half sent on SQLite is copied to MariaDB and finished there."""

from __future__ import annotations

import pytest

from tests.acceptance.scenario import TASK, Scenario, assert_nobody_twice
from tests.conftest import Project
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]


def test_a_campaign_goes_on_where_it_stopped_on_another_database(
    sqlite_project: Project, empty_mariadb_url: str, server: RecordingServer
) -> None:
    scenario = Scenario(sqlite_project)
    try:
        scenario.service("alpha", server, quota=40)
        scenario.templates(2)
        scenario.contacts(60)
        scenario.campaign()
        scenario.run_until_idle()
        assert len(server.messages()) == 40

        sqlite_project.run("db", "copy", "--to", empty_mariadb_url)
        text = sqlite_project.config.read_text()
        sqlite_project.config.write_text(text.replace(sqlite_project.url, empty_mariadb_url))
        sqlite_project.run("service", "update", "alpha", "--daily-quota", "1000")
        scenario.run_until_idle()

        assert len(server.messages()) == 60
        assert_nobody_twice(server.messages())
        assert sqlite_project.json("quota", "show")[0]["used"] == 60  # 40 of them before the move
        assert sqlite_project.json("task", "show", TASK)["status"] == "finished"
    finally:
        scenario.close()
