"""EngageLab's (Jiguang's) WebHook.

Looked up 2026-11 in EngageLab's pages "Learn about WebHook", "WebHook" and "Delivery Response" (docs/email),
in English and Chinese, and held against public code that logs real requests: a POST is one JSON object, or
an array of them; its URL is first tried with a GET. What happened stands in ``status.message_status``
(target, sent, delivered, invalid_email, soft_bounce; why, in ``status.error_detail``: ``message`` and the
number ``sub_stat``) or in ``response.event`` (open, click, unsubscribe, report_spam, route), with more in
``status_data`` and ``response_data``. ``itime`` is in milliseconds. ``custom_args`` are those of the message:
coldsend puts the row's token there (``channels/jiguang``).

The pages describe two signatures in ``X-WebHook-Signature``, and either is taken: ``md5(timestamp + app name
+ app key)``, which is the one seen in real requests, and ``HMAC-SHA256(app key, timestamp)``. Neither covers
the body. So this proves who knows the app key, not what was said: over plain HTTP anybody on the way could
say something else. docs/webhooks.md tells to give EngageLab an https URL.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from coldsend.channels.jiguang import ROW_ARGUMENT
from coldsend.domain.feedback import Feedback, Kind
from coldsend.domain.webhook_provider import ENGAGELAB
from coldsend.web.webhooks import reading
from coldsend.web.webhooks.proof import Forged, require_new, same, seconds

SIGNATURE = "x-webhook-signature"
TIMESTAMP = "x-webhook-timestamp"
APP_NAME = "x-webhook-appkey"  # "email", in spite of its name

# How long failed posts are repeated is not published.
WINDOW = timedelta(hours=24)

STATUSES: Mapping[str, Kind] = {
    "target": Kind.DELAYED,  # EngageLab has the message, which tells what became of an unknown row
    "sent": Kind.DELAYED,
    "delivered": Kind.DELIVERED,
    "invalid_email": Kind.BOUNCE,
    "soft_bounce": Kind.BOUNCE,
}
RESPONSES: Mapping[str, Kind] = {
    "open": Kind.OPEN,
    "click": Kind.CLICK,
    "unsubscribe": Kind.UNSUBSCRIBE,
    "report_spam": Kind.COMPLAINT,
    "route": Kind.REPLY,
}

# sub_stat -> whether the address is no good; what is not here the answer's words decide.
HARD: Mapping[str, bool] = {
    "401": True,  # on EngageLab's black list
    "402": True,  # unsubscribed there
    "403": False,  # server error
    "404": True,  # format error
    "405": False,  # the sending address was rejected
    "406": True,  # does not exist
    "407": False,  # taken for junk
}


def verify(headers: Mapping[str, str], _body: bytes, secret: str, now: datetime) -> None:
    """Forged unless the request's time is signed with the app key. headers: names in lower case."""
    told, given = headers.get(TIMESTAMP, ""), headers.get(SIGNATURE, "").lower()
    at = seconds(told)
    digest = hashlib.md5(f"{told}{headers.get(APP_NAME, '')}{secret}".encode())  # noqa: S324 - the provider's
    code = hmac.new(secret.encode(), told.encode(), hashlib.sha256)
    # Both are compared whichever fits: the time this takes tells nothing.
    fits = [same(given, digest.hexdigest()), same(given, code.hexdigest())]
    if not any(fits):
        raise Forged("its signature is missing or wrong")
    require_new(at, now, WINDOW)


def events(payload: Any, now: datetime) -> list[Feedback]:
    """What one POST means; events that mean nothing here are left out."""
    told = payload if isinstance(payload, list) else [payload]
    return [each for event in told for each in _feedback(reading.mapping(event), now)]


def _feedback(event: Mapping[str, Any], now: datetime) -> list[Feedback]:
    """None or one, but for a ``target`` with several recipients."""
    status, response = reading.mapping(event.get("status")), reading.mapping(event.get("response"))
    name = reading.text(status.get("message_status") or response.get("event"), 50)
    kind = (STATUSES if status.get("message_status") else RESPONSES).get(name)
    data = reading.mapping(status.get("status_data") or response.get("response_data"))
    message_ids = _message_ids(event)
    if kind is None or (name in ("target", "sent") and not reading.ours(message_ids)):
        return []
    error = reading.mapping(status.get("error_detail") or data.get("error_detail"))
    message = reading.text(error.get("message") or data.get("response") or data.get("message"))
    email_id = reading.text(data.get("email_id") or event.get("message_id"), 255)
    answered = kind is Kind.REPLY
    recipient = data.get("from") if answered else event.get("to")
    number = reading.text(error.get("sub_stat"), 10)
    url = reading.text(data.get("url"), reading.URL_LIMIT)
    return [
        Feedback(
            kind=kind,
            at=reading.moment(event.get("itime"), now),
            source=f"webhook:{ENGAGELAB}",
            key=_key(event, name, (email_id, *message_ids), url),
            message_ids=message_ids,
            recipient=_bare(reading.address(recipient)),
            hard=_hard(name, number, message) if kind is Kind.BOUNCE else None,
            diagnostic=message if kind in (Kind.BOUNCE, Kind.DELAYED) else "",
            details=reading.known(
                event=name,
                provider_message_id=email_id,
                sub_stat=number,
                subject=reading.text(data.get("subject")) if answered else "",
                url=url,
            ),
        )
    ]


def _message_ids(event: Mapping[str, Any]) -> tuple[str, ...]:
    """The row's token as the Message-ID it is the beginning of."""
    token = reading.text(reading.mapping(event.get("custom_args")).get(ROW_ARGUMENT), 64)
    return (f"<{token}@{ENGAGELAB}>",) if token else ()


def _key(event: Mapping[str, Any], name: str, message: tuple[str, ...], url: str) -> str:
    """EngageLab gives events no ids. The same one may come again with another ``itime``, but a message is
    delivered, refused, complained of or unsubscribed from only once.
    """
    often = name in ("open", "click", "route")
    when = event.get("itime") if often or not any(message) else ""
    return reading.key(ENGAGELAB, *message, name, reading.text(when, 20), url)


def _bare(text: str) -> str:
    """The address of ``Name <address>``."""
    before, bracket, after = text.rpartition("<")
    return after.partition(">")[0] if bracket else before or after


def _hard(name: str, number: str, message: str) -> bool | None:
    if name == "soft_bounce":
        return False
    # Told nothing else, the provider's word stands.
    return HARD.get(number, None if message else True)
