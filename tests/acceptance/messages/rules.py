"""What a careful receiver looks for in the octets of a message, written down apart from what makes them.

:func:`violations` names every rule of "Every message" (RFC 5321, 5322, 2045-2047, 2369, 6376, 6532, 8058)
that a message breaks. It takes it apart by itself: no parser that could be as lenient as ours is lax.
"""

from __future__ import annotations

import base64
import binascii
import quopri
import re
from email.utils import parsedate_to_datetime

ONCE = (
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
)
ALLOWED = {*ONCE, "Reply-To", "DKIM-Signature"}
LONGEST_LINE = 998
LONGEST_HEADER_LINE = 78  # but for fields that must be one line
ONE_LINE = {"List-Unsubscribe", "List-Unsubscribe-Post", "Message-ID"}
LONGEST_WORD = 75

_FIELD = re.compile(r"([!-9;-~]+):[ \t](.*)", re.DOTALL)
_WORD = re.compile(r"=\?([^?]*)\?([^?]*)\?([^?]*)\?=")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+"
_ADDRESS = re.compile(rf"{_ATOM}(\.{_ATOM})*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_MAILBOX = re.compile(
    r"((?P<words>(=\?[^? ]+\?[bqBQ]\?[^? ]*\?=\s+)+)"
    r'|(?P<quoted>"([^"\\\r\n]|\\.)*"\s+)'
    r'|(?P<atoms>[^"(),:;<>@\[\\\].]+\s+))?'
    r"<(?P<address>[^<>\s]+)>"
)
_UNSUBSCRIBE = re.compile(r"<https://[!-;=?-~]+>(, <mailto:[!-;=?-~]+>)?")


def violations(data: bytes, *, smtputf8: bool = False) -> list[str]:
    """Every rule that the message breaks. smtputf8: it needs SMTPUTF8 and gets it."""
    broken = _lines(data)
    head, _blank, body = data.partition(b"\r\n\r\n")
    if not data.isascii() and not (smtputf8 and body.isascii()):
        broken.append("8-bit octets outside of header fields under SMTPUTF8")
    fields: list[tuple[str, str]] = []
    for unfolded in re.split(r"\r\n(?![ \t])", head.decode("utf-8", "replace")):
        match = _FIELD.fullmatch(unfolded)
        if match is None:
            broken.append(f"no header field: {unfolded!r}")
            continue
        fields.append((match[1], match[2]))
    broken += _names([name for name, _value in fields])
    for name, value in fields:
        broken += [f"{name}: {problem}" for problem in _field(name, value)]
    return broken + _parts(dict(fields).get("Content-Type", ""), body)


def _lines(data: bytes) -> list[str]:
    broken = []
    if re.search(rb"\r(?!\n)|(?<!\r)\n|\0", data):
        broken.append("a bare CR, a bare LF or a NUL")
    if not data.endswith(b"\r\n"):
        broken.append("no line end at the end")
    lines = data.split(b"\r\n")
    if (longest := max(map(len, lines))) > LONGEST_LINE:
        broken.append(f"a line of {longest} octets")
    head = data.partition(b"\r\n\r\n")[0].split(b"\r\n")
    if any(not line.strip(b" \t") for line in head):
        broken.append("a folded line of nothing but white space")
    for line in head:
        name = line.partition(b":")[0].decode("utf-8", "replace")
        if len(line) > LONGEST_HEADER_LINE and name not in ONE_LINE and b"<" not in line:
            broken.append(f"a header line of {len(line)} octets: {line[:40]!r}")
    return broken


def _names(names: list[str]) -> list[str]:
    broken = [f"{names.count(name)} fields {name}" for name in ONCE if names.count(name) != 1]
    broken += [f"{names.count('Reply-To')} fields Reply-To"] if names.count("Reply-To") > 1 else []
    return broken + [f"a field that nobody asked for: {name}" for name in names if name not in ALLOWED]


def _field(name: str, value: str) -> list[str]:
    if name in ("From", "To", "Reply-To"):
        return _mailbox(value)
    if name == "Subject":
        return _words(value)
    if "=?" in value and name != "DKIM-Signature":
        return ["an encoded-word where none may be"]
    if name == "Message-ID" and not re.fullmatch(rf"<{_ADDRESS.pattern}>", value):
        return [f"{value!r} is no msg-id"]
    if name == "Date" and parsedate_to_datetime(value).tzinfo is None:
        return [f"{value!r} has no time zone"]
    if name == "MIME-Version" and value != "1.0":
        return [value]
    if name == "List-Unsubscribe" and not _UNSUBSCRIBE.fullmatch(value):
        return [f"{value!r} is no https link, and perhaps a mailto, on one line"]
    if name == "List-Unsubscribe-Post" and value != "List-Unsubscribe=One-Click":
        return [value]
    if name == "DKIM-Signature":
        listed = re.sub(r"\s", "", value).lower().partition(";h=")[2].partition(";")[0].split(":")
        return [f"{one} is not signed" for one in map(str.lower, ONCE) if listed.count(one) < 2]
    return []


def _mailbox(value: str) -> list[str]:
    match = _MAILBOX.fullmatch(value)
    if match is None:
        return [f"{value!r} is not one mailbox"]
    broken = _words(match["words"] or "")
    if "=?" in (match["atoms"] or "") or "=?" in (match["quoted"] or ""):
        broken.append("what looks like an encoded-word among other words")
    if not _ADDRESS.fullmatch(match["address"]) or "=?" in match["address"]:
        broken.append(f"{match['address']!r} is no address")
    return broken


def _words(value: str) -> list[str]:
    """Encoded-words: their length, that each can be decoded by itself, and what they decode to."""
    broken: list[str] = []
    decoded = _WORD.sub(lambda found: _word(found, broken), value)
    around = _WORD.sub("\0", value)
    if "=?" in around:
        broken.append(f"a broken encoded-word in {value!r}")
    if re.search(r"\0\S|\S\0", around):
        broken.append(f"an encoded-word that touches something in {value!r}")
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f]|[\r\n](?![ \t])", decoded.replace("\r\n ", " ")):
        broken.append(f"a control character in {decoded!r}")
    return broken


def _word(found: re.Match[str], broken: list[str]) -> str:
    charset, encoding, text = found.groups()
    if len(found.group()) > LONGEST_WORD:
        broken.append(f"an encoded-word of {len(found.group())} characters")
    if charset.lower() != "utf-8" or encoding.lower() not in ("b", "q"):
        broken.append(f"an encoded-word in {charset}/{encoding}")
        return ""
    try:
        if encoding.lower() == "b":
            return base64.b64decode(text, validate=True).decode()
        if re.search(r"[^!->@-~]", text):
            broken.append(f"signs that an encoded-word cannot have: {text!r}")
        return quopri.decodestring(text.replace("_", "=20").encode(), header=False).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        broken.append(f"{found.group()} does not decode by itself: {error}")
        return ""


def _parts(content_type: str, body: bytes) -> list[str]:
    """The frame of multipart/alternative: text first, HTML last, each in 7-bit lines of 76."""
    found = re.fullmatch(r'multipart/alternative; boundary="([0-9A-Za-z=_-]{1,70})"', content_type)
    if found is None:
        return [f"Content-Type: {content_type}"]
    mark = b"--" + found[1].encode()
    before, *parts, end = re.split(rb"(?:\A|\r\n)" + re.escape(mark) + rb"(?=--\r\n|\r\n)", body)
    broken = [] if (before, end, len(parts)) == (b"", b"--\r\n", 2) else ["not two parts in their frame"]
    for part, kind in zip(parts, ("plain", "html"), strict=False):
        head, _blank, content = part.partition(b"\r\n\r\n")
        wanted = (
            rf"\r\nContent-Type: text/{kind}; charset=utf-8\r\n"
            r"Content-Transfer-Encoding: (quoted-printable|base64)"
        )
        if not re.fullmatch(wanted, head.decode()):
            broken.append(f"head of the {kind} part: {head!r}")
        lines = content.split(b"\r\n")
        if any(len(line) > 76 or line.endswith((b" ", b"\t")) for line in lines):
            broken.append(f"a long line, or one that ends in white space, in the {kind} part")
        if b"quoted-printable" in head and any(
            re.search(rb"=(?![0-9A-F]{2}|\Z)|[^\t -~]", line) for line in lines
        ):
            broken.append(f"what is no quoted-printable in the {kind} part")
    return broken
