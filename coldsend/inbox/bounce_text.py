"""Failed recipients in the words of a bounce, for the many servers that send no RFC 3464 report.

They agree on more than it seems: an address that failed stands at the beginning of a line, alone or with the
reason behind it (qmail, Postfix, Exim, sendmail, Exchange, Domino, Yahoo, Zoho, OpenSMTPD ..), else after a
label ("RCPT TO:", "Unable to deliver message to:"), else within a sentence. The first of these ways in which
addresses are found decides; the reason is what stands from one address to the next.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

MOST, WORDS = 100, 3000

ADDRESS = (
    r'(?:"[^"\n]{1,64}"|[^\s<>()\[\]{},;:"\'|=]{1,90})@(?:[!-~\u00a1-\u2fff](?<![<>()\[\]{},;:"\'|@])){1,200}'
)

_LEADING = re.compile(
    r"^[\s>*|-]{0,40}"
    r"(?:\d{1,2}[.)] +)?"
    r'(?:"?(?P<bracketed><(?P<b>' + ADDRESS + r')>)|"(?P<q>' + ADDRESS + r')"|(?P<p>' + ADDRESS + r"))"
    r"(?=\s*$|\s*[:(\[,;]|\.{3}|\s+(?:\.{3}|on [A-Z]|<|-|\(|\[|[45]\d\d\b|[A-Z][a-z]+\b))"
)
_BEHIND = re.compile(r"\s+<(?P<a>" + ADDRESS + r")>")
# Exchange 2007: "Anna<mailto:a@b.com>", and others: "'Anna' (a@b.com) on Thu, ..".
_NAMED = re.compile(
    r"^[\s*]{0,40}[^\s<>():@][^<>():@\n]{0,80}(?:<mailto:|<|\()(?P<a>" + ADDRESS + r")[>)]\s*(?:$|on [A-Z]|:)"
)
_LABELLED = re.compile(
    r"(?<![^\W_])(?:rcpt to|dda:smtp(?==)|recipients?(?: (?:address|name))?|"
    r"failed recipients?|addressee|address|mailbox|user|"
    r"e?-?mail|(?:message|mail|delivery|delivered|sent) to|reach|following recipients?|"
    r"allowed size|quota|is full|unknown(?: user)?|an|empf[^\s:]{1,4}nger|destinataire|destinatario|"
    r"\S*получател\S*|адрес\S*|收件人|收件地址|宛先|not found|à|a)"
    r"(?:\s*[:：=]\s*|\s+|(?=[<\"']))[<\"']?(?P<a>" + ADDRESS + r")",
    re.IGNORECASE,
)
# A transcript of sendmail's: "550 <a@b.com>... Host unknown".
_TRANSCRIPT = re.compile(r"^\s*[45]\d\d[ -](?:[45]\.\d{1,3}\.\d{1,3} )?<(?P<a>" + ADDRESS + r")>(?:\.\.\.|:)")
_RCPT = re.compile(r"\bRCPT[ _]TO:?\s*<?(?P<a>" + ADDRESS + r")>?", re.IGNORECASE)
_ANY = re.compile(ADDRESS)
_DAEMON = re.compile(r"^(?:mailer-?daemon|mail-?daemon|post-?master|abuse|no-?reply|noc|support|help\w*)@")
# Lines that tell of the message or of the sender, not of who failed.
_ASIDE = re.compile(
    r"^\s*(?:from|sender|reply-to|return-path|subject|date|sent|message-id|cc|mail from|envelope-sender|"
    r"original-envelope-id|reporting-mta|in: +mail|received-from-mta)\b|mail from:|\bcontact\b|https?://|"
    r"^\s*>>> mail\b|message was (?:received|sent) .{0,80}\bfrom\b|^from \S+@",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Told:
    """words: what is said about this address, several lines."""

    address: str
    words: str


def failed(text: str, own: Collection[str], sent_to: Collection[str]) -> tuple[list[Told], bool]:
    """Who failed, by a bounce's own words, and whether that is sure: found where servers put it.

    own: addresses of ours, lower case, which are not meant where there are others. sent_to: whom the
    returned message was addressed to, lower case.
    """
    lines = text.split("\n")
    for look in (_at_line_starts, _named, _transcript, _rcpt, _labelled, _anywhere):
        found = look(lines)
        strangers = [each for each in found if not _is_ours(each[1], own)]
        known = [each for each in strangers if each[1].lower() in sent_to]
        if look not in (_at_line_starts, _transcript, _rcpt):
            # Within sentences any address may stand; those the message was for are meant.
            people = [each for each in strangers if not _DAEMON.match(each[1].lower())]
            strangers = known or (people[:1] if look is _anywhere else people)
        if strangers and look is _transcript:
            return _from_transcript(lines, strangers), True
        if strangers:
            return _with_words(lines, strangers), look is not _anywhere or bool(known)
    mentioned = [each for each in _at_line_starts(lines) if each[1].lower() in sent_to]
    return _with_words(lines, mentioned), bool(mentioned)


def _is_ours(address: str, own: Collection[str]) -> bool:
    address = address.lower()
    return address in own or address.startswith(("mailer-daemon@", "mail-daemon@"))


def _at_line_starts(lines: list[str]) -> list[tuple[int, str]]:
    found = []
    for number, line in enumerate(lines):
        match = _LEADING.match(line) if "@" in line else None
        if match:
            behind = _BEHIND.match(line, match.end())  # 'a@b.com <a@b.com>', where the first is a name
            found.append((number, match["b"] or match["q"] or (behind["a"] if behind else match["p"])))
    return found


def _named(lines: list[str]) -> list[tuple[int, str]]:
    return _by(_NAMED.match, lines)


def _transcript(lines: list[str]) -> list[tuple[int, str]]:
    return _by(_TRANSCRIPT.match, lines)


def _rcpt(lines: list[str]) -> list[tuple[int, str]]:
    return _by(_RCPT.search, lines)


def _labelled(lines: list[str]) -> list[tuple[int, str]]:
    return _by(_LABELLED.search, lines)


def _by(look: Callable[[str], re.Match[str] | None], lines: list[str]) -> list[tuple[int, str]]:
    found = []
    for number, line in enumerate(lines):
        match = look(line[:1000]) if "@" in line and not _ASIDE.search(line) else None
        if match:
            found.append((number, match["a"]))
    return found


def _anywhere(lines: list[str]) -> list[tuple[int, str]]:
    return [
        (number, address)
        for number, line in enumerate(lines)
        if "@" in line and not _ASIDE.search(line)
        for address in _ANY.findall(line[:1000])
    ]


def _from_transcript(lines: list[str], found: list[tuple[int, str]]) -> list[Told]:
    """Each address with its line, and the dialogue right above that."""
    told: dict[str, Told] = {}
    for number, address in found[:MOST]:
        start = number
        while start > 0 and number - start < 4 and lines[start - 1].startswith((">>>", "<<<")):
            start -= 1
        told.setdefault(address.lower(), Told(address, "\n".join(lines[start : number + 1])[:WORDS]))
    return list(told.values())


def _with_words(lines: list[str], found: list[tuple[int, str]]) -> list[Told]:
    """Each address with what stands from it to the next one, all its places together."""
    words: dict[str, list[str]] = {}
    spelled: dict[str, str] = {}
    places = found[: MOST * 3]
    ends = [*(number for number, _address in places[1:]), len(lines)][: len(places)]
    for (start, address), end in zip(places, ends, strict=True):
        plain = address.rstrip(".!?").strip()
        spelled.setdefault(plain.lower(), plain)
        words.setdefault(plain.lower(), []).append("\n".join(lines[start : max(end, start + 1)])[:WORDS])
    return [Told(spelled[key], "\n".join(said)[: 2 * WORDS]) for key, said in words.items()][:MOST]
