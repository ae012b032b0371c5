"""Which row of the send list a happening is about.

A row id comes from a signed token and is believed. Otherwise the Message-IDs a message refers to are read:
the local part of ours is a token too, so it cannot be made up. An address is only a hint: the newest message
that had been sent there by then, within two months, through the service whose mailbox or account told of it
if there is one. Who tells that a message arrived or was looked at, and which one, means no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from coldsend.composing.tokens import Kind as TokenKind
from coldsend.composing.tokens import Tokens
from coldsend.domain import address
from coldsend.domain.feedback import Feedback, Kind
from coldsend.errors import InvalidInput
from coldsend.stores import feedback as store

# Of a provider's account that sends other mail, too, these are about that mail. What speaks of the address
# itself, as bounces do, is about us in any case.
OF_ONE_MESSAGE = frozenset({Kind.DELIVERED, Kind.DELAYED, Kind.OPEN, Kind.CLICK})

LONGEST = timedelta(days=60)
CLOCKS_DIFFER = timedelta(minutes=10)


def row_of_message_id(tokens: Tokens, message_id: str) -> int | None:
    """The row whose message carries this Message-ID (in angle brackets or not); None: not one of ours."""
    local = message_id.strip().strip("<>").rpartition("@")[0]
    found = tokens.read(local)
    return found[1] if found is not None and found[0] is TokenKind.MESSAGE_ID else None


def email_key(text: str) -> str:
    """The key of an address as somebody wrote it; "" where it is none."""
    try:
        return address.parse(text.strip().strip("<>")).key
    except InvalidInput:
        return ""


def rows_of(
    connection: Connection, items: Sequence[Feedback], tokens: Tokens, now: datetime
) -> list[int | None]:
    """For each item its row id, or None. A row id that a token tells need not exist (any more)."""
    found = [_told(item, tokens) for item in items]
    wanted = {
        number: key
        for number, item in enumerate(items)
        if found[number] is None and _by_address(item) and (key := email_key(item.recipient))
    }
    if not wanted:
        return found
    since = min(items[number].at for number in wanted) - LONGEST
    sent = store.sent_to(connection, set(wanted.values()), since)
    for number, key in wanted.items():
        found[number] = _newest(sent.get(key, []), items[number], now)
    return found


def _by_address(item: Feedback) -> bool:
    return bool(item.recipient) and not (item.message_ids and item.kind in OF_ONE_MESSAGE)


def _told(item: Feedback, tokens: Tokens) -> int | None:
    """The row that a token tells, or a Message-ID, the nearest first."""
    if item.row_id is not None:
        return item.row_id
    told = (row_of_message_id(tokens, message_id) for message_id in item.message_ids)
    return next((row_id for row_id in told if row_id is not None), None)


def _newest(sent: Sequence[store.SentTo], item: Feedback, now: datetime) -> int | None:
    at = min(item.at, now)
    possible = [one for one in sent if at - LONGEST <= one.at <= at + CLOCKS_DIFFER]
    through = [one for one in possible if item.service_id is not None and one.service_id == item.service_id]
    return (through or possible)[0].row_id if possible else None
