"""Whether a bounce says that the address is no good: by the reply table, as if the answer were one to us.

An answer is looked for where servers put it: in the Diagnostic-Code, else in the words about the recipient,
its transcript (``<<< 550 ..``) or quoted reason. A delay, and a failure whose status is temporary, is never
hard: that mail was given up, not the address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from coldsend.domain.answers import Action, Answer, Outcome, Phase
from coldsend.domain.providers import provider_of
from coldsend.domain.replies import judge
from coldsend.domain.reply_rules import ADDRESS_CODES, within
from coldsend.domain.reply_text import parse
from coldsend.domain.reply_words import STOCK_UNKNOWN

SHOWN, NEAR = 500, 8

# Rules that fit where words say nothing.
NOTHING_SAID = ("lost_before_final_dot", "refused", "temporary", "unexpected_answer")

_CODE = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,4})(?![.\d])")
_REPLY = re.compile(r"(?<![\d.:/-])[45][0-5]\d(?=[ -]|$)")
_TOLD = re.compile(
    r"(?:reason|said|because|error|failure|response|responded|returned|diagnostic|message|server message)"
    r"\b[^:\n]{0,80}:\s*",
    re.IGNORECASE,
)
# How servers answer to RCPT.
_ABOUT_MAILBOX = re.compile(r"\b(?:account|user|mailbox|recipient|address)\b", re.IGNORECASE)
_AT_RCPT = re.compile(r"^<[^<>]+>: *user unknown", re.IGNORECASE)
_NO_ACCOUNT = re.compile(r"does ?n.t have an? \S+ account", re.IGNORECASE)
_DISABLED = re.compile(r"\baccounts? (?:is|are|has been) (?:disabled|suspended|locked)", re.IGNORECASE)
_LABELS = re.compile(r"(?:Invalid Address, )?\bERROR_CODE\s?:\s?")  # Zoho's, before whatever was answered
_HAS_WORDS = re.compile(r"[^\W\d_]{3}")
_TRANSCRIPT = re.compile(
    r"^\s*(?:>>>|In: )\s*(MAIL|RCPT|DATA|EHLO|HELO|\.)?|^\s*(?:<<<|Out: )\s*(.*)$", re.MULTILINE
)
_PARAGRAPH = re.compile(r"\n[ \t]*\n(?!\s*[45]\d\d[ -])")
_PARAGRAPHS = re.compile(r"\n[ \t]*(?:[-=_*]{3,}[^\n]*)?\n\s*")
_PHASES = {"MAIL": Phase.MAIL, "RCPT": Phase.RCPT, "DATA": Phase.DATA, ".": Phase.FINAL}
_SAID_AT = (
    (
        re.compile(
            r"end of data|after (?:the )?(?:final dot|data)|\[(?:BODY|DATA)\]|\(DATA\)|"
            r"(?:in reply|response) to (?:the )?(?:end of )?DATA|"
            r"after (?:I sent|sending) (?:the )?(?:message|data)|"
            r"while sending message body|^-+ ?SMTP command\s+DATA",
            re.IGNORECASE | re.MULTILINE,
        ),
        Phase.FINAL,
    ),
    (re.compile(r"\bRCPT(?:\b|_TO)|does not like recipient", re.IGNORECASE), Phase.RCPT),
    (re.compile(r"\bMAIL FROM\b|\[MAIL_FROM\]|does not like sender"), Phase.MAIL),
)


@dataclass(frozen=True, slots=True)
class Severity:
    """hard, status, reason and diagnostic as in :class:`coldsend.inbox.classified.Failed`."""

    hard: bool | None
    status: str
    reason: str
    diagnostic: str


def severity(
    address: str, action: str, status: str, diagnostic: str, words: str, context: str = ""
) -> Severity:
    """Judge what is told about one recipient.

    status, diagnostic: of its report, "" where there is none. words: what the text says about it.
    context: all of the text.
    """
    said = told = diagnostic if _HAS_WORDS.search(diagnostic) else ""
    provider = provider_of(address.rpartition("@")[2])
    if not said or _vague(said):
        found = _nearest(words, status, provider)
        said = f"{diagnostic} {found}".strip() if told else found or diagnostic
    phase = _phase(f"{diagnostic}\n{words}")
    answer = _answer(said, status, phase or Phase.RCPT)
    shown = answer.enhanced if _is_better(answer.enhanced, status) else status or answer.enhanced
    if action in ("delivered", "relayed", "expanded"):
        return Severity(None, shown, action, _line(said))
    if not (said or shown or answer.code):
        return Severity(None, "", "", "")
    verdict = judge(answer, provider=provider)
    if verdict.rule == "unknown_recipient":
        if _may_be_filter(answer, phase):
            return Severity(False, shown, "recipient_filtered", _line(said))
        if not _has_address_code(answer) and _DISABLED.search(context[:2000]):
            return Severity(False, shown, "recipient_disabled", _line(said))
    hard = verdict.action is Action.SUPPRESS and verdict.outcome is Outcome.PERMANENT and action != "delayed"
    if status.startswith("4") and not answer.enhanced.startswith("5"):
        hard = False
    return Severity(hard, shown, verdict.rule, _line(said))


def _may_be_filter(answer: Answer, phase: Phase | None) -> bool:
    """Whether "user unknown" is no proof: not said at RCPT, nor by a code.

    It is the phrase that filters, too, refuse messages with once they have seen them. Where it cannot be
    told when it was said, only a statement in other words ("no such user", "does not exist") is believed.
    """
    if _has_address_code(answer) or phase is Phase.RCPT:
        return False
    if _NO_ACCOUNT.search(answer.text):
        return not answer.code  # who answers by a code is the mailbox's own server
    if answer.enhanced == "5.0.0" and not answer.code and _ABOUT_MAILBOX.search(answer.text):
        return True  # a report without a code, and without a server's answer
    return _AT_RCPT.match(answer.text) is None and STOCK_UNKNOWN.search(answer.text) is not None


def _nearest(words: str, status: str, provider: str) -> str:
    """The answer in the words about a recipient: as many paragraphs of them as it takes to tell something.

    Advice, disclaimers and what else stands further down are about mail in general.
    """
    found = answer_in(words)
    if parse(found).code or _CODE.search(found):
        return found
    said = ""
    for paragraph in _PARAGRAPHS.split(words.strip(), maxsplit=NEAR)[:NEAR]:
        said = f"{said}\n\n{paragraph}"
        near = answer_in(said)
        if judge(_answer(near, status, Phase.RCPT), provider=provider).rule not in NOTHING_SAID:
            return near
    return found


def _has_address_code(answer: Answer) -> bool:
    return any(within(answer.enhanced, code) for code in ADDRESS_CODES)


def _answer(said: str, status: str, phase: Phase) -> Answer:
    answer = parse(said, phase)
    enhanced = answer.enhanced
    if not enhanced or (enhanced.endswith(".0.0") and status[:1] == enhanced[:1]):
        enhanced = status or enhanced
    code = answer.code
    if code and enhanced and str(code)[0] != enhanced[0]:
        enhanced = answer.enhanced
    # A description of a failure ("connection timed out") is what a server told us, not our own lost link.
    return Answer(phase, code, enhanced, said if code == 0 else answer.text)


def answer_in(words: str) -> str:
    """The part of some words that is, or quotes, a server's answer; all of them where none stands out."""
    words = _LABELS.sub("", words)
    replies = [match[2] for match in _TRANSCRIPT.finditer(words) if match[2] and match[2][:1] in "45"]
    if replies:
        return _line(" ".join(replies))
    found = _REPLY.search(words) or _CODE.search(words)
    if found:
        start = words.rfind("\n", 0, found.start()) + 1
        said = words[start if found.start() - start < 200 else found.start() :]
        return _line(_PARAGRAPH.split(said, maxsplit=1)[0])
    told = _TOLD.search(words)
    return _line(words[told.end() :] if told and _HAS_WORDS.search(words[told.end() :]) else words)


def _phase(text: str) -> Phase | None:
    """Where it was said, None where that is not told."""
    command = ""
    for match in _TRANSCRIPT.finditer(text):
        if match[1]:
            command = match[1]
        elif match[2] and match[2][:1] in "45" and command in _PHASES:
            return _PHASES[command]
    return next((phase for pattern, phase in _SAID_AT if pattern.search(text)), None)


def _vague(diagnostic: str) -> bool:
    """Whether a diagnostic says no more than that it failed."""
    return len(re.sub(r"[^A-Za-z\u0080-\uffff]", "", diagnostic)) < 6


def _is_better(told: str, status: str) -> bool:
    """Whether the code within an answer says more than the status of its report."""
    return bool(told) and (not status or status.endswith(".0.0") or status == told)


def _line(text: str) -> str:
    return " ".join(text.split())[:SHOWN]
