"""``campaign plan``: what it counts on both databases, and what it shows."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.database.tables import campaigns, tasks
from tests.conftest import Project

pytestmark = pytest.mark.costly


def a_campaign(project: Project, people: int = 12) -> None:
    """Draft ``spring``: ``intro`` to all leads, ``second`` three days later to those in Germany."""
    for name, quota in (("main", 4), ("other", 2)):
        project.run(
            "service", "add", name, "--type", "console", "--from", f"{name}@sender.example",
            "--daily-quota", str(quota), "--throttle-sec", "0",
        )  # fmt: skip
    project.write("t.html", "<p>Hello</p>")
    project.run("template", "add", "t", "--subject", "Hello", "--body-file", "t.html")
    project.run("template-set", "create", "set", "--template", "t")
    zones = ["Europe/Berlin", "America/New_York", ""]
    lines = [f"p{n}@d{n}.example,{zones[n % 3]},{['DE', 'US'][n % 2]}" for n in range(people)]
    project.write("c.csv", "\n".join(["email,time_zone,country", *lines]) + "\n")
    project.run("contact", "import", "c.csv", "--tag", "lead")
    project.run("campaign", "create", "spring")
    project.run("task", "create", "spring", "intro", "--template-set", "set", "--rule", "tag:lead")
    rule = 'tag:lead and country = "DE"'
    project.run("task", "create", "spring", "second", "--template-set", "set", "--rule", rule)
    change(project, campaigns, send_window=["mon-sun 00:00-24:00"], time_zone="Europe/Berlin")
    intro = sa.select(tasks.c.id).where(tasks.c.name == "intro").scalar_subquery()
    with project.database.begin() as connection:
        intro_id = connection.execute(sa.select(intro)).scalar_one()
        second = sa.update(tasks).where(tasks.c.name == "second")
        connection.execute(second.values(follows_task_id=intro_id, follows_days=3))


def change(project: Project, table: sa.Table, **values: Any) -> None:
    with project.database.begin() as connection:
        connection.execute(sa.update(table).values(**values))


def test_a_draft_is_counted_by_its_rules_with_suppressions(project: Project) -> None:
    a_campaign(project)
    project.run("suppression", "add", "p0@d0.example")
    plan = project.json("campaign", "plan", "spring")
    assert (plan["status"], plan["sends"]) == ("draft", 16), "11 first messages, half of them are followed up"
    assert [day["sends"] for day in plan["days"][:2]] == [6, 5]
    assert plan["days"][0]["by_service"] == {"main": 4, "other": 2}
    assert {day["date"] for day in plan["days"]} >= {plan["ends"][:10]}
    reasons = [(one["reason"], one["count"], one["by_task"]) for one in plan["not_sent"]]
    assert reasons == [("suppressed", 1, {"intro": 1})]
    assert project.json("campaign", "show", "spring")["status"] == "draft", "nothing was changed"


def test_a_running_campaign_is_counted_by_its_lists(project: Project) -> None:
    a_campaign(project)
    project.run("campaign", "start", "spring")
    project.run("scheduler", "run", "--until-idle", "--workers", "0")
    project.run("suppression", "add", "p0@d0.example", "p1@d1.example")
    plan = project.json("campaign", "plan", "spring")
    assert [day["sends"] for day in plan["days"][:2]] == [6, 4]
    assert [(one["reason"], one["count"]) for one in plan["not_sent"]] == [("suppressed", 2)]


def test_people_see_days_limits_and_the_end(sqlite_project: Project) -> None:
    a_campaign(sqlite_project)
    shown = sqlite_project.run("campaign", "plan", "spring")
    assert "quota of main: 4 a day; quota of other: 2 a day (6 wait)" in shown.out
    assert "18 messages in all, the last about" in shown.out
    assert "foreseen as if the campaign is started now" in shown.err
    assert "(`campaign dry-run` tells who lacks something)" in shown.err


def test_what_lies_behind_the_days_asked_for_is_counted(sqlite_project: Project) -> None:
    a_campaign(sqlite_project)
    plan = sqlite_project.json("campaign", "plan", "spring", "--days", "1")
    assert [day["sends"] for day in plan["days"]] == [6]
    assert (plan["ends"], plan["later"]) == (None, 9), "6 first messages, and the follow-ups of those sent"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"follows_condition": ["opened"]}, "condition"),
        ({"status": "paused"}, "task_state"),
    ],
)
def test_follow_ups_that_nobody_gets_as_things_stand(
    sqlite_project: Project, values: dict[str, Any], reason: str
) -> None:
    a_campaign(sqlite_project)
    with sqlite_project.database.begin() as connection:
        connection.execute(sa.update(tasks).where(tasks.c.name == "second").values(**values))
    plan = sqlite_project.json("campaign", "plan", "spring")
    assert plan["sends"] == 12
    assert [(one["reason"], one["count"]) for one in plan["not_sent"]] == [(reason, 12)]


def test_a_plan_is_for_the_one_who_made_the_campaign(sqlite_project: Project) -> None:
    a_campaign(sqlite_project)
    sqlite_project.run("user", "add", "olga", "--role", "operator")
    refused = sqlite_project.run("campaign", "plan", "spring", "--as", "olga", "--json", check=False)
    assert (refused.code, refused.error["code"]) == (4, "not_allowed")
    missing = sqlite_project.run("campaign", "plan", "summer", "--json", check=False)
    assert missing.code == 3


def test_that_nothing_goes_out_is_said_once(sqlite_project: Project) -> None:
    sqlite_project.run("campaign", "create", "spring")
    said = sqlite_project.run("campaign", "plan", "spring").err
    assert said == "nothing goes out: the campaign has no task that sends\n"
