"""SendGrid's signed event webhook."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coldsend.domain.feedback import Actor, Feedback, Kind
from coldsend.web.webhooks import sendgrid
from coldsend.web.webhooks.proof import Forged
from tests.web.webhooks.samples import MESSAGE_ID, NOW, RECIPIENT, SendGridAccount, sendgrid_event

# The signed example that Twilio's own libraries are tested with.
REAL_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVp"
    "iglSI8eNEc6wEA3F+g=="
)
REAL_HEADERS = {
    "x-twilio-email-event-webhook-timestamp": "1600112502",
    "x-twilio-email-event-webhook-signature": (
        "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
    ),
}
REAL_BODY = (
    b'[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address",'
    b'"sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",'
    b'"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",'
    b'"smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]\r\n'
)
REAL_TIME = datetime.fromtimestamp(1600112502, UTC)


def one(name: str, **more: Any) -> Feedback:
    (found,) = sendgrid.events([sendgrid_event(name, **more)], NOW)
    return found


def test_what_sendgrid_really_signed_is_believed() -> None:
    sendgrid.verify(REAL_HEADERS, REAL_BODY, REAL_KEY, REAL_TIME)
    (found,) = sendgrid.events(json.loads(REAL_BODY), REAL_TIME)
    assert (found.kind, found.hard, found.recipient) == (Kind.BOUNCE, True, "hello@world.com")


@pytest.mark.parametrize("at", range(0, len(REAL_BODY), 40))
def test_a_changed_body_is_not(at: int) -> None:
    body = REAL_BODY[:at] + bytes((REAL_BODY[at] ^ 1,)) + REAL_BODY[at + 1 :]
    with pytest.raises(Forged, match="signature"):
        sendgrid.verify(REAL_HEADERS, body, REAL_KEY, REAL_TIME)


def test_another_accounts_signature_is_not() -> None:
    with pytest.raises(Forged, match="signature"):
        sendgrid.verify(REAL_HEADERS, REAL_BODY, SendGridAccount().public_key, REAL_TIME)


@pytest.mark.parametrize("name", list(REAL_HEADERS))
@pytest.mark.parametrize("value", [None, "", "1600112503", "é", "AAAA", "9" * 40])
def test_headers_that_are_missing_or_wrong_are_refused(name: str, value: str | None) -> None:
    headers = {other: told for other, told in REAL_HEADERS.items() if other != name}
    if value is not None:
        headers[name] = value
    with pytest.raises(Forged):
        sendgrid.verify(headers, REAL_BODY, REAL_KEY, REAL_TIME)


@pytest.mark.parametrize(
    ("later", "said"), [(timedelta(hours=27), "older than"), (timedelta(minutes=-11), "in the future")]
)
def test_a_request_from_another_time_is_refused(later: timedelta, said: str) -> None:
    with pytest.raises(Forged, match=said):
        sendgrid.verify(REAL_HEADERS, REAL_BODY, REAL_KEY, REAL_TIME + later)


def test_a_post_that_was_repeated_for_a_day_is_taken() -> None:
    sendgrid.verify(REAL_HEADERS, REAL_BODY, REAL_KEY, REAL_TIME + timedelta(hours=25))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("processed", Kind.DELAYED),
        ("deferred", Kind.DELAYED),
        ("delivered", Kind.DELIVERED),
        ("bounce", Kind.BOUNCE),
        ("dropped", Kind.BOUNCE),
        ("open", Kind.OPEN),
        ("click", Kind.CLICK),
        ("spamreport", Kind.COMPLAINT),
        ("unsubscribe", Kind.UNSUBSCRIBE),
        ("group_unsubscribe", Kind.UNSUBSCRIBE),
    ],
)
def test_every_event_has_its_kind(name: str, kind: Kind) -> None:
    found = one(name)
    assert (found.kind, found.source, found.recipient) == (kind, "webhook:sendgrid", RECIPIENT)
    assert found.message_ids == (MESSAGE_ID,)
    assert found.at == datetime.fromtimestamp(1763640000, UTC)


@pytest.mark.parametrize("name", ["group_resubscribe", "account_status_change", "", None, 7])
def test_what_means_nothing_here_is_left_out(name: Any) -> None:
    assert sendgrid.events([sendgrid_event("delivered", event=name)], NOW) == []


def test_mail_that_is_not_ours_being_processed_is_nobodys_business() -> None:
    assert sendgrid.events([sendgrid_event("processed", **{"smtp-id": "<x@ismtpd>"})], NOW) == []


@pytest.mark.parametrize(
    ("more", "hard"),
    [
        ({"type": "bounce", "bounce_classification": "Invalid Address"}, True),
        ({"type": "bounce", "bounce_classification": "Mailbox Unavailable"}, None),
        ({"type": "bounce", "bounce_classification": "Unclassified"}, None),
        ({"type": "bounce"}, None),
        ({"type": "blocked"}, False),
        ({"type": "blocked", "bounce_classification": "Reputation"}, False),
        ({"type": "bounce", "bounce_classification": "Content"}, False),
        ({"type": "bounce", "bounce_classification": "Technical Failure"}, False),
        ({"type": "bounce", "bounce_classification": "Frequency or Volume Too High"}, False),
    ],
)
def test_a_bounce_is_hard_where_sendgrid_says_so_and_else_its_words_decide(
    more: dict[str, str], hard: bool | None
) -> None:
    found = one("bounce", reason="550 5.1.1 no such user", status="5.1.1", **more)
    assert (found.hard, found.status, found.diagnostic) == (hard, "5.1.1", "550 5.1.1 no such user")


@pytest.mark.parametrize(
    ("reason", "hard"),
    [
        ("Bounced Address", True),
        ("Unsubscribed Address", True),
        ("Spam Reporting Address", True),
        ("Invalid", True),
        ("Recipient List over Package Quota", False),
        ("Spam Content", False),
        ("Invalid SMTPAPI header", False),
    ],
)
def test_an_address_that_sendgrid_will_not_write_to_again_is_given_up(reason: str, hard: bool) -> None:
    assert one("dropped", reason=reason).hard is hard


def test_a_machines_open_is_a_machines() -> None:
    assert one("open", sg_machine_open=True).actor is Actor.MACHINE
    assert one("open", sg_machine_open=False).actor is Actor.HUMAN


def test_who_asks_through_an_image_proxy_opens_but_does_not_click() -> None:
    proxy = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
    assert one("open", useragent=proxy).actor is Actor.HUMAN
    assert one("open", useragent=proxy, sg_machine_open=True).actor is Actor.MACHINE
    assert one("click", useragent=proxy).actor is Actor.MACHINE


def test_an_event_told_twice_has_one_key_and_two_events_have_two() -> None:
    assert one("open").key == one("open", timestamp=1763640001).key
    assert one("open").key != one("open", sg_event_id="another").key
    without = [one("open", sg_event_id=None, timestamp=at).key for at in (1, 1, 2)]
    assert without[0] == without[1] != without[2]
