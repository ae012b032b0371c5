"""Header fields: what may stand in them, and how it is written (RFC 5322, 2047, 6532).

ASCII goes out as it is where that is unambiguous; anything else as UTF-8 encoded-words of at most 75
characters on lines of at most 76, never inside an address. Lines are folded at 78 where there is a place to.
Values with control characters, or encoded-words that decode to them, are refused.
"""

from __future__ import annotations

import binascii
import re
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.header import decode_header

import idna

from coldsend.composing.source import BAD_ADDRESS, BAD_HEADER, CannotCompose

LINE = 76
ENCODED_WORD = 75
_FRAME = len("=?utf-8?b??=")

# Control characters, the Unicode line separators some parsers break lines at, and halves of surrogate pairs.
_UNWANTED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PLAIN = re.compile(r"[!-~]+(?: [!-~]+)*")
# What mail programs put before the subject of an answer or a forwarded message.
_REPLY = re.compile(
    r"\s*(re|aw|sv|antw|odp|fwd?|wg|回复|回覆|答复|转发|轉寄|השב|הועבר)\s*([\[(]\d+[\])])?\s*[:：]",
    re.IGNORECASE,
).match
_SPACES = re.compile(r"\s{2,}")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_WIDE_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u00a1-\U0010ffff-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ATOMS = re.compile(rf"{_ATOM}(?: {_ATOM})*")
_LOCAL = re.compile(rf"{_WIDE_ATOM}(?:\.{_WIDE_ATOM})*")
_DOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
# The common case in one match; whatever does not match is looked at more closely. Lengths need no counting
# in an address that is shorter than the least of their limits.
_SHORT = 63
_SHORT_ATOM = _ATOM.replace("?", "")
_SHORT_LABEL = r"[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*"
_SHORT_ADDRESS = re.compile(
    rf"{_SHORT_ATOM}(?:\.{_SHORT_ATOM})*@{_SHORT_LABEL}(?:\.{_SHORT_LABEL})*"
).fullmatch
_Q_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_Q_SINGLE = bytes([*_Q_SAFE, 32])  # what takes one letter, not three
_Q_LETTERS = [chr(b) if b in _Q_SAFE else "_" if b == 32 else f"={b:02X}" for b in range(256)]


def checked(value: str, what: str) -> str:
    """``value`` if it may stand in a header; CannotCompose ``bad_header`` names ``what`` otherwise."""
    # Printable: neither control characters nor separators other than the space. Quicker to tell, and usual.
    if not value.isprintable() and _UNWANTED.search(value):
        raise CannotCompose(BAD_HEADER, f"{what} contains a line break or another control character")
    if "=?" in value:
        _check_decoded(value, what)
    return value


def _check_decoded(value: str, what: str) -> None:
    try:
        parts = decode_header(value)
    except (HeaderParseError, ValueError):
        return  # not an encoded-word after all: it is encoded as text and cannot come apart
    for part, _charset in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        if b"\r" in data or b"\n" in data or b"\0" in data:
            raise CannotCompose(BAD_HEADER, f"{what} contains an encoded line break")


def is_plain(value: str) -> bool:
    """Whether a header may hold ``value`` as it stands: printable ASCII, single spaces inside, no "=?"."""
    return _PLAIN.fullmatch(value) is not None and "=?" not in value


def reply_mark(subject: str) -> str:
    """The "Re:" or the like that a subject begins with, which says that it answers a message; "" for none."""
    if ":" not in subject and "：" not in subject:
        return ""  # quicker to tell, and usual
    found = _REPLY(subject)
    return found.group().strip() if found else ""


def unstructured(value: str, used: int) -> str:
    """A Subject as it is written; ``used``: characters of the line taken by the field's name."""
    if is_plain(value):
        if used + len(value) <= LINE:
            return value
        if max(map(len, value.split(" "))) <= LINE - used:
            return _folded(value, used)
    return encoded_words(value, used) if value else value


def _folded(value: str, used: int) -> str:
    lines: list[str] = []
    line = ""
    for word in value.split(" "):
        if line and used + len(line) + 1 + len(word) > LINE:
            lines.append(line)
            line, used = word, 1
        else:
            line = f"{line} {word}" if line else word
    return "\r\n ".join([*lines, line])


def phrase(name: str, used: int) -> str:
    """A display name as it is written before ``<address>``."""
    if name.isascii() and len(name) + used <= LINE and "=?" not in name:
        if _ATOMS.fullmatch(name):
            return name
        if _PLAIN.fullmatch(name):
            return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return encoded_words(name, used)


def mailbox(name: str | None, address: str, used: int) -> str:
    """``Name <address>``, or ``<address>`` alone where there is no name."""
    if not name:
        return f"<{address}>"
    # Readers make one space of several, in quotes and encoded-words too.
    if "  " in name or not name.isprintable():
        name = _SPACES.sub(" ", name)
    written = phrase(name, used)
    last = len(written) - written.rfind("\n") - 1 + (0 if "\n" in written else used)
    between = " " if last + len(address) + 3 <= LINE else "\r\n "
    return f"{written}{between}<{address}>"


def readable_mailbox(name: str | None, address: str) -> str:
    """``Name <address>`` in Unicode, for HTTP APIs that encode for themselves."""
    if not name:
        return address
    plain = all(character.isalnum() or character in " -_'" for character in name)
    quoted = name if plain else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{quoted} <{address}>"


def encoded_words(value: str, used: int) -> str:
    """``value`` as encoded-words, as many as it takes, in the shorter of the two encodings."""
    data = value.encode()
    letters = len(data) + 2 * len(data.translate(None, _Q_SINGLE))
    base64 = letters > (len(data) + 2) // 3 * 4
    first = min(ENCODED_WORD, LINE - used) - _FRAME
    if base64:
        if len(data) <= first // 4 * 3:
            return _word("b", _b(data))
        return "\r\n ".join(_base64_words([character.encode() for character in value], first))
    if letters <= first:
        return _word("q", _q(data))
    return "\r\n ".join(_q_words(value, first))


def _q_words(value: str, first: int) -> list[str]:
    """Words of whole characters, which are never split (RFC 2047, section 5). first: room in the first."""
    words: list[str] = []
    word, room = "", first
    for character in value:
        letters = _q(character.encode())
        if len(word) + len(letters) > room:
            words.append(_word("q", word))
            word, room = "", ENCODED_WORD - _FRAME
        word += letters
    return [*words, _word("q", word)]


def _base64_words(characters: list[bytes], first: int) -> list[str]:
    """Words of whole characters, of which only the last has padding.

    GMime (3.2) joins the base64 of neighbours before it decodes, and stops at the first padding. A character
    that leaves no place to cut at goes out in a Q word of its own.
    """
    words: list[str] = []
    at, room = 0, first
    while at < len(characters):
        cut = _cut(characters, at, room)
        if cut > at:
            words.append(_word("b", _b(b"".join(characters[at:cut]))))
        else:
            # Of any four places two leave the same rest, so this is one character, two or three.
            cut = next(place for place in range(at + 1, at + 4) if _cut(characters, place, room) > place)
            words.append(_word("q", _q(b"".join(characters[at:cut]))))
        at, room = cut, ENCODED_WORD - _FRAME
    return words


def _cut(characters: list[bytes], at: int, room: int) -> int:
    """The end, where all from ``at`` fits into one word; else the last place without padding, or ``at``."""
    size, taken, cut = room // 4 * 3, 0, at
    for place in range(at, len(characters)):
        taken += len(characters[place])
        if taken > size:
            return cut
        if taken % 3 == 0:
            cut = place + 1
    return len(characters)


def _word(encoding: str, content: str) -> str:
    return f"=?utf-8?{encoding}?{content}?="


def _b(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()


def _q(data: bytes) -> str:
    return "".join([_Q_LETTERS[byte] for byte in data])


def address(given: str, whose: str) -> tuple[str, bool]:
    """An address for envelope and header, and whether it needs SMTPUTF8; CannotCompose ``bad_address``.

    The domain becomes A-labels; a non-ASCII local part stays as it is.
    """
    if len(given) <= _SHORT and _SHORT_ADDRESS(given):
        return given, False
    local, at, domain = given.rpartition("@")
    if not at or not _LOCAL.fullmatch(local) or len(local.encode("utf-8", "replace")) > 64 or "=?" in local:
        raise CannotCompose(BAD_ADDRESS, f"{whose} {given!r} is not an address that mail can be sent to")
    if _UNWANTED.search(local) or any(character.isspace() for character in local):
        raise CannotCompose(BAD_ADDRESS, f"{whose} {given!r} contains characters that addresses cannot have")
    try:
        ascii_domain = domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except idna.IDNAError as error:
        raise CannotCompose(BAD_ADDRESS, f"the domain of {whose} {given!r} is not valid: {error}") from error
    if not _DOMAIN.fullmatch(ascii_domain) or len(local) + 1 + len(ascii_domain) > 254:
        raise CannotCompose(BAD_ADDRESS, f"the domain of {whose} {given!r} is not valid")
    return f"{local}@{ascii_domain}", not local.isascii()


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def date(moment: datetime) -> str:
    """A Date field, in UTC."""
    at = moment.astimezone(UTC)
    day, month = _DAYS[at.weekday()], _MONTHS[at.month - 1]
    return f"{day}, {at.day:02d} {month} {at.year} {at:%H:%M:%S} +0000"
