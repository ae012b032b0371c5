"""The body of a request, up to a limit."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request


class TooLarge(Exception):
    """The body is longer than it may be."""


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body, ``limit`` bytes at most, else TooLarge. What was cut off by its sender is nothing."""
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told[:20]) > limit:
        raise TooLarge
    body = bytearray()
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > limit:
                raise TooLarge
    except ClientDisconnect:
        return b""
    return bytes(body)
