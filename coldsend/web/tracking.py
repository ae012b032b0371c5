"""The open pixel and the click redirect: ``/o/<token>.gif`` and ``/c/<token>?u=<URL>``.

Plain ASGI, without a framework between: these two are nearly all requests there are. A pixel is always
answered with a pixel, so that a mangled token breaks nobody's message; a click without a good token leads
nowhere. HEAD is answered as GET is, and noted as a machine's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from coldsend import clock, meter
from coldsend.composing.tokens import NOBODY, Kind, Tokens
from coldsend.web.hits import Hit, HitKind, microseconds
from coldsend.web.intake import Intake
from coldsend.web.targets import location, read_target
from coldsend.web.visitor import Visitors

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Page = Callable[[Scope, Receive, Send], Awaitable[None]]

# The smallest transparent GIF there is.
PIXEL = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
URL_KEPT = 2000  # characters of a clicked URL in the event log

# As few as will do: each costs the server a microsecond or two, and the pixel is nearly all there is.
_NOT_KEPT = [(b"cache-control", b"no-store, no-cache, private, max-age=0"), (b"x-robots-tag", b"noindex")]
_REDIRECT = [*_NOT_KEPT, (b"referrer-policy", b"no-referrer")]
_PIXEL_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [
        (b"content-type", b"image/gif"),
        (b"content-length", str(len(PIXEL)).encode()),
        *_NOT_KEPT,
        # Webmail may show messages in pages that admit only images which allow it.
        (b"cross-origin-resource-policy", b"cross-origin"),
    ],
}
_PIXEL_BODY = {"type": "http.response.body", "body": PIXEL}
_NO_BODY = {"type": "http.response.body", "body": b""}
_NOT_ALLOWED = {
    "type": "http.response.start",
    "status": 405,
    "headers": [(b"allow", b"GET, HEAD"), (b"content-length", b"0"), *_NOT_KEPT],
}


class Tracking:
    """Answers both; ``not_found`` is the page for clicks that lead nowhere."""

    def __init__(self, tokens: Tokens, intake: Intake, visitors: Visitors, not_found: Page) -> None:
        self._tokens = tokens
        self._intake = intake
        self._visitors = visitors
        self._not_found = not_found

    async def pixel(self, scope: Scope, send: Send) -> None:
        """Answer ``/o/..``; scope's path begins with it."""
        if scope["method"] not in {"GET", "HEAD"}:
            await _refuse(send)
            return
        found = self._tokens.read(scope["path"][3:].removesuffix(".gif"))
        if found is not None and found[0] is Kind.OPEN:
            self._note(scope, HitKind.OPEN, found[1], "")
        else:
            meter.hit(HitKind.OPEN, "forged")
        await send(_PIXEL_START)
        await send(_PIXEL_BODY)

    async def click(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer ``/c/..``; scope's path begins with it."""
        if scope["method"] not in {"GET", "HEAD"}:
            await _refuse(send)
            return
        token = scope["path"][3:]
        found = read_target(scope["query_string"], lambda url: self._tokens.read_click(token, url))
        target = location(found[1]) if found is not None else None
        if found is None or target is None:
            meter.hit(HitKind.CLICK, "forged")
            await self._not_found(scope, receive, send)
            return
        self._note(scope, HitKind.CLICK, found[0], found[1][:URL_KEPT])
        headers = [(b"location", target.encode("ascii")), (b"content-length", b"0"), *_REDIRECT]
        await send({"type": "http.response.start", "status": 302, "headers": headers})
        await send(_NO_BODY)

    def _note(self, scope: Scope, kind: HitKind, row_id: int, url: str) -> None:
        if row_id == NOBODY:
            return
        client, network, agent, signs = self._visitors.of(scope)
        at = microseconds(clock.now())
        self._intake.visit(Hit(kind, row_id, at, client, network, agent, signs, url))


async def _refuse(send: Send) -> None:
    await send(_NOT_ALLOWED)
    await send(_NO_BODY)
