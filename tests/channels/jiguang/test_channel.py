"""The EngageLab channel against a local server: phases, faults, and what becomes of secrets."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from coldsend.channels.jiguang.channel import JiguangChannel
from coldsend.domain.answers import Answer, Phase
from coldsend.domain.message import Message
from coldsend.domain.service import Service
from tests.channels.messages import TOKEN, message
from tests.servers.engagelab import API_KEY, API_USER, EngageLab

CREDENTIALS = {"api_user": API_USER, "api_key": API_KEY}


@pytest.fixture
def api() -> Iterator[EngageLab]:
    with EngageLab() as server:
        yield server


def service(url: str, **settings: Any) -> Service:
    return Service(1, "api", "jiguang", "anna@mail.example.com", settings={"api_url": url, **settings})


class Commits:
    """A ``before_commit`` that counts its calls, or refuses."""

    def __init__(self, refuse: bool = False) -> None:
        self.calls = 0
        self.refuse = refuse

    def __call__(self) -> None:
        self.calls += 1
        if self.refuse:
            raise LookupError("the journal is full")


def send(
    url: str,
    given: Message | None = None,
    before_commit: Callable[[], None] = lambda: None,
    credentials: dict[str, str] = CREDENTIALS,
    **options: Any,
) -> Answer:
    async def run() -> Answer:
        channel = JiguangChannel(service(url), credentials, **options)
        try:
            return await channel.send(given or message(), before_commit)
        finally:
            await channel.close()

    return asyncio.run(run())


def test_a_message_is_accepted_and_the_providers_id_kept(api: EngageLab) -> None:
    answer = send(api.url)
    assert (answer.phase, answer.code) == (Phase.FINAL, 250)
    assert answer.provider_message_id.endswith("$bob@example.org")
    assert len(api.messages) == 1


def test_the_request_says_all_that_the_message_says(api: EngageLab) -> None:
    send(api.url)
    (sent,) = api.messages
    assert sent["from"] == "Anna Smith <anna@mail.example.com>"
    assert sent["to"] == ["bob@example.org"]
    assert sent["body"]["subject"] == "Hello"
    assert sent["body"]["content"] == {"html": "<p>Hello</p>", "text": "Hello"}
    assert sent["body"]["headers"] == {
        "List-Unsubscribe": f"<https://mail.example.com/u/{TOKEN}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "Message-ID": f"<{TOKEN}1@mail.example.com>",
    }
    assert sent["custom_args"] == {"coldsend": f"{TOKEN}1"}


def test_the_provider_is_told_not_to_track(api: EngageLab) -> None:
    send(api.url)
    settings = api.messages[0]["body"]["settings"]
    assert not settings["open_tracking"]
    assert not settings["click_tracking"]
    assert not settings["unsubscribe_tracking"]
    assert not settings["sandbox"]


def test_the_commit_is_announced_once_and_before_the_body_is_sent(api: EngageLab) -> None:
    commits = Commits()
    taken_before: list[int] = []
    send(api.url, before_commit=lambda: (commits(), taken_before.append(len(api.messages)))[0])
    assert (commits.calls, taken_before) == (1, [0])


def test_what_before_commit_raises_keeps_the_message_from_going_out(api: EngageLab) -> None:
    with pytest.raises(LookupError, match="journal"):
        send(api.url, before_commit=Commits(refuse=True))
    assert api.messages == []


def test_a_refused_key_is_an_authentication_failure(api: EngageLab) -> None:
    answer = send(api.url, credentials={"api_user": API_USER, "api_key": "wrong"})
    assert (answer.phase, answer.code, answer.enhanced) == (Phase.AUTH, 535, "5.7.8")
    assert "30000" in answer.text


def test_a_server_that_is_away_is_a_failure_to_connect() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    commits = Commits()
    answer = send(f"http://127.0.0.1:{port}", before_commit=commits)
    assert (answer.phase, answer.code, answer.lost) == (Phase.CONNECT, 0, True)
    assert commits.calls == 0


def test_a_server_that_speaks_no_tls_fails_before_the_message(api: EngageLab) -> None:
    answer = send(api.url.replace("http://", "https://"))
    assert answer.phase == Phase.TLS
    assert api.messages == []


@pytest.mark.parametrize("fault", ["drop", "reset", "half", "early_drop"])
def test_a_connection_lost_after_the_request_leaves_the_outcome_unknown(api: EngageLab, fault: str) -> None:
    api.behave(fault=fault, take=fault != "early_drop")
    answer = send(api.url)
    assert (answer.phase, answer.lost, answer.code) == (Phase.FINAL, True, 0)


def test_an_answer_that_never_comes_leaves_the_outcome_unknown(api: EngageLab) -> None:
    api.behave(fault="hang", take=True)
    answer = send(api.url, answer_seconds=0.2)
    assert (answer.phase, answer.lost) == (Phase.FINAL, True)
    assert len(api.messages) == 1


@pytest.mark.costly
def test_a_dripping_server_does_not_hold_a_message_beyond_its_deadline(api: EngageLab) -> None:
    api.behave(fault="drip", take=True)
    answer = send(api.url, answer_seconds=5, deadline_seconds=1.5)
    assert (answer.phase, answer.lost) == (Phase.FINAL, True)
    assert "1.5 s" in answer.text


def test_nothing_is_tried_twice_by_the_channel_itself(api: EngageLab) -> None:
    api.behave(fault="drop", take=True)
    send(api.url)
    assert (api.requests, len(api.messages)) == (1, 1)


def test_a_rate_limit_is_a_request_to_slow_down(api: EngageLab) -> None:
    api.behave(rate_limit=0)
    answer = send(api.url)
    assert (answer.code, answer.enhanced) == (451, "4.7.28")


def test_a_redirect_is_not_followed(api: EngageLab) -> None:
    api.behave(status=302, body={})
    answer = send(api.url)
    assert answer.phase == Phase.CONNECT
    assert (api.requests, "API URL" in answer.text) == (1, True)


def test_a_wrong_api_url_is_named(api: EngageLab) -> None:
    answer = send(f"{api.url}/v2")
    assert answer.phase == Phase.CONNECT
    assert "API URL" in answer.text


def test_secrets_that_a_server_repeats_are_masked(api: EngageLab) -> None:
    api.behave(status=400, body={"code": 1, "message": f"bad key {API_KEY}"})
    shown: list[str] = []
    answer = send(api.url, transcript=lambda who, line: shown.append(f"{who}: {line}"))
    assert API_KEY not in answer.text
    assert API_KEY not in repr(shown)
    assert "Authorization: Basic ***" in "\n".join(shown)


def test_channels_do_not_show_their_secrets() -> None:
    channel = JiguangChannel(service("https://api.example.com"), CREDENTIALS)
    assert API_KEY not in repr(channel)
    asyncio.run(channel.close())


@pytest.mark.costly
def test_connections_are_kept_and_shared_by_as_many_as_the_service_allows(api: EngageLab) -> None:
    async def run() -> list[Answer]:
        channel = JiguangChannel(service(api.url, connections=3), CREDENTIALS)
        assert channel.capacity == 3
        answers = await asyncio.gather(*(channel.send(message(n), lambda: None) for n in range(30)))
        await channel.close()
        return answers

    answers = asyncio.run(run())
    assert {answer.code for answer in answers} == {250}
    assert len({json.dumps(m) for m in api.messages}) == 30
    assert api.connections == 3


def test_proxies_of_the_environment_are_not_used(api: EngageLab, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert send(api.url).code == 250


@pytest.mark.parametrize(
    ("values", "phase", "enhanced"),
    [
        ({"rcpt_to": "jörg@example.org", "smtputf8": True}, Phase.RCPT, "5.6.7"),
        ({"subject": "x" * 257}, Phase.DATA, "5.3.4"),
        ({"headers": {"X-Long": "x" * 1000}}, Phase.DATA, "5.3.4"),
        ({"html": "", "text": ""}, Phase.DATA, "5.6.0"),
    ],
)
def test_what_the_api_cannot_take_is_refused_without_asking_it(
    api: EngageLab, values: dict[str, Any], phase: Phase, enhanced: str
) -> None:
    answer = send(api.url, message(**values))
    assert (answer.phase, answer.enhanced, api.requests) == (phase, enhanced, 0)
