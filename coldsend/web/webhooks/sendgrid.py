"""SendGrid's Event Webhook, signed.

Looked up 2026-11 in Twilio's pages "Event Webhook Reference", "Event Webhook Security Features" and "Bounces
API": a POST is a JSON array of events. ``X-Twilio-Email-Event-Webhook-Signature`` is an ECDSA signature
(P-256, SHA-256, DER, base64) of the time in ``X-Twilio-Email-Event-Webhook-Timestamp`` followed by the body,
byte for byte; the account's public key (base64 of its DER form) is what the service keeps as its secret.

``smtp-id`` is the Message-ID that the message was handed over with. SendGrid leaves it out of some later
events (complaints, unsubscribes), which are then matched by address.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from coldsend.channels.webhooks import sendgrid_key
from coldsend.domain.feedback import Feedback, Kind
from coldsend.domain.webhook_provider import SENDGRID
from coldsend.web.webhooks import reading
from coldsend.web.webhooks.proof import Forged, require_new, seconds

SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"

# Failed posts are repeated for a day. The body is signed, so an old one can say nothing new.
WINDOW = timedelta(hours=26)

KINDS: Mapping[str, Kind] = {
    "processed": Kind.DELAYED,  # SendGrid has the message, which tells what became of an unknown row
    "deferred": Kind.DELAYED,
    "delivered": Kind.DELIVERED,
    "bounce": Kind.BOUNCE,
    "dropped": Kind.BOUNCE,
    "open": Kind.OPEN,
    "click": Kind.CLICK,
    "spamreport": Kind.COMPLAINT,
    "unsubscribe": Kind.UNSUBSCRIBE,
    "group_unsubscribe": Kind.UNSUBSCRIBE,
}

# What SendGrid says of a bounce -> whether the address is no good; what is not here its words decide.
CLASSES: Mapping[str, bool] = {
    "invalid address": True,
    "content": False,
    "reputation": False,
    "technical": False,
    "technical failure": False,
    "frequency or volume too high": False,
}

# Why SendGrid did not even try -> the same. It will refuse these addresses the next time, too.
DROPPED: Mapping[str, bool] = {
    "bounced address": True,
    "invalid": True,
    "spam reporting address": True,
    "unsubscribed address": True,
}


def verify(headers: Mapping[str, str], body: bytes, secret: str, now: datetime) -> None:
    """Forged unless the body is signed with the private half of ``secret``. headers: names in lower case."""
    told = headers.get(TIMESTAMP, "")
    at = seconds(told)
    try:
        signature = base64.b64decode(headers.get(SIGNATURE, ""), validate=True)
        sendgrid_key(secret).verify(signature, told.encode() + body, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise Forged("its signature is missing or wrong") from error
    require_new(at, now, WINDOW)


def events(payload: Any, now: datetime) -> list[Feedback]:
    """What the events of one POST mean; those that mean nothing here are left out."""
    made = (_feedback(reading.mapping(event), now) for event in reading.sequence(payload))
    return [each for each in made if each is not None]


def _feedback(event: Mapping[str, Any], now: datetime) -> Feedback | None:
    name = reading.text(event.get("event"), 50)
    kind = KINDS.get(name)
    message_ids = reading.message_ids(event.get("smtp-id"))
    if kind is None or (name == "processed" and not reading.ours(message_ids)):
        return None
    at = reading.moment(event.get("timestamp"), now)
    recipient = reading.address(event.get("email"))
    native = reading.text(event.get("sg_event_id"), 200)
    machine, agent = event.get("sg_machine_open") is True, reading.text(event.get("useragent"))
    return Feedback(
        kind=kind,
        at=at,
        source=f"webhook:{SENDGRID}",
        key=reading.key(SENDGRID, native) if native else reading.key(SENDGRID, event),
        message_ids=message_ids,
        recipient=recipient,
        actor=reading.actor(kind, agent, machine=machine),
        hard=_hard(name, event) if kind is Kind.BOUNCE else None,
        status=reading.status(event.get("status")),
        diagnostic=reading.text(event.get("reason") or event.get("response")),
        details=reading.known(
            event=name,
            provider_message_id=reading.text(event.get("sg_message_id"), 200),
            bounce_type=reading.text(event.get("type"), 50) if kind is Kind.BOUNCE else "",
            bounce_class=reading.text(event.get("bounce_classification"), 50),
            url=reading.text(event.get("url"), reading.URL_LIMIT),
            user_agent=agent,
        ),
    )


def _hard(name: str, event: Mapping[str, Any]) -> bool | None:
    if name == "dropped":
        return DROPPED.get(reading.text(event.get("reason")).lower(), False)
    told = CLASSES.get(reading.text(event.get("bounce_classification")).lower())
    if told is None and reading.text(event.get("type")).lower() == "blocked":
        return False
    return told
