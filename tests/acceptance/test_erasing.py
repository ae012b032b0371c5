"""A person is erased after a campaign: nothing of the address is left in the database or sent again."""

from __future__ import annotations

import pytest

from tests.acceptance.scenario import Scenario
from tests.audience.people import dump
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

REFUSED, REACHED = "p1@example.com", "p2@example.com"


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)
def test_whoever_was_erased_is_nowhere_and_gets_nothing_again(
    scenario: Scenario, server: RecordingServer
) -> None:
    words = f"550 5.1.1 <{REFUSED}>: person 1 does not work here, ask {REACHED}"
    server.control(faults=[{"at": "rcpt", "to": REFUSED, "times": 9, "do": "reply", "reply": words}])
    scenario.service("alpha", server)
    scenario.templates(1)
    scenario.contacts(5)
    scenario.campaign()
    scenario.run_until_idle()
    project = scenario.project
    before = project.json("report", "campaign", "spring")
    assert before["by_status"] == {"failed_to_send": 1, "sent": 4}
    left = dump(project.database)
    for trace in (REFUSED, REACHED, "person 1", "person 2"):
        assert trace in left

    for email in (REFUSED, REACHED):
        project.run("contact", "erase", email, "--yes")
    left = dump(project.database)
    for trace in (REFUSED, REACHED, "person 1", "person 2"):
        assert trace not in left
    assert "p3@example.com" in left
    after = project.json("report", "campaign", "spring")
    assert {key: after[key] for key in ("recipients", "by_status", "by_template", "by_service")} == {
        key: before[key] for key in ("recipients", "by_status", "by_template", "by_service")
    }

    file = project.write("again.csv", f"email\n{REFUSED}\n{REACHED}\nnew@example.com\n")
    assert project.json("contact", "import", str(file), "--tag", "lead")["imported"] == 3
    project.run("campaign", "create", "autumn")
    project.run("task", "create", "autumn", "intro", "--template-set", "rotation", "--rule", "tag:lead")
    project.run("campaign", "start", "autumn")
    server.control(faults=[])
    seen = len(server.messages())
    scenario.run_until_idle()
    got = sorted(message.rcpt_to[0] for message in server.messages()[seen:])
    assert got == ["new@example.com", "p0@example.com", "p3@example.com", "p4@example.com"]
    assert project.json("why", "autumn/intro", REACHED)["state"] == "skipped"
