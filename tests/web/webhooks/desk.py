"""A campaign whose messages went out through a service with webhooks, and the receiver of these."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta
from typing import Any

from coldsend.composing.tokens import Kind as TokenKind
from coldsend.config.secrets import KeyRing, signing_key_owner, webhook_owner
from coldsend.config.settings import DatabaseSettings, Settings
from coldsend.database.engine import Database
from coldsend.database.tables import sender_services, signing_keys, webhook_payloads
from coldsend.domain.webhook_provider import ENGAGELAB, SENDGRID, SES
from coldsend.errors import Unreachable
from coldsend.web.webhooks.providers import providers
from coldsend.web.webhooks.receiving import Post, Received, Receiver
from tests.feedback.happenings import PEPPER, TOKENS, Sent
from tests.planning.world import NOW
from tests.web.webhooks.samples import (
    APP_KEY,
    CERTIFICATE_URL,
    TOPIC,
    SendGridAccount,
    Topic,
    engagelab_headers,
)

HOUR_AGO = NOW - timedelta(hours=1)
KEYS = KeyRing([b"k" * 32])


class Desk(Sent):
    """``service_id`` takes webhooks of all three providers, one after the other as secrets are entered."""

    def __init__(self, database: Database, url: str) -> None:
        super().__init__(database)
        for purpose, secret in (("links", b"s" * 32), ("suppression", PEPPER)):
            sealed = KEYS.seal({"secret": base64.b64encode(secret).decode()}, signing_key_owner(purpose))
            self.insert(signing_keys, purpose=purpose, secret=sealed)
        self.settings = Settings(database=DatabaseSettings(url=url))
        self.pages: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.now = NOW
        self.receiver = Receiver(self.settings, database, lambda: KEYS, providers(self.fetch))

    def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if url not in self.pages:
            raise Unreachable("sns.eu-west-1.amazonaws.com is out of reach")
        return self.pages[url]

    def enter(self, provider: str, secret: str) -> None:
        sealed = KEYS.seal({"provider": provider, "secret": secret}, webhook_owner(self.service_id))
        self.change(sender_services, self.service_id, webhook_secret=sealed)

    def engagelab(self, payload: Any, *, key: str = APP_KEY, at: datetime = NOW) -> Received:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        return self.post(ENGAGELAB, body, engagelab_headers(at, key))

    def sendgrid(self, account: SendGridAccount, *events: dict[str, Any]) -> Received:
        body = json.dumps(events).encode()
        return self.post(SENDGRID, body, account.headers(body, NOW))

    def ses(self, topic: Topic, message: dict[str, Any]) -> Received:
        self.pages.setdefault(CERTIFICATE_URL, topic.pem)
        return self.post(SES, topic.signed(message), {})

    def post(
        self, provider: str, body: bytes, headers: dict[str, str], service_id: int | None = None
    ) -> Received:
        (received,) = self.receiver.receive(
            [Post(provider, service_id or self.service_id, headers, body)], self.now
        )
        return received

    def token(self, row_id: int) -> str:
        return TOKENS.issue_folded(TokenKind.MESSAGE_ID, row_id)

    def payloads(self) -> list[Any]:
        return list(self.all(webhook_payloads))

    def topic(self) -> Topic:
        self.enter(SES, TOPIC)
        return Topic()


def told(event: dict[str, Any], at: datetime = HOUR_AGO) -> dict[str, Any]:
    """The event as it happened at that time."""
    return {**event, "itime": int(at.timestamp() * 1000)}
