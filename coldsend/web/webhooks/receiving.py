"""One request of a provider: verify, read, keep as it came, apply; the last two in one transaction.

The provider is told that all went well only after the commit; else it repeats, and nothing is lost. What
comes twice (the SHA-256 of provider and body is unique) changes nothing: so a request that somebody recorded
and plays again does no harm, in its window or later.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy.engine import Connection

from coldsend import logbook
from coldsend.config.secrets import KeyRing
from coldsend.config.settings import Settings
from coldsend.database.engine import Database
from coldsend.domain.feedback import Feedback
from coldsend.errors import ColdsendError
from coldsend.feedback.applier import Applier, applier_of
from coldsend.feedback.apply import Applied, announce, apply
from coldsend.stores import services, webhook_payloads
from coldsend.web.webhooks.identity import secret_of
from coldsend.web.webhooks.proof import Forged
from coldsend.web.webhooks.providers import Provider

ERROR_LIMIT = 500  # characters


class Received(Enum):
    """What became of a request."""

    TAKEN = "taken"  # or known already
    FORGED = "forged"
    UNKNOWN = "unknown"  # no such service
    LATER = "later"  # the database or a certificate is out of reach


@dataclass(frozen=True, slots=True)
class Post:
    """A request. headers: names in lower case."""

    provider: str
    service_id: int
    headers: Mapping[str, str]
    body: bytes


class Receiver:
    """Receives for one process. Used by one thread."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        keys: Callable[[], KeyRing],
        providers: Mapping[str, Provider],
    ) -> None:
        self._providers = providers
        self._settings = settings
        self._database = database
        self._keys = keys
        self._applier: Applier | None = None

    def receive(self, post: Post, now: datetime) -> Received:
        """Take a request in; never raises for what a provider, a forger or the database may do."""
        provider = self._providers[post.provider]
        try:
            secret = self._secret(post)
            if secret is None:
                return Received.UNKNOWN
            provider.verify(post.headers, post.body, secret, now)
            self._take(post, provider, now)
        except Forged as error:
            logbook.webhook_refused(post.provider, post.service_id, str(error))
            return Received.FORGED
        except ColdsendError as error:
            logbook.webhook_put_off(post.provider, post.service_id, error.message)
            return Received.LATER
        return Received.TAKEN

    def _secret(self, post: Post) -> str | None:
        """What the request has to be proven with; None where there is no such service."""
        with self._database.read() as connection:
            row = services.row(connection, post.service_id)
        if row is None:
            return None
        secret = secret_of(row, post.provider, self._keys())
        if secret is None:
            raise Forged("no secret of this provider was entered for the service")
        return secret

    def _take(self, post: Post, provider: Provider, now: datetime) -> None:
        payload, error = _read(post.body)
        if provider.confirm(payload):
            logbook.webhook_confirmed(post.provider, post.service_id)
        items = [replace(item, service_id=post.service_id) for item in provider.events(payload, now)]
        applied = self._database.run(lambda connection: self._store(connection, post, items, error, now))
        if applied is None:
            return
        if error:
            logbook.webhook_unreadable(post.provider, post.service_id, error)
        announce(applied)
        logbook.webhook_taken(post.provider, post.service_id, len(items), applied.matched)

    def _store(
        self, connection: Connection, post: Post, items: list[Feedback], error: str, now: datetime
    ) -> Applied | None:
        """None where the same was stored before."""
        stored = webhook_payloads.keep(
            connection,
            {
                "provider": post.provider,
                "received_at": now,
                "digest": hashlib.sha256(f"{post.provider}\n".encode() + post.body).hexdigest(),
                "content_type": post.headers.get("content-type", "")[:255] or None,
                "body": post.body,
                "events": len(items),
                "error": error or None,
            },
        )
        if not stored:
            return None
        if self._applier is None:
            self._applier = applier_of(connection, self._settings, self._keys())
        return apply(connection, items, now, self._applier)


def _read(body: bytes) -> tuple[Any, str]:
    """The payload, and why it could not be read."""
    try:
        return json.loads(body), ""
    except RecursionError:
        return None, "it is nested too deeply"
    except ValueError as error:
        return None, f"it is no JSON: {error}"[:ERROR_LIMIT]
