"""AUTH: which mechanism, what goes over the wire, and that nobody ever reads it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.channels.smtp.auth import Secrets
from coldsend.channels.smtp.connection import Connection
from coldsend.domain.answers import Action, Phase
from coldsend.domain.replies import judge
from coldsend.errors import InvalidInput
from tests.channels.messages import message
from tests.channels.smtp.sending import Sent, send, service
from tests.servers.smtp import RecordingServer, StrictServer

PASSWORD = "pä$$ wörd=correct/horse"
TOKEN = "ya29.a0AfH6SMBxyz-123_456~789"


def log_in(credentials: dict[str, str], *, reply: str = "", **rules: Any) -> tuple[Sent, list[str]]:
    """Send one message; what came of it, and whom the server took us for."""
    users = {"anna@example.com": credentials.get("password") or credentials.get("token")}
    faults = [{"at": "auth", "reply": reply}] if reply else []
    with RecordingServer(**{"users": users, "faults": faults, **rules}) as server:
        sent = send(
            service(server.port), message(1), credentials={"username": "anna@example.com", **credentials}
        )
        return sent, [one.user for one in server.messages()]


@pytest.mark.parametrize(
    ("offered", "used"),
    [(["PLAIN", "LOGIN", "CRAM-MD5"], "PLAIN"), (["LOGIN"], "LOGIN"), (["XOAUTH2", "LOGIN"], "LOGIN")],
)
def test_a_password_goes_by_plain_else_login(offered: list[str], used: str) -> None:
    sent, users = log_in({"password": PASSWORD}, mechanisms=offered)
    assert users == ["anna@example.com"]
    assert f"C: AUTH {used}" in sent.said


def test_a_token_goes_by_xoauth2_only() -> None:
    sent, users = log_in({"token": TOKEN}, mechanisms=["PLAIN", "XOAUTH2"])
    assert users == ["anna@example.com"]
    assert "C: AUTH XOAUTH2 ***" in sent.said
    refused, _ = log_in({"token": TOKEN}, mechanisms=["PLAIN", "LOGIN"])
    assert (refused.answer.phase, refused.answer.code) == (Phase.AUTH, 504)
    assert "C: AUTH" not in refused.said


def test_a_refused_token_is_answered_after_its_challenge() -> None:
    with RecordingServer(users={"anna": "another-token"}, mechanisms=["XOAUTH2"]) as server:
        sent = send(service(server.port), message(1), credentials={"username": "anna", "token": TOKEN})
    assert (sent.answer.phase, sent.answer.code) == (Phase.AUTH, 535)


def test_a_long_token_waits_for_the_challenge() -> None:
    sent, users = log_in({"token": "t" * 3000}, mechanisms=["XOAUTH2"])
    assert users == ["anna@example.com"]
    assert "C: AUTH XOAUTH2\n" in sent.said


def test_a_server_without_a_usable_mechanism_freezes_the_service() -> None:
    sent, users = log_in({"password": PASSWORD}, mechanisms=["GSSAPI"])
    assert (sent.answer.phase, users) == (Phase.AUTH, [])
    assert "GSSAPI" in sent.answer.text
    assert judge(sent.answer).action == Action.FREEZE_SERVICE


def test_a_server_that_challenges_without_end_is_refused() -> None:
    sent, users = log_in({"password": PASSWORD}, reply="334 bW9yZQ==")
    assert (sent.answer.phase, sent.answer.code // 100, users) == (Phase.AUTH, 5, [])
    assert sent.said.count("C: ***") == 1


@pytest.mark.parametrize(
    ("reply", "action"),
    [
        ("535 5.7.8 wrong", Action.FREEZE_SERVICE),
        ("454 4.7.0 too many login attempts", Action.COOL_DOWN),
        ("421 4.7.0 go away", Action.COOL_DOWN),
    ],
)
def test_a_refused_login_is_reported_at_its_phase(reply: str, action: Action) -> None:
    sent, users = log_in({"password": PASSWORD}, reply=reply)
    assert (sent.answer.phase, sent.answer.code, sent.commits, users) == (Phase.AUTH, int(reply[:3]), [0], [])
    assert judge(sent.answer).action == action


def test_aiosmtpd_takes_the_login() -> None:
    with StrictServer(users={"anna": "pass word"}) as server:
        sent = send(
            service(server.port), message(1), credentials={"username": "anna", "password": "pass word"}
        )
        assert server.users == ["anna"]
    assert sent.answer.code == 250


def test_credentials_are_not_sent_in_clear_to_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "peer", lambda _self: "192.0.2.7")
    sent, users = log_in({"password": PASSWORD})
    assert (sent.answer.phase, sent.answer.code, users) == (Phase.AUTH, 538, [])
    assert "C: AUTH" not in sent.said
    assert judge(sent.answer).action == Action.FREEZE_SERVICE


def test_credentials_go_in_clear_where_the_service_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "peer", lambda _self: "192.0.2.7")
    with RecordingServer(users={"anna": "secret-1"}) as server:
        sent = send(
            service(server.port, allow_plaintext_auth=True),
            message(1),
            credentials={"username": "anna", "password": "secret-1"},
        )
    assert sent.answer.code == 250


def forms(secret: str) -> list[str]:
    """What a server that repeats what it was sent could show of a secret."""
    plain = base64.b64encode(f"\0anna@example.com\0{secret}".encode()).decode()
    xoauth2 = base64.b64encode(f"user=anna@example.com\x01auth=Bearer {secret}\x01\x01".encode()).decode()
    return [secret, base64.b64encode(secret.encode()).decode(), plain, xoauth2, plain[:40], xoauth2[:60]]


@pytest.mark.parametrize("form", range(6))
@pytest.mark.parametrize("credential", ["password", "token"])
def test_a_server_that_repeats_credentials_does_not_make_us_show_them(form: int, credential: str) -> None:
    secret = PASSWORD if credential == "password" else TOKEN
    repeated = forms(secret)[form]
    mechanisms = ["PLAIN"] if credential == "password" else ["XOAUTH2"]
    sent, _ = log_in(
        {credential: secret}, reply=f"535 5.7.8 bad: {repeated} ({repeated})", mechanisms=mechanisms
    )
    shown = sent.said + str(sent.answer) + repr(sent.answer) + json.dumps(sent.answer.text)
    for hidden in forms(secret):
        assert hidden not in shown
    assert "***" in sent.answer.text


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_the_dialogue_shows_that_credentials_were_sent_but_not_which(mechanism: str) -> None:
    sent, _ = log_in({"password": PASSWORD}, mechanisms=[mechanism])
    for hidden in forms(PASSWORD):
        assert hidden not in sent.said
    assert "***" in sent.said


@given(st.text(min_size=4, max_size=60), st.text(max_size=80), st.text(max_size=80))
def test_no_text_shows_a_secret(secret: str, before: str, after: str) -> None:
    try:
        secrets = Secrets({"username": "anna", "password": secret})
    except InvalidInput:
        return
    for form in (secret, base64.b64encode(secret.encode()).decode()):
        if form in "***" * 10:
            continue
        assert form not in secrets.mask(before + form + after)


@pytest.mark.parametrize(
    "credentials",
    [
        {"username": "a\0b", "password": "x"},
        {"username": "a", "password": "x\0y"},
        {"username": "a", "token": "x\r\ny"},
        {"username": "a", "token": "x\x01y"},
    ],
)
def test_credentials_that_could_end_their_field_are_refused(credentials: dict[str, str]) -> None:
    with pytest.raises(InvalidInput) as raised:
        Secrets(credentials)
    assert credentials.get("password", credentials.get("token")) not in str(raised.value)


def test_secrets_do_not_show_themselves() -> None:
    secrets = Secrets({"username": "anna", "password": PASSWORD})
    exchange = secrets.exchange({"PLAIN"})
    assert PASSWORD not in repr(secrets) + str(secrets) + repr(exchange)
    for form in forms(PASSWORD):
        assert form not in repr(exchange)
