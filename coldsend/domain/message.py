"""A recipient as composing sees one, and a message as channels see one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


# Neither is frozen, which would double the cost of making one; nobody changes them.
@dataclass(slots=True)
class Recipient:
    """One row of a send list together with its contact.

    row_id: task_contacts.id; link tokens and the Message-ID carry it (0 in previews).
    email: as stored, domain possibly in Unicode. fields: custom fields, text to text.
    """

    row_id: int
    task_id: int
    contact_id: int
    email: str
    nickname: str | None = None
    tags: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    time_zone: str | None = None


@dataclass(slots=True)
class Message:
    """A composed message, ready for any channel.

    data: the RFC 5322 message with CRLF line ends, not dot-stuffed; SMTP sends exactly this.
    The other fields are what HTTP APIs want apart. ``headers``: extra headers (List-Unsubscribe ..) by name.
    mail_from / rcpt_to: envelope addresses, domains as A-labels; smtputf8: one of them has a non-ASCII
    local part. clean: by construction every line of data ends in CRLF and none begins with a dot.
    """

    row_id: int
    mail_from: str
    rcpt_to: str
    message_id: str  # with angle brackets
    from_header: str
    to_header: str
    subject: str
    html: str
    text: str
    headers: Mapping[str, str]
    data: bytes
    smtputf8: bool = False
    clean: bool = False
