"""coldsend task."""

from __future__ import annotations

import json

import pytest

from coldsend.database.tables import campaigns, contacts, tasks
from coldsend.planning import lifecycle
from tests.conftest import Project
from tests.planning.world import NOW, World

CREATE = ("task", "create", "spring", "intro", "--template-set", "ts")


@pytest.fixture
def world(project: Project) -> World:
    made = World(project.database)
    made.service("main")
    made.template_set("<p>Hello.</p>", name="ts")
    made.campaign("spring")
    return made


def test_a_task_is_created_from_text_and_shown_with_everything_it_was_given(
    project: Project, world: World
) -> None:
    project.run(
        *CREATE,
        *("--rule", "tag:lead and not tag:old", "--plan-time", "2027-03-01T09:00+01:00", "--service", "main"),
    )
    shown = project.json("task", "show", "spring/intro")
    assert {key: shown[key] for key in ("campaign", "name", "status", "recipients", "by_status")} == {
        "campaign": "spring",
        "name": "intro",
        "status": "draft",
        "recipients": 0,
        "by_status": {},
    }
    assert shown["recipient_rule"] == {"all": [{"tag": "lead"}, {"not": {"tag": "old"}}]}
    assert (shown["plan_time"], shown["services"]) == ("2027-03-01T08:00:00Z", ["main"])
    assert shown["template_set"] == "ts"


@pytest.mark.parametrize("content", ['{"tag": "lead"}', "tag:lead\n", '\ufeff{"tag": "lead"}'])
def test_a_rule_is_read_from_a_file(project: Project, world: World, content: str) -> None:
    project.write("rule.txt", content)
    project.run(*CREATE, "--rule", "@rule.txt")
    assert project.json("task", "show", "spring/intro")["recipient_rule"] == {"tag": "lead"}


def test_a_rule_file_that_is_not_there_exits_3_and_one_that_is_no_text_4(
    project: Project, world: World
) -> None:
    assert project.run(*CREATE, "--rule", "@nowhere", check=False).code == 3
    (project.folder / "picture").write_bytes(b"\xff\xfe\x00\xd8")
    assert project.run(*CREATE, "--rule", "@picture", check=False).code == 4
    assert project.json("task", "list") == []


def test_a_wrong_rule_exits_4_and_shows_the_place(project: Project, world: World) -> None:
    result = project.run(*CREATE, "--rule", "tag:a and or", check=False)
    assert result.code == 4
    assert "column 11" in result.err
    assert "          ^" in result.err


def test_the_people_a_task_would_go_to_are_counted_and_sampled(project: Project, world: World) -> None:
    ids = world.contacts(12)
    world.change(contacts, ids[0], nickname="Ann", tags=["lead"])
    project.run(*CREATE, "--rule", "everyone")
    found = project.json("task", "preview", "spring/intro", "--limit", "2")
    assert (found["task"], found["count"], len(found["sample"])) == ("spring/intro", 12, 2)
    assert found["sample"][0]["nickname"] == "Ann"
    result = project.run("task", "preview", "spring/intro")
    assert "contacts that match now: 12" in result.err
    assert world.statuses(1) == {}


def test_a_preview_of_nobody_says_so(project: Project, world: World) -> None:
    project.run(*CREATE, "--rule", "tag:nobody")
    assert project.json("task", "preview", "1") == {"task": "spring/intro", "count": 0, "sample": []}


def test_a_task_in_a_running_campaign_is_scheduled_at_once(project: Project, world: World) -> None:
    world.change(campaigns, 1, status="active")
    assert project.json(*CREATE, "--rule", "everyone")["status"] == "scheduled"


@pytest.mark.costly
def test_a_running_task_is_paused_resumed_and_cancelled(project: Project, world: World) -> None:
    task = world.task(1, "intro", "sending", actual_start_time=NOW)
    world.rows(task, "pending", 2)
    assert project.json("task", "pause", "spring/intro")["status"] == "paused"
    assert project.run("task", "pause", "spring/intro", check=False).code == 4
    assert project.json("task", "resume", "spring/intro")["status"] == "sending"
    assert project.run("task", "cancel", "spring/intro", check=False).code == 2
    result = project.run("task", "cancel", "spring/intro", "--yes")
    assert "skips what still waits: 2 recipients" in result.out
    lifecycle.skip_cancelled(project.database, NOW)
    lifecycle.finish_ended(project.database, NOW)
    shown = project.json("task", "show", "spring/intro")
    assert (shown["status"], shown["by_status"]) == ("cancelled", {"skipped": 2})
    assert shown["summary_stats"]["by_status"] == {"skipped": 2}


@pytest.mark.costly
def test_expanding_again_says_how_many_came_in(project: Project, world: World) -> None:
    world.change(campaigns, 1, status="active")
    world.contacts(2)
    task = world.task(1, "intro", "sending")
    lifecycle.expand_due(project.database, NOW)
    world.contacts(1)
    assert project.json("task", "expand", "spring/intro")["added"] == 1
    assert "0 recipients came into" in project.run("task", "expand", "spring/intro").out
    assert world.statuses(task) == {"pending": 3}


@pytest.mark.costly
def test_retrying_asks_and_takes_up_what_failed_in_passing(project: Project, world: World) -> None:
    task = world.task(1, "intro", "sending")
    world.rows(task, "failed_to_send", 2, reason="expired")
    world.rows(task, "failed_to_send", 1, reason="no_such_user")
    refused = project.run("task", "retry", "spring/intro", check=False)
    assert refused.code == 2
    assert "2 recipients" in refused.err
    assert project.json("task", "retry", "spring/intro", "--yes")["retried"] == 2
    assert world.statuses(task) == {"pending": 2, "failed_to_send": 1}
    assert "has no recipient" in project.run("task", "retry", "spring/intro").out


def test_the_list_is_of_one_campaign_or_of_all_one_may_see(project: Project, world: World) -> None:
    anna = world.user("anna")
    world.task(1, "intro")
    world.task(world.campaign("hers", owner=anna), "hello", owner=anna)
    assert [task["name"] for task in project.json("task", "list")] == ["intro", "hello"]
    assert [task["name"] for task in project.json("task", "list", "spring")] == ["intro"]
    assert [task["name"] for task in project.json("task", "list", "--as", "anna")] == ["hello"]
    assert project.run("task", "list", "spring", "--as", "anna", check=False).code == 4


def test_the_list_shows_an_ended_task_as_it_stood_at_its_end_and_show_as_it_stands(
    project: Project, world: World
) -> None:
    summary = {"recipients": 1, "accepted": 1, "by_status": {"sent": 1}}
    task = world.task(1, "intro", "finished", actual_end_time=NOW, summary_stats=summary)
    world.rows(task, "opened")
    assert project.json("task", "list")[0]["by_status"] == {"sent": 1}
    assert project.json("task", "show", "spring/intro")["by_status"] == {"opened": 1}


def test_show_tells_people_why_a_task_failed(project: Project, world: World) -> None:
    world.task(1, "intro", "failed", status_reason="its template set has no templates")
    assert "its template set has no templates" in project.run("task", "show", "1").out


def test_show_tells_which_services_carry_a_task_that_names_none(project: Project, world: World) -> None:
    first = world.task(1, "intro", "draft")
    world.task(1, "reminder", "draft", follows_task_id=first, follows_days=2)
    assert "all that its creator may use" in project.run("task", "show", "spring/intro").out
    assert "the one of the message before" in project.run("task", "show", "spring/reminder").out


@pytest.mark.parametrize("verb", ["show", "preview", "expand", "pause", "resume", "cancel", "retry"])
def test_an_operator_may_not_touch_or_see_tasks_of_others(project: Project, world: World, verb: str) -> None:
    world.user("anna")
    task = world.task(1, "intro", "sending")
    result = project.run("task", verb, "1", "--as", "anna", "--yes", "--json", check=False)
    assert (result.code, result.error["code"]) == (4, "not_allowed")
    assert world.row(tasks, task)["status"] == "sending"


@pytest.mark.parametrize("verb", ["show", "preview", "expand", "pause", "resume", "cancel", "retry"])
def test_a_task_that_is_not_there_exits_3_and_the_nearest_is_named(
    project: Project, world: World, verb: str
) -> None:
    world.task(1, "intro", "sending")
    result = project.run("task", verb, "spring/intr", "--yes", check=False)
    assert result.code == 3
    assert "'intro'" in result.err


def test_the_same_name_twice_exits_4(project: Project, world: World) -> None:
    project.run(*CREATE, "--rule", "everyone")
    assert project.run(*CREATE, "--rule", "everyone", check=False).code == 4
    assert len(json.loads(project.run("task", "list", "--json").out)) == 1
