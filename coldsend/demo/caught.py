"""What the server for trying things out has caught: one message in a file, as its recipient has it.

Folders that `campaign dry-run` writes are read alike: there, too, a file's name begins with a number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import cached_property
from html import unescape
from pathlib import Path
from shlex import quote
from typing import Any
from urllib.parse import parse_qs, urlsplit

from coldsend.errors import NotFound

_LONGEST = 200  # bytes of an address in a file's name; file systems take 255 in all

_NUMBERED = re.compile(r"(\d+)[ -].*\.eml")
_OPEN = re.compile(r"https?://[^\s\"'<>()]+/o/[^\s\"'<>()]+")
_CLICK = re.compile(r"https?://[^\s\"'<>()]+/c/[^\s\"'<>()]+")
_UNSUBSCRIBE = re.compile(r"https?://[^\s>]+/u/[^\s>]+")


@dataclass(frozen=True, slots=True)
class Links:
    """What of a message leads to the web part. clicks: address -> where it leads on. "": there is none."""

    open: str
    clicks: dict[str, str]
    unsubscribe: str  # one-click, of List-Unsubscribe


@dataclass(frozen=True)
class Caught:
    """A message in ``file``."""

    file: Path

    @property
    def number(self) -> int:
        found = _NUMBERED.fullmatch(self.file.name)
        return int(found[1]) if found else 0

    @property
    def at(self) -> datetime:
        """When it was written."""
        return datetime.fromtimestamp(self.file.stat().st_mtime, UTC)

    @cached_property
    def message(self) -> EmailMessage:
        return message_from_bytes(self.file.read_bytes(), policy=policy.default)

    def header(self, name: str) -> str:
        """Decoded and on one line; "" where it is missing or beyond reading."""
        return " ".join(str(self._header(name) or "").split())

    def _header(self, name: str) -> Any:
        try:
            return self.message[name]
        except Exception:  # the library's parser stumbles in many ways over what is no address
            return None

    @property
    def recipient(self) -> str:
        """The first address of To; "" where there is none."""
        to = self._header("To")
        return str(to.addresses[0].addr_spec) if to and to.addresses else ""

    def part(self, kind: str) -> str:
        """The text of its part of this kind (``plain``, ``html``); "" where it has none."""
        found = self.message.get_body((kind,))
        if found is None:
            return ""
        try:
            text = str(found.get_content())
        except LookupError:  # of a character set that nobody knows
            text = bytes(found.get_payload(decode=True)).decode(errors="replace")
        return text.replace("\r\n", "\n")

    @cached_property
    def links(self) -> Links:
        html = unescape(self.part("html"))
        opened, unsubscribe = _OPEN.search(html), _UNSUBSCRIBE.search(self.header("List-Unsubscribe"))
        return Links(
            opened[0] if opened else "",
            {address: _target(address) for address in _CLICK.findall(html)},
            unsubscribe[0] if unsubscribe else "",
        )


def caught_in(folder: Path) -> list[Caught]:
    """The messages in a folder, in the order of their numbers; attempts with the same one by name."""
    files = (Caught(file) for file in folder.glob("*.eml") if _NUMBERED.fullmatch(file.name))
    return sorted(files, key=lambda one: (one.number, one.file.name))


def one_of(folder: Path, wanted: str) -> Caught:
    """The message with this number, or the last one to this address. NotFound with a way out."""
    messages = caught_in(folder)
    if wanted.isdecimal():
        fitting = [one for one in messages if one.number == int(wanted)]
    else:
        fitting = [one for one in messages if one.recipient.lower() == wanted.lower()]
    if not fitting:
        which = f"number {wanted}" if wanted.isdecimal() else f"to {wanted}"
        raise NotFound(
            f"there is no message {which} in {folder}",
            hint=f"what there is: coldsend catcher list --folder {quote(str(folder))}",
        )
    return fitting[-1]


def file_name(number: int, recipient: str) -> str:
    """Whatever stands in an address, it names a file of this folder."""
    safe = "".join(letter if letter.isalnum() or letter in "@.-" else "_" for letter in recipient)
    short = safe.encode()[:_LONGEST].decode(errors="ignore")
    return f"{number:03} {short}.eml"


def _target(address: str) -> str:
    return parse_qs(urlsplit(address).query).get("u", [""])[0]
