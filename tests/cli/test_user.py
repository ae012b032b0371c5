"""coldsend user."""

from __future__ import annotations

from tests.conftest import Project


def test_a_user_is_added_and_listed(project: Project) -> None:
    project.run("user", "add", "anna")
    assert [(u["username"], u["role"]) for u in project.json("user", "list")] == [
        ("admin", "admin"),
        ("anna", "operator"),
    ]


def test_an_operator_may_not_add_users(project: Project) -> None:
    project.run("user", "add", "anna")
    result = project.run("--as", "anna", "user", "add", "bob", "--json", check=False)
    assert result.code == 4
    assert result.error["code"] == "not_allowed"
    assert "anna" in result.error["message"]


def test_the_last_admin_stays_admin(project: Project) -> None:
    result = project.run("user", "role", "admin", "operator", check=False)
    assert result.code == 4
    assert "only admin" in result.err


def test_an_unknown_user_is_not_found_and_the_nearest_is_named(project: Project) -> None:
    result = project.run("user", "role", "anna", "admin", "--as", "admni", check=False)
    assert result.code == 3
    assert "admin" in result.err
