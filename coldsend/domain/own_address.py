"""An address of a sender service, with a place for a row's token where there is one.

Written ``bounce+{token}@sender.example`` or ``{token}@bounces.sender.example``: each message has its own, so
that whatever comes back to it tells what it is about. Without ``{token}`` it is the same for all messages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from coldsend.domain import address
from coldsend.errors import InvalidInput

PLACE = "{token}"
TOKEN_LENGTH = 26  # in letters that survive case folding

# Settings of a service.
BOUNCE, REPLY_TO, UNSUBSCRIBE = "bounce_address", "reply_to", "unsubscribe_address"

_EXAMPLE = "for example: bounce+{token}@example.com"
_ALPHANUMERIC = re.compile(r"[A-Za-z0-9]")


@dataclass(frozen=True, slots=True)
class OwnAddress:
    """before: what stands before the token. after: what stands behind it, with the domain in A-labels."""

    before: str
    after: str
    has_token: bool

    def filled(self, token: str) -> str:
        """The address of one message."""
        return f"{self.before}{token}{self.after}" if self.has_token else self.before


def parse(text: str) -> OwnAddress:
    """The address that ``text`` describes; InvalidInput says what is wrong with it."""
    stored = checked(text)
    local, _at, _domain = stored.rpartition("@")
    domain = address.parse(stored.replace(PLACE, "x" * TOKEN_LENGTH)).domain
    if PLACE not in stored:
        return OwnAddress(f"{local}@{domain}", "", has_token=False)
    before, _token, after = local.partition(PLACE)
    return OwnAddress(before, f"{after}@{domain}", has_token=True)


def checked(text: str, *, needs_token: bool = False) -> str:
    """``text`` in the form it is stored in; InvalidInput where it describes no address."""
    given = text.strip()
    local, _at, domain = given.rpartition("@")
    if needs_token and PLACE not in local:
        raise InvalidInput(
            f"{given!r} has no {PLACE} before the @: nobody could tell whose it is", hint=_EXAMPLE
        )
    if given.count(PLACE) > 1 or PLACE in domain or "{" in given.replace(PLACE, ""):
        raise InvalidInput(f"{given!r}: only {PLACE} is filled in, once, before the @", hint=_EXAMPLE)
    if not local.isascii():
        raise InvalidInput(
            f"{given!r} has other characters than ASCII before the @: many servers take no such sender",
            hint=_EXAMPLE,
        )
    before, token, after = local.partition(PLACE)
    if token and (_ALPHANUMERIC.match(before[-1:]) or _ALPHANUMERIC.match(after[:1])):
        raise InvalidInput(
            f"{given!r}: put a sign such as + or - between {PLACE} and the rest", hint=_EXAMPLE
        )
    address.parse(given.replace(PLACE, "x" * TOKEN_LENGTH))
    return address.parse(given).email
