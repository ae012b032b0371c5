"""coldsend key."""

from __future__ import annotations

import pytest

from coldsend.config.secrets import new_key, parse_key, write_key_file
from tests.conftest import Project


def test_a_new_key_is_printed_and_nothing_else(sqlite_project: Project) -> None:
    first, second = (sqlite_project.run("key", "new").out for _ in range(2))
    assert len(parse_key(first, "")) == 32
    assert first != second
    assert sqlite_project.json("key", "new")["key"] not in (first, second)


def test_rotation_brings_a_new_key_into_use(project: Project) -> None:
    (before,) = project.json("key", "status")
    done = project.json("key", "rotate")
    assert (done["resealed"], done["dropped"]) == (2, [before["id"]])
    assert project.json("key", "status") == [
        {**before, "id": done["current"], "state": "in use", "values": 2}
    ]


def test_an_operator_may_not_rotate(project: Project) -> None:
    project.run("user", "add", "anna")
    result = project.run("key", "rotate", "--as", "anna", check=False)
    assert result.code == 4
    assert "only admins may rotate keys" in result.err


def test_a_key_in_a_variable_is_rotated_in_two_steps(
    sqlite_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = (sqlite_project.folder / "coldsend.key").read_text().splitlines()[-1]
    monkeypatch.setenv("COLDSEND_SECRET_KEY", old)
    told = sqlite_project.run("key", "rotate", "--json", check=False)
    assert told.code == 4
    assert "coldsend key new" in told.error["hint"]
    monkeypatch.setenv("COLDSEND_SECRET_KEY", f"{new_key()},{old}")
    result = sqlite_project.run("key", "rotate")
    assert "values encrypted anew: 2" in result.out
    assert "take it out of COLDSEND_SECRET_KEY" in result.err


def test_status_shows_old_and_missing_keys_by_their_ids(sqlite_project: Project) -> None:
    file = sqlite_project.folder / "coldsend.key"
    old = file.read_text().splitlines()[-1]
    write_key_file(file, [new_key(), old])
    assert [row["state"] for row in sqlite_project.json("key", "status")] == ["in use", "old"]
    write_key_file(file, [new_key()])
    assert [row["state"] for row in sqlite_project.json("key", "status")] == ["in use", "missing"]


@pytest.mark.costly
def test_no_command_shows_a_key_that_is_in_use(sqlite_project: Project) -> None:
    file = sqlite_project.folder / "coldsend.key"
    secrets = {file.read_text().splitlines()[-1]}
    shown = ""
    for arguments in (["key", "status"], ["key", "rotate"], ["key", "rotate"], ["doctor"]):
        result = sqlite_project.run(*arguments, check=False)
        shown += result.out + result.err
        secrets.add(file.read_text().splitlines()[-1])
    assert len(secrets) == 3
    assert not [secret for secret in secrets if secret in shown]
