"""Reaching a mailbox: encryption, logins, and servers that misbehave."""

from __future__ import annotations

import ssl
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from coldsend.config.settings import InboxSettings
from coldsend.domain.mailbox import Mailbox, Trouble
from coldsend.inbox import reading, wire
from coldsend.inbox.connection import MailboxError, opened
from coldsend.inbox.wire import Stopped
from tests.servers.dovecot import HOST, PASSWORD, TOKEN, Dovecot
from tests.servers.imap_script import ScriptedServer, Speak, Talk

pytestmark = pytest.mark.servers


def _mailbox(dovecot: Dovecot, tls: str = "implicit", **values: object) -> Mailbox:
    port = dovecot.imaps if tls == "implicit" else dovecot.imap
    made = Mailbox(1, "replies", HOST, port, tls, "conn", "INBOX")
    return replace(made, **values)  # type: ignore[arg-type]


def _settings(dovecot: Dovecot, timeout: float = 60.0) -> InboxSettings:
    return InboxSettings(ca_file=str(dovecot.authority.ca_file), timeout=timeout)


def _refused(mailbox: Mailbox, settings: InboxSettings, **credentials: str) -> MailboxError:
    known = {"username": mailbox.username, **(credentials or {"password": PASSWORD})}
    with pytest.raises(MailboxError) as caught, opened(mailbox, known, settings) as connection:
        reading.examine(connection, mailbox.folder)
    return caught.value


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_a_mailbox_is_opened_encrypted(dovecot: Dovecot, tls: str) -> None:
    mailbox = _mailbox(dovecot, tls)
    known = {"username": "conn", "password": PASSWORD}
    with opened(mailbox, known, _settings(dovecot)) as connection:
        assert connection.client.sock.version() in ("TLSv1.2", "TLSv1.3")  # type: ignore[attr-defined]
        assert reading.examine(connection, "INBOX").messages == 0
        assert connection.client.is_readonly


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_a_certificate_of_an_unknown_authority_is_refused(dovecot: Dovecot, tls: str) -> None:
    error = _refused(_mailbox(dovecot, tls), InboxSettings(timeout=60))
    assert error.trouble is Trouble.CONNECT
    assert "certificate" in error.message


def test_a_certificate_for_another_name_is_refused(dovecot: Dovecot) -> None:
    error = _refused(_mailbox(dovecot, host="127.0.0.2"), _settings(dovecot))
    assert error.trouble is Trouble.CONNECT


def test_a_wrong_password_is_told_without_it(dovecot: Dovecot) -> None:
    error = _refused(_mailbox(dovecot), _settings(dovecot), password="very-wrong-secret")
    assert (error.trouble, error.exit_code) == (Trouble.CREDENTIALS, 4)
    assert "very-wrong-secret" not in error.message
    assert "Authentication failed" in error.message


def test_a_server_that_takes_no_password_in_clear_is_not_given_it(dovecot: Dovecot) -> None:
    # Dovecot does on loopback; this one says so as it would elsewhere.
    def script(talk: Talk) -> None:
        talk.say("* OK hello")
        talk.hear()
        talk.ok("CAPABILITY IMAP4rev1 LOGINDISABLED")
        talk.hear()

    with ScriptedServer(script) as server:
        error = _refused(_mailbox(dovecot, "none", port=server.port), _settings(dovecot))
    assert "offers no login" in error.message
    assert not any(PASSWORD in line for talk in server.talks for line in talk.heard)


def _command(folder: Path, text: str) -> str:
    file = folder / "token.py"
    file.write_text(text)
    return f"{sys.executable} {file}"


def test_an_access_token_logs_in(dovecot: Dovecot, tmp_path: Path) -> None:
    command = _command(tmp_path, f"print({TOKEN + '.oauth'!r})")
    mailbox = _mailbox(dovecot, username="oauth")
    with opened(mailbox, {"username": "oauth", "token_command": command}, _settings(dovecot)) as connection:
        assert reading.examine(connection, "INBOX").messages == 0


def test_a_refused_token_is_refused_credentials(dovecot: Dovecot, tmp_path: Path) -> None:
    command = _command(tmp_path, "print('expired-token-0123456789.oauth')")
    error = _refused(_mailbox(dovecot, username="oauth"), _settings(dovecot), token_command=command)
    assert error.trouble is Trouble.CREDENTIALS
    assert "expired" not in error.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import sys; sys.exit(3)", "ended with 3"),
        ("", "printed no token"),
        ("print('an error, told in words')", "printed no token"),
    ],
)
def test_a_token_command_that_fails_is_told(dovecot: Dovecot, tmp_path: Path, text: str, said: str) -> None:
    error = _refused(_mailbox(dovecot), _settings(dovecot), token_command=_command(tmp_path, text))
    assert (error.trouble, said in error.message) == (Trouble.TOKEN, True)


def test_a_token_command_that_is_not_there_is_told(dovecot: Dovecot, tmp_path: Path) -> None:
    error = _refused(_mailbox(dovecot), _settings(dovecot), token_command=str(tmp_path / "nowhere"))
    assert error.trouble is Trouble.TOKEN


def test_a_folder_that_is_not_there_is_told(dovecot: Dovecot) -> None:
    error = _refused(_mailbox(dovecot, folder="Nowhere"), _settings(dovecot))
    assert (error.trouble, "exist" in error.message) == (Trouble.FOLDER, True)


def test_nobody_listens(dovecot: Dovecot) -> None:
    with ScriptedServer(lambda _talk: None) as server:
        port = server.port
    assert _refused(_mailbox(dovecot, port=port), _settings(dovecot)).trouble is Trouble.CONNECT


# servers that misbehave


def _greets(*lines: str) -> Speak:
    def script(talk: Talk) -> None:
        talk.say(*lines)
        talk.hear()

    return script


def _declines(text: str) -> Speak:
    def script(talk: Talk) -> None:
        talk.say("* OK hello")
        talk.hear()
        talk.ok("CAPABILITY IMAP4rev1")
        talk.hear()
        talk.say(f"{talk.tag} NO {text}")
        talk.hear()

    return script


def _announces(size: int) -> Speak:
    def script(talk: Talk) -> None:
        talk.log_in()
        talk.hear()
        talk.say(f"* 1 FETCH (BODY[] {{{size}}}")
        talk.hear()

    return script


def _floods(talk: Talk) -> None:
    talk.log_in()
    talk.hear()
    while True:
        talk.peer.sendall(b"* 1 EXISTS " + b"x" * 2**20 + b"\r\n")


def _drips(talk: Talk) -> None:
    talk.log_in()
    talk.hear()
    while True:
        talk.peer.sendall(b"x")
        time.sleep(0.05)


def _is_silent(talk: Talk) -> None:
    talk.log_in()
    talk.hear()
    talk.hear()


def _tells_no_validity(talk: Talk) -> None:
    talk.log_in()
    talk.hear()
    talk.ok("1 EXISTS")


@pytest.mark.parametrize(
    ("script", "tls", "trouble", "said"),
    [
        (_greets("* BYE too busy"), "none", Trouble.CONNECT, "too busy"),
        (_greets("220 mail.example.com ESMTP"), "none", Trouble.CONNECT, "220"),
        (_greets("* PREAUTH welcome", "x"), "starttls", Trouble.CONNECT, ""),
        (_declines("[AUTHENTICATIONFAILED] no"), "none", Trouble.CREDENTIALS, "login refused"),
        (_declines(f"'{PASSWORD}' is wrong"), "none", Trouble.CREDENTIALS, "'***' is wrong"),
        (_declines("[UNAVAILABLE] Temporary authentication failure"), "none", Trouble.SERVER, "for now"),
        (_declines("[ALERT] Too many simultaneous connections"), "none", Trouble.SERVER, "for now"),
        (_announces(10**12), "none", Trouble.CONNECT, "more than it was asked for"),
        (_floods, "none", Trouble.CONNECT, "more than it was asked for"),
        (_drips, "none", Trouble.CONNECT, "too long"),
        (_is_silent, "none", Trouble.CONNECT, "in time"),
        (_tells_no_validity, "none", Trouble.SERVER, "UIDVALIDITY"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_server_that_misbehaves_is_an_error(
    dovecot: Dovecot,
    script: Speak,
    tls: str,
    trouble: Trouble,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wire, "MOST_BYTES", 4 * 2**20)
    with ScriptedServer(script) as server:
        mailbox = _mailbox(dovecot, tls, host="127.0.0.1", port=server.port)
        error = _refused(mailbox, _settings(dovecot, timeout=0.5 if script in (_drips, _is_silent) else 60))
    assert (error.trouble, said in error.message) == (trouble, True), error.message


def test_what_came_before_tls_is_not_believed_after_it(dovecot: Dovecot) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*dovecot.authority.issue(HOST))

    def script(talk: Talk) -> None:
        talk.say("* OK hello")
        talk.hear()
        talk.ok("CAPABILITY IMAP4rev1 STARTTLS")
        talk.hear()
        # Somebody in between adds a line to the answer.
        talk.say(f"{talk.tag} OK begin", "* BYE believe me")
        encrypted = Talk(context.wrap_socket(talk.peer, server_side=True))
        encrypted.hear()
        encrypted.ok("CAPABILITY IMAP4rev1")
        encrypted.hear()
        encrypted.ok()
        encrypted.open_folder()
        encrypted.hear()
        encrypted.peer.close()

    with ScriptedServer(script) as server:
        mailbox = _mailbox(dovecot, "starttls", port=server.port)
        known = {"username": "conn", "password": PASSWORD}
        with opened(mailbox, known, _settings(dovecot)) as connection:
            assert reading.examine(connection, "INBOX").uid_validity == 7


def test_waiting_ends_when_the_process_is_to_end(dovecot: Dovecot) -> None:
    stop = threading.Event()

    def script(talk: Talk) -> None:
        talk.log_in()
        talk.hear()
        stop.set()
        talk.hear()

    with ScriptedServer(script) as server:
        mailbox = _mailbox(dovecot, "none", host="127.0.0.1", port=server.port)
        began = time.monotonic()
        with (
            pytest.raises(Stopped),
            opened(
                mailbox, {"username": "a", "password": "b"}, _settings(dovecot, 60), stop.is_set
            ) as connection,
        ):
            reading.examine(connection, "INBOX")
        assert time.monotonic() - began < 30, "a minute, were it not asked all the time"


def test_a_user_name_is_no_command(dovecot: Dovecot) -> None:
    heard: list[str] = []

    def script(talk: Talk) -> None:
        talk.log_in()
        heard.extend(talk.heard)
        talk.hear()

    with ScriptedServer(script) as server:
        mailbox = _mailbox(dovecot, "none", host="127.0.0.1", port=server.port, username='a" DELETE "b')
        _refused(mailbox, _settings(dovecot))
    assert heard[-1].endswith(f'LOGIN "a\\" DELETE \\"b" "{PASSWORD}"')
