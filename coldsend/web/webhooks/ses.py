"""Amazon SES: notifications and published events, which come through SNS (``sns``).

Looked up 2026-11 in the SES developer guide: "Amazon SNS notification contents for Amazon SES" (``Bounce``,
``Complaint``, ``Delivery`` under ``notificationType``), "Contents of event data that Amazon SES publishes to
Amazon SNS" (under ``eventType``, besides those ``Send``, ``Reject``, ``Open``, ``Click``, ``DeliveryDelay``,
``Subscription``). SES gives messages a Message-ID of its own, but quotes the one they were handed over with
in ``mail.headers`` and ``mail.commonHeaders.messageId``: published events always do, notifications where
"include original headers" is on. The service keeps the ARN of the topic as its secret.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from coldsend.domain.feedback import Feedback, Kind
from coldsend.domain.webhook_provider import SES
from coldsend.web.webhooks import reading, sns

# Event -> its kind, and where its own data stands.
KINDS: Mapping[str, tuple[Kind, str]] = {
    "Bounce": (Kind.BOUNCE, "bounce"),
    "Complaint": (Kind.COMPLAINT, "complaint"),
    "Delivery": (Kind.DELIVERED, "delivery"),
    "DeliveryDelay": (Kind.DELAYED, "deliveryDelay"),
    "Send": (Kind.DELAYED, "send"),  # SES has the message, which tells what became of an unknown row
    "Reject": (Kind.BOUNCE, "reject"),
    "Open": (Kind.OPEN, "open"),
    "Click": (Kind.CLICK, "click"),
    "Subscription": (Kind.UNSUBSCRIBE, "subscription"),
}

# Subtypes of bounces -> whether the address is no good, and the code to go by where SES quotes none.
BOUNCES: Mapping[str, tuple[bool | None, str]] = {
    "NoEmail": (True, "5.1.1"),
    "Suppressed": (True, "5.1.1"),
    "OnAccountSuppressionList": (True, "5.1.1"),
    "OnTenantSuppressionList": (True, "5.1.1"),
    "UnsubscribedRecipient": (True, ""),
    "MailboxFull": (None, "4.2.2"),
    "MessageTooLarge": (False, "5.3.4"),
    "ContentRejected": (False, ""),
    "AttachmentRejected": (False, ""),
}

_SUPPRESSED = ("OnAccountSuppressionList", "OnTenantSuppressionList")


def verify(
    _headers: Mapping[str, str], body: bytes, secret: str, now: datetime, *, certificates: sns.Certificates
) -> None:
    """Forged unless SNS signed it for the topic ``secret``; Unreachable where its certificate is."""
    sns.verify(body, secret, now, certificates)


def confirm(payload: Any, *, fetch: sns.Fetch) -> bool:
    """Subscribe to the topic if that is what a verified message asks; Unreachable where SNS is."""
    return sns.confirm(reading.mapping(payload), fetch)


def events(payload: Any, now: datetime) -> list[Feedback]:
    """What a message of SNS means; nothing where it is none of SES, or tells what means nothing here."""
    envelope = reading.mapping(payload)
    if envelope.get("Type") != sns.NOTIFICATION:
        return []
    try:
        event = reading.mapping(json.loads(str(envelope.get("Message"))))
    except (ValueError, RecursionError):
        return []  # "Successfully validated SNS topic for Amazon SES event publishing."
    name = reading.text(event.get("eventType") or event.get("notificationType"), 50)
    if name not in KINDS:
        return []
    kind, place = KINDS[name]
    told, mail = reading.mapping(event.get(place)), reading.mapping(event.get("mail"))
    if name == "Subscription" and not _leaves(told):
        return []
    if name == "Send" and not reading.ours(_message_ids(mail)):
        return []
    if name == "Complaint" and reading.text(told.get("complaintFeedbackType")) == "not-spam":
        return []
    if name == "Complaint" and told.get("complaintSubType") in _SUPPRESSED:
        kind = Kind.BOUNCE  # not a new complaint: because of an old one SES did not even try
    return [_feedback(kind, name, told, mail, each, now) for each in _recipients(told, mail)]


def _feedback(
    kind: Kind,
    name: str,
    told: Mapping[str, Any],
    mail: Mapping[str, Any],
    recipient: Mapping[str, Any],
    now: datetime,
) -> Feedback:
    address = reading.address(recipient.get("emailAddress"))
    diagnostic = reading.text(
        recipient.get("diagnosticCode") or told.get("smtpResponse") or told.get("reason")
    ).removeprefix("smtp; ")
    status, hard = reading.status(recipient.get("status")), None
    if kind is Kind.BOUNCE:
        status, hard = _bounce(name, told, status, diagnostic)
    message_id = reading.text(mail.get("messageId"), 200)
    url = reading.text(told.get("link"), reading.URL_LIMIT)
    agent = reading.text(told.get("userAgent"))
    when = told.get("timestamp") or mail.get("timestamp")
    native = reading.text(told.get("feedbackId"), 200)
    once = "" if native or name in ("Delivery", "Reject", "Send") else reading.text(when, 40)
    return Feedback(
        kind=kind,
        at=reading.moment(when, now),
        source=f"webhook:{SES}",
        key=reading.key(SES, name, native or message_id, address, once, url),
        message_ids=_message_ids(mail),
        recipient=address,
        actor=reading.actor(kind, agent),
        hard=hard,
        status=status,
        diagnostic=diagnostic,
        details=reading.known(
            event=name,
            provider_message_id=message_id,
            bounce_type=reading.text(told.get("bounceType"), 50),
            sub_type=reading.text(told.get("bounceSubType") or told.get("complaintSubType"), 50),
            feedback_type=reading.text(told.get("complaintFeedbackType"), 50),
            delay_type=reading.text(told.get("delayType"), 50),
            url=url,
            user_agent=agent,
        ),
    )


def _bounce(name: str, told: Mapping[str, Any], status: str, diagnostic: str) -> tuple[str, bool | None]:
    """The code to go by, and whether the address is no good (None: the answer's words decide)."""
    if name == "Complaint":
        return status, True
    if name == "Reject":
        return status, False
    kind, sub_type = reading.text(told.get("bounceType")), reading.text(told.get("bounceSubType"))
    if sub_type in BOUNCES:
        hard, code = BOUNCES[sub_type]
        return status or ("" if diagnostic else code), hard
    if kind == "Transient":
        return status, False
    # "Permanent" is what SES calls every 5xx, also of servers that do not like the sender: only where it
    # quotes no answer its word stands.
    return status, True if kind == "Permanent" and not (status or diagnostic) else None


def _recipients(told: Mapping[str, Any], mail: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Whom an event is about, each as ``{"emailAddress": ..}`` with what is said of that one."""
    for name in ("bouncedRecipients", "complainedRecipients", "delayedRecipients", "recipients"):
        if found := reading.sequence(told.get(name)):
            yield from (each if isinstance(each, dict) else {"emailAddress": each} for each in found)
            return
    found = reading.sequence(mail.get("destination"))
    # Opens and clicks do not say whose they are: with one recipient that is known.
    yield from ({"emailAddress": each} for each in found) if len(found) == 1 else ({},)


def _message_ids(mail: Mapping[str, Any]) -> tuple[str, ...]:
    headers = (reading.mapping(each) for each in reading.sequence(mail.get("headers")))
    named = [each.get("value") for each in headers if reading.text(each.get("name")).lower() == "message-id"]
    common = reading.mapping(mail.get("commonHeaders")).get("messageId")
    return tuple(dict.fromkeys(reading.message_ids(*named, common)))


def _leaves(subscription: Mapping[str, Any]) -> bool:
    """Whether somebody left all topics, or one of them: either way they said no."""
    wanted = reading.mapping(subscription.get("newTopicPreferences"))
    if wanted.get("unsubscribeAll") is True:
        return True
    topics = (reading.mapping(each) for each in reading.sequence(wanted.get("topicSubscriptionStatus")))
    return any(reading.text(topic.get("subscriptionStatus")).lower() == "optout" for topic in topics)
