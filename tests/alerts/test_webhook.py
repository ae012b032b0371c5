"""Webhooks over real HTTP: what is signed, what a receiver can verify, what counts as taken."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coldsend.alerts import webhook
from coldsend.alerts.seam import NotDelivered
from coldsend.alerts.webhook import Webhook, signed
from coldsend.domain.alert import AlertEvent, AlertKind, Notice
from coldsend.domain.alert_targets import written_secret
from tests.servers.certificates import Authority
from tests.servers.http import Receiver

PAGE = Path(__file__).parent.parent.parent / "docs" / "alerts.md"
KEY, OLD_KEY = bytes(range(32)), bytes(range(1, 33))
SECRET = written_secret(KEY)
NOTICE = Notice(
    12,
    AlertEvent.RAISED,
    AlertKind.SERVICE_FROZEN,
    "service:main",
    "service 'main' is frozen",
    "it sends nothing: ünicode",
    "thaw it",
    datetime(2027, 3, 1, 9, 0, tzinfo=UTC),
    facts={"service_id": 3},
)


def send(
    receiver: Receiver, *keys: bytes, url: str = "", message_id: str = "msg_1", at: datetime | None = None
) -> None:
    target = Webhook("webhook:ops", url or receiver.url, keys or (KEY,))
    asyncio.run(target.send([NOTICE], message_id, at or datetime.now(UTC)))


@pytest.fixture
def verified() -> Callable[..., bool]:
    """The code that docs/alerts.md gives to receivers."""
    [code] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    found: Callable[..., bool] = names["verified"]
    return found


@pytest.mark.costly
def test_a_receiver_verifies_what_arrives_with_the_code_that_the_documentation_gives(
    receiver: Receiver, verified: Callable[..., bool]
) -> None:
    send(receiver)
    [request] = receiver.requests
    assert verified(SECRET, request.headers, request.body)
    document = json.loads(request.body)
    assert document["type"] == "alert.raised"
    assert document["data"]["message"] == "it sends nothing: ünicode"
    assert document["data"]["facts"] == {"service_id": 3}
    assert request.headers["content-type"] == "application/json"


def test_what_was_tampered_with_does_not_verify(receiver: Receiver, verified: Callable[..., bool]) -> None:
    send(receiver)
    [request] = receiver.requests
    headers, body = request.headers, request.body
    assert not verified(SECRET, headers, body.replace(b"main", b"mine"))
    assert not verified(SECRET, {**headers, "webhook-id": "msg_2"}, body)
    later = str(int(headers["webhook-timestamp"]) + 1)
    assert not verified(SECRET, {**headers, "webhook-timestamp": later}, body)
    assert not verified(written_secret(OLD_KEY), headers, body)
    assert not verified(SECRET, {**headers, "webhook-signature": "v1,"}, body)


def test_a_request_of_long_ago_does_not_verify(receiver: Receiver, verified: Callable[..., bool]) -> None:
    send(receiver, at=datetime.now(UTC) - timedelta(minutes=6))
    [request] = receiver.requests
    assert not verified(SECRET, request.headers, request.body)
    assert verified(SECRET, request.headers, request.body, tolerance=3600)


def test_while_a_secret_is_changed_both_verify(receiver: Receiver, verified: Callable[..., bool]) -> None:
    send(receiver, OLD_KEY, KEY)
    [request] = receiver.requests
    assert request.headers["webhook-signature"].count("v1,") == 2
    assert verified(SECRET, request.headers, request.body)
    assert verified(written_secret(OLD_KEY), request.headers, request.body)


def test_the_signature_is_that_of_the_example_which_the_reference_libraries_are_tested_with() -> None:
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = signed([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_each_attempt_has_the_same_id_and_body_and_its_own_time(receiver: Receiver) -> None:
    begin = datetime.now(UTC)
    send(receiver, message_id="msg_7", at=begin)
    send(receiver, message_id="msg_7", at=begin + timedelta(seconds=10))
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == "msg_7"
    assert first.body == second.body
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 10


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_means_taken(receiver: Receiver, status: int) -> None:
    receiver.statuses = [status]
    send(receiver)


@pytest.mark.parametrize("status", [301, 400, 404, 429, 500, 503])
def test_anything_else_is_tried_again(receiver: Receiver, status: int) -> None:
    receiver.statuses = [status]
    with pytest.raises(NotDelivered, match=f"answered {status}") as caught:
        send(receiver)
    assert not caught.value.final


def test_410_ends_it(receiver: Receiver) -> None:
    receiver.statuses = [410]
    with pytest.raises(NotDelivered) as caught:
        send(receiver)
    assert caught.value.final


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    with Receiver() as elsewhere:
        receiver.statuses, receiver.location = [307], elsewhere.url
        with pytest.raises(NotDelivered, match="a redirect: give the URL it leads to"):
            send(receiver)
        assert elsewhere.requests == []


@pytest.mark.costly
def test_authorities_of_the_system_are_believed_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.issue("127.0.0.1")
    with Receiver(certificate=certificate, key=key) as receiver:
        with pytest.raises(NotDelivered, match="certificate verify failed"):
            send(receiver)
        # As if the system had it among its own.
        original = ssl.SSLContext.load_default_certs
        monkeypatch.setattr(
            ssl.SSLContext,
            "load_default_certs",
            lambda self, *given: self.load_verify_locations(authority.ca_file) or original(self, *given),
        )
        send(receiver)
        assert len(receiver.requests) == 1


@pytest.mark.costly
@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_a_receiver_that_does_not_come_to_an_end_is_left(
    receiver: Receiver, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.fault = fault

    async def within() -> None:
        async with asyncio.timeout(0.5):
            await Webhook("webhook:ops", receiver.url, (KEY,)).send([NOTICE], "msg_1", datetime.now(UTC))

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(within())
    assert time.monotonic() - began < 100, "for ever, without a limit"


@pytest.mark.costly
def test_one_that_is_silent_is_a_failed_attempt(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "SECONDS", 0.3)
    receiver.fault = "hang"
    with pytest.raises(NotDelivered, match="no answer in time"):
        send(receiver)


def test_no_error_names_the_url_which_may_hold_a_token(receiver: Receiver) -> None:
    with pytest.raises(NotDelivered, match="cannot be connected to") as caught:
        send(receiver, url="http://127.0.0.1:1/hush-hush?token=hush")
    assert "hush" not in str(caught.value)
    assert "hush" not in repr(Webhook("webhook:ops", "http://127.0.0.1/hush", (KEY,)))
