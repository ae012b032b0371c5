"""Alerts as signed webhooks, in the form of Standard Webhooks; docs/alerts.md shows how to verify them.

    POST URL
    webhook-id: msg_..           the same for each attempt: receivers tell repetitions by it
    webhook-timestamp: 1803891600    when this attempt was made, in UNIX seconds
    webhook-signature: v1,BASE64 ..  HMAC-SHA256 of "id.timestamp.body", one for each secret

The body is JSON: {"type": "alert.raised", "timestamp": .., "data": {..}}. Any 2xx means taken, 410 that the
receiver wants no more of it. Redirects are not followed: what is signed for one receiver is for no other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import httpx

from coldsend import __version__
from coldsend.alerts.seam import SECONDS, NotDelivered
from coldsend.config.authorities import trusting
from coldsend.domain.alert import Notice, stamp

GONE = 410
USER_AGENT = f"coldsend/{__version__}"


@dataclass(frozen=True)
class Webhook:
    """One receiver; see :class:`coldsend.alerts.seam.Target`."""

    name: str
    url: str = field(repr=False)
    keys: Sequence[bytes] = field(repr=False)
    gathers: bool = False  # programs count: one notice each

    async def send(self, notices: Sequence[Notice], message_id: str, at: datetime) -> None:
        (notice,) = notices
        body = body_of(notice)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            **signed(self.keys, message_id, at, body),
        }
        # The system's authorities, as everywhere else: the library would believe a list of its own.
        context = trusting("", "alerts")
        try:
            async with (
                httpx.AsyncClient(timeout=SECONDS, follow_redirects=False, verify=context) as client,
                # What it says is not read: it may never end.
                client.stream("POST", self.url, content=body, headers=headers) as answer,
            ):
                status = answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise NotDelivered(_reason(error)) from None
        if not 200 <= status < 300:
            words = f"answered {status}"
            if 300 <= status < 400:
                words += ", a redirect: give the URL it leads to"
            raise NotDelivered(words, final=status == GONE)


def body_of(notice: Notice) -> bytes:
    """The same octets for each attempt."""
    happened = notice.cleared_at or notice.raised_at
    document = {
        "type": f"alert.{notice.event}",
        "timestamp": stamp(happened),
        "data": notice.document(),
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def signed(keys: Sequence[bytes], message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers."""
    seconds = str(int(at.timestamp()))
    content = b".".join((message_id.encode(), seconds.encode(), body))
    signatures = (base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def _reason(error: Exception) -> str:
    """Why a request failed, without its URL, which may hold a token."""
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.ConnectError):
        return f"cannot be connected to: {error}" if str(error) else "cannot be connected to"
    return f"the connection failed: {type(error).__name__}"
