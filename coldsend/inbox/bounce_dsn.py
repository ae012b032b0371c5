"""Delivery status notifications (RFC 3464): one block of fields for each recipient.

Senders break the form in many ways: blocks without an empty line between them, the fields in a text, in a
part that is called otherwise, an address without its type or with a comment behind it. Whatever begins with
the name of a field is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from coldsend.inbox.mail import Mail, addresses_in

_STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")
MOST_BLOCKS, LINES = 100, 10_000

_FIELD = re.compile(
    r"^[ \t]{0,8}((?:final-|original-|x-actual-)recipient|action|status|diagnostic-code|remote-mta|"
    r"reporting-mta|x-supplementary-info|last-attempt-date|will-retry-until|arrival-date|final-log-id|"
    r"x-display-name|original-envelope-id)[ \t]*:(.*)$",
    re.IGNORECASE,
)
_DISPOSITION = re.compile(
    r"^disposition[ \t]*:[ \t]*automatic-action/[^;\n]*;\s*(?:deleted|denied|failed)",
    re.IGNORECASE | re.MULTILINE,
)
_REFUSED = re.compile(
    r"automatically (?:rejected|refused)|(?:was|been) (?:rejected|refused)|not (?:be(?:en)? )?delivered",
    re.IGNORECASE,
)
_CODE = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,4})(?![.\d])")
_ACTIONS = ("failed", "delayed", "delivered", "relayed", "expanded")
# Other words for the same, as some servers have it.
_ACTION_WORDS = {"failure": "failed", "fail": "failed", "error": "failed", "deferred": "delayed"}


@dataclass(frozen=True, slots=True)
class Block:
    """What is told about one recipient. Fields that are missing are ""."""

    address: str
    final_address: str
    action: str
    status: str
    diagnostic: str


def blocks(mail: Mail) -> list[Block]:
    """The blocks of a message that is a notification by its form."""
    found: list[Block] = []
    for part in mail.of_type(*_STATUS_TYPES):
        found += _blocks_in(part.text)
    return _merged(found)


def refusals(mail: Mail, words: str) -> list[Block]:
    """Of a receipt (RFC 8098) with which a mail filter refuses a message (RFC 5429), as Dovecot does.

    The same receipt tells that somebody deleted a message unread: only its words tell these apart.
    """
    parts = mail.of_type("message/disposition-notification")
    if not (parts and _REFUSED.search(words[:2000])):
        return []
    found = [block for part in parts if _DISPOSITION.search(part.text) for block in _blocks_in(part.text)]
    return _merged([replace(block, action="failed") for block in found])


def blocks_in(text: str) -> list[Block]:
    """The blocks in any text: lines of fields, together."""
    return _merged(_blocks_in(text))


def _blocks_in(text: str) -> list[Block]:
    found: list[dict[str, str]] = []
    current: dict[str, str] = {}
    name = ""
    for line in text.split("\n", LINES)[:LINES]:
        match = _FIELD.match(line)
        if match:
            name = match[1].lower()
            if name in current and name.endswith("recipient"):
                found.append(current)
                current = {}
            current.setdefault(name, match[2].strip())
        elif name and line[:1] in (" ", "\t") and line.strip():
            current[name] = f"{current[name]} {line.strip()}"
        elif not line.strip():
            if any(each.endswith("recipient") for each in current):
                found.append(current)
                current = {}
            name = ""
        else:
            name = ""
        if len(found) >= MOST_BLOCKS:
            break
    found.append(current)
    return [block for fields in found if (block := _block(fields)) is not None]


def _block(fields: dict[str, str]) -> Block | None:
    original = _address(fields.get("original-recipient", ""))
    final = _address(fields.get("final-recipient", "")) or _address(fields.get("x-actual-recipient", ""))
    if not (original or final):
        return None
    status = _CODE.search(fields.get("status", ""))
    if original.lower() == final.replace('"', "").lower():
        original = final  # some forget the quotation marks of "a..b"@c
    return Block(
        original or final,
        final,
        _action(fields.get("action", "")),
        status[1] if status else "",
        typeless(fields.get("diagnostic-code", "")),
    )


def _address(value: str) -> str:
    """``rfc822; a@b.com`` and what people made of it."""
    kind, semicolon, rest = value.partition(";")
    text = rest if semicolon and "@" not in kind else value
    if "@" not in text:
        return ""
    text = text.strip()
    if re.fullmatch(r'(?:"[^"]+"|[^\s<>"]+)@[^\s<>"]+', text):
        return text.strip(";,")
    found = addresses_in(re.sub(r"\(.*?\)|^\S+;", " ", text).strip())
    return found[0] if found else ""


def _action(value: str) -> str:
    words: list[str] = re.findall(r"[a-z]+", value.lower())
    for word in words[:3]:
        if word in _ACTIONS:
            return word
        if word in _ACTION_WORDS:
            return _ACTION_WORDS[word]
    return ""


def typeless(diagnostic: str) -> str:
    """A Diagnostic-Code without its type ("smtp;", "X-Postfix;")."""
    return re.sub(r"^\s*[A-Za-z][\w -]{0,30};\s*", "", diagnostic).strip()


def _merged(found: list[Block]) -> list[Block]:
    """One block for each recipient; the one with most to say."""
    by_address: dict[str, Block] = {}
    for block in found:
        key = block.address.lower()
        other = by_address.get(key)
        if other is None or (not other.diagnostic and block.diagnostic):
            by_address[key] = block
    return list(by_address.values())
