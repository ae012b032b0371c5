"""coldsend db upgrade|status|check."""

from __future__ import annotations

from tests.conftest import Project


def test_status_names_database_and_revision_and_hides_the_password(project: Project) -> None:
    status = project.json("db", "status")
    assert status["state"] == "current"
    assert status["revision"] == status["needed"]
    assert status["pending"] == []
    assert status["database"].partition("@")[2] == project.url.partition("@")[2]
    assert (
        project.database.url.password is None
        or f":{project.database.url.password}@" not in status["database"]
    )


def test_upgrading_what_is_current_says_so(project: Project) -> None:
    assert "is up to date" in project.run("db", "upgrade").out
    assert project.json("db", "upgrade")["applied"] == []


def test_check_finds_nothing_wrong_with_a_fresh_database(project: Project) -> None:
    found = project.run("db", "check", "--json", check=False)
    subjects = {finding["subject"] for finding in found.json["findings"]}
    assert subjects <= {"innodb_flush_log_at_trx_commit"}  # test servers may trade durability for speed


def test_check_lists_every_difference_and_exits_5(sqlite_project: Project) -> None:
    with sqlite_project.database.begin() as connection:
        connection.exec_driver_sql("DROP TABLE provider_pauses")
        connection.exec_driver_sql("ALTER TABLE contacts DROP COLUMN lawful_basis")
    result = sqlite_project.run("db", "check", "--json", check=False)
    assert result.code == 5
    assert [f["subject"] for f in result.json["findings"]] == ["contacts.lawful_basis", "provider_pauses"]
    assert "2 errors" in result.error["message"]


def test_check_exits_0_where_there_are_only_warnings(sqlite_project: Project) -> None:
    with sqlite_project.database.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE mine (x INTEGER)")
    result = sqlite_project.run("db", "check")
    assert "a table that coldsend does not know" in result.out


def test_an_unknown_user_is_refused_here_too(sqlite_project: Project) -> None:
    for verb in ("upgrade", "status", "check"):
        assert sqlite_project.run("db", verb, "--as", "nobody", check=False).code == 3
