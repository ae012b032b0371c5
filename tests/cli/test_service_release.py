"""`coldsend service release`: what it asks, tells and refuses, and who names it as the way out."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from coldsend.database.tables import audit_log, contacts, sender_services, task_contacts
from tests.conftest import Project
from tests.planning.world import World


class Office(World):
    """A running campaign; one follow-up waits for ``old``, which is frozen."""

    def __init__(self, project: Project) -> None:
        super().__init__(project.database)
        self.project = project
        self.old = self.service("old", health_status="frozen", frozen_code="manual", frozen_reason="gone")
        campaign = self.campaign(status="active")
        first = self.task(campaign, "intro", "sending")
        self.second = self.task(campaign, "second", "sending", follows_task_id=first)
        [self.row_id] = self.rows(self.second, "pending", sender_service_id=self.old)

    @property
    def email(self) -> str:
        return str(self.row(contacts, self.row(task_contacts, self.row_id)["contact_id"])["email"])

    def keeps(self) -> int | None:
        found: int | None = self.row(task_contacts, self.row_id)["sender_service_id"]
        return found


@pytest.fixture
def office(project: Project) -> Office:
    return Office(project)


@pytest.fixture
def small(sqlite_project: Project) -> Office:
    return Office(sqlite_project)


def test_it_frees_who_waits_and_is_audited(office: Office) -> None:
    office.service("new")
    made = office.project.json("service", "release", "old", "--yes")
    task = {"task": "spring/second", "recipients": 1, "services": ["new"]}
    assert made == {"service": "old", "released": 1, "tasks": [task], "left": []}
    assert office.keeps() is None
    with office.database.read() as connection:
        audited = connection.execute(sa.select(audit_log).order_by(audit_log.c.id.desc())).mappings().first()
    assert audited is not None
    assert (audited["command"], audited["exit_code"]) == ("service release", 0)


def test_it_asks_first_and_says_how_many_and_where_they_would_go(small: Office) -> None:
    small.service("new")
    asked = small.project.run("service", "release", "old", stdin="n\n", check=False)
    assert "1 recipient wait" in asked.err
    assert "spring/second: 1, through 'new'" in asked.err
    assert small.keeps() == small.old


def test_it_is_refused_where_nothing_waits(small: Office) -> None:
    small.service("new")
    refused = small.project.run("service", "release", "new", "--yes", "--json", check=False)
    assert (refused.code, refused.error["message"]) == (4, "nobody waits for service 'new'")


@pytest.mark.costly
def test_why_and_reports_name_it_as_the_way_out(small: Office) -> None:
    small.service("new")
    way_out = "coldsend service release old"
    gates = small.project.json("why", "spring/second", small.email)["blocked_by"]
    assert any(gate["gate"] == "keeps_service" and way_out in gate["detail"] for gate in gates)
    report = small.project.run("report", "task", "spring/second").out
    assert way_out in " ".join(report.split())
    small.change(sender_services, small.old, health_status="active")
    gates = small.project.json("why", "spring/second", small.email)["blocked_by"]
    assert not any(way_out in gate["detail"] for gate in gates), "it sends"
