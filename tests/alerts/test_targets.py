"""Mail, chat and the log as targets, against real servers; and what doctor says of all of them."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from coldsend import logbook, meter
from coldsend.alerts import chat, checking, targets
from coldsend.alerts.chat import Chat, without_tokens
from coldsend.alerts.mail import compose
from coldsend.alerts.seam import NotDelivered, Target
from coldsend.config.settings import AlertsSettings, Settings
from coldsend.domain.alert import AlertEvent, AlertKind, Notice
from coldsend.domain.alert_targets import written_secret
from tests.servers.http import Receiver
from tests.servers.smtp import RecordingServer, StrictServer

# Apprise's own affair: it looks for a module that Python 3.13 has no more.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

NOW = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
NOTICE = Notice(
    12,
    AlertEvent.RAISED,
    AlertKind.SERVICE_FROZEN,
    "service:main",
    "service 'mäin' is frozen",
    "it sends nothing: 535 no",
    "coldsend service thaw main",
    NOW,
)
SECRET = written_secret(bytes(32))


def settings(**values: Any) -> Settings:
    return Settings(alerts=replace(AlertsSettings(), **values))


def by_mail(port: int, **values: Any) -> Settings:
    given = {"email": "ops@example.com", "smtp_host": "127.0.0.1", "smtp_port": port, "smtp_tls": "none"}
    return settings(**{**given, **values})


def tell(target: Target, *notices: Notice, message_id: str = "msg_1") -> None:
    asyncio.run(target.send(notices or (NOTICE,), message_id, NOW))


def only(found: dict[str, Target]) -> Target:
    return found[next(name for name in found if name != "log")]


def read(octets: bytes) -> Any:
    return email.message_from_bytes(octets, policy=email.policy.default)


# Mail


def test_an_alert_arrives_by_mail_and_says_that_no_machine_is_to_answer() -> None:
    with StrictServer() as server:
        tell(only(targets.all_targets(by_mail(server.port))))
        [envelope] = server.envelopes
    message = read(bytes(envelope.content))
    assert (envelope.mail_from, envelope.rcpt_tos) == ("ops@example.com", ["ops@example.com"])
    assert message["Subject"] == "[coldsend] service 'mäin' is frozen"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"] == "<msg_1@example.com>"
    assert "it sends nothing: 535 no" in message.get_content()
    assert "coldsend service thaw main" in message.get_content()


def test_mails_are_counted_for_no_sender_service() -> None:
    meter.reset()
    with StrictServer() as server:
        tell(only(targets.all_targets(by_mail(server.port))))
    assert [key for key in meter.read().counters if key[0].startswith("coldsend_connections")] == []


def test_several_alerts_arrive_in_one_mail() -> None:
    with StrictServer() as server:
        other = replace(NOTICE, title="campaign 'spring' was paused", subject="campaign:spring")
        tell(only(targets.all_targets(by_mail(server.port))), NOTICE, other)
        [envelope] = server.envelopes
    message = read(bytes(envelope.content))
    assert message["Subject"] == "[coldsend] 2 alerts"
    assert "campaign 'spring' was paused" in message.get_content()


def test_it_logs_in_where_that_is_configured() -> None:
    with StrictServer(users={"alerts": "correct horse"}) as server:
        login = {"smtp_username": "alerts", "smtp_password": "correct horse"}
        tell(only(targets.all_targets(by_mail(server.port, **login))))
        assert server.users == ["alerts"]


@pytest.mark.costly
def test_a_refused_login_is_told_without_the_password() -> None:
    with RecordingServer(users={"alerts": "correct"}) as server:
        login = {"smtp_username": "alerts", "smtp_password": "wrong horse"}
        with pytest.raises(NotDelivered, match="535") as caught:
            tell(only(targets.all_targets(by_mail(server.port, **login))))
    assert "wrong horse" not in str(caught.value)


@pytest.mark.costly
def test_a_refused_or_absent_server_is_a_failed_attempt() -> None:
    fault = {"at": "rcpt", "times": 9, "do": "reply", "reply": "550 5.1.1 who"}
    with RecordingServer(faults=[fault]) as server:
        with pytest.raises(NotDelivered, match=r"550 5\.1\.1 who"):
            tell(only(targets.all_targets(by_mail(server.port))))
        port = server.port
    with pytest.raises(NotDelivered, match="cannot connect"):
        tell(only(targets.all_targets(by_mail(port))))


@pytest.mark.parametrize("address", ["ops@bücher.example", "jürgen@example.com"])
def test_addresses_of_all_languages_get_mail(address: str) -> None:
    with StrictServer() as server:
        tell(only(targets.all_targets(by_mail(server.port, email=address, email_from="a@example.com"))))
        assert len(server.envelopes) == 1


def test_what_stands_in_an_alert_cannot_forge_a_header() -> None:
    message = compose(
        "a@example.com", "b@example.com", [replace(NOTICE, title="x\r\nBcc: eve@x.example")], "m", NOW
    )
    parsed = read(message.data)
    assert parsed["Bcc"] is None
    assert parsed["Subject"] == "[coldsend] x Bcc: eve@x.example"


# Chat


@pytest.mark.costly
def test_an_alert_arrives_in_a_chat_through_apprise(receiver: Receiver) -> None:
    pytest.importorskip("apprise")
    tell(Chat("chat:team", receiver.url.replace("http", "json")))
    [request] = receiver.requests
    document = json.loads(request.body)
    assert document["title"] == "service 'mäin' is frozen"
    assert "535 no" in document["message"]
    assert document["type"] == "failure"


@pytest.mark.costly
def test_that_it_is_over_and_that_a_campaign_is_done_look_good_in_a_chat(receiver: Receiver) -> None:
    pytest.importorskip("apprise")
    target = Chat("chat:team", receiver.url.replace("http", "json"))
    tell(target, replace(NOTICE, event=AlertEvent.CLEARED))
    tell(target, replace(NOTICE, kind=AlertKind.CAMPAIGN_DONE))
    assert [json.loads(request.body)["type"] for request in receiver.requests] == ["success", "success"]


@pytest.mark.costly
def test_a_chat_that_refuses_is_a_failed_attempt_that_names_no_token(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("apprise")
    logbook.configure("debug")
    receiver.statuses = [500] * 9
    url = receiver.url.replace("http", "json") + "/hush-hush-hush"
    with pytest.raises(NotDelivered, match="500") as caught:
        tell(Chat("chat:team", url))
    shown = str(caught.value) + "".join(capsys.readouterr()) + repr(Chat("chat:team", url))
    assert "hush-hush" not in shown


class NotifyTypes:
    FAILURE = "failure"


class Talkative:
    """An Apprise that quotes the URL where it fails."""

    class Apprise:
        def add(self, url: str) -> bool:
            self.url = url
            return True

        def notify(self, **_: object) -> bool:
            logging.getLogger("apprise").warning("Failed to send to %s", self.url)
            return False

    NotifyType = NotifyTypes


def test_what_apprise_says_is_told_without_tokens_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logbook.configure("debug")
    monkeypatch.setattr(chat, "apprise", lambda: Talkative)
    with pytest.raises(NotDelivered) as caught:
        tell(Chat("chat:team", "slack://hush-hush-hush/abcdefgh"))
    assert str(caught.value) == "Failed to send to slack://***/***"
    assert "".join(capsys.readouterr()) == ""


def test_two_chats_that_fail_at_once_say_nothing_of_each_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logbook.configure("debug")
    both = threading.Barrier(2)

    class Apprise(Talkative.Apprise):
        def notify(self, **_: object) -> bool:
            both.wait(120)
            super().notify()
            both.wait(120)
            return False

    monkeypatch.setattr(chat, "apprise", lambda: SimpleNamespace(Apprise=Apprise, NotifyType=NotifyTypes))
    told = [Chat("chat:one", "slack://first-token"), Chat("chat:two", "slack://second-token")]

    async def all_of_them() -> list[BaseException | None]:
        sent = (each.send([NOTICE], "msg_1", NOW) for each in told)
        return await asyncio.gather(*sent, return_exceptions=True)

    assert [str(error) for error in asyncio.run(all_of_them())] == ["Failed to send to slack://***"] * 2
    assert "".join(capsys.readouterr()) == ""


def test_a_chat_that_never_answers_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    ending = threading.Event()

    class Apprise(Talkative.Apprise):
        def notify(self, **_: object) -> bool:
            return ending.wait(200)

    monkeypatch.setattr(chat, "apprise", lambda: SimpleNamespace(Apprise=Apprise, NotifyType=NotifyTypes))

    async def briefly() -> None:
        async with asyncio.timeout(0.1):
            await Chat("chat:team", "slack://x").send([NOTICE], "msg_1", NOW)

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(briefly())
    assert time.monotonic() - began < 100
    ending.set()


def test_tokens_are_taken_out_of_what_apprise_says() -> None:
    said = without_tokens("no slack://TokenAbc/x: Error at hooks, TokenAbc", "slack://TokenAbc/x")
    assert said == "no slack://***/x: Error at hooks, ***"


def test_without_apprise_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "apprise", lambda: None)
    with pytest.raises(NotDelivered, match=r"pip install 'coldsend\[chat\]'"):
        tell(only(targets.all_targets(settings(chat="team=json://127.0.0.1"))))
    with pytest.raises(NotDelivered, match="Apprise is not installed"):
        tell(Chat("chat:team", "json://127.0.0.1"))


# The log, and the configuration


def test_the_log_is_always_told(capsys: pytest.CaptureFixture[str]) -> None:
    logbook.configure("info")
    found = targets.all_targets(settings())
    assert list(found) == ["log"]
    tell(found["log"])
    tell(found["log"], replace(NOTICE, event=AlertEvent.CLEARED))
    raised, cleared = capsys.readouterr().err.splitlines()
    assert "warning alert_raised kind=service_frozen alert_id=12 subject=service:main" in raised
    assert "info    alert_cleared" in cleared


def test_targets_are_named_as_deliveries_keep_them() -> None:
    given = settings(
        email="a@x.example, b@x.example",
        webhooks="ops=https://x.example",
        chat="team=json://x",
        webhook_secret=SECRET,
    )
    names = ["log", "email:a@x.example", "email:b@x.example", "webhook:ops", "chat:team"]
    assert targets.names(given.alerts) == names
    assert list(targets.all_targets(given)) == names


@pytest.mark.parametrize(
    ("values", "subject", "said"),
    [
        ({"email": "a@x.example"}, "email:a@x.example", "smtp_host is empty"),
        (
            {"email": "a@x.example", "smtp_host": "x.example", "smtp_username": "u"},
            "email:a@x.example",
            "smtp_username and smtp_password go together",
        ),
        (
            {"email": "a@x.example", "smtp_host": "x.example", "smtp_username": "u", "smtp_password": "p"}
            | {"smtp_tls": "none"},
            "email:a@x.example",
            "in clear",
        ),
        ({"webhooks": "ops=https://x.example"}, "webhook:ops", "webhook_secret is empty"),
        (
            {"webhooks": "ops=https://x.example", "webhook_secret": f"pager={SECRET}"},
            "webhook:ops",
            "webhook_secret is empty",
        ),
    ],
)
def test_a_target_that_cannot_be_used_says_why_and_keeps_no_other_from_being_told(
    values: dict[str, Any], subject: str, said: str
) -> None:
    given = settings(**values)
    assert [(finding.subject, said in finding.message) for finding in checking.findings(given)] == [
        (subject, True)
    ]
    found = targets.all_targets(given)
    with pytest.raises(NotDelivered, match=said):
        tell(found[subject])
    tell(found["log"])


def subjects(found: Sequence[Any]) -> list[tuple[str, str]]:
    return [(finding.severity, finding.subject) for finding in found]


def test_doctor_finds_servers_that_are_not_there_and_none_where_they_are(receiver: Receiver) -> None:
    hooks = {"webhooks": f"ops={receiver.url}", "webhook_secret": SECRET}
    with StrictServer(users={"u": "right"}) as server:
        login = {"smtp_username": "u", "smtp_password": "right"}
        assert checking.findings(by_mail(server.port, **hooks, **login)) == []
        assert server.envelopes == []
        wrong = checking.findings(by_mail(server.port, **hooks, **{**login, "smtp_password": "wrong"}))
        assert subjects(wrong) == [("error", "[alerts] smtp_host")]
        port = server.port
    assert receiver.requests == [], "nothing is sent"
    hooks["webhooks"] = "ops=http://127.0.0.1:1/x"
    assert subjects(checking.findings(by_mail(port, **hooks))) == [
        ("warning", "[alerts] smtp_host"),
        ("warning", "webhook:ops"),
    ], "as of the hosts that mail is handed to: who does not answer was not checked"


def test_doctor_warns_of_webhooks_that_are_not_encrypted_and_of_alerts_without_kinds() -> None:
    found = checking.findings(
        settings(webhooks="ops=http://hooks.example.com/x", webhook_secret=SECRET, kinds="")
    )
    assert subjects(found) == [("warning", "[alerts] kinds"), ("warning", "webhook:ops")]


def test_doctor_knows_a_url_that_apprise_does_not() -> None:
    pytest.importorskip("apprise")
    assert subjects(checking.findings(settings(chat="team=nonsense://x"))) == [("error", "chat:team")]
    assert checking.findings(settings(chat="team=json://127.0.0.1")) == []


def test_offline_doctor_asks_nobody_and_still_reads_the_configuration() -> None:
    given = settings(
        email="a@b.example",
        smtp_host="127.0.0.1",
        smtp_port=1,
        webhooks="ops=http://127.0.0.1:1/x",
        webhook_secret=SECRET,
    )
    assert len(checking.findings(given)) == 2
    assert checking.findings(given, over_network=False) == []
    lacking = replace(given, alerts=replace(given.alerts, webhook_secret=""))
    assert subjects(checking.findings(lacking, over_network=False)) == [("error", "webhook:ops")]
