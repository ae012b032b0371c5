"""What comes back by mail, as mail programs and mail servers write it. Imports nothing of coldsend."""

from __future__ import annotations

from datetime import date, datetime
from email.utils import format_datetime

from tests.acceptance.month.record import Message


def reply(about: Message, words: str, at: datetime) -> bytes:
    """Somebody answers."""
    head = {"From": f"<{about.to}>", "Subject": f"Re: {about.subject}", "In-Reply-To": about.message_id}
    quoted = f"\r\n\r\n> {about.subject}\r\n"
    return _mail(about, words + quoted, at, "reply", head)


def auto_reply(about: Message, last_day: date, at: datetime) -> bytes:
    """Somebody is away, up to and including this day."""
    head = {
        "From": f"<{about.to}>",
        "Subject": "Out of office",
        "In-Reply-To": about.message_id,
        "Auto-Submitted": "auto-replied",
    }
    return _mail(about, f"I am out of the office until {last_day:%d %B %Y}.", at, "away", head)


def bounce(about: Message, status: str, words: str, at: datetime) -> bytes:
    """A server reports that it could not deliver (RFC 3464)."""
    fields = (
        "Reporting-MTA: dns; mx.example.com\r\n\r\n"
        f"Final-Recipient: rfc822; {about.to}\r\nAction: failed\r\nStatus: {status}\r\n"
        f"Diagnostic-Code: smtp; {words}\r\n"
    )
    returned = f"Message-ID: {about.message_id}\r\nTo: {about.to}\r\n"
    head = {"From": "MAILER-DAEMON@mx.example.com", "Subject": "Undelivered Mail Returned to Sender"}
    return _report(about, "delivery-status", fields, "message/rfc822-headers", returned, at, "bounce", head)


def complaint(about: Message, at: datetime) -> bytes:
    """A provider passes on that somebody called it spam (RFC 5965)."""
    fields = "Feedback-Type: abuse\r\nUser-Agent: Example/1.0\r\nVersion: 1\r\n"
    returned = f"Message-ID: {about.message_id}\r\nSubject: {about.subject}\r\n\r\n"
    head = {"From": "feedback@fbl.example.com", "Subject": "FW: complaint"}
    return _report(about, "feedback-report", fields, "message/rfc822", returned, at, "complaint", head)


def _report(
    about: Message,
    kind: str,
    fields: str,
    part: str,
    returned: str,
    at: datetime,
    what: str,
    head: dict[str, str],
) -> bytes:
    body = (
        f"--b\r\nContent-Type: text/plain\r\n\r\nThis is a report.\r\n\r\n"
        f"--b\r\nContent-Type: message/{kind}\r\n\r\n{fields}\r\n"
        f"--b\r\nContent-Type: {part}\r\n\r\n{returned}\r\n--b--"
    )
    typed = f'multipart/report; report-type={kind}; boundary="b"'
    return _mail(about, body, at, what, {**head, "MIME-Version": "1.0", "Content-Type": typed})


def _mail(about: Message, body: str, at: datetime, what: str, head: dict[str, str]) -> bytes:
    named = {
        "To": f"{about.sender}@sender.example",
        "Date": format_datetime(at),
        "Message-ID": f"<{what}-{about.number}@elsewhere.example>",
        **head,
    }
    lines = [f"{name}: {value}" for name, value in named.items()]
    return ("\r\n".join([*lines, "", body]) + "\r\n").encode()
