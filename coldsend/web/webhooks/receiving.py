"""Requests of providers: verify, read, keep as they came, apply; the last two in one transaction.

A provider is told that all went well only after the commit; else it repeats, and nothing is lost. What comes
twice (the SHA-256 of provider and body is unique) changes nothing: so a request that somebody recorded and
plays again does no harm, in its window or later. Requests that wait at the same time share a transaction:
some providers send one for every event.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy.engine import Connection, RowMapping

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

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.provider}\n".encode() + self.body).hexdigest()


@dataclass(frozen=True, slots=True)
class _Proven:
    """A request that comes from its provider, and what it tells. error: why it could not be read."""

    post: Post
    items: list[Feedback] = field(default_factory=list)
    error: str = ""


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

    def receive(self, posts: Sequence[Post], now: datetime) -> list[Received]:
        """Take requests in, and tell of each what became of it; never raises."""
        try:
            with self._database.read() as connection:
                rows = services.rows(connection, {post.service_id for post in posts})
        except ColdsendError as error:
            return [self._put_off(post, error) for post in posts]
        told = [self._prove(post, rows.get(post.service_id), now) for post in posts]
        proven = [each for each in told if isinstance(each, _Proven)]
        taken = iter(self._take(proven, now))
        return [next(taken) if isinstance(each, _Proven) else each for each in told]

    def _prove(self, post: Post, row: RowMapping | None, now: datetime) -> _Proven | Received:
        if row is None:
            return Received.UNKNOWN
        provider = self._providers[post.provider]
        try:
            secret = secret_of(row, post.provider, self._keys())
            if secret is None:
                raise Forged("no secret of this provider was entered for the service")  # noqa: TRY301
            provider.verify(post.headers, post.body, secret, now)
            payload, problem = _read(post.body)
            if provider.confirm(payload):
                logbook.webhook_confirmed(post.provider, post.service_id)
            items = provider.events(payload, now)
        except Forged as error:
            logbook.webhook_refused(post.provider, post.service_id, str(error))
            return Received.FORGED
        except ColdsendError as error:
            return self._put_off(post, error)
        except Exception as error:
            # What one of them does to us must not keep the others out.
            logbook.unexpected_error("webhooks", error)
            return Received.LATER
        return _Proven(post, [replace(item, service_id=post.service_id) for item in items], problem)

    def _take(self, proven: Sequence[_Proven], now: datetime) -> list[Received]:
        if not proven:
            return []
        try:
            fresh, applied = self._database.run(lambda connection: self._store(connection, proven, now))
        except ColdsendError as error:
            return [self._put_off(each.post, error) for each in proven]
        except Exception as error:
            if len(proven) > 1:
                return [received for each in proven for received in self._take([each], now)]
            logbook.unexpected_error("webhooks", error)
            return [Received.LATER]
        for each in fresh:
            if each.error:
                logbook.webhook_unreadable(each.post.provider, each.post.service_id, each.error)
        announce(applied)
        logbook.webhooks_taken(len(fresh), sum(len(each.items) for each in fresh), applied.matched)
        return [Received.TAKEN] * len(proven)

    def _store(
        self, connection: Connection, proven: Sequence[_Proven], now: datetime
    ) -> tuple[list[_Proven], Applied]:
        """Those that were not stored before, and what became of them."""
        by_digest = {each.post.digest: each for each in proven}
        known = webhook_payloads.known(connection, by_digest)
        fresh = {digest: each for digest, each in by_digest.items() if digest not in known}
        webhook_payloads.keep(
            connection,
            [
                {
                    "provider": each.post.provider,
                    "received_at": now,
                    "digest": digest,
                    "content_type": each.post.headers.get("content-type", "")[:255] or None,
                    "body": each.post.body,
                    "events": len(each.items),
                    "error": each.error or None,
                }
                for digest, each in fresh.items()
            ],
        )
        if self._applier is None:
            self._applier = applier_of(connection, self._settings, self._keys())
        # Where two processes store the same at the same moment, both apply it: the keys of happenings make
        # that harmless.
        items = [item for each in fresh.values() for item in each.items]
        return list(fresh.values()), apply(connection, items, now, self._applier)

    def _put_off(self, post: Post, error: ColdsendError) -> Received:
        logbook.webhook_put_off(post.provider, post.service_id, error.message)
        return Received.LATER


def _read(body: bytes) -> tuple[Any, str]:
    """The payload, and why it could not be read."""
    try:
        return json.loads(body), ""
    except RecursionError:
        return None, "it is nested too deeply"
    except ValueError as error:
        return None, f"it is no JSON: {error}"[:ERROR_LIMIT]
