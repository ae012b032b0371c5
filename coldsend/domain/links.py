"""How reports name a link: as the template has it; where it is different for each recipient, without that.

Of a link that does not stand in its template as it is, only the parts that do are kept: host, steps of the
path, pairs of the query, names of pairs. So clicks add up, and what a report keeps names nobody.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlsplit

LONGEST = 2000
LEFT_OUT = "…"
_BETWEEN = re.compile(r"[\s\"'<>{}()/?&#]+")


@dataclass(frozen=True, slots=True)
class Source:
    """What a template says. parts: what stands in it between the signs that part links."""

    texts: tuple[str, ...] = ()
    parts: frozenset[str] = frozenset()


def source(texts: Iterable[str | None]) -> Source:
    """Of a template's texts, in which ``&amp;`` and the like stand for what they mean."""
    plain = tuple(html.unescape(text) for text in texts if text)
    return Source(plain, frozenset(part for text in plain for part in _BETWEEN.split(text)))


def label(url: str, of: Source) -> str:
    """The name of a link that was clicked in a message of this template."""
    if any(url in text for text in of.texts):
        return url[:LONGEST]
    try:
        parts = urlsplit(url)
    except ValueError:
        return LEFT_OUT
    host = parts.netloc if parts.netloc in of.parts else LEFT_OUT
    path = "/".join(step if not step or step in of.parts else LEFT_OUT for step in parts.path.split("/"))
    query = "&".join(_kept(pair, of) for pair in parts.query.split("&"))
    return f"{parts.scheme}://{host}{path}{'?' if query else ''}{query}"[:LONGEST]


def digest(name: str) -> str:
    """The key of a link's name."""
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _kept(pair: str, of: Source) -> str:
    name = f"{pair.partition('=')[0]}="
    if not pair or pair in of.parts:
        return pair
    return f"{name}{LEFT_OUT}" if name in of.parts else LEFT_OUT
