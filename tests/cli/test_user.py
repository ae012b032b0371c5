"""coldsend user."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy.exc import OperationalError

from coldsend import clock
from coldsend.database.engine import Connection, Database
from coldsend.domain.access import require_admin_left
from coldsend.domain.states import Role
from coldsend.errors import Refused
from coldsend.stores import users
from tests.conftest import Project


def test_a_user_is_added_and_listed(project: Project) -> None:
    added = project.json("user", "add", "anna")
    assert (added["username"], added["role"]) == ("anna", "operator")
    assert [(u["username"], u["role"]) for u in project.json("user", "list")] == [
        ("admin", "admin"),
        ("anna", "operator"),
    ]


def test_a_new_operator_is_told_to_need_a_service(sqlite_project: Project) -> None:
    result = sqlite_project.run("user", "add", "anna")
    assert result.out == "user 'anna' added as operator\n"
    assert "coldsend service grant SERVICE anna" in result.err


def test_a_user_can_be_added_as_admin_and_then_acts_as_one(project: Project) -> None:
    project.run("user", "add", "boss", "--role", "admin")
    project.run("--as", "boss", "user", "add", "bob")


def test_an_operator_may_not_add_users(project: Project) -> None:
    project.run("user", "add", "anna")
    result = project.run("--as", "anna", "user", "add", "bob", "--json", check=False)
    assert result.code == 4
    assert result.error["code"] == "not_allowed"
    assert "anna" in result.error["message"]


def test_an_operator_may_not_change_roles(project: Project) -> None:
    project.run("user", "add", "anna")
    assert project.run("--as", "anna", "user", "role", "anna", "admin", check=False).code == 4
    assert project.json("user", "list")[1]["role"] == "operator"


def test_a_name_that_is_taken_or_cannot_be_one_is_refused(project: Project) -> None:
    for name in ("admin", "ADMIN", "a b", "12"):
        assert project.run("user", "add", name, check=False).code == 4
    assert len(project.json("user", "list")) == 1


def test_a_role_is_changed_by_name_or_id(project: Project) -> None:
    user_id = project.json("user", "add", "anna")["id"]
    changed = project.json("user", "role", str(user_id), "admin")
    assert changed == {"id": user_id, "username": "anna", "role": "admin"}
    assert project.json("user", "role", "anna", "operator")["role"] == "operator"


def test_the_last_admin_stays_admin(project: Project) -> None:
    result = project.run("user", "role", "admin", "operator", check=False)
    assert result.code == 4
    assert "only admin" in result.err


def test_two_admins_cannot_demote_each_other_at_once(database: Database) -> None:
    with database.begin() as connection:
        ids = [users.add(connection, name, Role.ADMIN, clock.now()) for name in ("one", "two")]
    both_ready = threading.Barrier(2)
    refused: list[int] = []

    def demote(user_id: int) -> None:
        def work(connection: Connection) -> None:
            admins = [row["id"] for row in users.admins(connection, locked=True)]
            require_admin_left(admins, user_id, str(user_id), Role.OPERATOR)
            users.set_role(connection, user_id, Role.OPERATOR)

        both_ready.wait(timeout=120)
        try:
            database.run(work)
        except Refused:
            refused.append(user_id)

    threads = [threading.Thread(target=demote, args=(user_id,)) for user_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    with database.read() as connection:
        assert len(users.admins(connection)) == 1
    assert len(refused) == 1


def test_who_counts_the_admins_for_a_change_keeps_others_from_changing_them(mariadb_url: str) -> None:
    database = Database(mariadb_url)
    with database.begin() as connection:
        users.add(connection, "one", Role.ADMIN, clock.now())
        two = users.add(connection, "two", Role.ADMIN, clock.now())
    with database.engine.begin() as first, database.engine.begin() as second:
        users.admins(first, locked=True)
        second.exec_driver_sql("SET SESSION innodb_lock_wait_timeout=0")
        with pytest.raises(OperationalError, match="Lock wait"):
            users.set_role(second, two, Role.OPERATOR)
    database.dispose()


def test_an_unknown_user_is_not_found_and_the_nearest_is_named(project: Project) -> None:
    result = project.run("user", "role", "anna", "admin", "--as", "admni", check=False)
    assert result.code == 3
    assert "admin" in result.err


@pytest.mark.parametrize("arguments", [["user", "list"], ["key", "status"]])
def test_a_wrong_as_fails_even_where_nothing_depends_on_it(
    sqlite_project: Project, arguments: list[str]
) -> None:
    assert sqlite_project.run(*arguments, "--as", "nobody", check=False).code == 3


def test_the_user_in_the_settings_acts_and_as_wins_over_it(
    sqlite_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite_project.run("user", "add", "anna")
    monkeypatch.setenv("COLDSEND_USER", "anna")
    assert sqlite_project.run("user", "add", "bob", check=False).code == 4
    assert sqlite_project.run("user", "add", "bob", "--as", "admin").code == 0
