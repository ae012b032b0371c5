"""coldsend contact."""

from __future__ import annotations

import csv
import json

import pytest

from coldsend import clock
from coldsend.domain.states import Role
from coldsend.stores import users
from tests.conftest import Project

PEOPLE = (
    "E-Mail;First name;Tags;Time zone\n"
    "bob@acme.com;Bob;vip,de;Europe/Berlin\n"
    "BOB@acme.com;Bob;;\n"
    "ann@acme.com;Ann;;Mars\n"
    "josé@bücher.example;José;vip;\n"
)


@pytest.mark.costly
def test_a_contact_is_added_changed_shown_and_removed(project: Project) -> None:
    added = project.json(
        *("contact", "add", "Bob@Acme.com", "--nickname", "Bob", "--tag", "vip", "--field", "company=Acme"),
        *("--time-zone", "Europe/Berlin", "--source", "fair", "--lawful-basis", "consent"),
    )
    assert added["email"] == "Bob@acme.com"
    project.run(
        "contact", "update", "bob@acme.com", "--nickname", "", "--field", "size=9", "--field", "company="
    )
    project.run("contact", "tag", "bob@acme.com", "--tag", "de", "--tag", "press")
    project.run("contact", "untag", str(added["id"]), "--tag", "press")
    shown = project.json("contact", "show", "BOB@ACME.COM")
    assert shown["nickname"] is None
    assert shown["fields"] == {"size": "9"}
    assert shown["tags"] == ["vip", "de"]
    assert shown["suppressed"] == []
    assert shown["sends"] == {"rows": 0, "by_status": {}, "last_sent_at": None}
    assert "size=9" in project.run("contact", "show", "bob@acme.com").out
    asked = project.run("contact", "remove", "bob@acme.com", check=False)
    assert asked.code == 2
    assert "--yes" in asked.err
    assert project.json("contact", "remove", "bob@acme.com", "--yes") == {"removed": ["Bob@acme.com"]}
    assert project.run("contact", "show", "bob@acme.com", check=False).code == 3
    assert project.json("contact", "add", "bob@acme.com")["revived"] is True


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["add", "bob"], 4, "@-sign"),
        (["add", "bob@acme.com", "--tag", "a,b"], 4, "comma"),
        (["add", "bob@acme.com", "--field", "First Name=x"], 4, "first_name"),
        (["add", "bob@acme.com", "--field", "company"], 2, "--field company=Acme"),
        (["add", "bob@acme.com", "--field", "nickname=x"], 4, "--nickname"),
        (["add", "bob@acme.com", "--time-zone", "berlin"], 4, "Europe/Berlin"),
        (["add", "bob@acme.com", "--nickname", "a\r\nBcc: x@y.com"], 4, "carriage return"),
        (["add", "known@acme.com"], 4, "contact update known@acme.com"),
        (["update", "known@acme.com"], 2, "nothing to change"),
        (["tag", "known@acme.com"], 2, "--tag vip"),
        (["tag", "known@acme.com", "nobody@acme.com", "--tag", "x"], 3, "nobody@acme.com"),
        (["show", "nobody@acme.com"], 3, "contact list --search"),
        (["show", "nobody"], 4, "@-sign"),
        (["import", "none.csv"], 3, "none.csv"),
        (["import", "x.csv", "--map", "y"], 2, "--map 'Firma=company'"),
        (["import", "x.csv", "--delimiter", "abc"], 2, "one character"),
        (["import", "x.csv", "--encoding", "klingon"], 2, "cp1252"),
        (["export", "nowhere/x.csv"], 2, "nowhere/x.csv"),
        (["list", "--limit", "0"], 2, "limit"),
    ],
)
def test_refusals_say_what_to_do(
    sqlite_project: Project, arguments: list[str], code: int, words: str
) -> None:
    sqlite_project.run("contact", "add", "known@acme.com")
    sqlite_project.write("x.csv", "email\nbob@acme.com\n")
    result = sqlite_project.run("contact", *arguments, check=False)
    assert result.code == code, result.err
    assert words in result.err
    assert [row["email"] for row in sqlite_project.json("contact", "list")] == ["known@acme.com"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", "x@y.com"],
        ["update", "known@acme.com", "--nickname", "x"],
        ["tag", "known@acme.com", "--tag", "x"],
        ["untag", "known@acme.com", "--tag", "x"],
        ["list"],
        ["show", "known@acme.com"],
        ["remove", "known@acme.com", "--yes"],
        ["import", "x.csv"],
        ["export"],
    ],
)
def test_every_verb_knows_who_acts(sqlite_project: Project, arguments: list[str]) -> None:
    sqlite_project.run("contact", "add", "known@acme.com")
    sqlite_project.write("x.csv", "email\nbob@acme.com\n")
    assert sqlite_project.run("contact", *arguments, "--as", "nobody", check=False).code == 3
    assert [row["email"] for row in sqlite_project.json("contact", "list")] == ["known@acme.com"]
    with sqlite_project.database.begin() as connection:
        users.add(connection, "anna", Role.OPERATOR, clock.now())
    sqlite_project.run("contact", *arguments, "--as", "anna")


def test_an_import_reports_what_it_did_and_exits_with_6_where_rows_were_rejected(project: Project) -> None:
    project.write("people.csv", PEOPLE)
    result = project.run("contact", "import", "people.csv", "--tag", "spring", "--json", check=False)
    assert result.code == 6
    done = result.json
    assert (done["imported"], done["updated"], done["unchanged"], done["rejected"]) == (2, 0, 0, 2)
    assert done["rejects_file"] == "people.rejects.csv"
    assert result.error["code"] == "partly_done"
    assert "people.rejects.csv" in result.error["hint"]
    with (project.folder / "people.rejects.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["line", "reason", "E-Mail", "First name", "Tags", "Time zone"]
    assert [row[0] for row in rows[1:]] == ["3", "4"]
    bob = project.json("contact", "show", "bob@acme.com")
    assert (bob["fields"], bob["tags"]) == ({"first_name": "Bob"}, ["vip", "de", "spring"])


def test_an_import_run_twice_says_that_nothing_changed(project: Project) -> None:
    project.write("people.csv", "email,tags\nbob@acme.com,vip\n")
    assert project.json("contact", "import", "people.csv")["imported"] == 1
    again = project.json("contact", "import", "people.csv")
    assert (again["imported"], again["updated"], again["unchanged"]) == (0, 0, 1)
    assert again["rejects_file"] is None


def test_an_import_reads_standard_input_and_takes_told_columns(sqlite_project: Project) -> None:
    done = sqlite_project.json(
        *("contact", "import", "-", "--map", "Kontakt=email", "--map", "Firma=company", "--map", "Notiz="),
        stdin="Kontakt\tFirma\tNotiz\nbob@acme.com\tAcme\tx\n",
    )
    assert done["imported"] == 1
    assert done["delimiter"] == "\t"
    assert done["ignored_columns"] == ["Notiz"]
    assert sqlite_project.json("contact", "show", "bob@acme.com")["fields"] == {"company": "Acme"}


def test_a_guessed_encoding_is_said(sqlite_project: Project) -> None:
    (sqlite_project.folder / "old.csv").write_bytes(
        "email;name\nbob@acme.com;Jürgen Müller\n".encode("cp1252")
    )
    result = sqlite_project.run("contact", "import", "old.csv")
    assert "cp1252" in result.err
    assert "--encoding" in result.err
    assert sqlite_project.json("contact", "show", "bob@acme.com")["fields"] == {"name": "Jürgen Müller"}


def test_a_dry_run_says_that_nothing_was_changed(sqlite_project: Project) -> None:
    sqlite_project.write("people.csv", "email\nbob@acme.com\n")
    assert "nothing was changed" in sqlite_project.run("contact", "import", "people.csv", "--dry-run").out
    assert sqlite_project.json("contact", "list") == []


def test_lists_are_paged_and_say_so(project: Project) -> None:
    project.write(
        "people.csv", "email,tags\n" + "".join(f"u{n}@x.com,{'even' * (1 - n % 2)}\n" for n in range(6))
    )
    project.run("contact", "import", "people.csv")
    first = project.run("contact", "list", "--limit", "4")
    last_id = project.json("contact", "list", "--limit", "4")[-1]["id"]
    assert f"--after {last_id}" in first.err
    rest = project.json("contact", "list", "--after", str(last_id))
    assert [row["email"] for row in rest] == ["u4@x.com", "u5@x.com"]
    assert [row["email"] for row in project.json("contact", "list", "--tag", "even")] == [
        "u0@x.com",
        "u2@x.com",
        "u4@x.com",
    ]
    assert [row["email"] for row in project.json("contact", "list", "--search", "U3")] == ["u3@x.com"]


def test_an_export_goes_to_a_file_or_to_standard_output_and_can_be_imported(project: Project) -> None:
    project.run(
        "contact", "add", "bob@acme.com", "--tag", "vip", "--tag", "de", "--nickname", "=B", "--field", "x=1"
    )
    project.run("contact", "add", "ann@acme.com")
    text = project.run("contact", "export").out
    assert text.splitlines() == [
        "email,nickname,tags,time_zone,source,lawful_basis,x",
        'bob@acme.com,=B,"vip,de",,,,1',
        "ann@acme.com,,,,,,",
    ]
    assert project.json("contact", "export", "all.csv", "--tag", "vip") == {"exported": 1, "file": "all.csv"}
    assert (project.folder / "all.csv").read_text().splitlines() == text.splitlines()[:2]
    assert project.run("contact", "export", "all.csv", check=False).code == 2, (
        "a file is not replaced unasked"
    )
    project.run("contact", "export", "all.csv", "--yes")
    assert project.json("contact", "import", "all.csv")["unchanged"] == 2
    assert [row["email"] for row in json.loads(project.run("contact", "export", "--json").out)] == [
        "bob@acme.com",
        "ann@acme.com",
    ]
