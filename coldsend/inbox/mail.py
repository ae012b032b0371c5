"""A message from a mailbox, taken apart: headers, and its leaf parts in order.

Whatever the bytes are, this gives something, in time that grows with their number only: bounces are often
broken MIME, and anybody may send us anything. So parts are nested ten deep and counted to a hundred, what is
beyond stays one part; a multipart without its boundary is text; an attached message (message/*) is not
opened, it is a leaf whose text is the message. A file that does not begin with headers is all body.
"""

from __future__ import annotations

import binascii
import codecs
import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from email.header import decode_header
from email.utils import getaddresses
from functools import cached_property

DEEPEST, MOST_PARTS = 10, 100
HEADER_BYTES, HEADER_LINES = 256 * 1024, 2000
VALUE_LIMIT = 8 * 1024
TEXT_BYTES = 512 * 1024

_FIELD = re.compile(r"([!-9;-~]{1,76})[ \t]*:(.*)", re.DOTALL)
_PARAMETER = re.compile(r';\s*([\w*-]+)\s*=\s*(?:"([^"]*)"|([^\s;]+))')
_BLANK = re.compile(rb"\r?\n[ \t]*\r?\n|\r[ \t]*\r")
_MBOX = re.compile(rb"\A>?From [^\r\n]{0,500}[\r\n]+")
# What tells a message from a text that begins with "From: .. Sent: ..", as quoted headers do.
_OF_MESSAGES = frozenset(
    [
        "received",
        "message-id",
        "mime-version",
        "date",
        "content-type",
        "return-path",
        "delivered-to",
        "x-mailer",
    ]
)
_ADDRESS_IN_TEXT = re.compile(r"[^\s<>()\[\],;:\"]+@[^\s<>()\[\],;:\"]+")


@dataclass(frozen=True)
class Headers:
    """fields: (name in lower case, value on one line, not decoded), in order."""

    fields: tuple[tuple[str, str], ...] = ()

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, value in self.fields:
            found.setdefault(name, []).append(value)
        return found

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    @property
    def names(self) -> Set[str]:
        return self._by_name.keys()

    def get(self, name: str) -> str:
        """The first value, "" where there is none."""
        return self._by_name.get(name, [""])[0]

    def all(self, name: str) -> list[str]:
        return self._by_name.get(name, [])

    def text(self, name: str) -> str:
        """The first value with encoded-words decoded, as people see it."""
        return decoded(self.get(name))

    def addresses(self, *names: str) -> list[str]:
        """All addresses in these headers, in lower case, each once."""
        found: dict[str, None] = {}
        for name in names:
            for value in self.all(name)[:20]:
                found.update(dict.fromkeys(addresses_in(value)))
        return list(found)


@dataclass(frozen=True)
class Part:
    """A leaf. content_type: in lower case. body: as it was transferred."""

    content_type: str
    headers: Headers
    body: bytes

    @cached_property
    def text(self) -> str:
        """The body decoded, with "\\n" between lines; at most :data:`TEXT_BYTES` of it."""
        data = _untransferred(self.body[: 2 * TEXT_BYTES], self.headers.get("content-transfer-encoding"))
        charset = parameters(self.headers.get("content-type")).get("charset", "")
        return _lines(_as_text(data[:TEXT_BYTES], charset))

    @property
    def is_attachment(self) -> bool:
        return self.headers.get("content-disposition").strip().lower().startswith("attachment")


@dataclass(frozen=True)
class Mail:
    """has_headers: False where there was only a text."""

    headers: Headers
    parts: tuple[Part, ...]
    content_type: str
    has_headers: bool = True

    def of_type(self, *types: str) -> list[Part]:
        return [part for part in self.parts if part.content_type in types]


def read(raw: bytes) -> Mail:
    """Take a message apart; never fails."""
    headers, body = _split(_MBOX.sub(b"", raw.lstrip(b"\r\n"), count=1))
    if not _is_message(headers):
        return Mail(Headers(), (Part("text/plain", Headers(), raw),), "text/plain", has_headers=False)
    parts: list[Part] = []
    _open(headers, body, 0, parts)
    return Mail(headers, tuple(parts), content_type_of(headers))


def _is_message(headers: Headers) -> bool:
    """Whether these are the headers of a message, and no quoted ones at the beginning of a text."""
    names = {name for name, _value in headers.fields}
    by_hand = {"from", "subject"} <= names and "sent" not in names and "@" in headers.get("from")
    return by_hand or not names.isdisjoint(_OF_MESSAGES)


def read_headers(text: str) -> Headers:
    """Headers at the beginning of a text, such as those of a returned message."""
    return _split(text.lstrip("\n").encode("utf-8", "replace"))[0]


def content_type_of(headers: Headers) -> str:
    value = re.split(r"[;\s]", headers.get("content-type").strip().lower(), maxsplit=1)[0]
    return value if "/" in value else "text/plain"


def parameters(value: str) -> dict[str, str]:
    """``boundary`` and the like of a Content-Type."""
    found = _PARAMETER.findall(value[:VALUE_LIMIT])
    return {name.lower().rstrip("*"): quoted or bare for name, quoted, bare in reversed(found)}


def decoded(value: str) -> str:
    """A header value with its encoded-words decoded; where they are broken, as it stands."""
    if "=?" not in value:
        return value
    try:
        pieces = decode_header(value)
    except Exception:  # binascii and header errors, and what else strange bytes bring up
        return value
    return "".join(
        _as_text(piece, charset or "") if isinstance(piece, bytes) else piece for piece, charset in pieces
    )


def addresses_in(value: str) -> list[str]:
    """The addresses of a header such as To, in lower case."""
    try:
        pairs = getaddresses([value[:VALUE_LIMIT]])
    except Exception:
        pairs = []
    found = [address.strip().lower() for _name, address in pairs if "@" in address]
    return found or [match.lower() for match in _ADDRESS_IN_TEXT.findall(value[:VALUE_LIMIT])]


def _split(raw: bytes) -> tuple[Headers, bytes]:
    """Headers and body. Text that does not begin with headers is all body."""
    blank = _BLANK.search(raw[: HEADER_BYTES + 2])
    end = blank.start() if blank else min(len(raw), HEADER_BYTES)
    body = raw[blank.end() :] if blank else raw[end:]
    lines = _lines(_as_text(raw[:end], "")).split("\n")[:HEADER_LINES]
    fields: list[tuple[str, list[str]]] = []
    for line in lines:
        if line[:1] in (" ", "\t") and fields:
            fields[-1][1].append(line.strip())
            continue
        match = _FIELD.fullmatch(line)
        if match is None:
            if not fields:
                return Headers(), raw
            continue  # a broken line among headers
        fields.append((match[1].lower(), [match[2].strip()]))
    return Headers(tuple((name, " ".join(value)[:VALUE_LIMIT]) for name, value in fields)), body


def _open(headers: Headers, body: bytes, depth: int, parts: list[Part]) -> None:
    kind = content_type_of(headers)
    boundary = parameters(headers.get("content-type")).get("boundary", "")
    if kind.startswith("multipart/") and boundary and depth < DEEPEST:
        pieces = _pieces(body, boundary.encode("utf-8", "replace"))
        if pieces:
            for piece in pieces:
                if len(parts) >= MOST_PARTS:
                    return
                _open(*_split_part(piece), depth + 1, parts)
            return
    if kind.startswith("multipart/"):
        kind = "text/plain"
    parts.append(Part(kind, headers, body))


def _split_part(piece: bytes) -> tuple[Headers, bytes]:
    # A part may begin with an empty line: it has no headers then, and is text.
    if piece.startswith((b"\n", b"\r\n")):
        return Headers(), piece.lstrip(b"\r\n")
    return _split(piece)


def _pieces(body: bytes, boundary: bytes) -> Sequence[bytes]:
    """The parts between boundary lines; the last one may lack its end."""
    mark = re.compile(rb"(?:^|(?<=\n)|(?<=\r))--" + re.escape(boundary) + rb"(--)?[ \t]*(?:\r?\n|\r|$)")
    found: list[bytes] = []
    start = -1
    for match in mark.finditer(body):
        if start >= 0:
            found.append(body[start : match.start()])
        start = -1 if match[1] else match.end()
        if len(found) > MOST_PARTS:
            break
    if start >= 0:
        found.append(body[start:])
    return found


def _untransferred(data: bytes, encoding: str) -> bytes:
    encoding = encoding.strip().lower()
    if encoding == "base64":
        letters = re.sub(rb"[^A-Za-z0-9+/]", b"", data)
        try:
            return binascii.a2b_base64(letters[: len(letters) - (len(letters) % 4 == 1)] + b"===")
        except binascii.Error:
            return data
    if encoding == "quoted-printable":
        # Of lines that end in CR alone a2b_qp makes one line, and loses what follows a soft break.
        return binascii.a2b_qp(data.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
    return data


def _as_text(data: bytes, charset: str) -> str:
    for name in (charset.strip("\"' "), "utf-8"):
        try:
            if name and codecs.lookup(name)._is_text_encoding:
                return data.decode(name)
        except (LookupError, ValueError):
            continue
    if b"\x1b$" in data:
        return data.decode("iso-2022-jp", "replace")
    return data.decode("utf-8" if charset.lower() in ("utf-8", "utf8") else "latin-1", "replace")


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
