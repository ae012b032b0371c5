"""Whether the public address of the web part answers: links in messages that are sent lead there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx

from coldsend.domain.finding import Finding

SECONDS = 3.0

# Nobody has these (RFC 2606, RFC 6761): asking for them would only take time.
_RESERVED = re.compile(
    r"(?:.*\.)?(?:example\.(?:com|net|org)|[^.]+\.(?:example|test|invalid))", re.IGNORECASE
)


def findings(base_url: str) -> Iterator[Finding]:
    """A warning where ``base_url`` is set and does not answer as the web part does. Asks over the network."""
    host = urlsplit(base_url).hostname or ""
    if not host or _RESERVED.fullmatch(host):
        return
    address = f"{base_url.rstrip('/')}/healthz"
    try:
        answer = httpx.get(address, timeout=SECONDS, follow_redirects=False)
        trouble = "" if answer.text.strip() == "ok" else f"answered {answer.status_code}, not as the web part"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        trouble = f"cannot be reached from here ({str(error) or type(error).__name__})"
    if trouble:
        yield Finding(
            "warning",
            "web.base_url",
            f"{address} {trouble}: links, pixels and unsubscribe pages of messages lead there",
            "run it, behind a proxy that knows this address: coldsend web run (docs/web.md)",
        )
