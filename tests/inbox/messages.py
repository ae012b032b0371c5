"""Messages as they come back, built for tests."""

from __future__ import annotations

from datetime import UTC, datetime

from coldsend.inbox.classified import Classified, Failed
from coldsend.inbox.classify import classify

NOW = datetime(2026, 4, 20, 9, 0, tzinfo=UTC)
ORIGINAL = """Return-Path: <us@sender.test>
Received: from out.sender.test by mx.example.org; Mon, 20 Apr 2026 08:00:00 +0000
Message-ID: <row-17@sender.test>
From: Us <us@sender.test>
To: anna@example.org
Subject: Hello

Hello Anna
"""


def message(
    body: str,
    sender: str = "Anna <anna@example.org>",
    subject: str = "Re: Hello",
    kind: str = "text/plain; charset=utf-8",
    **headers: str,
) -> bytes:
    """A message to us; underscores in the names of further headers stand for hyphens."""
    fields = {
        "From": sender,
        "To": "us@sender.test",
        "Subject": subject,
        "Message-ID": "<back-1@example.org>",
        "Date": "Mon, 20 Apr 2026 09:00:00 +0000",
        "MIME-Version": "1.0",
        "Content-Type": kind,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = "".join(f"{name}: {value}\n" for name, value in fields.items())
    return f"{head}\n{body}".encode()


def bounce(body: str, subject: str = "Undelivered Mail Returned to Sender", **headers: str) -> bytes:
    """A message from a mail server, in words only."""
    daemon = "Mail Delivery System <MAILER-DAEMON@mx.example.org>"
    return message(body, daemon, subject, **{"Return_Path": "<>", **headers})


def report(*blocks: str, words: str = "Your message could not be delivered.", **headers: str) -> bytes:
    """An RFC 3464 report that returns the original message."""
    status = "\n\n".join(("Reporting-MTA: dns; mx.example.org", *blocks))
    body = (
        f"--b\nContent-Type: text/plain\n\n{words}\n\n"
        f"--b\nContent-Type: message/delivery-status\n\n{status}\n\n"
        f"--b\nContent-Type: message/rfc822\n\n{ORIGINAL}\n--b--\n"
    )
    kind = 'multipart/report; report-type=delivery-status; boundary="b"'
    return bounce(body, **{"Content_Type": kind, **headers})


FAILED_REPORT = report(
    "Final-Recipient: rfc822; anna@example.org\nAction: failed\nStatus: 5.1.1\n"
    "Diagnostic-Code: smtp; 550 5.1.1 no such user"
)


def classified(raw: bytes) -> Classified:
    return classify(raw, NOW)


def only(raw: bytes) -> Failed:
    """The one recipient that a message is about."""
    (found,) = classified(raw).recipients
    return found
