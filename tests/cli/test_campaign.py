"""coldsend campaign."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from coldsend import clock
from tests.conftest import Project
from tests.planning.world import World


def ready(project: Project) -> World:
    world = World(project.database)
    world.service("main")
    world.template_set("<p>Hello.</p>", name="ts")
    project.run("campaign", "create", "spring")
    project.run("task", "create", "spring", "intro", "--template-set", "ts", "--rule", "everyone")
    return world


@pytest.mark.costly
def test_a_campaign_is_created_shown_started_paused_resumed_and_cancelled(project: Project) -> None:
    ready(project)
    assert project.json("campaign", "show", "spring")["status"] == "draft"
    started = project.json("campaign", "start", "spring")
    assert (started["status"], started["tasks"], started["warnings"]) == ("active", ["intro"], [])
    assert project.json("task", "show", "spring/intro")["status"] == "scheduled"
    assert project.json("campaign", "pause", "spring")["status"] == "paused"
    assert project.json("campaign", "resume", "1")["status"] == "active"
    assert project.json("campaign", "cancel", "spring", "--yes")["status"] == "cancelled"
    assert [task["status"] for task in project.json("campaign", "show", "spring")["tasks"]] == ["cancelled"]


@pytest.mark.parametrize(
    "arguments",
    [("campaign", "create"), ("contact", "add", "ann@acme.com", "--tag"),
     ("suppression", "add", "bob@acme.com", "--list")],
)  # fmt: skip
@pytest.mark.parametrize(
    ("odd", "said"),
    [("\u3000", "of another kind in it (ideographic space)"), ("\u2028", "control character or line break")],
)
def test_names_look_like_what_is_typed(
    sqlite_project: Project, arguments: tuple[str, ...], odd: str, said: str
) -> None:
    result = sqlite_project.run(*arguments, f"a{odd}b", check=False)
    assert (result.code, said in result.err) == (4, True), result.err


def test_creating_says_what_to_do_next(sqlite_project: Project) -> None:
    result = sqlite_project.run("campaign", "create", "spring sale")
    assert "created, in draft" in result.out
    assert "coldsend task create 'spring sale' NAME" in result.err


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("2027-03-01T09:00+01:00", "2027-03-01T08:00:00Z"),
        ("2027-03-01T09:00Z", "2027-03-01T09:00:00Z"),
        ("2027-03-01 09:30", "2027-03-01T09:30:00Z"),
        ("2027-03-01", "2027-03-01T00:00:00Z"),
    ],
)
def test_a_start_time_is_read_in_its_zone(sqlite_project: Project, given: str, meant: str) -> None:
    sqlite_project.run("campaign", "create", "spring", "--start-at", given)
    assert sqlite_project.json("campaign", "show", "spring")["start_time"] == meant


def test_a_start_time_without_zone_is_said_to_be_utc(sqlite_project: Project) -> None:
    assert "taken as UTC" in sqlite_project.run("campaign", "create", "a", "--start-at", "2027-03-01").err
    assert "UTC" not in sqlite_project.run("campaign", "create", "b", "--start-at", "2027-03-01T00Z").err


def test_now_is_a_start_time(sqlite_project: Project) -> None:
    before = clock.now()
    made = sqlite_project.json("campaign", "create", "spring", "--start-at", "now")
    assert before <= datetime.fromisoformat(made["start_time"]) <= clock.now()


@pytest.mark.parametrize(
    "nonsense", ["tomorrow", "", "2027-13-01", "25:00", "1999-12-31", "9999-12-31T23:59-12:00", "1e9"]
)
def test_a_time_that_is_none_is_refused_with_examples(sqlite_project: Project, nonsense: str) -> None:
    result = sqlite_project.run("campaign", "create", "x", "--start-at", nonsense, "--json", check=False)
    assert result.code == 4
    assert result.error["code"] == "invalid_input"
    assert "2027-03-01T09:00+01:00" in result.error["hint"]
    assert sqlite_project.json("campaign", "list") == []


def test_a_refused_start_exits_4_and_lists_every_reason(project: Project) -> None:
    World(project.database).template_set(name="hollow")
    project.run("campaign", "create", "spring")
    project.run("task", "create", "spring", "intro", "--template-set", "hollow", "--rule", "everyone")
    project.config.write_text(f'[database]\nurl = "{project.url}"\n')
    result = project.run("campaign", "start", "spring", check=False)
    assert result.code == 4
    for reason in ("postal_address", "web.base_url", "'hollow' is empty", "no sender service"):
        assert reason in result.err
    assert project.json("campaign", "show", "spring")["status"] == "draft"


def test_a_base_url_without_https_is_a_warning_for_people_and_scripts(project: Project) -> None:
    ready(project)
    project.config.write_text(project.config.read_text().replace("https:", "http:"))
    result = project.run("campaign", "start", "spring", "--json")
    assert [warning["subject"] for warning in result.json["warnings"]] == ["web.base_url"]
    assert result.err == ""


def test_cancelling_without_an_answer_changes_nothing(sqlite_project: Project) -> None:
    sqlite_project.run("campaign", "create", "spring")
    result = sqlite_project.run("campaign", "cancel", "spring", check=False)
    assert result.code == 2
    assert "--yes" in result.err
    assert sqlite_project.json("campaign", "show", "spring")["status"] == "draft"


def test_operators_see_only_their_own_campaigns(project: Project) -> None:
    project.run("user", "add", "anna")
    project.run("campaign", "create", "mine")
    project.run("campaign", "create", "hers", "--as", "anna")
    assert [c["name"] for c in project.json("campaign", "list")] == ["mine", "hers"]
    assert [c["name"] for c in project.json("campaign", "list", "--as", "anna")] == ["hers"]
    result = project.run("campaign", "show", "mine", "--as", "anna", "--json", check=False)
    assert (result.code, result.error["code"]) == (4, "not_allowed")


@pytest.mark.parametrize("verb", ["show", "start", "pause", "resume", "cancel"])
def test_a_campaign_that_is_not_there_exits_3(sqlite_project: Project, verb: str) -> None:
    assert sqlite_project.run("campaign", verb, "nope", "--yes", check=False).code == 3


@pytest.mark.parametrize("verb", ["create", "list", "show", "start", "pause", "resume", "cancel"])
def test_every_verb_refuses_a_user_that_is_not_there(sqlite_project: Project, verb: str) -> None:
    sqlite_project.run("campaign", "create", "spring")
    name = [] if verb == "list" else ["spring"]
    result = sqlite_project.run("campaign", verb, *name, "--as", "nobody", "--yes", check=False)
    assert result.code == 3
    assert "nobody" in result.err


@pytest.mark.costly
def test_the_list_counts_tasks_and_recipients(project: Project) -> None:
    world = ready(project)
    world.rows(1, "sent", 1500 if project.url.startswith("sqlite") else 15)
    world.rows(1, "pending", 2)
    [line] = project.run("campaign", "list").out.splitlines()[1:]
    sent = "1,500" if project.url.startswith("sqlite") else "15"
    total = "1,502" if project.url.startswith("sqlite") else "17"
    assert line.split() == ["1", "spring", "draft", "1", total, sent, "2", "admin"]
    [found] = project.json("campaign", "list")
    assert found["by_status"] == {"pending": 2, "sent": int(sent.replace(",", ""))}


def test_times_of_the_test_clock_are_those_that_are_stored(
    sqlite_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    offset = sqlite_project.write("offset", str(timedelta(days=400).total_seconds()))
    monkeypatch.setenv("COLDSEND_TEST_CLOCK", str(offset))
    sqlite_project.run("campaign", "create", "spring")
    created = datetime.fromisoformat(sqlite_project.json("campaign", "show", "spring")["created_at"])
    assert created - datetime.now(UTC) > timedelta(days=399)
