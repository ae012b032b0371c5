"""Replies of an SMTP server: reading them from the wire, and telling them as an Answer.

A reply is one or more lines ``250-text CRLF .. 250 text CRLF`` with the same three digits (RFC 5321, 4.2). A
line that ends in a bare LF is understood; anything else that is not a reply is :class:`Unreadable`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from coldsend.channels.smtp.auth import Secrets
from coldsend.domain.answers import Answer, Phase

LINE_LIMIT = 4096  # the standard says 512; some servers explain themselves at length
REPLY_LIMIT = 65536
TEXT_LIMIT = 1000  # characters of a reply that are kept

_CODES = {b"%d" % code: code for code in range(200, 600)}
_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?:[ :]+|$)")


class Unreadable(Exception):
    """The server sent something that is not an SMTP reply."""


class Reply(NamedTuple):
    """code: 200 to 599. text: the lines' texts, joined by line feeds, as bytes from the wire."""

    code: int
    text: bytes


class ReplyReader:
    """Cuts a stream of bytes into replies, whatever pieces it arrives in."""

    __slots__ = ("_code", "_rest", "_size", "_texts")

    def __init__(self) -> None:
        self._rest = b""
        self._code = 0
        self._texts: list[bytes] = []
        self._size = 0

    @property
    def pending(self) -> bool:
        """A reply has begun and is not complete."""
        return bool(self._rest or self._texts)

    def feed(self, data: bytes, complete: list[Reply]) -> None:
        """Add the replies that ``data`` completes; Unreadable at what is no reply or grows without end."""
        lines = (self._rest + data if self._rest else data).split(b"\n")
        self._rest = lines.pop()
        for ended in lines:
            line = ended.rstrip(b"\r")
            reply = self._take(line) if self._texts or line[3:4] != b" " else _single(line)
            if reply is not None:
                complete.append(reply)
        if len(self._rest) > LINE_LIMIT:
            raise Unreadable(f"a line of more than {LINE_LIMIT} octets")

    def _take(self, line: bytes) -> Reply | None:
        """One line of a reply of several; the reply, where it was the last."""
        mark = line[3:4]
        code, text = _single(line if mark == b" " else line[:3] + b" " + line[4:])
        if mark not in (b" ", b"-", b""):
            raise Unreadable(f"not a reply: {line[:80]!r}")
        if self._texts and code != self._code:
            raise Unreadable(f"a reply that began with {self._code} went on with {code}")
        self._code = code
        self._texts.append(text)
        self._size += len(line)
        if self._size > REPLY_LIMIT:
            raise Unreadable(f"a reply of more than {REPLY_LIMIT} octets")
        if mark == b"-":
            return None
        text = b"\n".join(self._texts)
        self._texts, self._size = [], 0
        return Reply(code, text)


def _single(line: bytes) -> Reply:
    code = _CODES.get(line[:3])
    if code is None:
        raise Unreadable(f"not a reply: {line[:80]!r}")
    if len(line) > LINE_LIMIT:
        raise Unreadable(f"a line of more than {LINE_LIMIT} octets")
    return Reply(code, line[4:])


def answer(phase: Phase, reply: Reply, secrets: Secrets) -> Answer:
    """A reply as the engine sees it: enhanced code apart, one line of printable text, no secrets."""
    text = reply.text.decode("utf-8", "replace")
    enhanced = ""
    match = _ENHANCED.match(text)
    if match:
        enhanced = match.group(1)
        lines = text.split("\n")
        text = " ".join(line.removeprefix(enhanced).strip(" :") for line in lines)
    return Answer(phase, reply.code, enhanced, secrets.mask(printable(text))[:TEXT_LIMIT])


def printable(text: str) -> str:
    """One line; what would move a cursor or forge a log line becomes a blank."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
