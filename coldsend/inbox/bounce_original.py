"""The returned message within a bounce: which message it is about, and where the bounce's own words end."""

from __future__ import annotations

import re

from coldsend.inbox.mail import Headers, Mail, read_headers

_RETURNED = ("message/rfc822", "text/rfc822-headers", "message/rfc822-headers", "text/rfc822-header")
_MESSAGE_ID = re.compile(r"<[^<>\s@]{1,250}@[^<>\s@]{1,250}>")
MOST_IDS, SEARCHED = 40, 64 * 1024
_PART_HEADER = re.compile(
    r"^content-type:[ \t]*(?:message/rfc822|text/rfc822-headers)[^\n]*\n(?:[^\n]+\n){0,5}[ \t]*\n",
    re.IGNORECASE | re.MULTILINE,
)

# A line after which a returned message follows in the same text.
_MARK = re.compile(
    r"^\W{0,40}(?:"
    r"(?:(?:the|your|this is a|below this line is a|included is a) )*(?:full |complete |partial )?"
    r"(?:copy of|text of|headers? of|start of|beginning of|unsent|returned|original|undelivered|rejected)"
    r"(?: part of)?(?: (?:the|your))?(?: (?:original|returned|offending|undelivered|rejected))? "
    r"(?:message|mail|e-mail|letter)\b.{0,80}"
    r"|message headers? follow.{0,10}|original (?:mail )?headers?|(?:original|returned) mail.{0,20}"
    r"|(?:message|mail) headers?|original as follows|headers? (?:are|is) as follows"
    r"|original[- ]nachricht|message d'origine|mensaje original"
    r")\s*:?\W{0,40}$",
    re.IGNORECASE,
)
# The same where nothing need prove it: no reason ever follows such a line.
_SURE_MARK = re.compile(
    r"^\s{0,4}-{2,} ?(?:below (?:this|the next) line is a copy|original message follows|"
    r"this is a copy of (?:the|your) (?:original )?message|attachment is a copy)\b.{0,80}$|"
    r"^-{2,}(?:=_|----|_?=_)?_?NextPart_\S+$",
    re.IGNORECASE,
)
_HEADER_LINE = re.compile(
    r"[ \t]{0,4}(?:received|return-path|message-id|from|to|date|subject|mime-version|dkim-signature|"
    r"x-[\w-]+|content-type|delivered-to|reply-to|sender|references|user-agent):[ \t]?",
    re.IGNORECASE,
)
_SURE = re.compile(r"\s{0,4}(?:received: (?:from|by)|return-path:\s*<)|message-id:\s*<", re.IGNORECASE)


def split_text(text: str) -> tuple[str, str]:
    """What a bounce says itself, and the message that it returns in the same text ("" where it does not)."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        if _SURE_MARK.match(line) or (_MARK.match(line) and _headers_within(lines, number + 1)):
            return "\n".join(lines[:number]), "\n".join(lines[number + 1 :])
        if _SURE.match(line) and _header_count(lines, number) >= 2:
            return "\n".join(lines[:number]), "\n".join(lines[number:])
    return text, ""


def _headers_within(lines: list[str], start: int) -> bool:
    return any(_HEADER_LINE.match(line) for line in lines[start : start + 6])


def _header_count(lines: list[str], start: int) -> int:
    return sum(1 for line in lines[start : start + 12] if _HEADER_LINE.match(line))


def original_headers(mail: Mail, returned_text: str) -> Headers:
    """The headers of the returned message; none where it is not returned."""
    for part in mail.of_type(*_RETURNED):
        headers = read_headers(part.text)
        if headers.fields:
            return headers
    for part in mail.parts:  # as an attached text, or as a part of a type of its own
        if part.content_type.startswith(("text/plain", "application/")) and part.is_attachment:
            headers = read_headers(part.text)
            if "received" in headers or "message-id" in headers:
                return headers
    for part in mail.parts:
        if part.headers is not mail.headers and {"message-id", "from"} <= part.headers.names:
            return part.headers  # returned as a part of the notice itself
    if returned_text:
        return read_headers(_undented(returned_text))
    return _unseparated(mail)


def _unseparated(mail: Mail) -> Headers:
    """The headers of a returned message that a wrong boundary left in the part before."""
    for part in mail.parts:
        found = _PART_HEADER.search(part.text[:SEARCHED])
        if found:
            return read_headers(part.text[found.end() :])
    return Headers()


def _undented(text: str) -> str:
    """Some indent the message that they return; and some say a few words before it."""
    lines = text.split("\n")
    first = next((n for n, line in enumerate(lines[:12]) if _HEADER_LINE.match(line)), 0)
    indent = len(lines[first]) - len(lines[first].lstrip()) if lines[first:] else 0
    return "\n".join(
        line[indent:] if not line[:indent].strip() else line for line in lines[first : first + 400]
    )


def ids_in(*values: str) -> tuple[str, ...]:
    """The Message-IDs in header values, each once, in order."""
    found = [match for value in values for match in _MESSAGE_ID.findall(value)]
    return tuple(dict.fromkeys(found))[:MOST_IDS]


def ids_of(headers: Headers) -> tuple[str, ...]:
    """What a message may be about: the one it answers, then the thread from its newest on."""
    references = _MESSAGE_ID.findall(headers.get("references"))
    return ids_in(headers.get("in-reply-to"), *reversed(references))
