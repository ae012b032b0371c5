"""Amazon SNS: signatures, certificates, subscribing."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from coldsend.errors import Unreachable
from coldsend.web.webhooks import sns
from coldsend.web.webhooks.proof import Forged
from tests.web.webhooks.samples import (
    CERTIFICATE_URL,
    NOW,
    TOPIC,
    Topic,
    ses_bounce,
    sns_confirmation,
    sns_notification,
)

EVENT = ses_bounce("Permanent", "General")


@pytest.fixture(scope="module")
def topic() -> Topic:
    return Topic()


class Web:
    """Answers with what lies at each URL, and counts."""

    def __init__(self, certificate: bytes = b"") -> None:
        self.pages = {CERTIFICATE_URL: certificate}
        self.asked: list[str] = []

    def __call__(self, url: str) -> bytes:
        self.asked.append(url)
        if url not in self.pages:
            raise Unreachable("away")
        return self.pages[url]


def verify(body: bytes, topic: Topic, arn: str = TOPIC) -> Web:
    web = Web(certificate=topic.pem)
    sns.verify(body, arn, NOW, sns.Certificates(web))
    return web


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("more", [{}, {"Subject": "Amazon SES Email Event Notification"}])
def test_a_signed_notification_is_believed(topic: Topic, version: str, more: dict[str, Any]) -> None:
    assert verify(topic.signed(sns_notification(EVENT, **more), version), topic).asked == [CERTIFICATE_URL]


def test_a_signed_confirmation_is_believed(topic: Topic) -> None:
    verify(topic.signed(sns_confirmation()), topic)


@pytest.mark.parametrize("name", ["Message", "MessageId", "Timestamp", "Type", "TopicArn", "Signature"])
def test_a_changed_field_is_noticed(topic: Topic, name: str) -> None:
    message = json.loads(topic.notification(EVENT))
    message[name] = {"Timestamp": "2026-11-20T12:00:01.000Z", "Type": "UnsubscribeConfirmation"}.get(
        name, f"{message[name]}x"
    )
    with pytest.raises(Forged):
        verify(json.dumps(message).encode(), topic)


def test_an_added_subject_is_noticed(topic: Topic) -> None:
    message = json.loads(topic.notification(EVENT))
    with pytest.raises(Forged, match="signature"):
        verify(json.dumps({**message, "Subject": "x"}).encode(), topic)


def test_sha1_is_no_stand_in_for_sha256(topic: Topic) -> None:
    message = json.loads(topic.notification(EVENT))
    with pytest.raises(Forged, match="signature"):
        verify(json.dumps({**message, "SignatureVersion": "1"}).encode(), topic)


def test_another_topic_is_refused_though_amazon_signed_it_and_nothing_is_fetched_for_it(topic: Topic) -> None:
    web = Web(certificate=topic.pem)
    other = topic.notification(EVENT, TopicArn=f"{TOPIC}-of-somebody-else")
    with pytest.raises(Forged, match="another topic"):
        sns.verify(other, TOPIC, NOW, sns.Certificates(web))
    assert web.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/x.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/x.pem",
        "https://evil.example\\@sns.eu-west-1.amazonaws.com/x.pem",
        "https://evil.example#@sns.eu-west-1.amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/x.pem",
        "https://user@sns.eu-west-1.amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com:444/x.pem",
        "https://sns.eu-west-1.amazonaws.com:/x.pem",
        "https://bucket.s3.amazonaws.com/x.pem",
        "https://sns.s3-us-west-2.amazonaws.com/x.pem",
        "https://snsxeu-west-1.amazonaws.com/x.pem",
        "https://sns.amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com/x.pem?y=.pem",
        "https://sns.eu-west-1.amazonaws.com/../x.pem",
        "https://sns.eu-west-1.amazonaws.com/x",
        "https://sns.eu-west-1.amazonaws.com/x.pem\n",
        "https://sns.eu-west-1.amazonaws.com/é.pem",
        "https://[::1]/x.pem",
        "https://[/x.pem",
        "file:///x.pem",
        "",
    ],
)
def test_a_certificate_from_anywhere_else_is_never_fetched(topic: Topic, url: str) -> None:
    web = Web(certificate=topic.pem)
    web.pages[url] = topic.pem
    body = topic.signed(sns_notification(EVENT, SigningCertURL=url))
    with pytest.raises(Forged):
        sns.verify(body, TOPIC, NOW, sns.Certificates(web))
    assert web.asked == []


@pytest.mark.parametrize(
    "host",
    [
        "sns.us-gov-west-1.amazonaws.com",
        "sns.ap-southeast-7.amazonaws.com",
        "sns.cn-north-1.amazonaws.com.cn",
    ],
)
def test_hosts_of_all_regions_are_known(topic: Topic, host: str) -> None:
    web = Web()
    url = f"https://{host}/SimpleNotificationService-0123abcd.pem"
    web.pages[url] = topic.pem
    body = topic.signed(sns_notification(EVENT, SigningCertURL=url))
    sns.verify(body, TOPIC, NOW, sns.Certificates(web))
    assert web.asked == [url]


def test_a_certificate_is_fetched_once(topic: Topic) -> None:
    web = Web(certificate=topic.pem)
    certificates = sns.Certificates(web)
    for _ in range(3):
        sns.verify(topic.notification(EVENT), TOPIC, NOW, certificates)
    assert web.asked == [CERTIFICATE_URL]


def test_a_certificate_that_cannot_be_had_is_not_the_fault_of_the_message(topic: Topic) -> None:
    with pytest.raises(Unreachable):
        sns.verify(topic.notification(EVENT), TOPIC, NOW, sns.Certificates(lambda url: Web()(url + "?")))


def test_after_a_failure_the_certificate_is_not_asked_for_again_at_once(topic: Topic) -> None:
    web = Web()
    web.pages.clear()
    certificates, body = sns.Certificates(web), topic.notification(EVENT)
    for _ in range(3):
        with pytest.raises(Unreachable):
            sns.verify(body, TOPIC, NOW, certificates)
    assert len(web.asked) == 1
    web.pages[CERTIFICATE_URL] = topic.pem
    sns.verify(body, TOPIC, NOW + sns.REST, certificates)


@pytest.mark.parametrize(
    "pem", [b"", b"<html>", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
)
def test_something_else_than_a_certificate_is_refused(topic: Topic, pem: bytes) -> None:
    with pytest.raises(Forged, match="certificate"):
        sns.verify(topic.notification(EVENT), TOPIC, NOW, sns.Certificates(Web(certificate=pem)))


def test_a_certificate_of_somebody_else_is_refused() -> None:
    stranger = Topic(common_name="evil.example")
    with pytest.raises(Forged, match="not issued for SNS"):
        verify(stranger.notification(EVENT), stranger)


@pytest.mark.costly
def test_a_certificate_that_has_expired_is_refused() -> None:
    old = Topic(until=NOW - timedelta(days=1))
    with pytest.raises(Forged, match="not valid now"):
        verify(old.notification(EVENT), old)


@pytest.mark.parametrize("later", [timedelta(hours=-27), timedelta(minutes=11)])
def test_a_message_from_another_time_is_refused(topic: Topic, later: timedelta) -> None:
    with pytest.raises(Forged, match=r"older|future"):
        verify(topic.notification(EVENT, NOW + later), topic)


@pytest.mark.parametrize("at", ["", "yesterday", "2026-11-20T12:00:00"])
def test_a_time_that_cannot_be_read_is_refused(topic: Topic, at: str) -> None:
    with pytest.raises(Forged):
        verify(topic.signed(sns_notification(EVENT, Timestamp=at)), topic)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"null", b"\xff", b"[" * 100_000, b'{"Type": ["x"]}'])
def test_anything_else_is_refused(topic: Topic, body: bytes) -> None:
    with pytest.raises(Forged):
        verify(body, topic)


def test_subscribing_asks_the_url_that_amazon_signed() -> None:
    message, web = sns_confirmation(), Web()
    web.pages[message["SubscribeURL"]] = b"<ConfirmSubscriptionResponse/>"
    assert sns.confirm(message, web)
    assert web.asked == [message["SubscribeURL"]]


def test_a_notification_subscribes_to_nothing() -> None:
    web = Web()
    assert not sns.confirm({**sns_notification(EVENT), "SubscribeURL": CERTIFICATE_URL}, web)
    assert web.asked == []


def test_subscribing_leads_nowhere_but_to_amazon() -> None:
    web = Web()
    with pytest.raises(Forged):
        sns.confirm(sns_confirmation(SubscribeURL="https://evil.example/?Action=ConfirmSubscription"), web)
    assert web.asked == []
