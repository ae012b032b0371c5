"""coldsend experiment, and the experiments that tasks are made with."""

from __future__ import annotations

import html
import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from coldsend import clock
from coldsend.database.tables import contacts, task_contacts, tasks, templates
from coldsend.planning import experiments
from tests.cli.test_template import add
from tests.conftest import Project

pytestmark = pytest.mark.costly

CREATE = ("task", "create", "spring", "intro", "--template-set", "set", "--rule", "everyone")


def prepare(project: Project) -> Project:
    for name in "ab":
        add(project, name)
    project.run("template-set", "create", "set", "a", "b")
    project.run("campaign", "create", "spring")
    return project


@pytest.fixture
def ab(project: Project) -> Project:
    return prepare(project)


@pytest.fixture
def ab_once(sqlite_project: Project) -> Project:
    return prepare(sqlite_project)


def begun(project: Project, *options: str) -> Project:
    """A task whose templates a and b went to twenty people each, long ago; ten more wait for b."""
    project.run(*CREATE, "--experiment", "replies", "--min-sample", "20", *options)
    long_ago = clock.now() - timedelta(days=30)
    people = [
        {"id": n, "email": f"p{n}@x.example", "email_key": f"p{n}@x.example", "email_domain": "x.example"}
        for n in range(1, 51)
    ]
    rows = [
        {
            "task_id": 1,
            "contact_id": n,
            "selected_template_id": 1 if n <= 20 else 2,
            "status": "pending" if n > 40 else "replied" if n <= 15 else "sent",
            "sent_at": None if n > 40 else long_ago,
            "replied_at": long_ago + timedelta(hours=1) if n <= 15 else None,
        }
        for n in range(1, 51)
    ]
    with project.database.begin() as connection:
        connection.execute(sa.insert(contacts), people)
        connection.execute(sa.insert(task_contacts), rows)
        connection.execute(sa.update(templates).values(updated_at=long_ago))
        connection.execute(
            sa.update(tasks).values(status="sending", template_ids=[1, 2], actual_start_time=long_ago)
        )
    return project


def test_a_task_is_made_with_an_experiment(ab: Project) -> None:
    ab.run(*CREATE, "--experiment", "clicks", "--min-sample", "50", "--wait-hours", "24", "--no-auto")
    found = ab.json("task", "show", "spring/intro")["experiment"]
    wanted = {"goal": "clicks", "status": "running", "min_sample": 50, "wait_hours": 24, "auto": False}
    assert found.items() >= {**wanted, "confidence": 95.0, "winner": None}.items()
    assert "clicks, running" in ab.run("task", "show", "spring/intro").out
    assert "has not begun" in ab.run("experiment", "show", "spring/intro").out


@pytest.mark.parametrize(
    ("options", "code", "complaint"),
    [
        (("--min-sample", "50"), 2, "--min-sample says something about an experiment"),
        (("--no-auto",), 2, "--auto/--no-auto says something"),
        (("--experiment", "opens"), 4, "possible: replies, interested, clicks"),
        (("--experiment", "replies", "--confidence", "0.95"), 4, "80.0 to 99.9 percent"),
        (("--experiment", "replies", "--template-set", "single"), 4, "fewer than two templates"),
    ],
)
def test_experiments_that_make_no_sense_make_no_task(
    ab_once: Project, options: tuple[str, ...], code: int, complaint: str
) -> None:
    ab_once.run("template-set", "create", "single", "a")
    result = ab_once.run(*CREATE, *options, check=False)
    assert result.code == code
    assert complaint in result.err
    assert ab_once.json("task", "list") == []


def test_results_are_shown_with_intervals_and_in_words(ab: Project) -> None:
    begun(ab)
    found = ab.json("experiment", "show", "spring/intro")
    assert [(row["name"], row["counted"], row["successes"]) for row in found["templates"]] == [
        ("a", 20, 15),
        ("b", 20, 0),
    ]
    assert found["templates"][0]["low"] == pytest.approx(0.531, abs=1e-3)
    assert found["templates"][0]["high"] == pytest.approx(0.888, abs=1e-3)
    assert (found["leader"], found["waiting"], found["found"]) == ("a", 10, None)
    shown = ab.run("experiment", "show", "spring/intro").out
    assert "a got 15 replies from 20 (75.0 %), b 0 from 20 (0.0 %)." in shown
    assert "53.1 %" in shown


def test_reports_tell_how_experiments_stand(ab: Project) -> None:
    begun(ab)
    ab.run(*CREATE[:3], "plain", *CREATE[4:])
    shown = ab.json("experiment", "show", "spring/intro")
    campaign = ab.json("report", "campaign", "spring")
    assert campaign["experiments"] == ab.json("report", "task", "spring/intro")["experiments"] == [shown]
    assert ab.json("report", "task", "spring/plain")["experiments"] == []
    ab.run("report", "campaign", "spring", "--html", "r.html", "--csv", "r.csv")
    said = ab.run("report", "campaign", "spring")
    page = (ab.folder / "r.html").read_text(encoding="utf-8")
    for sentence in shown["sentences"]:
        assert sentence in said.out
        assert sentence in html.unescape(page)
    assert re.search(r"^a +20 +20 +15 +75\.0 % \(53\.1 to 88\.8 %\)$", said.out, re.MULTILINE)
    assert '75.0 %<span class="within">53.1 to 88.8 %</span>' in page
    lines = (ab.folder / "r.csv").read_text(encoding="utf-8").splitlines()
    assert "campaign spring,experiment,spring/intro / a,successes,15" in lines
    assert f"campaign spring,experiment,spring/intro / a,rate_low,{shown['templates'][0]['low']}" in lines


def test_a_winner_found_is_decided_upon_by_command(ab: Project) -> None:
    begun(ab, "--no-auto")
    experiments.keep_up(ab.database, clock.now())
    result = ab.run("experiment", "show", "spring/intro")
    assert "a is the winner" in result.out
    assert "coldsend experiment decide spring/intro" in result.err
    assert "a has won" in ab.run("task", "show", "spring/intro").out
    asked = ab.run("experiment", "decide", "spring/intro", check=False)
    assert asked.code == 2
    made = ab.json("experiment", "decide", "spring/intro", "--yes")
    assert (made["task"], made["winner"], made["moved"]) == ("spring/intro", "a", 10)
    assert "replies, decided: a is sent alone" in ab.run("task", "show", "spring/intro").out
    assert ab.json("report", "campaign", "spring")["by_template"] == {"a": 30, "b": 20}


def test_a_person_may_decide_otherwise_and_stop(ab_once: Project) -> None:
    begun(ab_once)
    refused = ab_once.run("experiment", "decide", "spring/intro", "--yes", check=False)
    assert refused.code == 4
    assert "choose one yourself, of a, b" in refused.err
    assert ab_once.json("experiment", "decide", "spring/intro", "b", "--yes")["winner"] == "b"
    assert "b is sent alone" in ab_once.run("experiment", "show", "spring/intro").out
    ab_once.run("experiment", "stop", "spring/intro")
    assert ab_once.json("task", "show", "spring/intro")["experiment"]["status"] == "stopped"
    assert "take turns as their set says" in ab_once.run("experiment", "show", "spring/intro").out


def test_templates_of_an_experiment_are_edited_in_a_pause_and_not_taken_out(ab_once: Project) -> None:
    begun(ab_once, "--no-auto")
    experiments.keep_up(ab_once.database, clock.now())
    refused = ab_once.run("template", "update", "a", "--subject", "Other", check=False)
    assert "pause the task first" in refused.err
    ab_once.run("task", "pause", "spring/intro")
    ab_once.run("template", "update", "a", "--subject", "Other")
    for words in (("template-set", "remove", "set", "b"), ("template-set", "weight", "set", "b=2")):
        assert "in use by task 'spring/intro'" in ab_once.run(*words, check=False).err
    ab_once.run("task", "resume", "spring/intro")
    shown = ab_once.run("experiment", "show", "spring/intro").out
    assert "A text was edited on " in shown
    assert "Too early to tell: each template needs 20 counted recipients, a has 0." in shown


def test_a_task_without_an_experiment_says_how_one_is_made(ab_once: Project) -> None:
    ab_once.run(*CREATE)
    for words in (("show",), ("stop",), ("decide", "--yes")):
        result = ab_once.run("experiment", words[0], "spring/intro", *words[1:], check=False)
        assert result.code == 4
        assert "--experiment replies" in result.err
    assert ab_once.run("experiment", "show", "spring/nope", check=False).code == 3


def test_experiments_of_others_are_not_shown(ab_once: Project) -> None:
    begun(ab_once)
    ab_once.run("user", "add", "anna")
    refused = ab_once.run("--as", "anna", "experiment", "show", "spring/intro", "--json", check=False)
    assert refused.error["code"] == "not_allowed"
