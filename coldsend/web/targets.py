"""Where a click leads: the ``u`` of its query string, as the token was issued for, and a Location for it.

The redirect goes to the very URL that was signed, and to nothing else. Mail gateways rewrite links on their
way, though: they decode percent-signs, encode them once more, or append parameters of their own. So a few
readings of the query are tried, and the token tells which of them it was issued for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from urllib.parse import quote, unquote, urlsplit, urlunsplit

LONGEST = 8000  # bytes of a query string that are looked at

_U = re.compile(r"(?:^|&)u=")
_WEB = re.compile(r"https?://[^/\s]", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
# What may stand in a URL as it is; everything else becomes a percent-sign and digits.
_SAFE = "!#$%&'()*+,/:;=?@[]~"


def read_target(query: bytes, row_of: Callable[[str], int | None]) -> tuple[int, str] | None:
    """Row and URL of a click, as the token's reader ``row_of`` confirms them; None where it does not."""
    if len(query) > LONGEST:
        return None
    for url in _readings(query.decode("latin-1")):
        row_id = row_of(url)
        if row_id is not None:
            return row_id, url
    return None


def location(url: str) -> str | None:
    """The URL as a Location header has it, in ASCII; None for what is no web address."""
    # As browsers do with the address of a link: line breaks within are nothing.
    plain = _CONTROLS.sub("", url).strip()
    if not _WEB.match(plain):
        return None
    try:
        parts = urlsplit(plain)
        host = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode("ascii")
    except ValueError:
        return None
    return quote(urlunsplit(parts._replace(netloc=host)), safe=_SAFE)


def _readings(query: str) -> Iterator[str]:
    found = _U.search(query)
    if found is None:
        return
    rest = query[found.end() :]
    seen: set[str] = set()
    for text in (rest.partition("&")[0], rest):
        # Raw bytes of UTF-8 come as latin-1: a gateway that decoded the link did so to its letters.
        raw = text.encode("latin-1").decode("utf-8", "replace")
        for reading in (unquote(raw), raw, unquote(unquote(raw)), unquote(raw.replace("+", " "))):
            if reading not in seen:
                seen.add(reading)
                yield reading
