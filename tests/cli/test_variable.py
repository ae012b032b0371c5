"""coldsend variable."""

from __future__ import annotations

import pytest

from coldsend.domain.states import TaskStatus
from tests.cli.test_template import add, put_in_task, ready_for_preview
from tests.conftest import Project


def define(project: Project, key: str, source: str, details: str, *more: str, check: bool = True) -> str:
    line = ("variable", "add", key, "--source", source, "--details", details, *more)
    result = project.run(*line, check=check)
    return result.out if check else f"{result.code} {result.err}"


@pytest.mark.costly
def test_a_variable_is_defined_listed_and_used(project: Project) -> None:
    define(project, "first_name", "CONTACT_FIELD", '{"field": "nickname"}', "--display-name", "First name")
    define(project, "contact.city", "contact_tag", '{"prefix": "city:"}', "--description", "From tags")
    define(project, "is_vip", "CONTACT_TAG", '{"tag": "vip"}')
    define(project, "today", "SYSTEM", '{"name": "date"}')
    rows = {row["key"]: row for row in project.json("variable", "list")}
    assert rows["first_name"]["display_name"] == "First name"
    assert rows["contact.city"]["details"] == {"prefix": "city:"}
    assert rows["contact.city"]["description"] == "From tags"
    assert rows["is_vip"]["created_by"] == "admin"
    assert rows["unsubscribe_url"]["created_by"] == "built in"
    assert "first_name" in project.run("variable", "list").out
    ready_for_preview(project)
    project.run("contact", "tag", "bob@acme.example", "--tag", "city:Bonn")
    add(
        project,
        "intro",
        "<p>{{ first_name }} {{ contact.city }} {% if not is_vip %}no{% endif %} {{ today }}</p>",
    )
    text = project.json("template", "preview", "intro", "--contact", "bob@acme.example")["text"]
    assert text.startswith("Bob Bonn no 20")


@pytest.mark.parametrize(
    ("key", "source", "details", "complaint"),
    [
        ("a b", "SYSTEM", '{"name": "date"}', "cannot be a variable key"),
        ("a.b.c", "SYSTEM", '{"name": "date"}', "cannot be a variable key"),
        ("_x", "SYSTEM", '{"name": "date"}', "cannot be a variable key"),
        ("a__b", "SYSTEM", '{"name": "date"}', "cannot be a variable key"),
        ("x" * 101, "SYSTEM", '{"name": "date"}', "at most 100"),
        ("contact", "SYSTEM", '{"name": "date"}', "meaning of its own"),
        ("tag", "SYSTEM", '{"name": "date"}', "meaning of its own"),
        ("if", "SYSTEM", '{"name": "date"}', "meaning of its own"),
        ("x", "SYSTEM", '{"name": "moon"}', "no system variable 'moon'"),
        ("x", "SYSTEM", "{}", '"name"'),
        ("x", "CONTACT_FIELD", '{"name": "x"}', '"field"'),
        ("x", "CONTACT_FIELD", '{"field": 5}', '"field"'),
        ("x", "CONTACT_FIELD", '{"field": " "}', '"field"'),
        ("x", "CONTACT_TAG", '{"tag": "a", "prefix": "b"}', '"prefix"'),
        ("x", "CONTACT_TAG", "{", "is not JSON"),
        ("x", "CONTACT_TAG", "[]", "is not a JSON object"),
    ],
)
def test_a_definition_that_cannot_work_is_refused(
    sqlite_project: Project, key: str, source: str, details: str, complaint: str
) -> None:
    shown = define(sqlite_project, key, source, details, check=False)
    assert shown.startswith("4 ")
    assert complaint in shown
    assert all(row["created_by"] == "built in" for row in sqlite_project.json("variable", "list"))


def test_a_key_is_defined_once(project: Project) -> None:
    define(project, "first_name", "CONTACT_FIELD", '{"field": "nickname"}')
    shown = define(project, "first_name", "SYSTEM", '{"name": "date"}', check=False)
    assert shown.startswith("4 ")
    assert "exists already" in shown


@pytest.mark.costly
def test_a_variable_in_use_is_not_removed(project: Project) -> None:
    define(project, "first_name", "CONTACT_FIELD", '{"field": "nickname"}')
    add(project, "intro", "<p>{{ first_name | default('you') }}</p>")
    result = project.run("variable", "remove", "first_name", "--yes", check=False)
    assert result.code == 4
    assert "template 'intro'" in result.err
    project.run("template", "remove", "intro", "--yes")
    assert project.run("variable", "remove", "first_name", check=False).code == 2
    project.run("variable", "remove", "first_name", "--yes")
    assert project.run("variable", "remove", "first_name", "--yes", check=False).code == 3


def test_an_override_of_a_built_in_name_can_be_taken_back(project: Project) -> None:
    define(project, "contact.nickname", "CONTACT_FIELD", '{"field": "first"}')
    add(project, "intro", "<p>{{ contact.nickname | default('you') }}</p>")
    project.run("variable", "remove", "contact.nickname", "--yes")


@pytest.mark.costly
def test_what_a_task_is_sending_keeps_its_meaning(project: Project) -> None:
    define(project, "first_name", "CONTACT_FIELD", '{"field": "nickname"}')
    add(project, "intro", "<p>{{ first_name | default('you') }} {{ contact.city | default('x') }}</p>")
    put_in_task(project, "intro", TaskStatus.SENDING)
    shown = define(project, "contact.city", "CONTACT_TAG", '{"prefix": "city:"}', check=False)
    assert shown.startswith("4 ")
    assert "c-set/t" in shown
    removed = project.run("variable", "remove", "first_name", "--yes", "--json", check=False)
    assert removed.error["code"] == "wrong_state"
    define(project, "unrelated", "SYSTEM", '{"name": "date"}')


def test_an_operator_removes_only_what_it_defined(project: Project) -> None:
    project.run("user", "add", "anna")
    define(project, "mine", "SYSTEM", '{"name": "date"}', "--as", "anna")
    define(project, "yours", "SYSTEM", '{"name": "date"}')
    refused = project.run("--as", "anna", "variable", "remove", "yours", "--yes", "--json", check=False)
    assert refused.error["code"] == "not_allowed"
    project.run("--as", "anna", "variable", "remove", "mine", "--yes")


def test_an_unknown_actor_is_refused(sqlite_project: Project) -> None:
    for line in (("variable", "list"), ("template", "list"), ("template-set", "list")):
        assert sqlite_project.run("--as", "nobody", *line, check=False).code == 3
