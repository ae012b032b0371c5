"""coldsend db upgrade|status|check|backup|restore|copy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import Project

pytestmark = pytest.mark.costly


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


def test_a_backup_is_restored_into_an_empty_database(sqlite_project: Project, tmp_path: Path) -> None:
    sqlite_project.run("campaign", "create", "spring")
    made = sqlite_project.json("db", "backup", "spring.db")
    assert made["file"] == "spring.db"
    assert made["tables"]["campaigns"] == 1
    assert made["bytes"] == (sqlite_project.folder / "spring.db").stat().st_size
    elsewhere = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    other = sqlite_project.config.read_text().replace(sqlite_project.url, elsewhere)
    sqlite_project.config.write_text(other)
    restored = sqlite_project.json("db", "restore", "spring.db")
    assert restored["taken_at"] == made["taken_at"]
    assert (restored["paused"], restored["unknown"], restored["missing_keys"]) == ([], 0, [])
    assert [row["name"] for row in sqlite_project.json("campaign", "list")] == ["spring"]
    again = sqlite_project.run("db", "restore", "spring.db", check=False)
    assert again.code == 4
    assert "is not empty" in again.err


def test_a_backup_into_a_folder_is_named_for_the_time(sqlite_project: Project) -> None:
    (sqlite_project.folder / "backups").mkdir()
    file = sqlite_project.json("db", "backup", "backups")["file"]
    assert re.fullmatch(r"backups/coldsend-\d{8}T\d{6}Z\.db", file)
    assert (sqlite_project.folder / file).is_file()


def test_only_admins_take_the_whole_database_with_them(sqlite_project: Project) -> None:
    sqlite_project.run("user", "add", "anna")
    for words in (["backup", "x.db"], ["copy", "--to", "sqlite:///x.db"]):
        assert sqlite_project.run("db", *words, "--as", "anna", check=False).code == 4
    assert not (sqlite_project.folder / "x.db").exists()


def test_a_database_is_copied_by_a_url_that_nobody_sees(sqlite_project: Project, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'copy.db'}"
    made = sqlite_project.json("db", "copy", "--to", "-", stdin=f"{url}\n")
    assert made["to"] == url
    assert made["tables"]["users"] == 1
    empty = sqlite_project.run("db", "copy", "--to", "-", stdin="", check=False)
    assert empty.code == 2
    broken = sqlite_project.run("db", "copy", "--to", "postgres://x", check=False)
    assert broken.code == 4
