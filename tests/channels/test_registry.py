"""Types of services: what they take, and all that is wrong with it at once."""

from __future__ import annotations

import re
from typing import Any

import pytest

from coldsend.channels import registry
from coldsend.channels.console import ConsoleChannel
from coldsend.channels.jiguang.channel import JiguangChannel
from coldsend.channels.registry import Login, checked, checked_credentials, merged, open_channel
from coldsend.channels.smtp.channel import SmtpChannel
from coldsend.config.settings import Settings
from coldsend.domain.service import Service
from coldsend.errors import InvalidInput


@pytest.mark.parametrize(("tls", "port"), [("none", 25), ("starttls", 587), ("implicit", 465)])
def test_the_port_follows_from_tls(tls: str, port: int) -> None:
    stored, problems = checked("smtp", {"host": "mail.example.com", "tls": tls}, has_credentials=False)
    assert (stored["port"], problems) == (port, [])


def test_tls_is_on_where_nothing_is_said() -> None:
    assert checked("smtp", {"host": "mail.example.com"}, has_credentials=True)[0]["tls"] == "starttls"


@pytest.mark.parametrize(
    ("given", "stored"),
    [("mail.example.com", "mail.example.com"), ("bücher.example", "xn--bcher-kva.example"),
     ("[::1]", "::1"), ("10.0.0.1", "10.0.0.1"), ("localhost", "localhost"),
     ("mx_1.example.com", "mx_1.example.com")],
)  # fmt: skip
def test_hosts_are_names_or_addresses(given: str, stored: str) -> None:
    found, problems = checked("smtp", {"host": given}, has_credentials=False)
    assert (found["host"], problems) == (stored, [])


@pytest.mark.parametrize("host", ["a b", "smtp://x", "x:25", "-x.example", "a..b", "x" * 300, "a/b", "a\nb"])
def test_what_is_no_host_is_refused(host: str) -> None:
    problems = checked("smtp", {"host": host}, has_credentials=False)[1]
    assert [problem.split(":")[0] for problem in problems] == ["--host"]


def test_everything_wrong_is_said_at_once() -> None:
    given = {
        "port": 70000,
        "tls": "ssl",
        "connections": 0,
        "reply_to": "nobody",
        "bounce_address": "bounce{token}@sender.example",
        "unsubscribe_address": "stop@sender.example",
        "api_url": "https://x.example",
    }
    problems = checked("smtp", given, has_credentials=False)[1]
    named = {re.split("[ :]", problem)[0] for problem in problems}
    assert named == {
        "--port", "--tls", "--connections", "--reply-to", "--bounce-address", "--unsubscribe-address",
        "--api-url", "--host",
    }  # fmt: skip


def test_an_api_has_no_return_path_of_ours() -> None:
    problems = checked("jiguang", {"bounce_address": "b+{token}@sender.example"}, has_credentials=True)[1]
    assert problems == ["--bounce-address means nothing to services of type jiguang"]


def test_a_password_is_not_sent_in_clear_beyond_this_machine() -> None:
    far = {"host": "mail.example.com", "tls": "none"}
    assert "in clear" in checked("smtp", far, has_credentials=True)[1][0]
    assert checked("smtp", far, has_credentials=False)[1] == []
    assert checked("smtp", {**far, "allow_plaintext_auth": True}, has_credentials=True)[1] == []
    for near in ("127.0.0.1", "::1", "localhost"):
        assert checked("smtp", {"host": near, "tls": "none"}, has_credentials=True)[1] == []


@pytest.mark.parametrize(
    "url", ["http://api.example.com", "ftp://x.example", "api.example.com", "https://u:p@x.example", "https://",
            "https://x.example:99999", "https://x.example/?a=b"],
)  # fmt: skip
def test_an_api_url_must_be_https_and_hold_no_secrets(url: str) -> None:
    assert checked("jiguang", {"api_url": url}, has_credentials=True)[1]


@pytest.mark.parametrize("url", ["https://emailapi-tr.engagelab.com/", "http://127.0.0.1:8080"])
def test_an_api_url_may_be_another_data_centre_or_this_machine(url: str) -> None:
    stored, problems = checked("jiguang", {"api_url": url}, has_credentials=True)
    assert (stored["api_url"], problems) == (url.rstrip("/"), [])


@pytest.mark.parametrize(
    ("type_name", "login", "credentials", "words"),
    [
        ("smtp", Login(), None, []),
        ("smtp", Login("u", "p"), {"username": "u", "password": "p"}, []),
        ("smtp", Login("u", token="t"), {"username": "u", "token": "t"}, []),
        ("smtp", Login("u"), None, ["password"]),
        ("smtp", Login(password="p"), None, ["--username"]),
        ("smtp", Login("u", "p", "t"), None, ["not both"]),
        ("jiguang", Login("u", "p"), {"api_user": "u", "api_key": "p"}, []),
        ("jiguang", Login(), None, ["--username"]),
        ("jiguang", Login("u"), None, ["API key"]),
        ("jiguang", Login("u:x", "p"), None, ["colon"]),
        ("jiguang", Login("u", token="t"), None, ["--token-stdin"]),
        ("console", Login(), None, []),
        ("console", Login("u", "p"), None, ["no login"]),
    ],
)
def test_logins_are_checked_by_type(
    type_name: str, login: Login, credentials: dict[str, str] | None, words: list[str]
) -> None:
    found, problems = checked_credentials(type_name, login)
    assert len(problems) == len(words)
    assert all(word in problem for word, problem in zip(words, problems, strict=True))
    if not words:
        assert found == credentials


def test_a_login_shows_nothing_of_itself() -> None:
    assert "hunter2" not in repr(Login("anna", "hunter2", "hunter2"))


@pytest.mark.parametrize(
    ("current", "changes", "port"),
    [
        ({"tls": "starttls", "port": 587}, {"tls": "implicit"}, None),
        ({"tls": "starttls", "port": 2525}, {"tls": "implicit"}, 2525),
        ({"tls": "starttls", "port": 587}, {"tls": "implicit", "port": 587}, 587),
        ({"tls": "starttls", "port": 587}, {"host": "x"}, 587),
    ],
)
def test_a_port_that_followed_from_tls_goes_on_following_it(
    current: dict[str, Any], changes: dict[str, Any], port: int | None
) -> None:
    assert merged(current, changes).get("port") == port


@pytest.mark.parametrize(
    ("type_name", "settings", "kind"),
    [
        ("smtp", {"host": "localhost", "port": 25, "tls": "none"}, SmtpChannel),
        ("jiguang", {"api_url": "https://api.example.com"}, JiguangChannel),
        ("console", {}, ConsoleChannel),
    ],
)
def test_each_type_opens_its_channel(type_name: str, settings: dict[str, Any], kind: type) -> None:
    service = Service(1, "x", type_name, "a@example.com", settings={**settings, "connections": 3})
    channel = open_channel(
        service, {"username": "u", "password": "p", "api_user": "u", "api_key": "k"}, Settings()
    )
    assert isinstance(channel, kind)
    assert channel.capacity == 3


def test_an_unknown_type_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidInput, match="pigeon") as refused:
        registry.channel_type("pigeon")
    assert all(name in refused.value.hint for name in ("smtp", "jiguang", "console"))


@pytest.mark.parametrize(
    "url",
    ["http://link.example.com", "ftp://x.example", "link.example.com", "https://u:p@x.example", "https://",
     "https://link.example.com/path", "https://link.example.com?x=1", "https://a b.example"],
)  # fmt: skip
def test_links_lead_to_a_host_that_is_safe_to_follow(url: str) -> None:
    given = {"host": "mail.example.com", "web_url": url}
    problems = checked("smtp", given, has_credentials=False)[1]
    assert [problem.split(":")[0] for problem in problems] == ["--web-url"]


def test_a_web_address_is_stored_without_its_last_slash() -> None:
    given = {"host": "mail.example.com", "web_url": "https://link.example.com/"}
    assert checked("smtp", given, has_credentials=False)[0]["web_url"] == "https://link.example.com"
