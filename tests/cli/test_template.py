"""coldsend template."""

from __future__ import annotations

import email
import email.policy
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from coldsend import clock
from coldsend.config.secrets import load_key_ring
from coldsend.config.settings import Settings
from coldsend.database.tables import (
    campaigns,
    contacts,
    task_contacts,
    tasks,
    templates,
    user_sender_service_access,
)
from coldsend.database.tables import sender_services as services
from coldsend.domain.states import TaskStatus
from coldsend.stores import signing_keys
from tests.conftest import Project

BODY = '<p>Hi {{ contact.nickname | default("you") }}</p>\n<a href="https://x.example">x</a>\n'


def add(project: Project, name: str = "intro", body: str = BODY, *more: str) -> None:
    project.write("body.html", body)
    project.run("template", "add", name, "--subject", "Hello", "--body-file", "body.html", *more)


def put_in_task(project: Project, template: str, status: TaskStatus, set_name: str = "set") -> int:
    """A task in a state, with a set that holds the template."""
    project.run("template-set", "create", set_name, "--template", template)
    with project.database.begin() as connection:
        campaign_id = connection.execute(
            sa.insert(campaigns).values(name=f"c-{set_name}", status="active", created_by=1)
        ).inserted_primary_key[0]
        values = {
            "campaign_id": campaign_id,
            "name": "t",
            "status": status.value,
            "recipient_rule": {},
            "template_set_id": 1,
            "created_by": 1,
        }
        return int(connection.execute(sa.insert(tasks).values(**values)).inserted_primary_key[0])


def set_status(project: Project, task_id: int, status: TaskStatus) -> None:
    with project.database.begin() as connection:
        connection.execute(sa.update(tasks).where(tasks.c.id == task_id).values(status=status.value))


def ready_for_preview(project: Project) -> None:
    keys = load_key_ring(Settings(secret_key_file=project.folder / "coldsend.key"))
    with project.database.begin() as connection:
        signing_keys.ensure(connection, keys, "links", clock.now())
    project.run("contact", "add", "bob@acme.example", "--nickname", "Bob", "--field", "company=Acme")


def test_a_template_is_added_shown_and_listed(project: Project) -> None:
    add(project)
    shown = project.json("template", "show", "intro")
    assert (shown["subject"], shown["body"], shown["text_body"], shown["sets"]) == ("Hello", BODY, None, [])
    (row,) = project.json("template", "list")
    assert (row["name"], row["text"], row["created_by"]) == ("intro", "derived", "admin")
    assert "intro" in project.run("template", "list").out
    assert "https://x.example" in project.run("template", "show", "1").out


def test_all_errors_are_told_at_once_and_nothing_is_stored(project: Project) -> None:
    project.write("body.html", "<p>{{ nmae }}</p>\n<b>\n<a href='x.html'>y</a>")
    result = project.run(
        "template", "add", "intro", "--subject", "Re: {{ x }}", "--body-file", "body.html", check=False
    )
    assert result.code == 4
    for expected in (
        "5 errors",
        "'nmae'",
        "line 2",
        "<b> is not closed",
        "line 3",
        "no scheme",
        "'Re:'",
        "'x'",
    ):
        assert expected in result.err
    assert project.json("template", "list") == []


def test_warnings_and_the_added_footer_are_told(project: Project) -> None:
    project.write("body.html", '<p>x</p><a href="http://x.example">x</a>')
    result = project.json("template", "add", "intro", "--subject", "Hello", "--body-file", "body.html")
    assert [one["message"] for one in result["warnings"]] == ["the link 'http://x.example' is not encrypted"]
    assert "unsubscribe link" in result["notes"][0]
    shown = project.run("template", "add", "other", "--subject", "Hi", "--body-file", "body.html").err
    assert "is not encrypted" in shown
    assert "footer" in shown


def test_a_field_nobody_has_is_warned_about(project: Project) -> None:
    project.run("contact", "add", "bob@acme.example", "--field", "company=Acme")
    project.write("body.html", "<p>{{ contact.compny }}</p>")
    result = project.json("template", "add", "intro", "--subject", "Hello", "--body-file", "body.html")
    assert [one["hint"] for one in result["warnings"]] == ["did you mean contact.company?"]


@pytest.mark.parametrize(
    ("content", "complaint", "code"),
    [(b"\xff\xfe<", "not UTF-8", 4), (None, "does not exist", 3), (b"x" * 10_000_001, "more than", 4)],
)
def test_a_file_that_cannot_be_a_template_is_refused(
    sqlite_project: Project, content: bytes | None, complaint: str, code: int
) -> None:
    file = sqlite_project.folder / "body.html"
    if content is not None:
        file.write_bytes(content)
    result = sqlite_project.run(
        "template", "add", "intro", "--subject", "Hello", "--body-file", "body.html", check=False
    )
    assert (result.code, complaint in result.err, "body.html" in result.err) == (code, True, True)


def test_a_byte_order_mark_is_no_part_of_the_template(sqlite_project: Project) -> None:
    (sqlite_project.folder / "body.html").write_bytes(b"\xef\xbb\xbf<p>x</p>")
    sqlite_project.run("template", "add", "intro", "--subject", "Hello", "--body-file", "body.html")
    assert sqlite_project.json("template", "show", "intro")["body"] == "<p>x</p>"


def test_a_name_is_given_once(project: Project) -> None:
    add(project)
    result = project.run(
        "template", "add", "intro", "--subject", "Hello", "--body-file", "body.html", check=False
    )
    assert result.code == 4
    assert "exists already" in result.err


@pytest.mark.costly
def test_a_template_is_updated_as_a_whole_or_not_at_all(project: Project) -> None:
    add(project)
    project.write("bad.html", "<b>")
    refused = project.run(
        "template", "update", "intro", "--subject", "New", "--body-file", "bad.html", check=False
    )
    assert refused.code == 4
    assert project.json("template", "show", "intro")["subject"] == "Hello"
    project.write("text.txt", "Hi there\n")
    project.run(
        "template", "update", "intro", "--subject", "New", "--text-file", "text.txt", "--name", "first"
    )
    shown = project.json("template", "show", "first")
    assert (shown["subject"], shown["text_body"], shown["body"]) == ("New", "Hi there\n", BODY)
    project.run("template", "update", "first", "--no-text")
    assert project.json("template", "show", "first")["text_body"] is None


def test_an_update_of_nothing_is_refused(sqlite_project: Project) -> None:
    add(sqlite_project)
    assert sqlite_project.run("template", "update", "intro", check=False).code == 4


@pytest.mark.parametrize("status", [TaskStatus.SCHEDULED, TaskStatus.SENDING])
def test_a_template_that_a_task_sends_stays_as_it_is(project: Project, status: TaskStatus) -> None:
    add(project)
    put_in_task(project, "intro", status)
    for verb in (("update", "intro", "--subject", "New"), ("remove", "intro", "--yes")):
        result = project.run("template", *verb, "--json", check=False)
        assert (result.code, result.error["code"]) == (4, "wrong_state")
        assert "c-set/t" in result.error["message"]
        assert "coldsend task pause c-set/t" in result.error["hint"]


@pytest.mark.parametrize("status", [TaskStatus.DRAFT, TaskStatus.PAUSED, TaskStatus.FINISHED])
def test_a_template_of_a_task_at_rest_can_be_mended(project: Project, status: TaskStatus) -> None:
    add(project)
    put_in_task(project, "intro", status)
    before = project.json("template", "show", "intro")["updated_at"]
    project.run("template", "update", "intro", "--subject", "New")
    assert project.json("template", "show", "intro")["updated_at"] > before


def test_a_template_that_left_its_set_is_still_sent_by_the_task_that_was_expanded(project: Project) -> None:
    add(project)
    task_id = put_in_task(project, "intro", TaskStatus.FINISHED)
    project.run("template-set", "remove", "set", "intro")
    with project.database.begin() as connection:
        connection.execute(sa.update(tasks).where(tasks.c.id == task_id).values(template_ids=[1]))
    set_status(project, task_id, TaskStatus.SENDING)
    assert project.run("template", "update", "intro", "--subject", "New", check=False).code == 4


@pytest.mark.costly
def test_a_template_in_a_set_or_a_send_list_is_not_removed(project: Project) -> None:
    add(project)
    task_id = put_in_task(project, "intro", TaskStatus.FINISHED)
    assert "template set 'set'" in project.run("template", "remove", "intro", "--yes", check=False).err
    project.run("template-set", "remove", "set", "intro")
    project.run("contact", "add", "bob@acme.example")
    with project.database.begin() as connection:
        contact_id = connection.execute(sa.select(contacts.c.id)).scalar_one()
        values = {"task_id": task_id, "contact_id": contact_id, "selected_template_id": 1}
        connection.execute(sa.insert(task_contacts).values(**values))
    assert "has been sent" in project.run("template", "remove", "intro", "--yes", check=False).err
    with project.database.begin() as connection:
        connection.execute(sa.delete(task_contacts))
    project.run("template", "remove", "intro", "--yes")
    assert project.json("template", "list") == []


def test_removing_asks_first(sqlite_project: Project) -> None:
    add(sqlite_project)
    assert sqlite_project.run("template", "remove", "intro", check=False).code == 2
    assert len(sqlite_project.json("template", "list")) == 1


@pytest.mark.costly
def test_operators_work_with_their_own_templates_only(project: Project) -> None:
    add(project)
    project.run("user", "add", "anna")
    add(project, "annas", BODY, "--as", "anna")
    assert [row["name"] for row in project.json("--as", "anna", "template", "list")] == ["annas"]
    assert len(project.json("template", "list")) == 2
    for verb in (
        ("show", "intro"),
        ("lint", "intro"),
        ("update", "intro", "--subject", "x"),
        ("remove", "intro", "--yes"),
        ("preview", "intro", "--contact", "bob@acme.example"),
    ):
        result = project.run("--as", "anna", "template", *verb, "--json", check=False)
        assert result.error["code"] == "not_allowed", verb
    with project.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(templates)).scalar() == 2


def test_lint_shows_findings_and_its_exit_code_tells_errors(project: Project) -> None:
    add(project)
    assert project.json("template", "lint", "intro")["findings"] == []
    assert "nothing to mend" in project.run("template", "lint", "intro").err
    with project.database.begin() as connection:
        connection.execute(sa.update(templates).values(body="<p>x</p>\n<b>"))
    result = project.run("template", "lint", "intro", "--json", check=False)
    assert result.code == 4
    (finding,) = result.json["findings"]
    assert (finding["severity"], finding["message"]) == ("error", "<b> is not closed")
    assert "line 2" in finding["subject"]


@pytest.mark.costly
def test_a_preview_is_the_message_the_contact_would_get(project: Project) -> None:
    add(project)
    ready_for_preview(project)
    shown = project.run("template", "preview", "intro", "--contact", "bob@acme.example")
    assert "To: Bob <bob@acme.example>" in shown.out
    assert "\n\nHi Bob\n" in shown.out
    assert "1 Test Street, 12345 Testville" in shown.out
    assert "stand-in" in shown.err
    document = project.json("template", "preview", "intro", "--contact", "bob@acme.example")
    assert document["to"] == "Bob <bob@acme.example>"
    assert "<p>Hi Bob</p>" in document["html"]


def test_the_headers_of_a_preview_are_shown_as_mail_programs_decode_them(sqlite_project: Project) -> None:
    project = sqlite_project
    project.write("body.html", BODY)
    project.run("template", "add", "intro", "--subject", "Grüße aus Köln", "--body-file", "body.html")
    ready_for_preview(project)
    preview = ("template", "preview", "intro", "--contact", "bob@acme.example")
    assert "\nSubject: Grüße aus Köln\n" in project.run(*preview).out


@pytest.mark.costly
def test_a_preview_is_written_as_html_and_as_a_message(project: Project) -> None:
    add(project)
    ready_for_preview(project)
    for file in ("out.html", "out.eml"):
        project.run("template", "preview", "intro", "--contact", "bob@acme.example", "--out", file)
    assert "<p>Hi Bob</p>" in (project.folder / "out.html").read_text(encoding="utf-8")
    raw = (project.folder / "out.eml").read_bytes()
    read = email.message_from_bytes(raw, policy=email.policy.default)
    assert str(read["to"]) == "Bob <bob@acme.example>"
    assert (
        project.run("template", "preview", "intro", "--contact", "1", "--out", "x.pdf", check=False).code == 2
    )


@pytest.mark.costly
def test_a_preview_is_printed_octet_for_octet(sqlite_project: Project) -> None:
    add(sqlite_project)
    ready_for_preview(sqlite_project)
    preview = ("template", "preview", "intro", "--contact", "1", "--eml")
    command = [sys.executable, "-m", "coldsend", *preview, "--config", str(sqlite_project.config)]
    root = Path(__file__).parents[2]
    printed = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout
    assert printed.count(b"\r\n") == printed.count(b"\n") > 20
    assert (
        str(email.message_from_bytes(printed, policy=email.policy.default)["to"]) == "Bob <bob@acme.example>"
    )
    for other in (("--json",), ("--out", "x.eml")):
        assert sqlite_project.run(*preview, *other, check=False).code == 2


def test_a_preview_names_what_the_contact_lacks(project: Project) -> None:
    add(project, "intro", "<p>\n{{ contact.city }}</p>")
    ready_for_preview(project)
    result = project.run(
        "template", "preview", "intro", "--contact", "bob@acme.example", "--json", check=False
    )
    assert result.code == 4
    assert "contact.city is missing" in result.error["message"]
    assert "line 2" in result.error["message"]


@pytest.mark.costly
def test_a_preview_shows_the_sender_s_own_service(project: Project) -> None:
    add(project)
    ready_for_preview(project)
    project.run("user", "add", "anna")
    with project.database.begin() as connection:
        values = {
            "name": "main",
            "type": "console",
            "from_email": "robin@sender.example",
            "from_name": "Robin",
        }
        connection.execute(sa.insert(services).values(**values))
        connection.execute(sa.update(templates).values(created_by=2))
    preview = ("template", "preview", "intro", "--contact", "1", "--service", "main")
    assert project.json(*preview)["from"] == "Robin <robin@sender.example>"
    refused = project.run("--as", "anna", *preview, "--json", check=False)
    assert refused.error["code"] == "not_allowed"
    with project.database.begin() as connection:
        connection.execute(sa.insert(user_sender_service_access).values(user_id=2, sender_service_id=1))
    assert project.json("--as", "anna", *preview)["from"] == "Robin <robin@sender.example>"
