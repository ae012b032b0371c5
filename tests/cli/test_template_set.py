"""coldsend template-set."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from coldsend.database.tables import template_set_items
from coldsend.domain.states import TaskStatus
from tests.cli.test_template import add, put_in_task
from tests.conftest import Project


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
    for line in (("add", "set", "b"), ("remove", "set", "a"), ("reorder", "set", "a")):
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
