"""Reading an answer out of text as people and bounce messages have it: ``550 5.1.1 <a@b>: no such user``.

Understood: the bare reply, ``smtp; 550 ..`` as in a Diagnostic-Code (RFC 3464), and a sentence around it,
``host mx.example.com said: 550 .. (in reply to RCPT TO command)``, which also tells the phase.
"""

from __future__ import annotations

import re

from coldsend.domain.answers import Answer, Phase

TEXT_LIMIT = 1000

_REPLY = re.compile(
    r"(?:^|(?<=[\s;:(\[\"'#]))([2-5][0-5]\d)(?=[\s:,;)\]-]|"
    r"$)[:,;)\]]?[\s-]*(?:#?([245]\.\d{1,3}\.\d{1,3})(?![.\d]))?(?:(?<=\d):)?\s*"
)
_ENHANCED = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![.\d])")
_NO_ANSWER = re.compile(
    r"\b(lost|timed? ?out|timeout|reset|refused|broken|unreachable|no answer|hung up|dropped|eof)\b"
    r"|closed the connection|connection closed",
    re.IGNORECASE,
)
_PHASE_HINTS = (
    (
        Phase.FINAL,
        re.compile(r"end of data|after (the )?final dot|end of message|message body", re.IGNORECASE),
    ),
    (Phase.DATA, re.compile(r"(to|after|during) DATA\b")),
    (Phase.RCPT, re.compile(r"\bRCPT TO\b")),
    (Phase.MAIL, re.compile(r"\bMAIL FROM\b")),
    (
        Phase.GREETING,
        re.compile(r"initial (connection|greeting|server)|while (connecting|talking)|\b(EHLO|HELO)\b"),
    ),
)
_AUTH_CODES = frozenset({454, 534, 535, 538})
_SYNTAX_CODES = frozenset({500, 501, 502, 503, 555})


def parse(text: str, phase: Phase | None = None) -> Answer:
    """The answer that ``text`` tells of. phase: where it was given; guessed where None.

    Without a code the answer is one of code 0; "lost", "timed out" and the like make it a lost connection.
    """
    text = " ".join(text.split())[:TEXT_LIMIT]
    match = _REPLY.search(text)
    code = int(match.group(1)) if match else 0
    enhanced = (match.group(2) or "") if match else ""
    rest = text[match.end() :] if match else text.partition("smtp;")[2].strip() or text
    if not enhanced:
        found = _ENHANCED.search(text)
        enhanced = found.group(1) if found else ""
    lost = code == 0 and not enhanced and _NO_ANSWER.search(text) is not None
    return Answer(phase or _guess(text, code, lost=lost), code, enhanced, rest, lost=lost)


def _guess(text: str, code: int, *, lost: bool) -> Phase:
    for phase, hint in _PHASE_HINTS:
        if hint.search(text):
            return phase
    if code in _AUTH_CODES:
        return Phase.AUTH
    if 200 <= code < 300:
        return Phase.FINAL
    if code in _SYNTAX_CODES:
        return Phase.DATA
    return Phase.CONNECT if lost else Phase.RCPT
