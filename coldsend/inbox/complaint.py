"""Complaints: somebody called a message of ours spam, or asked their provider to end it.

The Abuse Reporting Format (RFC 5965, 6591) is one part ``message/feedback-report`` of fields and the message
that is complained about. Hotmail's sends only that message, with X-HmXmrOriginalRecipient in it; Apple Mail
unsubscribes by a mail of its own. DMARC reports (auth-failure) are about a message, not from a person: they
are told apart by their reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from coldsend.inbox.bounce_original import original_headers, split_text
from coldsend.inbox.classified import Failed
from coldsend.inbox.mail import Headers, Mail, addresses_in, read_headers

TEXT = 2000

_REPORT = ("message/feedback-report", "message/feedback-type")
_HOTMAIL = "x-hmxmroriginalrecipient"
# Kinds of feedback that no recipient gave: they are about a message, and say nothing of who got it.
NOT_FROM_PEOPLE = frozenset({"auth-failure", "dmarc", "virus"})
_REDACTED = re.compile(r"redact|undisclosed|\.invalid$", re.IGNORECASE)
_SUBJECT = re.compile(
    r"\b(?:complaint about message|abuse report|spam complaint|feedback report)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Complaint:
    """original: the headers of the message that is complained about."""

    recipients: tuple[Failed, ...]
    text: str
    original: Headers
    message_ids: tuple[str, ...] = ()


def find(mail: Mail) -> Complaint | None:
    """The complaint that a message is, or None."""
    words = "\n".join(part.text for part in mail.of_type("text/plain") if not part.is_attachment)
    report = next(iter(mail.of_type(*_REPORT)), None)
    said, returned = split_text(words)
    original = original_headers(mail, returned)
    if report is not None:
        fields = _fields(report.text)
        # RFC 6430: somebody took a message out of the spam folder.
        return None if fields.get("feedback-type") == "not-spam" else _from_report(fields, original, said)
    if "x-apple-unsubscribe" in mail.headers:
        leaving = mail.headers.addresses("from")
        return Complaint(tuple(Failed(each, reason="opt-out") for each in leaving[:1]), said[:TEXT], original)
    if _HOTMAIL in original or (_SUBJECT.search(mail.headers.text("subject")) and original.fields):
        who = addresses_in(original.get(_HOTMAIL)) or original.addresses("to")
        return Complaint(tuple(Failed(each, reason="abuse") for each in who[:1]), said[:TEXT], original)
    return None


def _fields(text: str) -> Headers:
    """The fields of a report, which may come in several blocks."""
    blocks = [read_headers(block) for block in re.split(r"\n\s*\n", text.strip())[:20]]
    return Headers(tuple(field for block in blocks for field in block.fields))


def _from_report(report: Headers, original: Headers, words: str) -> Complaint:
    reason = report.get("feedback-type").strip().lower() or "abuse"
    told = [
        *report.addresses("original-rcpt-to", "removal-recipient", "original-recipient"),
        *addresses_in(original.get(_HOTMAIL)),
        *original.addresses("x-rcpt-to", "delivered-to", "x-original-to", "to"),
    ]
    who = [address for address in told if not _REDACTED.search(address)]
    given = tuple(dict.fromkeys(report.addresses("original-rcpt-to") or who[:1]))
    recipients = tuple(Failed(address, reason=reason) for address in given)
    if not recipients and reason in NOT_FROM_PEOPLE:
        recipients = (Failed("", reason=reason),)
    ids = tuple(value for value in (report.get("message-id"), report.get("original-message-id")) if value)
    return Complaint(recipients, words.strip()[:TEXT], original, ids)
