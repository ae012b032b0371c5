"""What all providers' proofs have in common: a signature, and a time that is not long ago."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime, timedelta

AHEAD = timedelta(minutes=10)  # a provider's clock may be ahead of ours


class Forged(Exception):
    """The request does not prove that it comes from the provider. Its text names no part of the body."""


def same(given: str, expected: str) -> bool:
    """Whether two signatures are equal; the time this takes tells nothing."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def require_new(at: datetime, now: datetime, window: timedelta) -> None:
    """Forged where a signed time is longer ago than ``window``, or in the future."""
    if at > now + AHEAD:
        raise Forged("its time is in the future")
    if at < now - window:
        raise Forged(f"it is older than {window.total_seconds() / 3600:g} h")


def seconds(text: str) -> datetime:
    """A header's UNIX time, in seconds or milliseconds; Forged where it is none."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 13):
        raise Forged("its time is missing or unreadable")
    number = int(text)
    return datetime.fromtimestamp(number / 1000 if len(text) > 11 else number, UTC)
