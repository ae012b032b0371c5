"""coldsend report."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from coldsend import clock
from coldsend.analytics.reports import sections
from coldsend.cli import report_view
from coldsend.cli.output import Output
from coldsend.database.tables import sender_quota, tasks
from tests.analytics.test_page import document
from tests.conftest import Project
from tests.planning.world import NOW, World


@pytest.fixture
def world(project: Project) -> World:
    """Campaign spring, task intro: three templates over ten rows, two services, one without quota left."""
    made = World(project.database)
    set_id, templates = made.template_set("a", "b", "c", name="ts")
    services = [made.service("main", daily_quota=4), made.service("second")]
    made.campaign("spring", "active")
    task = made.task(1, "intro", "sending", template_set_id=set_id, expanded_at=NOW, actual_start_time=NOW)
    for n in range(10):
        status = "sent" if n < 6 else "pending" if n < 9 else "skipped"
        sent = {"sender_service_id": services[n // 4], "sent_at": NOW} if n < 6 else {}
        reason = {"reason": "suppressed"} if n == 9 else {}
        due = {"scheduled_send_at": clock.now(), "selected_template_id": templates[n % 3]}
        made.rows(task, status, **due, **sent, **reason)
    with made.database.begin() as connection:
        today = {"sender_service_id": services[0], "quota_day": clock.now().date(), "used": 4}
        connection.execute(sa.insert(sender_quota).values(today))
    return made


@pytest.mark.costly
def test_a_campaign_report_has_the_shape_that_scripts_rely_on(project: Project, world: World) -> None:
    report = project.json("report", "campaign", "spring")
    assert {key: report[key] for key in ("campaign", "status", "recipients", "by_status")} == {
        "campaign": "spring",
        "status": "active",
        "recipients": 10,
        "by_status": {"pending": 3, "sent": 6, "skipped": 1},
    }
    assert report["by_template"] == {"template1.1": 4, "template1.2": 3, "template1.3": 3}
    assert report["by_service"] == {"main": 4, "second": 2}
    [task] = report["tasks"]
    assert (task["name"], task["recipients"], task["by_status"]) == ("intro", 10, report["by_status"])


def test_a_task_report_names_the_used_up_quota_and_the_missing_sender(project: Project, world: World) -> None:
    report = project.json("report", "task", "spring/intro")
    assert [gate["gate"] for gate in report["waiting"]] == ["quota", "no_worker"]
    assert "'main'" in report["waiting"][0]["detail"]
    assert report["reasons"] == [{"status": "skipped", "reason": "suppressed", "count": 1}]


@pytest.mark.costly
def test_people_read_tables(project: Project, world: World) -> None:
    out = project.run("report", "campaign", "spring").out
    lines = [line.split() for line in out.splitlines()]
    assert ["pending", "3", "30.0", "%"] in lines
    assert ["template1.1", "4", "40.0", "%"] in lines
    assert ["skipped", "suppressed", "1"] in lines
    assert "waiting: 3" in out
    assert "the daily quota of service 'main' is used up: used 4 of 4" in out


def test_a_service_report_shows_its_day_and_its_tasks(project: Project, world: World) -> None:
    report = project.json("report", "service", "main")
    assert (report["used_today"], report["daily_quota"], report["by_status"]) == (4, 4, {"sent": 4})
    assert [(task["task"], task["sent"]) for task in report["tasks"]] == [("spring/intro", 4)]
    assert "spring/intro" in project.run("report", "service", "main").out


def test_a_campaign_without_tasks_can_be_reported(project: Project, world: World) -> None:
    project.run("campaign", "create", "empty")
    assert project.json("report", "campaign", "empty")["recipients"] == 0
    assert "campaign empty" in project.run("report", "campaign", "empty").out


def test_operators_report_on_their_own(project: Project, world: World) -> None:
    anna = world.user("anna")
    for what in (("campaign", "spring"), ("task", "spring/intro"), ("service", "main")):
        result = project.run("report", *what, "--as", "anna", "--json", check=False)
        assert (result.code, result.error["code"]) == (4, "not_allowed"), what
    world.service("hers", granted=anna)
    assert project.json("report", "service", "hers", "--as", "anna")["recipients"] == 0


@pytest.mark.parametrize("what", [("campaign", "nope"), ("task", "spring/nope"), ("service", "nope")])
def test_what_is_not_there_exits_3(project: Project, world: World, what: tuple[str, str]) -> None:
    assert project.run("report", *what, check=False).code == 3


@pytest.mark.costly
def test_templates_and_domains_are_reported(project: Project, world: World) -> None:
    report = project.json("report", "template", "template1.1")
    assert (report["template"], report["recipients"]) == ("template1.1", 0), "not in a rotation yet"
    world.change(tasks, 1, template_ids=[1, 2, 3])
    report = project.json("report", "template", "template1.1")
    assert (report["recipients"], report["by_status"]) == (4, {"pending": 1, "sent": 2, "skipped": 1})
    assert "template template1.1" in project.run("report", "template", "template1.1").out
    assert project.json("report", "domain", "Example.com")["domain"] == "example.com"
    assert project.run("report", "domain", "google").out.startswith("domain google\n\nfrom list to reply\n")


def test_operators_report_on_their_own_templates(project: Project, world: World) -> None:
    world.user("anna")
    result = project.run("report", "template", "template1.1", "--as", "anna", "--json", check=False)
    assert (result.code, result.error["code"]) == (4, "not_allowed")
    assert project.json("report", "domain", "example.com", "--as", "anna")["tasks"] == []


def test_a_report_is_written_to_files(project: Project, world: World) -> None:
    out = project.run("report", "campaign", "spring", "--html", "a.html", "--csv", "a.csv")
    assert out.out == ""
    assert "written to a.html" in out.err
    assert (project.folder / "a.html").read_text().startswith("<!DOCTYPE html>")
    assert (project.folder / "a.csv").read_text().startswith("report,section,item,measure,value\n")


@pytest.mark.parametrize(
    "options",
    [
        ("--json", "--csv", "-"),
        ("--html", "-", "--csv", "-"),
        ("--html", "no/such/folder.html"),
        ("--html", "."),
        ("--html", "same", "--csv", "./same"),
    ],
)
def test_output_that_cannot_be_had_is_refused(sqlite_project: Project, options: tuple[str, ...]) -> None:
    World(sqlite_project.database).campaign("spring")
    result = sqlite_project.run("report", "campaign", "spring", *options, check=False)
    assert (result.code, result.out) == (2, "")


def test_what_is_no_domain_is_refused(sqlite_project: Project) -> None:
    assert sqlite_project.run("report", "domain", "a b", check=False).code == 4


def test_bars_take_the_room_there_is_and_no_line_is_folded(capsys: pytest.CaptureFixture[str]) -> None:
    day = {"opened": 9, "clicked": 8, "replied": 7, "bounced": 6, "unsubscribed": 5, "complained": 4}
    by_day = [{"day": f"2027-03-{n:02}", "sent": 1000 * n, **day} for n in range(1, 20)]
    found = sections.sections_of(document(by_day=by_day, by_hour=[], time_zone="Asia/Tokyo"))
    [days] = [section for section in found if section.key == "days"]
    for width, longest in ((80, 11), (72, 0), (200, report_view.BAR)):
        out = Output(json=False, assume_yes=False)
        out.console.width = width
        report_view.show_section(SimpleNamespace(out=out), days)  # type: ignore[arg-type]
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("2027-03-")]
        assert len(lines) == len(by_day)
        assert len(lines[-1].removeprefix("2027-03-19").strip("0123456789, ")) == longest, width
