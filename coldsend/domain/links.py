"""How reports name a link: as the template has it; where it is different for each recipient, without that.

Of a link that does not stand in the template as it is, the values in its query (but for ``utm_*``), its
fragment, and parts of its path that hold an address are left out: so clicks add up, and what a report keeps
names nobody.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from hashlib import sha256
from urllib.parse import urlsplit, urlunsplit

LONGEST = 2000
LEFT_OUT = "…"
_NAMES_SOMEBODY = re.compile(r"@|%40|\d{4,}|[0-9a-f]{16,}", re.IGNORECASE)


def label(url: str, texts: Iterable[str]) -> str:
    """The name of a link that was clicked. texts: of its template, as :func:`readable` has them."""
    if any(url in text for text in texts):
        return url[:LONGEST]
    try:
        parts = urlsplit(url)
    except ValueError:
        return LEFT_OUT
    path = "/".join(LEFT_OUT if _NAMES_SOMEBODY.search(part) else part for part in parts.path.split("/"))
    query = "&".join(_kept(pair) for pair in parts.query.split("&")) if parts.query else ""
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, path, query, ""))[:LONGEST]


def digest(name: str) -> str:
    """The key of a link's name."""
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def readable(*sources: str | None) -> tuple[str, ...]:
    """A template's texts with ``&amp;`` and the like as what they mean."""
    return tuple(html.unescape(source) for source in sources if source)


def _kept(pair: str) -> str:
    name, equals, value = pair.partition("=")
    if not equals:
        return pair if name.isidentifier() else LEFT_OUT
    return (
        pair
        if name.lower().startswith("utm_") and not _NAMES_SOMEBODY.search(value)
        else f"{name}={LEFT_OUT}"
    )
