"""``coldsend catcher``: what the mail server for trying things out keeps, and how it is looked at."""

from __future__ import annotations

import smtplib
import socket
from email.message import EmailMessage
from pathlib import Path

import pytest

from coldsend.demo.caught import Caught, caught_in, one_of
from coldsend.demo.mailbox import HOST, Mailbox
from coldsend.errors import NotFound, Unreachable
from tests.conftest import Project

CLICK = "http://127.0.0.1:8025/c/AAAA?u=https%3A%2F%2Fshop.example%2F%3Fa%3D1%26b%3D2"
HTML = (
    f'<p>Grüße, <a href="{CLICK.replace("&", "&amp;")}">look</a></p>'
    '<img src="http://127.0.0.1:8025/o/BBBB.gif">'
)


def send(port: int, to: str, subject: str = "Grüße", html: str = HTML) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Ann <ann@sender.example>", to, subject
    message["List-Unsubscribe"] = "<mailto:u@sender.example>, <http://127.0.0.1:8025/u/CCCC>"
    message.set_content("Grüße\n\x1b[31mred")
    message.add_alternative(html, subtype="html", cte="quoted-printable")
    with smtplib.SMTP(HOST, port) as client:
        client.send_message(message)


@pytest.fixture
def caught(sqlite_project: Project) -> Path:
    """The folder with two messages to bob, and one to someone whose address is no file name."""
    folder = sqlite_project.folder / "caught"
    with Mailbox(folder) as mailbox:
        send(mailbox.port, "Bob <bob@acme.example>")
        send(mailbox.port, "o'hara/x@acme.example")
        send(mailbox.port, "BOB@acme.example", "Again", "<p>no links</p>")
    return folder


def test_what_came_is_listed_in_its_order(sqlite_project: Project, caught: Path) -> None:
    listed = sqlite_project.json("catcher", "list")
    assert [(one["number"], one["to"], one["subject"]) for one in listed] == [
        (1, "bob@acme.example", "Grüße"),
        (2, "o'hara/x@acme.example", "Grüße"),
        (3, "BOB@acme.example", "Again"),
    ]
    assert (caught / "002 o_hara_x@acme.example.eml").is_file()


@pytest.mark.usefixtures("caught")
def test_a_message_is_shown_as_it_is_read(sqlite_project: Project) -> None:
    shown = sqlite_project.run("catcher", "show", "1").out
    assert "Subject: Grüße\n" in shown
    assert "\nGrüße\n\\x1b[31mred\n" in shown, "nothing in a message may control the terminal"
    assert f"click        {CLICK}\n             leads to https://shop.example/?a=1&b=2\n" in shown
    links = sqlite_project.json("catcher", "show", "1")["links"]
    assert links["open"] == "http://127.0.0.1:8025/o/BBBB.gif"
    assert links["unsubscribe"] == "http://127.0.0.1:8025/u/CCCC"


@pytest.mark.usefixtures("caught")
def test_an_address_means_its_last_message(sqlite_project: Project) -> None:
    assert sqlite_project.json("catcher", "show", "bob@acme.example")["number"] == 3


@pytest.mark.usefixtures("caught")
def test_a_link_is_printed_alone_and_where_there_is_none_it_is_said(sqlite_project: Project) -> None:
    assert sqlite_project.run("catcher", "show", "1", "--link", "click").out == f"{CLICK}\n"
    assert sqlite_project.run("catcher", "show", "3", "--link", "click", check=False).code == 3
    missing = sqlite_project.run("catcher", "show", "nobody@acme.example", check=False)
    assert (missing.code, "coldsend catcher list" in missing.err) == (3, True)


def test_folders_of_dry_runs_are_read_too(sqlite_project: Project, caught: Path) -> None:
    dry = sqlite_project.folder / "dry"
    dry.mkdir()
    (dry / "000001-bob@acme.example.eml").write_bytes((caught / "001 bob@acme.example.eml").read_bytes())
    assert sqlite_project.json("catcher", "show", "1", "--folder", "dry")["subject"] == "Grüße"


def test_numbers_go_on_where_it_is_started_again(caught: Path) -> None:
    told: list[Caught] = []
    with Mailbox(caught, tell=told.append) as mailbox:
        send(mailbox.port, "eve@acme.example")
    assert [one.number for one in caught_in(caught)] == [1, 2, 3, 4]
    assert [one.recipient for one in told] == ["eve@acme.example"]


def test_two_that_share_a_folder_keep_all_messages(tmp_path: Path) -> None:
    with Mailbox(tmp_path) as one, Mailbox(tmp_path) as other:
        for mailbox in (one, other):
            send(mailbox.port, "eve@acme.example")
    assert [caught.number for caught in caught_in(tmp_path)] == [1, 2]


def test_a_port_that_somebody_has_is_told_at_once(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        with pytest.raises(Unreachable, match="already in use"), Mailbox(tmp_path, taken.getsockname()[1]):
            pass


def test_whoever_logs_in_is_let_in_and_the_longest_address_has_a_file(tmp_path: Path) -> None:
    to = f"{'a' * 64}@{'b' * 60}.{'c' * 60}.{'d' * 50}.example"
    with Mailbox(tmp_path) as mailbox, smtplib.SMTP(HOST, mailbox.port) as client:
        client.login("anna", "whatever her real server knows")
        client.sendmail("ann@sender.example", [to], f"To: {to}\r\n\r\nHello")
    assert [one.recipient for one in caught_in(tmp_path)] == [to]


@pytest.mark.parametrize(
    "message",
    [
        b'To: "\r\nSubject: \xff\r\n\r\nHello',
        b"To: =?utf-8?b?w?= <\r\n\r\nHello",
        b"Content-Type: text/plain; charset=nosuch\r\n\r\nHello \xff",
    ],
)
def test_a_message_that_is_hard_to_read_hides_no_other(tmp_path: Path, message: bytes) -> None:
    file = tmp_path / "001 x.eml"
    file.write_bytes(message)
    [one] = caught_in(tmp_path)
    assert (one.recipient, one.links.open) == ("", "")
    assert one.part("plain").startswith("Hello")
    with pytest.raises(NotFound):
        one_of(tmp_path, "²")
