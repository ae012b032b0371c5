"""Whether the public addresses of the web part answer: links in messages that are sent lead there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx

from coldsend import clock
from coldsend.domain.finding import Finding
from coldsend.domain.reserved import is_reserved
from coldsend.domain.service import WEB_URL, Service
from coldsend.installation.hosts import told_time

SECONDS = 3.0
AT_ONCE = 16

_NUMBER = re.compile(r"^\[Errno -?\d+\] ")


def findings(base_url: str, services: Sequence[Service] = ()) -> Iterator[Finding]:
    """A warning for each address that does not answer as the web part does: ``base_url``, where it is set,
    and those that services have of their own. Asks over the network."""
    subjects = {base_url.rstrip("/"): "web.base_url"}
    for service in services:
        subjects.setdefault(str(service.settings.get(WEB_URL) or ""), f"service {service.name!r}")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for found in pool.map(_asked, subjects.values(), subjects):
            yield from found


def _asked(subject: str, base_url: str) -> list[Finding]:
    host = urlsplit(base_url).hostname or ""
    if not host or is_reserved(host):
        return []
    address = f"{base_url}/healthz"
    try:
        answer = httpx.get(address, timeout=SECONDS, follow_redirects=False)
        trouble = "" if answer.text.strip() == "ok" else f"answered {answer.status_code}, not as the web part"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        words = _NUMBER.sub("", str(error)) or type(error).__name__
        trouble = f"cannot be reached from here ({words})"
    if not trouble:
        return list(told_time(base_url, answer.headers.get("date", ""), clock.unshifted_now()))
    message = f"{address} {trouble}: links, pixels and unsubscribe pages of messages lead there"
    hint = "run it, behind a proxy that knows this address: coldsend web run (docs/web.md)"
    return [Finding("warning", subject, message, hint)]
