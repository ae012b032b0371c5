"""coldsend contact export --all-data, contact erase."""

from __future__ import annotations

import json

import pytest

from coldsend import clock
from coldsend.domain.states import Role
from coldsend.stores import users
from tests.conftest import Project


@pytest.mark.costly
def test_all_data_is_one_document_with_source_and_lawful_basis(project: Project) -> None:
    project.run(
        *("contact", "add", "bob@acme.com", "--nickname", "Bob", "--tag", "vip", "--field", "size=9"),
        *("--source", "fair", "--lawful-basis", "consent"),
    )
    project.run("suppression", "add", "@acme.com")
    document = json.loads(project.run("contact", "export", "--all-data", "BOB@acme.com").out)
    assert document["contact"]["fields"] == {"size": "9"}
    assert (document["contact"]["source"], document["contact"]["lawful_basis"]) == ("fair", "consent")
    assert [entry["value"] for entry in document["suppressed"]] == ["acme.com"]
    told = project.json("contact", "export", "--all-data", "bob@acme.com", "bob.json")
    assert told == {"exported": 1, "file": "bob.json"}
    written = json.loads((project.folder / "bob.json").read_text())
    assert written["contact"] == document["contact"]
    again = project.run("contact", "export", "--all-data", "bob@acme.com", "bob.json", check=False)
    assert again.code == 2, "a file that is there is not overwritten without being asked"


@pytest.mark.costly
def test_a_person_is_erased_once_asked_and_mail_is_kept_away(project: Project) -> None:
    project.run("contact", "add", "bob@acme.com", "--nickname", "Bob")
    project.run("suppression", "add", "bob@acme.com", "--reason", "unsubscribe")
    asked = project.run("contact", "erase", "bob@acme.com", check=False)
    assert asked.code == 2
    assert "--yes" in asked.err
    assert project.json("contact", "show", "bob@acme.com")["nickname"] == "Bob"
    done = project.json("contact", "erase", "Bob@Acme.com", "--yes")
    assert (done["erased"], done["suppressions"], done["before"]) == ("Bob@Acme.com", 1, False)
    assert project.run("contact", "show", "bob@acme.com", check=False).code == 3
    assert [row["value"] for row in project.json("suppression", "list")] == [done["suppression"]]
    again = project.run("contact", "erase", "bob@acme.com", "--yes")
    assert "was erased before" in again.out
    project.run("contact", "add", "bob@acme.com")
    shown = project.json("contact", "show", "bob@acme.com")
    assert [entry["reason"] for entry in shown["suppressed"]] == ["erased"]
    exported = project.run("suppression", "export").out
    assert "bob@acme.com" not in exported
    assert done["suppression"] in exported


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["erase", "nobody@acme.com", "--yes"], 3, "suppression add nobody@acme.com"),
        (["erase", "nobody", "--yes"], 4, "@-sign"),
        (["export", "--all-data", "nobody@acme.com"], 3, "contact list --search"),
        (["export", "--all-data", "bob@acme.com", "--tag", "x"], 2, "leave out --tag"),
        (["export", "--all-data", "bob@acme.com", "--as", "anna"], 4, "only admins"),
        (["erase", "bob@acme.com", "--yes", "--as", "anna"], 4, "only admins"),
        (["erase", "bob@acme.com", "--yes", "--as", "nobody"], 3, "nobody"),
    ],
)
def test_refusals_say_what_to_do(
    sqlite_project: Project, arguments: list[str], code: int, words: str
) -> None:
    sqlite_project.run("contact", "add", "bob@acme.com")
    with sqlite_project.database.begin() as connection:
        users.add(connection, "anna", Role.OPERATOR, clock.now())
    result = sqlite_project.run("contact", *arguments, check=False)
    assert result.code == code, result.err
    assert words in result.err
    assert sqlite_project.json("contact", "show", "bob@acme.com")["suppressed"] == []


def test_a_dash_is_standard_output_and_no_file(sqlite_project: Project) -> None:
    sqlite_project.run("contact", "add", "bob@acme.com")
    sqlite_project.run("suppression", "add", "eve@acme.com")
    for command in (
        ("contact", "export", "--all-data", "bob@acme.com", "-"),
        ("contact", "export", "-"),
        ("suppression", "export", "-"),
    ):
        assert "@acme.com" in sqlite_project.run(*command).out
    assert not (sqlite_project.folder / "-").exists()


def test_whoever_adds_somebody_erased_again_is_told_that_nothing_goes_there(sqlite_project: Project) -> None:
    assert "note" not in sqlite_project.run("contact", "add", "bob@acme.com").err
    sqlite_project.run("contact", "erase", "bob@acme.com", "--yes")
    assert "it is suppressed (erased)" in sqlite_project.run("contact", "add", "bob@acme.com").err
