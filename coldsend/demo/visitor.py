"""The demonstration's recipients: one opens a message, one follows a link, one unsubscribes.

They do what a mail program does: fetch the pixel, follow the link, post to the address in
``List-Unsubscribe`` (RFC 8058), all taken from the messages that arrived.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import httpx

from coldsend.demo.caught import Caught
from coldsend.errors import ColdsendError

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
READY_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message as its recipient has it. recipient: an address. one_click: of ``List-Unsubscribe``."""

    recipient: str
    pixel: str
    link: str
    one_click: str


def arrived(file: Path) -> Arrived:
    """Read a message that the demonstration's server keeps. ColdsendError where something is not in it."""
    caught = Caught(file)
    links = caught.links
    link = next(iter(links.clicks), "")
    if not (links.open and link and links.unsubscribe):
        raise ColdsendError(f"{file.name} lacks its pixel, a link or its unsubscribe address")
    return Arrived(caught.recipient, links.open, link, links.unsubscribe)


def wait_for(base_url: str) -> None:
    """Until the web part answers there. ColdsendError where it never does."""
    pause = Event()
    for _ in range(int(READY_SECONDS / 0.1)):
        try:
            if httpx.get(f"{base_url}/healthz", timeout=2.0).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pause.wait(0.1)
    raise ColdsendError(f"the web part does not answer at {base_url}")


def visit(files: list[Path]) -> Iterator[str]:
    """Three recipients act on the first three messages; a sentence about each."""
    first, second, third = (arrived(file) for file in files[:3])
    with httpx.Client(headers={"User-Agent": BROWSER}, timeout=10.0) as browser:
        browser.get(first.pixel).raise_for_status()
        yield f"{first.recipient} opens the message"
        answer = browser.get(second.link)
        yield f"{second.recipient} follows a link, to {answer.headers['location']}"
        browser.post(third.one_click, data={"List-Unsubscribe": "One-Click"}).raise_for_status()
        yield f"{third.recipient} unsubscribes with one click"
