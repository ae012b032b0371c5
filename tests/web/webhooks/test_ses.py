"""What Amazon SES tells through SNS."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from coldsend.domain.feedback import Feedback, Kind
from coldsend.web.webhooks import ses
from tests.web.webhooks.samples import (
    MESSAGE_ID,
    NOW,
    RECIPIENT,
    ses_bounce,
    ses_complaint,
    ses_event,
    ses_mail,
    sns_confirmation,
    sns_notification,
)


def events(event: Any) -> list[Feedback]:
    return ses.events(sns_notification(event), NOW)


def one(event: Any) -> Feedback:
    (found,) = events(event)
    return found


DELIVERY = {
    "notificationType": "Delivery",
    "delivery": {
        "timestamp": "2026-11-20T11:41:00.000Z",
        "processingTimeMillis": 546,
        "recipients": [RECIPIENT],
        "smtpResponse": "250 ok:  Message 64111812 accepted",
        "reportingMTA": "a8-70.smtp-out.amazonses.com",
    },
    "mail": ses_mail(),
}


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (DELIVERY, Kind.DELIVERED),
        (ses_bounce("Permanent", "General"), Kind.BOUNCE),
        (ses_complaint(), Kind.COMPLAINT),
        (ses_event("Send", "send"), Kind.DELAYED),
        (ses_event("Reject", "reject", reason="Bad content"), Kind.BOUNCE),
        (ses_event("Open", "open", ipAddress="192.0.2.1", userAgent="Mozilla/5.0"), Kind.OPEN),
        (ses_event("Click", "click", link="https://example.com/a", userAgent="Mozilla/5.0"), Kind.CLICK),
        (
            ses_event("DeliveryDelay", "deliveryDelay", delayType="SpamDetected",
                      delayedRecipients=[{"emailAddress": RECIPIENT, "status": "4.4.1"}]),
            Kind.DELAYED,
        ),
        (
            ses_event("Subscription", "subscription", newTopicPreferences={"unsubscribeAll": True}),
            Kind.UNSUBSCRIBE,
        ),
    ],
)  # fmt: skip
def test_every_event_has_its_kind_and_finds_its_message(event: dict[str, Any], kind: Kind) -> None:
    found = one(event)
    assert (found.kind, found.source, found.recipient) == (kind, "webhook:ses", RECIPIENT)
    assert found.message_ids == (MESSAGE_ID,)
    assert found.at.date() == NOW.date()


def test_a_notification_without_the_original_headers_is_matched_by_address() -> None:
    found = one({**DELIVERY, "mail": ses_mail(headers=False)})
    assert (found.message_ids, found.recipient) == ((), RECIPIENT)


def test_a_published_event_has_the_same_meaning_as_a_notification() -> None:
    event = ses_bounce("Permanent", "General")
    published = {**event, "eventType": event["notificationType"]}
    del published["notificationType"]
    assert one(published) == one(event)


def test_what_the_server_said_is_kept() -> None:
    found = one(ses_bounce("Permanent", "General"))
    assert (found.status, found.diagnostic) == ("5.1.1", "550 5.1.1 user unknown")
    assert found.at == datetime(2026, 11, 20, 11, 41, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "sub_type", "dsn", "hard"),
    [
        ("Permanent", "NoEmail", True, True),
        ("Permanent", "Suppressed", False, True),
        ("Permanent", "OnAccountSuppressionList", False, True),
        ("Permanent", "General", True, None),
        ("Permanent", "General", False, True),
        ("Permanent", "SomethingNew", True, None),
        ("Transient", "General", True, False),
        ("Transient", "MailboxFull", True, None),
        ("Transient", "MessageTooLarge", True, False),
        ("Transient", "ContentRejected", True, False),
        ("Transient", "AttachmentRejected", True, False),
        ("Undetermined", "Undetermined", True, None),
        ("Undetermined", "Undetermined", False, None),
    ],
)
def test_a_bounce_is_hard_where_ses_knows_it_and_else_its_words_decide(
    kind: str, sub_type: str, dsn: bool, hard: bool | None
) -> None:
    assert one(ses_bounce(kind, sub_type, dsn=dsn)).hard is hard


def test_a_full_mailbox_is_known_as_one_though_no_answer_is_quoted() -> None:
    assert one(ses_bounce("Transient", "MailboxFull", dsn=False)).status == "4.2.2"
    assert one(ses_bounce("Transient", "MailboxFull")).status == "5.1.1"


def test_every_recipient_is_told_of_apart() -> None:
    event = ses_bounce("Permanent", "General")
    event["bounce"]["bouncedRecipients"].append({"emailAddress": "joe@example.org"})
    found = events(event)
    assert [each.recipient for each in found] == [RECIPIENT, "joe@example.org"]
    assert len({each.key for each in found}) == 2


def test_not_spam_is_no_complaint() -> None:
    assert events(ses_complaint(complaintFeedbackType="not-spam")) == []


def test_what_ses_did_not_send_because_of_an_old_complaint_is_no_new_one() -> None:
    found = one(ses_complaint(complaintSubType="OnAccountSuppressionList"))
    assert (found.kind, found.hard) == (Kind.BOUNCE, True)


def test_leaving_one_topic_is_leaving() -> None:
    left = {
        "unsubscribeAll": False,
        "topicSubscriptionStatus": [{"topicName": "a", "subscriptionStatus": "OptOut"}],
    }
    assert one(ses_event("Subscription", "subscription", newTopicPreferences=left)).kind is Kind.UNSUBSCRIBE
    joined = {"topicSubscriptionStatus": [{"topicName": "a", "subscriptionStatus": "OptIn"}]}
    assert events(ses_event("Subscription", "subscription", newTopicPreferences=joined)) == []


def test_a_click_of_one_of_several_recipients_is_nobodys() -> None:
    event = ses_event("Click", "click", link="https://example.com/a")
    event["mail"]["destination"].append("joe@example.org")
    assert one(event).recipient == ""


def test_an_event_told_twice_has_one_key_and_opens_are_each_their_own() -> None:
    bounce = ses_bounce("Permanent", "General")
    again = {**bounce, "bounce": {**bounce["bounce"], "reportingMTA": "another"}}
    assert one(bounce).key == one(again).key != one(DELIVERY).key
    opened = [one(ses_event("Open", "open", timestamp=f"2026-11-20T11:4{at}:00Z")).key for at in (1, 1, 2)]
    assert opened[0] == opened[1] != opened[2]


def test_mail_that_is_not_ours_being_sent_is_nobodys_business() -> None:
    event = {**ses_event("Send", "send"), "mail": ses_mail(message_id="<something@else.example>")}
    assert events(event) == []


@pytest.mark.parametrize(
    "payload",
    [
        sns_confirmation(),
        sns_notification("Successfully validated SNS topic for Amazon SES event publishing."),
        sns_notification({"eventType": "Rendering Failure", "mail": ses_mail()}),
        sns_notification({"notificationType": "AmazonSnsSubscriptionSucceeded"}),
    ],
)
def test_what_means_nothing_here_is_left_out(payload: dict[str, Any]) -> None:
    assert ses.events(payload, NOW) == []
