"""What a message from a mailbox is: bounce, complaint, automatic reply, reply, or something else.

In this order, since each may look like one that follows: bounces and complaints say that they are sent
automatically, automatic replies are replies. Pure: from bytes to :class:`Classified`, whatever the bytes are.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from coldsend.domain.inbox import MessageKind
from coldsend.inbox import auto_reply, auto_reply_away, bounce, complaint, reply
from coldsend.inbox.bounce_original import ids_in, ids_of
from coldsend.inbox.classified import Classified, Failed
from coldsend.inbox.mail import Headers, Mail, read

_ADDRESSED = ("delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "x-delivered-to", "to", "cc")


def classify(raw: bytes, now: datetime) -> Classified:
    """Take a message for what it is; never fails. now: the year of "back on May 5" is told from it."""
    mail = read(raw)
    found = bounce.find(mail, raw=raw)
    if found is not None:
        kind = MessageKind.BOUNCE if found.failed else MessageKind.OTHER
        return _classified(mail, kind, found.text, found.recipients, _about(mail, found.original))
    reported = complaint.find(mail)
    if reported is not None:
        ids = (*ids_in(*reported.message_ids), *_about(mail, reported.original))
        return _classified(mail, MessageKind.COMPLAINT, reported.text, reported.recipients, ids)
    text = reply.new_text(reply.text_of(mail))
    ids = ids_of(mail.headers)
    if auto_reply.is_auto_reply(mail, text):
        sent = _date(mail.headers) or now
        away = auto_reply_away.away_until(f"{mail.headers.text('subject')}\n{text}", sent)
        return _classified(mail, MessageKind.AUTO_REPLY, text, (), ids, away)
    kind = MessageKind.REPLY if reply.is_reply(mail) else MessageKind.OTHER
    return _classified(mail, kind, text, (), ids)


def _classified(
    mail: Mail,
    kind: MessageKind,
    text: str,
    recipients: Sequence[Failed],
    message_ids: Sequence[str],
    away_until: datetime | None = None,
) -> Classified:
    headers = mail.headers
    return Classified(
        kind,
        tuple(recipients),
        text,
        tuple(dict.fromkeys(message_ids)),
        tuple(headers.addresses(*_ADDRESSED)),
        next(iter(headers.addresses("from")), ""),
        headers.text("subject"),
        next(iter(ids_in(headers.get("message-id"))), ""),
        _date(headers),
        away_until,
    )


def _about(mail: Mail, original: Headers) -> tuple[str, ...]:
    """The message that came back, then what the notice refers to."""
    return (*ids_in(original.get("message-id")), *ids_of(mail.headers), *ids_of(original))


def _date(headers: Headers) -> datetime | None:
    try:
        date = parsedate_to_datetime(headers.get("date"))
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
