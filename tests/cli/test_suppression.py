"""coldsend suppression."""

from __future__ import annotations

import pytest

from coldsend import clock
from coldsend.domain.states import Role
from coldsend.stores import users
from tests.conftest import Project


def values(project: Project) -> list[tuple[str, str]]:
    return [(row["value"], row["reason"]) for row in project.json("suppression", "list")]


@pytest.mark.costly
def test_suppressions_are_added_listed_and_lifted(project: Project) -> None:
    added = project.json("suppression", "add", "Bob@Acme.com", "@evil.example", "--detail", "asked by phone")
    assert added == {"added": 2, "strengthened": 0, "known": 0}
    assert project.json("suppression", "add", "bob@acme.com")["known"] == 1
    assert values(project) == [("Bob@acme.com", "manual"), ("evil.example", "manual")]
    assert values(project) != project.json("suppression", "list", "--search", "EVIL")
    assert [row["value"] for row in project.json("suppression", "list", "--search", "EVIL")] == [
        "evil.example"
    ]
    table = project.run("suppression", "list").out
    assert "asked by phone" in table
    assert "cli:admin" in table
    assert project.run("suppression", "remove", "bob@acme.com", check=False).code == 2
    assert project.json("suppression", "remove", "bob@acme.com", "--yes") == {"removed": ["bob@acme.com"]}
    assert values(project) == [("evil.example", "manual")]


def test_a_suppressed_contact_says_so(project: Project) -> None:
    project.run("contact", "add", "bob@mail.acme.com")
    project.run("suppression", "add", "@acme.com", "--reason", "complaint")
    shown = project.json("contact", "show", "bob@mail.acme.com")
    assert [(entry["scope"], entry["reason"]) for entry in shown["suppressed"]] == [("domain", "complaint")]
    assert "complaint (acme.com, all campaigns)" in project.run("contact", "show", "bob@mail.acme.com").out


def test_what_the_recipient_asked_for_is_not_lifted_lightly(sqlite_project: Project) -> None:
    sqlite_project.run("suppression", "add", "bob@acme.com", "--reason", "unsubscribe")
    lift = ("suppression", "remove", "bob@acme.com", "--yes")
    refused = sqlite_project.run(*lift, check=False)
    assert refused.code == 4
    assert "--force --detail" in refused.err
    with sqlite_project.database.begin() as connection:
        users.add(connection, "anna", Role.OPERATOR, clock.now())
    force = ("--force", "--detail", "form of 2 May")
    assert sqlite_project.run(*lift, *force, "--as", "anna", check=False).code == 4
    assert values(sqlite_project) == [("bob@acme.com", "unsubscribe")]
    sqlite_project.run(*lift, *force)
    assert values(sqlite_project) == []


def test_an_import_reports_rejects_and_exits_with_6(project: Project) -> None:
    project.write("out.txt", "bob@acme.com\nnonsense\n@evil.example\n")
    result = project.run("suppression", "import", "out.txt", "--reason", "unsubscribe", "--json", check=False)
    assert result.code == 6
    assert result.json == {
        "added": 2,
        "strengthened": 0,
        "known": 0,
        "rejected": 1,
        "rejects_file": "out.rejects.csv",
    }
    assert values(project) == [("bob@acme.com", "unsubscribe"), ("evil.example", "unsubscribe")]
    rejects = (project.folder / "out.rejects.csv").read_text()
    assert "2," in rejects
    assert "nonsense" in rejects


@pytest.mark.costly
def test_an_export_is_imported_again(project: Project) -> None:
    project.run("suppression", "add", "bob@acme.com", "@evil.example", "--reason", "hard_bounce")
    project.run("suppression", "export", "all.csv")
    assert project.run("suppression", "export").out == (project.folder / "all.csv").read_text()
    assert project.run("suppression", "export", "all.csv", check=False).code == 2
    project.run("suppression", "remove", "bob@acme.com", "@evil.example", "--yes")
    assert project.json("suppression", "import", "all.csv")["added"] == 2
    assert values(project) == [("bob@acme.com", "hard_bounce"), ("evil.example", "hard_bounce")]
    assert [row["value"] for row in project.json("suppression", "export")] == ["bob@acme.com", "evil.example"]


@pytest.mark.costly
def test_a_company_list_is_kept_replaced_shown_and_taken_away(project: Project) -> None:
    project.write("customers.txt", "@acme.com\nbob@x.com\n")
    load = ("suppression", "import", "customers.txt", "--list", "customers", "--replace")
    assert project.json(*load)["removed"] == 0
    project.write("customers.txt", "@acme.com\nann@x.com\n")
    assert "1 taken off the list" in project.run(*load).out
    shown = project.json("suppression", "list", "--list", "customers")
    assert [(row["value"], row["list"]) for row in shown] == [
        ("acme.com", "customers"),
        ("ann@x.com", "customers"),
    ]
    assert [(row["name"], row["entries"]) for row in project.json("suppression", "lists")] == [
        ("customers", 2)
    ]
    assert project.run("suppression", "export", "--list", "customers").out.count("customers\n") == 2
    project.run("suppression", "add", "ann@x.com", "--reason", "hard_bounce")
    off = project.run("suppression", "remove", "ann@x.com", "--list", "customers", "--yes")
    assert "ann@x.com (hard_bounce)" in off.err
    whole = ("suppression", "remove", "--list", "customers")
    assert project.run(*whole, check=False).code == 2
    assert project.json(*whole, "--yes") == {"list": "customers", "removed": 1}
    assert values(project) == [("ann@x.com", "hard_bounce")]


def test_a_replacement_with_rejects_takes_nothing_off_and_says_so(sqlite_project: Project) -> None:
    sqlite_project.write("c.txt", "bob@x.com\n")
    load = ("suppression", "import", "c.txt", "--list", "customers", "--replace")
    sqlite_project.run(*load)
    sqlite_project.write("c.txt", "ann@x.com\nnonsense\n")
    result = sqlite_project.run(*load, check=False)
    assert result.code == 6
    assert "nothing was taken off the list" in result.err
    assert values(sqlite_project) == [("bob@x.com", "import"), ("ann@x.com", "import")]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["add", "nonsense"], 4, "is not a domain"),
        (["add", "bob@acme.com", "a b@c.com"], 4, "SPACE"),
        (["add", "bob@acme.com", "--campaign", "none"], 3, "none"),
        (["add", "bob@acme.com", "--reason", "whim"], 2, "whim"),
        (["add", "bob@acme.com", "--reason", "erased"], 4, "erased"),
        (["remove", "bob@acme.com", "--yes"], 3, "suppression list"),
        (["import", "none.txt"], 3, "none.txt"),
        (["remove"], 2, "neither an address nor a list"),
        (["remove", "--list", "none", "--yes"], 3, "suppression lists"),
        (["list", "--list", "none"], 3, "suppression lists"),
        (["export", "--list", "none"], 3, "suppression lists"),
        (["add", "x@y.com", "--list", "a", "--reason", "unsubscribe"], 4, "leave out --list"),
    ],
)
def test_refusals_say_what_to_do(
    sqlite_project: Project, arguments: list[str], code: int, words: str
) -> None:
    result = sqlite_project.run("suppression", *arguments, check=False)
    assert result.code == code, result.err
    assert words in result.err
    assert values(sqlite_project) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", "x@y.com"],
        ["list"],
        ["remove", "bob@x.com", "--yes"],
        ["import", "x.txt"],
        ["export"],
        ["lists"],
    ],
)
def test_every_verb_knows_who_acts(sqlite_project: Project, arguments: list[str]) -> None:
    sqlite_project.run("suppression", "add", "bob@x.com")
    sqlite_project.write("x.txt", "ann@x.com\n")
    assert sqlite_project.run("suppression", *arguments, "--as", "nobody", check=False).code == 3
    assert values(sqlite_project) == [("bob@x.com", "manual")]
