"""What a classified message says has happened, in the form that ``feedback`` takes. Pure.

A token in an address it was sent to, or in a Message-ID it refers to, tells the row for certain. Otherwise
its recipients are hints: of bounces and complaints the addresses they name, of replies whoever writes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from coldsend.composing.tokens import Kind as TokenKind
from coldsend.composing.tokens import Tokens
from coldsend.domain.feedback import Feedback, Kind
from coldsend.domain.inbox import MessageKind
from coldsend.domain.mailbox import Mailbox
from coldsend.domain.reply_category import ReplyCategory, categorize
from coldsend.feedback.matching import row_of_message_id
from coldsend.inbox.classified import Classified, Failed
from coldsend.inbox.complaint import NOT_FROM_PEOPLE

# A sender's clock is believed so far back from when its message arrived, and not a moment after.
CLOCK_BELIEVED = timedelta(days=14)

_BODY_COMPARED = 65536  # bytes; copies that were cut off at different places are equal so far
_WORDS = 1000
_OF_ACTION = {"delayed": Kind.DELAYED, "delivered": Kind.DELIVERED, "relayed": None, "expanded": None}


def row_told(message: Classified, tokens: Tokens) -> tuple[int, bool] | None:
    """The row that a token in an address or a Message-ID tells, and whether it was sent to unsubscribe."""
    for address in message.addressed:
        found = tokens.read_address(address)
        if found is not None:
            return found[1], found[0] is TokenKind.UNSUBSCRIBE
    for message_id in message.message_ids:
        row_id = row_of_message_id(tokens, message_id)
        if row_id is not None:
            return row_id, False
    return None


def digest_of(message: Classified, raw: bytes) -> str:
    """The same for all copies of a message, in whatever folder; hexadecimal SHA-256.

    Not of the header as a whole: each copy has got lines of its own on its way.
    """
    date = message.date.isoformat() if message.date else ""
    body = _body(raw)[:_BODY_COMPARED]
    named = "\0".join((message.message_id, message.sender, date, message.subject))
    return hashlib.sha256(named.encode("utf-8", "replace") + b"\0" + body).hexdigest()


def happenings(
    message: Classified, told: tuple[int, bool] | None, mailbox: Mailbox, received: datetime, digest: str
) -> list[Feedback]:
    """What has happened; nothing where the message tells of nothing that matters to a send list."""
    row_id, unsubscribes = told if told is not None else (None, False)
    about = [
        (kind, recipient)
        for kind, recipient in _about(message, unsubscribes=unsubscribes)
        if kind is not None
    ]
    if row_id is not None:
        about = _one_of_each_kind(about)
    at = message.date if message.date and received - CLOCK_BELIEVED <= message.date <= received else received
    return [
        Feedback(
            kind,
            at,
            f"inbox:{mailbox.name}"[:50],
            key=_key(digest, kind, recipient.address),
            row_id=row_id,
            message_ids=message.message_ids,
            recipient=recipient.address,
            service_id=mailbox.service_id,
            hard=recipient.hard if kind is Kind.BOUNCE else None,
            status=recipient.status,
            diagnostic=recipient.diagnostic[:_WORDS],
            away_until=message.away_until if kind is Kind.AUTO_REPLY else None,
            category=category_of(message) if kind is Kind.REPLY else "",
            details=_details(message, recipient),
        )
        for kind, recipient in about
    ]


def _about(message: Classified, *, unsubscribes: bool) -> list[tuple[Kind | None, Failed]]:
    """(what happened, to whom); None: nothing that matters."""
    if message.kind is MessageKind.COMPLAINT:
        told = message.recipients or (Failed(""),)
        return [(Kind.COMPLAINT, each) for each in told if each.reason not in NOT_FROM_PEOPLE]
    if message.kind is MessageKind.BOUNCE and not message.recipients:
        return [(Kind.BOUNCE, Failed("", diagnostic=_line(message.text)))]
    if message.recipients:
        return [(_OF_ACTION.get(each.action, Kind.BOUNCE), each) for each in message.recipients]
    writer = Failed(message.sender)
    if unsubscribes:
        return [(Kind.UNSUBSCRIBE, writer)]
    if message.kind is MessageKind.AUTO_REPLY:
        return [(Kind.AUTO_REPLY, writer)]
    if message.kind is MessageKind.REPLY:
        asked = category_of(message) == ReplyCategory.UNSUBSCRIBE_REQUEST
        return [(Kind.REPLY, writer), *([(Kind.UNSUBSCRIBE, writer)] if asked else [])]
    return []


def category_of(message: Classified) -> str:
    """What a reply wants, by its words; "" of anything else."""
    return categorize(message.text).value if message.kind is MessageKind.REPLY else ""


def _one_of_each_kind(about: Sequence[tuple[Kind, Failed]]) -> list[tuple[Kind, Failed]]:
    """A message of ours has one recipient: where a report names several, they are what became of it on its
    way, and the worst of them counts."""
    worst: dict[Kind, Failed] = {}
    for kind, recipient in about:
        known = worst.get(kind)
        if known is None or (recipient.hard and not known.hard):
            worst[kind] = recipient
    return list(worst.items())


def _details(message: Classified, recipient: Failed) -> dict[str, str]:
    found = {"reason": recipient.reason, "action": recipient.action, "subject": message.subject[:_WORDS]}
    return {name: value for name, value in found.items() if value}


def _key(digest: str, kind: Kind, address: str) -> str:
    whom = hashlib.sha256(address.encode("utf-8", "replace")).hexdigest()
    return f"inbox:{digest[:40]}:{kind.value}:{whom[:16]}"


def _line(text: str) -> str:
    return " ".join(text.split())[:_WORDS]


def _body(raw: bytes) -> bytes:
    """What follows the header."""
    ends = [end for mark in (b"\r\n\r\n", b"\n\n") if (end := raw.find(mark)) >= 0]
    return raw[min(ends) :].lstrip(b"\r\n") if ends else b""
