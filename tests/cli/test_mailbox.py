from __future__ import annotations

from typing import Any

import pytest

from coldsend import clock
from coldsend.database.tables import inbox_messages, mailboxes
from coldsend.stores import inbox_messages as store
from tests.conftest import Project
from tests.planning.world import World

ADD = ("mailbox", "add", "replies", "--host", "imap.example.com", "--username", "anna", "--password-stdin")


def _service(project: Project) -> World:
    world = World(project.database)
    anna = world.user("anna")
    world.user("ben")
    world.service("main", granted=anna)
    return world


def test_a_mailbox_is_added_with_what_goes_without_saying(project: Project) -> None:
    added = project.json(*ADD, stdin="secret")
    assert {name: added[name] for name in ("name", "host", "port", "tls", "username", "folder", "state")} == {
        "name": "replies",
        "host": "imap.example.com",
        "port": 993,
        "tls": "implicit",
        "username": "anna",
        "folder": "INBOX",
        "state": "not read yet",
    }
    assert project.json("mailbox", "list") == [added]
    assert project.json("mailbox", "show", "replies") == added
    assert project.json("mailbox", "show", str(added["id"])) == added


def test_a_port_that_follows_from_tls_goes_on_following_it(sqlite_project: Project) -> None:
    sqlite_project.run(*ADD, stdin="secret")
    assert sqlite_project.json("mailbox", "update", "replies", "--tls", "starttls")["port"] == 143
    sqlite_project.run("mailbox", "update", "replies", "--port", "1143")
    assert sqlite_project.json("mailbox", "update", "replies", "--tls", "implicit")["port"] == 1143


NEW = ("mailbox", "add", "x")
HOST, USER, PASSWORD = ("--host", "imap.example.com"), ("--username", "u"), ("--password-stdin",)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((*NEW, *USER, *PASSWORD), 4, "--host is missing"),
        ((*NEW, *HOST, *PASSWORD), 4, "--username is missing"),
        ((*NEW, *HOST, *USER), 4, "the password is missing"),
        ((*NEW, "--host", "h h", *USER, *PASSWORD), 4, "neither a host"),
        ((*NEW, *HOST, *USER, *PASSWORD, "--port", "0"), 4, "--port"),
        ((*NEW, *HOST, *USER, "--token-command", "'"), 4, "quotation"),
        ((*NEW, *HOST, *USER, *PASSWORD, "--token-command", "t"), 4, "not both"),
        ((*ADD, "--service", "nowhere"), 3, "service 'nowhere' does not exist"),
        ((*ADD, "--tls", "none"), 4, "in clear"),
        ((*ADD, "--tls", "ssl"), 4, "--tls"),
        ((*ADD, "--folder", "a\nb"), 4, "--folder must be one line"),
        (("mailbox", "add", "12", *ADD[3:]), 4, "cannot be the name"),
        (("mailbox", "update", "nowhere", "--port", "1"), 3, "mailbox 'nowhere' does not exist"),
        (("mailbox", "update", "nowhere"), 2, "nothing is given"),
        (("mailbox", "remove", "nowhere", "--yes"), 3, "does not exist"),
        (("inbox", "poll", "nowhere"), 3, "mailbox 'nowhere' does not exist"),
        (("inbox", "show", "7"), 3, "there is no message 7"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_done(
    sqlite_project: Project, arguments: tuple[str, ...], code: int, said: str
) -> None:
    result = sqlite_project.run(*arguments, stdin="secret", check=False)
    assert (result.code, said in result.err) == (code, True), result.err
    assert sqlite_project.json("mailbox", "list") == []


def test_a_name_is_taken_once(project: Project) -> None:
    project.run(*ADD, stdin="secret")
    result = project.run(*ADD, stdin="secret", check=False)
    assert (result.code, "exists already" in result.err) == (4, True)


def test_another_folder_is_read_anew_and_another_password_is_not(sqlite_project: Project) -> None:
    sqlite_project.run(*ADD, stdin="secret")
    world = World(sqlite_project.database)
    world.change(mailboxes, 1, last_uid=9, uid_validity=7, consecutive_errors=3, last_error="x")
    changed = sqlite_project.json("mailbox", "update", "replies", "--password-stdin", stdin="better")
    assert (changed["last_uid"], changed["consecutive_errors"], changed["last_error"]) == (9, 0, None)
    changed = sqlite_project.json("mailbox", "update", "replies", "--folder", "Bounces")
    assert (changed["last_uid"], changed["uid_validity"]) == (None, None)


def test_a_service_with_mailboxes_is_not_removed(project: Project) -> None:
    _service(project)
    project.run(*ADD, "--service", "main", stdin="secret")
    result = project.run("service", "remove", "main", "--yes", check=False)
    assert (result.code, "mailboxes belong to service 'main': replies" in result.err) == (4, True)
    assert project.json("mailbox", "update", "replies", "--service", "")["service"] is None
    project.run("service", "revoke", "main", "anna")
    project.run("service", "remove", "main", "--yes")


def test_only_admins_change_mailboxes(sqlite_project: Project) -> None:
    _service(sqlite_project)
    for arguments in (
        ADD,
        ("mailbox", "update", "x", "--port", "1"),
        ("mailbox", "remove", "x"),
        ("inbox", "poll"),
    ):
        result = sqlite_project.run(*arguments, "--as", "anna", stdin="secret", check=False)
        assert (result.code, "only admins may" in result.err) == (4, True)


@pytest.mark.costly
def test_operators_see_the_mailboxes_of_their_services(project: Project) -> None:
    _service(project)
    project.run(*ADD, "--service", "main", stdin="secret")
    project.run("mailbox", "add", "bosses", *ADD[3:], stdin="secret")
    assert [one["name"] for one in project.json("mailbox", "list", "--as", "anna")] == ["replies"]
    assert project.json("mailbox", "list", "--as", "ben") == []
    project.run("mailbox", "show", "replies", "--as", "anna")
    for name, who in (("replies", "ben"), ("bosses", "anna")):
        for verb in (("mailbox", "show"), ("mailbox", "test"), ("inbox", "poll")):
            assert project.run(*verb, name, "--as", who, check=False).code == 4


def test_removing_asks_and_leaves_what_was_found(project: Project) -> None:
    project.run(*ADD, stdin="secret")
    _message(project)
    assert project.run("mailbox", "remove", "replies", check=False).code == 2
    project.run("mailbox", "remove", "replies", "--yes")
    assert project.json("mailbox", "list") == []
    [message] = project.json("inbox", "list")
    assert (message["mailbox"], message["subject"]) == (None, "Re: Hello")


def _message(project: Project, **values: Any) -> int:
    row = {
        "mailbox_id": 1,
        "uid_validity": 7,
        "uid": 1,
        "kind": "reply",
        "received_at": clock.now(),
        "digest": f"{len(values)}{values.get('task_contact_id')}",
        "message_id": "<r@example.com>",
        "from_email": "bob@example.com",
        "subject": "Re: Hello",
        "text": "Yes, [please].",
        "raw": b"Subject: Re: Hello\r\n\r\nYes.",
        **values,
    }
    with project.database.begin() as connection:
        return store.add(connection, row, clock.now())


@pytest.mark.costly
def test_messages_are_listed_and_shown(project: Project) -> None:
    project.run(*ADD, stdin="secret")
    world = _service(project)
    row = world.rows(world.task(world.campaign()), "sent")[0]
    message = _message(project, task_contact_id=row, contact_id=1)
    _message(project, kind="bounce", digest="b", details={"recipients": [{"address": "x@y.z", "hard": True}]})
    assert [one["kind"] for one in project.json("inbox", "list")] == ["reply", "bounce"]
    [listed] = project.json("inbox", "list", "--kind", "reply", "--mailbox", "replies")
    assert {name: listed[name] for name in ("id", "mailbox", "task", "contact", "from", "subject")} == {
        "id": message,
        "mailbox": "replies",
        "task": "spring/intro",
        "contact": "p2@example.com",
        "from": "bob@example.com",
        "subject": "Re: Hello",
    }
    assert project.json("inbox", "list", "--contact", "p2@example.com") == [listed]
    shown = project.json("inbox", "show", str(message))
    assert shown == {**listed, "message_id": "<r@example.com>", "text": "Yes, [please]."}
    assert "Yes, [please]." in project.run("inbox", "show", str(message)).out
    assert "x@y.z: for good" in project.run("inbox", "show", str(message + 1)).out


@pytest.mark.costly
def test_operators_see_what_is_about_their_campaigns_and_in_their_mailboxes(project: Project) -> None:
    world = _service(project)
    project.run(*ADD, stdin="secret")
    project.run("mailbox", "add", "annas", *ADD[3:], "--service", "main", stdin="secret")
    by_name = {row["username"]: row for row in project.json("user", "list")}
    with project.database.read() as connection:
        from coldsend.stores import users

        ben = users.acting(connection, "ben")
    campaign = world.campaign("bens", owner=ben)
    row = world.rows(world.task(campaign, owner=ben), "sent")[0]
    about_ben = _message(project, task_contact_id=row, contact_id=1)
    annas = _message(project, mailbox_id=2, digest="b")
    nobodys = _message(project, digest="c")
    assert by_name.keys() == {"admin", "anna", "ben"}
    seen = {who: [one["id"] for one in project.json("inbox", "list", "--as", who)] for who in by_name}
    assert seen == {"admin": [about_ben, annas, nobodys], "anna": [annas], "ben": [about_ben]}
    for who, ids in seen.items():
        for message in (about_ben, annas, nobodys):
            code = project.run("inbox", "show", str(message), "--as", who, check=False).code
            assert code == (0 if message in ids else 4)


def test_a_message_that_is_not_kept_any_more_is_told(sqlite_project: Project) -> None:
    message = _message(sqlite_project)
    World(sqlite_project.database).change(inbox_messages, message, raw=None)
    result = sqlite_project.run("inbox", "show", str(message), "--raw", check=False)
    assert (result.code, "not kept any more" in result.err) == (3, True)


@pytest.mark.costly
def test_the_raw_message_is_written_as_it_is(sqlite_project: Project) -> None:
    message = _message(sqlite_project)
    process = sqlite_project.start("inbox", "show", str(message), "--raw", stdout=-1)
    assert process.communicate(timeout=60)[0] == "Subject: Re: Hello\n\nYes."
