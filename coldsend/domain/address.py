"""E-mail addresses: what is one, how it is stored, and which forms are the same address.

``email`` is what is stored and shown: the local part as given (NFC), the domain in lower case, in Unicode
where it is an internationalised one. ``key`` decides who is who: the local part case-folded, the domain as
A-labels, so that ``Bob@BÜCHER.example`` and ``bob@xn--bcher-kva.example`` are one address.

Addresses are validated strictly and without DNS. Local parts may be internationalised (SMTPUTF8). Domains
that exist for tests (``.test``, ``.example``, ``.invalid``, ``localhost``) are accepted, because operators
test with them; ``.local``, ``.onion`` and ``.arpa`` are not.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Any, NamedTuple

from coldsend.errors import InvalidInput

MAX_LENGTH = 254  # octets, RFC 5321 4.5.3.1.3

_FOR_TESTS = frozenset({"test", "invalid", "localhost"})

# Plain ASCII addresses, nearly all there are: accepted here thirty times as fast as by the library, which
# decides all others. A property test holds the two together. Labels such as "xn--.." are left to the library.
_ATEXT = r"[A-Za-z0-9_!#$%&'*+\-/=?^`{|}~]"
_LABEL = r"(?!-)(?!..--)[A-Za-z0-9-]{1,63}(?<!-)\."
_PLAIN = re.compile(
    rf"(?=[^@]{{1,64}}@)({_ATEXT}++(?:\.{_ATEXT}++)*+)"
    rf"@((?:{_LABEL})+(?!-)(?!..--)[A-Za-z0-9-]{{0,62}}[A-Za-z])"
)


class Address(NamedTuple):
    """A valid address. domain: the A-label domain of ``key``."""

    email: str
    key: str
    domain: str


def parse(text: str) -> Address:
    """The address in ``text``; InvalidInput with the reason where there is none."""
    match = _PLAIN.fullmatch(text)
    if match is None or len(text) > MAX_LENGTH or "=?" in text:
        return _parse_any(text.strip(" \t\u00a0"))
    local, domain = match.groups()
    domain = domain.lower()
    if domain[domain.rfind(".") + 1 :] in _refused_endings():
        return _parse_any(text)
    return Address(f"{local}@{domain}", f"{local.lower()}@{domain}", domain)


def parse_domain(text: str) -> str:
    """The A-label form of a domain (``Bücher.example``, ``@acme.com``); InvalidInput where it is none."""
    name = text.strip().removeprefix("@")
    try:
        return parse(f"x@{name}").domain
    except InvalidInput as error:
        reason = error.message.partition(": ")[2]
        raise InvalidInput(f"{_shown(name)} is not a domain: {reason}") from error


@cache
def _library() -> Any:
    """Imported when the first address is read: most commands and all senders read none."""
    import email_validator  # noqa: PLC0415

    # The library names this list as the place to change which special-use domains it refuses.
    email_validator.SPECIAL_USE_DOMAIN_NAMES[:] = [
        name for name in email_validator.SPECIAL_USE_DOMAIN_NAMES if name not in _FOR_TESTS
    ]
    return email_validator


@cache
def _refused_endings() -> frozenset[str]:
    return frozenset(_library().SPECIAL_USE_DOMAIN_NAMES)


def _parse_any(text: str) -> Address:
    if not text:
        raise InvalidInput("the e-mail address is missing")
    if len(text) > MAX_LENGTH:
        raise InvalidInput(
            f"{_shown(text)} is not an e-mail address: it has {len(text)} characters, "
            f"{MAX_LENGTH} are allowed"
        )
    if "=?" in text:
        raise InvalidInput(f"{_shown(text)} is not an e-mail address: it looks like an encoded-word")
    # Only localhost may stand without a period: bob@gmail is a slip of the pen.
    has_dotless_domain = text.lower().endswith("@localhost")
    try:
        found = _library().validate_email(
            text,
            allow_smtputf8=True,
            allow_quoted_local=False,
            allow_domain_literal=False,
            allow_display_name=False,
            strict=True,
            check_deliverability=False,
            globally_deliverable=not has_dotless_domain,
        )
    except ValueError as error:  # the library's own errors and Unicode errors are both
        raise InvalidInput(f"{_shown(text)} is not an e-mail address: {_reason(error)}") from error
    local = unicodedata.normalize("NFC", text.rpartition("@")[0])
    domain = str(found.ascii_domain)
    return Address(f"{local}@{found.domain}", f"{_folded(local)}@{domain}", domain)


def _folded(local: str) -> str:
    """The same text for all case forms and compositions of a local part."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", local).casefold())


def _reason(error: ValueError) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    return text[:1].lower() + text[1:]


def _shown(text: str) -> str:
    """The text in quotes, cut, with nothing in it that could steer a terminal or break a line."""
    cut = text if len(text) <= 80 else text[:77] + ".."
    return repr(cut)
