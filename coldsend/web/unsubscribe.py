"""``/u/<token>``: the page that asks, the form it sends, one-click (RFC 8058), and taking it back.

GET never unsubscribes: gateways follow links. A POST does, with ``List-Unsubscribe=One-Click`` or the page's
own ``scope``, urlencoded or multipart, without a cookie, and as often as it comes. One-click means all
messages of the sender: its sender cannot ask. Nobody is told that they are unsubscribed before that is on
disk.

Taking back works for an hour, from the page that answered, with what that page carries: the scope and time of
the unsubscribe, signed for its row. It takes back this one unsubscribe and no other.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncGenerator, Mapping
from hashlib import blake2b
from urllib.parse import parse_qsl

from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from coldsend import clock, meter
from coldsend.composing.tokens import NOBODY, Kind, Tokens
from coldsend.web.body import TooLarge, read_body
from coldsend.web.hits import ALL, CAMPAIGN, Hit, HitKind, microseconds
from coldsend.web.intake import Intake
from coldsend.web.pages import HEADERS, page
from coldsend.web.visitor import Visitors

UNDO_SECONDS = 3600
BODY_LIMIT = 64 * 1024
FIELDS = 20

_SECOND = 1_000_000


class Unsubscribing:
    """Answers ``/u/<token>``. sender: the postal address shown below, that says who writes."""

    def __init__(
        self, tokens: Tokens, intake: Intake, visitors: Visitors, undo_key: bytes, sender: str
    ) -> None:
        self._tokens = tokens
        self._intake = intake
        self._visitors = visitors
        self._undo_key = undo_key
        self._sender = sender

    async def answer(self, request: Request) -> Response:
        found = self._tokens.read(request.path_params["token"])
        if found is None or found[0] is not Kind.UNSUBSCRIBE:
            meter.hit(HitKind.UNSUBSCRIBE, "forged")
            return page(request, "not_found", status=404)
        if request.method != "POST":
            return page(request, "unsubscribe", asks=True, sender=self._sender)
        try:
            given = await fields(request)
        except TooLarge:
            return page(request, "unclear", status=413, asks=True, sender=self._sender)
        return await self._posted(request, found[1], given)

    async def _posted(self, request: Request, row_id: int, given: Mapping[str, str]) -> Response:
        one_click = given.get("list-unsubscribe", "").strip().lower() == "one-click"
        scope = ALL if one_click else given.get("scope", "")
        try:
            if scope in {ALL, CAMPAIGN}:
                at = await self._note(request, row_id, scope, "one_click" if one_click else "page")
            elif given.get("undo"):
                return await self._undo(request, row_id, given["undo"])
            else:
                return page(request, "unclear", status=400, asks=True, sender=self._sender)
        except OSError:
            return page(request, "failed", status=503, asks=True, sender=self._sender)
        if one_click:
            return PlainTextResponse("unsubscribed\n", headers=HEADERS)
        signed = self._signed(row_id, scope, at)
        return page(request, "done", text=f"done_{scope}", undo=signed, sender=self._sender)

    async def _note(self, request: Request, row_id: int, scope: str, way: str) -> int:
        client, network, agent, signs = self._visitors.of(dict(request.scope))
        at = microseconds(clock.now())
        hit = Hit(HitKind.UNSUBSCRIBE, row_id, at, client, network, agent, signs, rest=(scope, way))
        if row_id != NOBODY:
            await self._intake.consent(hit)
        return at

    async def _undo(self, request: Request, row_id: int, carried: str) -> Response:
        scope, at = self._read_signed(row_id, carried)
        now = microseconds(clock.now())
        if not scope or not 0 <= now - at <= UNDO_SECONDS * _SECOND:
            return page(request, "undo_late", status=400, sender=self._sender)
        # Unsubscribes of one second are one: what comes after the undoing must be another.
        await asyncio.sleep(max(0, (at // _SECOND + 1) * _SECOND - now) / _SECOND)
        client, network, agent, signs = self._visitors.of(dict(request.scope))
        now = microseconds(clock.now())
        undo = Hit(HitKind.UNDO, row_id, now, client, network, agent, signs, rest=(scope, str(at)))
        if row_id != NOBODY:
            await self._intake.consent(undo)
        return page(request, "undone", asks=False, sender=self._sender)

    def _signed(self, row_id: int, scope: str, at: int) -> str:
        text = f"{scope}.{at}"
        mark = blake2b(f"{row_id}.{text}".encode(), digest_size=16, key=self._undo_key).hexdigest()
        return f"{text}.{mark}"

    def _read_signed(self, row_id: int, carried: str) -> tuple[str, int]:
        """Scope and time of the unsubscribe to take back; scope "" where it was not signed here."""
        scope, _, rest = carried.partition(".")
        digits = rest.partition(".")[0]
        if scope not in {ALL, CAMPAIGN} or not (digits.isascii() and digits.isdigit() and len(digits) < 20):
            return "", 0
        right = self._signed(row_id, scope, int(digits))
        return (scope, int(digits)) if hmac.compare_digest(right.encode(), carried.encode()) else ("", 0)


async def fields(request: Request) -> dict[str, str]:
    """The fields of a form by their names in small letters; what is no form has none. TooLarge where it
    is."""
    body = await read_body(request, BODY_LIMIT)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        try:
            form = await MultiPartParser(
                request.headers, _once(body), max_files=0, max_fields=FIELDS, max_part_size=BODY_LIMIT
            ).parse()
        except (MultiPartException, KeyError):
            return {}
        found = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    else:
        try:
            found = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=FIELDS)
        except ValueError:
            return {}
    return {name.strip().lower(): value for name, value in found}


async def _once(body: bytes) -> AsyncGenerator[bytes, None]:
    yield body
