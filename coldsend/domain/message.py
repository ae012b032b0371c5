"""A recipient as composing sees one, and a message as channels see one.

Neither is changed once made. They are not frozen all the same: one of each is made for every message sent,
and a frozen class takes four times as long to fill.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Thread:
    """The messages of a sequence that a follow-up answers.

    earlier: (row id, Message-ID as it was noted, or None), the oldest first, at least one. subject: of the
    first, as it was sent; None: it was not noted, and is rendered once more from ``template_id``. domains: of
    messages whose Message-ID was not noted, row id -> domain of the service that carried it; where it is
    absent, that was the service of the answer.
    """

    earlier: tuple[tuple[int, str | None], ...]
    subject: str | None
    template_id: int | None = None
    domains: Mapping[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class Recipient:
    """One row of a send list together with its contact.

    row_id: task_contacts.id; link tokens and the Message-ID carry it (0 in previews).
    email: as stored, domain possibly in Unicode. fields: custom fields, text to text. thread: what the
    message answers; None: it is the first.
    """

    row_id: int
    task_id: int
    contact_id: int
    email: str
    nickname: str | None = None
    tags: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    time_zone: str | None = None
    thread: Thread | None = None


@dataclass(slots=True)
class Contents:
    """What a message says, for channels that do not take it as one document: HTTP APIs, previews.

    Addresses are written as people read them. headers: extra ones (List-Unsubscribe ..) by name. html, text:
    lines ended by LF; empty where there is no such part.
    """

    from_header: str
    to_header: str
    subject: str
    html: str
    text: str
    headers: Mapping[str, str]


@dataclass(slots=True)
class Message:
    """A composed message, ready for any channel.

    data: the RFC 5322 message with CRLF line ends, not dot-stuffed; SMTP sends exactly this.
    mail_from / rcpt_to: envelope addresses, domains as A-labels; smtputf8: one of them has a non-ASCII
    local part. clean: by construction every line of data ends in CRLF and none begins with a dot.
    tell: gives what it says apart; asked at most once, and by SMTP never. heading: the subject, for the
    ledger; "" where the message is of no send list.
    """

    row_id: int
    mail_from: str
    rcpt_to: str
    message_id: str  # with angle brackets
    data: bytes
    tell: Callable[[], Contents] = field(repr=False, compare=False)
    smtputf8: bool = False
    clean: bool = False
    heading: str = ""
    _contents: Contents | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def contents(self) -> Contents:
        if self._contents is None:
            self._contents = self.tell()
        return self._contents

    @property
    def from_header(self) -> str:
        return self.contents.from_header

    @property
    def to_header(self) -> str:
        return self.contents.to_header

    @property
    def subject(self) -> str:
        return self.contents.subject

    @property
    def html(self) -> str:
        return self.contents.html

    @property
    def text(self) -> str:
        return self.contents.text

    @property
    def headers(self) -> Mapping[str, str]:
        return self.contents.headers
