"""One message: what it is, whether it is about mail of ours, and both noted in one transaction.

The mailbox's place, the message and what follows from it are committed together, so each message is taken
once, whatever is killed. What is not about mail of ours is passed over and leaves no trace. A message that
cannot be understood is kept as ``other`` with the error, and the mailbox goes on; ``retrying.py`` takes it
once more. Of a message from or about somebody who was erased only that it came is kept.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from traceback import extract_tb
from typing import Any

from coldsend import logbook
from coldsend.database.engine import Connection, Database
from coldsend.domain import address, suppression
from coldsend.domain.address import Address
from coldsend.domain.feedback import Feedback, Kind
from coldsend.domain.inbox import MessageKind
from coldsend.domain.mailbox import Mailbox
from coldsend.domain.redaction import Redactor
from coldsend.errors import ColdsendError, InvalidInput
from coldsend.feedback.applier import Applier
from coldsend.feedback.apply import Applied, announce, apply
from coldsend.feedback.matching import email_key, rows_of
from coldsend.inbox.classified import Classified, Failed
from coldsend.inbox.classify import classify
from coldsend.inbox.happenings import category_of, digest_of, happenings, row_told
from coldsend.inbox.reading import Fetched
from coldsend.stores import inbox_messages, mailboxes, services, suppressions

_TEXT_LIMIT = 500_000  # characters: a MEDIUMTEXT holds four bytes for each of them, and more


class Overtaken(Exception):
    """Somebody else has read on in this mailbox meanwhile."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the reading of a mailbox is: everything up to ``uid`` has been taken."""

    mailbox: Mailbox
    uid_validity: int
    uid: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a message. kind None: it is not about mail of ours. repeated: a copy was here before."""

    kind: MessageKind | None = None
    repeated: bool = False
    applied: Applied | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """A message as far as it tells by itself."""

    fetched: Fetched
    digest: str
    message: Classified
    told: int | None = None
    items: tuple[Feedback, ...] = ()
    error: str = ""


def own_addresses(connection: Connection) -> frozenset[str]:
    """Keys of the addresses that we write from."""
    return frozenset(email_key(service.from_email) for service in services.all_services(connection))


def take(
    database: Database, place: Place, fetched: Fetched, now: datetime, applier: Applier, own: frozenset[str]
) -> Taken:
    """Take one message; Overtaken where that is not up to us any more, Unreachable without a database.

    own: keys of the addresses that we write from.
    """
    read = understood(place, fetched, now, applier)
    try:
        # A copy that comes in through another mailbox at this very moment is seen at the second look.
        taken = database.run(lambda connection: _store(connection, place, read, now, applier, own))
    except (ColdsendError, Overtaken):
        raise
    except Exception as error:
        # Whatever it is in this message that database or code does not take: the next one may be fine.
        read = replace(read, items=(), error=_described(error))
        taken = database.run(lambda connection: _store(connection, place, read, now, applier, own))
    if taken.applied is not None:
        announce(taken.applied)
    if taken.error and not taken.repeated:
        logbook.inbox_message_unreadable(place.mailbox.name, fetched.waiting.uid, taken.error)
    return taken


def understood(place: Place, fetched: Fetched, now: datetime, applier: Applier) -> Read:
    """What a message tells by itself; with an error where it cannot be understood."""
    raw = fetched.raw
    if raw is None:
        where = f"{place.mailbox.id}:{place.uid_validity}:{fetched.waiting.uid}"
        digest = hashlib.sha256(where.encode()).hexdigest()
        return Read(fetched, digest, Classified(MessageKind.OTHER), error=fetched.error)
    try:
        message = _fit(classify(raw, now))
        told = row_told(message, applier.tokens)
        digest = digest_of(message, raw)
        items = happenings(message, told, place.mailbox, fetched.waiting.received, digest)
    except Exception as error:
        digest = hashlib.sha256(raw).hexdigest()
        return Read(fetched, digest, Classified(MessageKind.OTHER), error=_described(error))
    return Read(fetched, digest, message, told[0] if told else None, tuple(items))


def _store(
    connection: Connection, place: Place, read: Read, now: datetime, applier: Applier, own: frozenset[str]
) -> Taken:
    about = looked_up(connection, read, now, applier, own)
    if about is None:
        return Taken()
    uid = read.fetched.waiting.uid
    if not mailboxes.advance(connection, place.mailbox.id, place.uid_validity, place.uid, uid, now):
        raise Overtaken
    if inbox_messages.known(connection, read.digest):
        return Taken(read.message.kind, repeated=True, error=read.error)
    message_id = inbox_messages.add(connection, row_values(place, read) | about.values, now)
    return acted_on(connection, message_id, read, about, now, applier)


@dataclass(frozen=True, slots=True)
class About:
    """What a message of ours is about, as the database knows it. erased: people among those it names."""

    items: list[Feedback]
    contact: inbox_messages.Contact | None
    row_id: int | None
    erased: list[Address]

    @property
    def values(self) -> dict[str, Any]:
        """What is stored of it in the row of the message, also instead of words that nobody may keep."""
        found: dict[str, Any] = {
            "task_contact_id": self.row_id if self.contact is not None else None,
            "contact_id": self.contact.id if self.contact is not None else None,
        }
        if self.erased or (self.contact is not None and self.contact.erased):
            found |= dict.fromkeys(inbox_messages.WORDS)
        return found


def looked_up(
    connection: Connection, read: Read, now: datetime, applier: Applier, own: frozenset[str]
) -> About | None:
    """What a message is about; None where it is not mail of ours."""
    items, row_id = _ours(connection, read, now, applier)
    contact = inbox_messages.contact_of(connection, row_id) if row_id is not None else None
    sender = email_key(read.message.sender)
    written_by_us = read.message.kind not in _REPORTS and sender in own
    if written_by_us and (contact is None or contact.email_key != sender):
        return None  # an operator's own part of a conversation
    if not (items or row_id is not None or read.error):
        return None
    return About(items, contact, row_id, _erased(connection, read.message, applier))


def _erased(connection: Connection, message: Classified, applier: Applier) -> list[Address]:
    """Who of those that a message is from or about was erased."""
    named: dict[str, Address] = {}
    for text in (message.sender, *(each.address for each in message.recipients)):
        with suppress(InvalidInput):
            found = address.parse(text.strip().strip("<>"))
            named[suppression.hashed_key(found.key, applier.pepper)] = found
    known = suppressions.matching(connection, list(named), suppression.ALL_CAMPAIGNS)
    return [named[key] for key in sorted(known)]


def acted_on(
    connection: Connection, message_id: int, read: Read, about: About, now: datetime, applier: Applier
) -> Taken:
    """Apply what a stored message tells, without words that name somebody who was erased."""
    redactor = Redactor(about.erased) if about.erased else None
    items = []
    for item in about.items:
        details, diagnostic = item.details, item.diagnostic
        if redactor is not None:
            details, diagnostic = {}, redactor.without(diagnostic)
        details = {**details, "inbox_message": message_id}
        items.append(replace(item, details=details, diagnostic=diagnostic))
    applied = apply(connection, items, now, applier) if items else None
    return Taken(read.message.kind, applied=applied, error=read.error)


_REPORTS = (MessageKind.BOUNCE, MessageKind.COMPLAINT)


def _ours(
    connection: Connection, read: Read, now: datetime, applier: Applier
) -> tuple[list[Feedback], int | None]:
    """The happenings that are about mail of ours, or may be; and their row, the first of several."""
    row_ids = rows_of(connection, read.items, applier.tokens, now)
    pairs = list(zip(read.items, row_ids, strict=True))
    items = [
        replace(item, row_id=row_id) for item, row_id in pairs if row_id is not None or _may_be_ours(item)
    ]
    found = next((row_id for row_id in row_ids if row_id is not None), None)
    return items, read.told if read.told is not None else found


def _may_be_ours(item: Feedback) -> bool:
    """Whether what matches no recipient is kept all the same, to be decided about by a person.

    A complaint always: somebody wants no mail. A bounce, unless it names the message that bounced, which was
    none of ours. Whatever else strangers write is between them and the owner of the mailbox.
    """
    return item.kind is Kind.COMPLAINT or (item.kind is Kind.BOUNCE and not item.message_ids)


def row_values(place: Place, read: Read) -> dict[str, Any]:
    """What is stored of a message."""
    message, waiting, raw = read.message, read.fetched.waiting, read.fetched.raw
    cut_off = raw is not None and len(raw) < waiting.size
    details = {
        "recipients": [_recipient(each) for each in message.recipients] or None,
        "away_until": message.away_until.isoformat() if message.away_until else None,
        "size": waiting.size if cut_off else None,
        "error": read.error or None,
    }
    return {
        "mailbox_id": place.mailbox.id,
        "uid_validity": place.uid_validity,
        "uid": waiting.uid,
        "kind": message.kind.value,
        "received_at": waiting.received,
        "digest": read.digest,
        "message_id": message.message_id or None,
        "from_email": message.sender or None,
        "subject": message.subject or None,
        "text": message.text or None,
        "raw": raw,
        "details": {name: value for name, value in details.items() if value is not None} or None,
        "category": category_of(message) or None,
    }


def _recipient(failed: Failed) -> dict[str, Any]:
    """As `inbox classify` shows it."""
    return {
        "address": failed.address,
        "status": failed.status,
        "action": failed.action,
        "hard": failed.hard,
        "reason": failed.reason,
        "diagnostic": failed.diagnostic,
    }


def _fit(message: Classified) -> Classified:
    """The message with nothing in it that a database does not take: halves of characters, endless lines."""
    return replace(
        message,
        recipients=tuple(_fit_recipient(each) for each in message.recipients[:1000]),
        text=_clean(message.text, _TEXT_LIMIT),
        message_ids=tuple(_clean(each, 998) for each in message.message_ids[:100]),
        addressed=tuple(_clean(each, 320) for each in message.addressed[:100]),
        sender=_clean(message.sender, 320),
        subject=_clean(message.subject, 1000),
        message_id=_clean(message.message_id, 998),
    )


def _fit_recipient(failed: Failed) -> Failed:
    return replace(
        failed,
        address=_clean(failed.address, 320),
        status=_clean(failed.status, 20),
        action=_clean(failed.action, 50),
        reason=_clean(failed.reason, 100),
        diagnostic=_clean(failed.diagnostic, 2000),
    )


def _clean(text: str, limit: int) -> str:
    return text[:limit].encode("utf-8", "replace").decode().replace("\0", "")


def _described(error: Exception) -> str:
    """An error in a line: its kind, and where it came up. Its words may quote the message."""
    where = extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(where.filename).name}, line {where.lineno}"
