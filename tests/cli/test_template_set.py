"""coldsend template-set."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from coldsend.database.tables import template_set_items
from coldsend.domain.states import TaskStatus
from tests.cli.test_template import add, put_in_task
from tests.conftest import Project

pytestmark = pytest.mark.costly


@pytest.fixture
def abc(project: Project) -> Project:
    """A project with templates a, b and c."""
    for name in "abc":
        add(project, name)
    return project


def order(project: Project, name: str = "set") -> list[str]:
    return [row["name"] for row in project.json("template-set", "show", name)["templates"]]


def test_a_set_keeps_the_order_it_was_given(abc: Project) -> None:
    abc.run("template-set", "create", "set", "--template", "c", "--template", "a")
    assert order(abc) == ["c", "a"]
    (row,) = abc.json("template-set", "list")
    assert (row["name"], row["templates"], row["created_by"]) == ("set", ["c", "a"], "admin")
    assert "c, a" in abc.run("template-set", "list").out
    assert "PLACE" in abc.run("template-set", "show", "set").out


def test_templates_are_added_at_the_end_taken_out_and_put_in_order(abc: Project) -> None:
    abc.run("template-set", "create", "set", "b")
    abc.run("template-set", "add", "set", "c", "--template", "a")
    assert order(abc) == ["b", "c", "a"]
    abc.run("template-set", "reorder", "set", "a", "b", "c")
    assert order(abc) == ["a", "b", "c"]
    abc.run("template-set", "remove", "set", "b")
    abc.run("template-set", "add", "set", "b")
    assert order(abc) == ["a", "c", "b"]


def test_items_with_the_same_order_follow_their_ids(abc: Project) -> None:
    abc.run("template-set", "create", "set", "c", "a", "b")
    with abc.database.begin() as connection:
        connection.execute(sa.update(template_set_items).values({"order": 0}))
    assert order(abc) == ["c", "a", "b"]


def weights(project: Project) -> dict[str, int]:
    found = project.json("template-set", "show", "set")["templates"]
    return {row["name"]: row["weight"] for row in found}


def test_weights_are_given_shown_and_changed(abc: Project) -> None:
    made = abc.json("template-set", "create", "set", "--template", "a=3", "--template", "b")
    assert made["weights"] == weights(abc) == {"a": 3, "b": 1}
    assert "a=3, b=1" in abc.run("template-set", "list").out
    assert "75 %" in abc.run("template-set", "show", "set").out
    abc.run("template-set", "add", "set", "c=2")
    abc.run("template-set", "weight", "set", "b=5", "--template", "a=1")
    assert weights(abc) == {"a": 1, "b": 5, "c": 2}
    assert order(abc) == ["a", "b", "c"]


def test_a_name_with_a_sign_in_it_is_no_weight(abc: Project) -> None:
    add(abc, "a=3")
    abc.run("template-set", "create", "set", "a=3", "a=2", "b")
    assert weights(abc) == {"a=3": 1, "a": 2, "b": 1}
    abc.run("template-set", "weight", "set", "a=3=4")
    assert weights(abc) == {"a=3": 4, "a": 2, "b": 1}


def test_weights_that_make_no_sense_are_refused_and_change_nothing(sqlite_project: Project) -> None:
    for name in "abc":
        add(sqlite_project, name)
    sqlite_project.run("template-set", "create", "set", "a=2", "b")
    for line, complaint in (
        (("create", "other", "a=0"), "a whole number from 1 to 1000000, not 0"),
        (("create", "other", "a=x"), "'x' is not a weight"),
        (("create", "other", "a=-1"), "'-1' is not a weight"),
        (("create", "other", "a=100", "b=1"), "at most 100"),
        (("add", "set", "c=99"), "at most 100"),
        (("weight", "set"), "no template was named"),
        (("weight", "set", "a"), "no weight was given for 'a'"),
        (("weight", "set", "c=1"), "not in template set"),
        (("weight", "set", "a=1", "a=2"), "named twice"),
        (("weight", "set", "a=0"), "a whole number from 1"),
        (("weight", "set", "a=100"), "at most 100"),
    ):
        result = sqlite_project.run("template-set", *line, check=False)
        assert result.code == 4
        assert complaint in result.err
    assert weights(sqlite_project) == {"a": 2, "b": 1}
    assert len(sqlite_project.json("template-set", "list")) == 1


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (("create", "other", "a", "a"), "named twice"),
        (("create", "set"), "exists already"),
        (("create", "1"), "only digits"),
        (("create", "other", "nope"), "does not exist"),
        (("add", "set"), "no template was named"),
        (("add", "set", "a"), "is in template set 'set' already"),
        (("add", "set", "c", "nope"), "does not exist"),
        (("remove", "set", "c"), "not in template set"),
        (("reorder", "set", "a"), "leaves out 'b'"),
        (("reorder", "set", "a", "a", "b"), "named twice"),
        (("reorder", "set", "a", "b", "c"), "not in template set"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    abc: Project, line: tuple[str, ...], complaint: str
) -> None:
    abc.run("template-set", "create", "set", "a", "b")
    result = abc.run("template-set", *line, check=False)
    assert result.code in {3, 4}
    assert complaint in result.err
    assert order(abc) == ["a", "b"]
    assert len(abc.json("template-set", "list")) == 1


@pytest.mark.parametrize("status", [TaskStatus.SCHEDULED, TaskStatus.SENDING, TaskStatus.PAUSED])
def test_a_set_that_an_open_task_uses_stays_as_it_is(abc: Project, status: TaskStatus) -> None:
    put_in_task(abc, "a", status)
    for line in (
        ("add", "set", "b"),
        ("remove", "set", "a"),
        ("reorder", "set", "a"),
        ("weight", "set", "a=2"),
    ):
        result = abc.run("template-set", *line, "--json", check=False)
        assert result.error["code"] == "wrong_state"
        assert "c-set/t" in result.error["message"]
    assert order(abc) == ["a"]


@pytest.mark.parametrize("status", [TaskStatus.DRAFT, TaskStatus.FINISHED, TaskStatus.CANCELLED])
def test_a_set_of_a_task_at_rest_may_change_but_not_vanish(abc: Project, status: TaskStatus) -> None:
    put_in_task(abc, "a", status)
    abc.run("template-set", "add", "set", "b")
    assert order(abc) == ["a", "b"]
    result = abc.run("template-set", "remove", "set", "--yes", check=False)
    assert result.code == 4
    assert "c-set/t" in result.err


def test_a_set_nobody_uses_is_removed_and_its_templates_stay(abc: Project) -> None:
    abc.run("template-set", "create", "set", "a", "b")
    assert abc.run("template-set", "remove", "set", check=False).code == 2
    abc.run("template-set", "remove", "set", "--yes")
    assert abc.json("template-set", "list") == []
    assert len(abc.json("template", "list")) == 3


def test_operators_use_their_own_templates_and_sets(abc: Project) -> None:
    abc.run("user", "add", "anna")
    abc.run("template-set", "create", "set", "a")
    refused = abc.run("--as", "anna", "template-set", "create", "mine", "a", "--json", check=False)
    assert refused.error["code"] == "not_allowed"
    for line in (("show", "set"), ("add", "set", "b"), ("reorder", "set", "a"), ("remove", "set", "--yes")):
        result = abc.run("--as", "anna", "template-set", *line, "--json", check=False)
        assert result.error["code"] == "not_allowed"
    assert abc.json("--as", "anna", "template-set", "list") == []
    add(abc, "annas", "<p>x</p>", "--as", "anna")
    abc.run("--as", "anna", "template-set", "create", "mine", "annas")
    assert [row["name"] for row in abc.json("--as", "anna", "template-set", "list")] == ["mine"]
