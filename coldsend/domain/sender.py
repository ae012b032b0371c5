"""Who a service sends as: one name and one address, as an operator types it.

Written ``Name <address>``, ``"Last, First" <address>`` or the address alone. What cannot be one From header
with one address in it is refused, line breaks (also hidden in encoded-words) above all.
"""

from __future__ import annotations

import re
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import NamedTuple

from coldsend.domain import address
from coldsend.domain.printable import is_printable
from coldsend.errors import InvalidInput

NAME_LIMIT = 255

_NAMED = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]+)>")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_EXAMPLE = 'write it like "Anna Smith <anna@example.com>"'


class Sender(NamedTuple):
    """name: without quotes, None where there is none. email: domain in Unicode where it is one."""

    name: str | None
    email: str

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>" if self.name else self.email


def parse(text: str) -> Sender:
    """The sender in ``text``; InvalidInput says what is wrong with it."""
    given = text.strip()
    match = _NAMED.fullmatch(given)
    if match is None:
        return Sender(None, _address(given))
    return Sender(_name(match["name"].strip()) or None, _address(match["address"].strip()))


def _address(text: str) -> str:
    if text.count("@") > 1 and re.search(r"[,;\s]", text):
        raise InvalidInput(f"{_shown(text)} is more than one address", hint=_EXAMPLE)
    try:
        return address.parse(text).email
    except InvalidInput as error:
        raise InvalidInput(error.message, hint=_EXAMPLE) from error


def _name(text: str) -> str:
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None:
        text = re.sub(r"\\(.)", r"\1", quoted[1])
    text = _decoded(text).strip()
    if "\n" in text or "\r" in text:
        raise InvalidInput(f"the name in {_shown(text)} has a line break in it", hint=_EXAMPLE)
    if not is_printable(text):
        raise InvalidInput(f"the name in {_shown(text)} has a control character in it", hint=_EXAMPLE)
    if "@" in text:
        raise InvalidInput(
            f"the name {_shown(text)} looks like an address: recipients would not know who writes",
            hint=_EXAMPLE,
        )
    if len(text) > NAME_LIMIT:
        raise InvalidInput(f"a sender's name has at most {NAME_LIMIT} characters, not {len(text)}")
    return text


def _decoded(text: str) -> str:
    """Encoded-words as what they say, so that nothing hides in them."""
    if "=?" not in text:
        return text
    try:
        return str(make_header(decode_header(text)))
    except (HeaderParseError, LookupError, UnicodeError, ValueError) as error:
        raise InvalidInput(
            f"the name {_shown(text)} has a broken encoded-word in it", hint=_EXAMPLE
        ) from error


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "..")
