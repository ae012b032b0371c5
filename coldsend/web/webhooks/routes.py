"""``/w/<provider>/<token>``: 200 taken, 403 not proven, 404 no such service, 413 too large, 503 again later.

GET answers 200 where the token is good: EngageLab tries a URL so before it takes it. Requests are worked off
by a thread of their own, so that tracking does not wait for the database, those that have come meanwhile
together; where too many wait, providers are asked to come again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from coldsend import clock
from coldsend.channels.webhooks import PROVIDERS
from coldsend.composing.tokens import Tokens
from coldsend.config.secrets import KeyRing
from coldsend.config.settings import Settings
from coldsend.database.engine import Database
from coldsend.web.body import TooLarge, read_body
from coldsend.web.webhooks.identity import path_of, service_of
from coldsend.web.webhooks.providers import providers
from coldsend.web.webhooks.receiving import Post, Received, Receiver
from coldsend.web.webhooks.sns import fetch

BODY_LIMIT = 1 << 20  # bytes; SendGrid's batches are smaller, SNS's messages at most 256 kB
WAITING = 128  # requests that may wait
TOGETHER_BYTES = 1 << 20  # of bodies in one transaction, at least one
AGAIN_SECONDS = 30

HEADERS = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex"}

_ANSWERS = {
    Received.TAKEN: (200, "taken"),
    Received.FORGED: (403, "not proven to come from the provider"),
    Received.UNKNOWN: (404, "not found"),
    Received.LATER: (503, "not now, please again later"),
}


class Receiving(Protocol):
    """Takes requests in; used by one thread."""

    def receive(self, posts: list[Post], now: datetime, /) -> list[Received]: ...


class Webhooks:
    """Of one server process; its event loop calls everything here."""

    def __init__(self, tokens: Tokens, receiver: Receiving) -> None:
        self._tokens = tokens
        self._receiver = receiver
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="webhooks")
        self._waiting = 0
        self._queue: deque[tuple[Post, asyncio.Future[Received]]] = deque()
        self._working: asyncio.Task[None] | None = None

    async def answer(self, request: Request) -> Response:
        provider = request.path_params["provider"]
        service_id = service_of(self._tokens, request.path_params["token"])
        if provider not in PROVIDERS or service_id is None:
            raise HTTPException(404)
        if request.method != "POST":
            return _said(200, "this URL waits for webhooks")
        if self._waiting >= WAITING:
            return _said(*_ANSWERS[Received.LATER])
        self._waiting += 1
        try:
            body = await read_body(request, BODY_LIMIT)
            received = await self._take(Post(provider, service_id, dict(request.headers), body))
        except TooLarge:
            return _said(413, "too large")
        finally:
            self._waiting -= 1
        return _said(*_ANSWERS[received])

    async def _take(self, post: Post) -> Received:
        done: asyncio.Future[Received] = asyncio.get_running_loop().create_future()
        self._queue.append((post, done))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work_off())
        return await done

    async def _work_off(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            batch = self._batch()
            posts = [post for post, _done in batch]
            try:
                received = await loop.run_in_executor(
                    self._thread, self._receiver.receive, posts, clock.now()
                )
                for (_post, done), each in zip(batch, received, strict=True):
                    if not done.done():  # where the provider has gone away meanwhile
                        done.set_result(each)
            except Exception as error:
                for _post, done in batch:
                    if not done.done():
                        done.set_exception(error)

    def _batch(self) -> list[tuple[Post, asyncio.Future[Received]]]:
        batch = [self._queue.popleft()]
        size = len(batch[0][0].body)
        while self._queue and (size := size + len(self._queue[0][0].body)) <= TOGETHER_BYTES:
            batch.append(self._queue.popleft())
        return batch


def routes(settings: Settings, link_secret: bytes, keys: Callable[[], KeyRing]) -> list[BaseRoute]:
    """The routes of webhooks, for one server process. Database and keys are first asked for by a request."""
    database = Database(settings.database.url, pool_size=1, connect_timeout=settings.database.connect_timeout)
    webhooks = Webhooks(Tokens(link_secret), Receiver(settings, database, keys, providers(fetch)))
    return [Route(path_of("{provider}", "{token}"), webhooks.answer, methods=["GET", "POST"])]


def _said(status: int, text: str) -> Response:
    headers = {**HEADERS, "Retry-After": str(AGAIN_SECONDS)} if status == 503 else HEADERS
    return PlainTextResponse(f"{text}\n", status, headers)
