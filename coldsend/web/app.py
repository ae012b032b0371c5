"""The web application: pixel and click in front, pages and webhooks behind a framework.

    /o/<token>.gif    /c/<token>?u=<URL>    tracking.py
    /u/<token>                              unsubscribe.py
    /healthz    /robots.txt                 here

Further routes (webhooks) come from whoever makes the application.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from coldsend import logbook
from coldsend.composing.tokens import Tokens
from coldsend.config.settings import Settings
from coldsend.web.intake import Intake
from coldsend.web.pages import HEADERS, page
from coldsend.web.tracking import Receive, Scope, Send, Tracking
from coldsend.web.unsubscribe import Unsubscribing
from coldsend.web.visitor import Visitors


class Application:
    """An ASGI application. One per process: its token reader is not to be shared."""

    def __init__(
        self, settings: Settings, link_secret: bytes, intake: Intake, routes: Sequence[BaseRoute] = ()
    ) -> None:
        """link_secret: the signing key for "links". routes: what else is served, as provider webhooks."""
        tokens = Tokens(link_secret)
        visitors = Visitors(settings.web, _derived(link_secret, b"web visitors"))
        undo_key = _derived(link_secret, b"web undo")
        unsubscribing = Unsubscribing(tokens, intake, visitors, undo_key, settings.postal_address.strip())
        self._intake = intake
        self._prefix = urlsplit(settings.web.base_url).path.rstrip("/")
        self._pages = Starlette(
            routes=[
                Route("/u/{token}", unsubscribing.answer, methods=["GET", "POST"]),
                Route("/healthz", self._health),
                Route("/robots.txt", _robots),
                *routes,
            ],
            exception_handlers={HTTPException: _http_error, Exception: _bug},
        )
        self._pages.router.redirect_slashes = False
        self._tracking = Tracking(tokens, intake, visitors, self._not_found)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._prefix and scope["path"].startswith(f"{self._prefix}/"):
            # A proxy that passes the whole path on.
            scope = {**scope, "path": scope["path"][len(self._prefix) :]}
        path: str = scope["path"]
        if path.startswith("/o/"):
            await self._tracking.pixel(scope, send)
        elif path.startswith("/c/"):
            await self._tracking.click(scope, receive, send)
        else:
            await self._pages(scope, receive, send)  # type: ignore[arg-type]

    async def _not_found(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        await page(request, "not_found", status=404)(scope, receive, send)  # type: ignore[arg-type]

    async def _health(self, _request: Request) -> Response:
        """Whether this process can take hits in; that the database is away does not keep it from that."""
        ailment = self._intake.ailment
        return PlainTextResponse(f"{ailment or 'ok'}\n", 503 if ailment else 200, HEADERS)


async def _robots(_request: Request) -> Response:
    return PlainTextResponse("User-agent: *\nDisallow: /\n", headers=HEADERS)


async def _http_error(request: Request, error: Exception) -> Response:
    """404 as a page; what else the framework refuses in a line."""
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return page(request, "not_found", status=404)
    return PlainTextResponse(f"{error.detail}\n", error.status_code, {**HEADERS, **(error.headers or {})})


async def _bug(_request: Request, error: Exception) -> Response:
    logbook.unexpected_error("web", error)
    return PlainTextResponse("Something went wrong here. Please try again.\n", 500, HEADERS)


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return blake2b(purpose, key=secret[:64], digest_size=32).digest()
