"""Which row of the send list a happening is about.

A row id comes from a signed token and is believed. Otherwise the Message-IDs a message refers to are read:
the local part of ours is a token too, so it cannot be made up. An address is only a hint: the newest message
that was sent there within two months, through the service whose mailbox or account told of it, if any.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from coldsend.composing.tokens import Kind as TokenKind
from coldsend.composing.tokens import Tokens
from coldsend.domain import address
from coldsend.domain.feedback import Feedback
from coldsend.errors import InvalidInput
from coldsend.stores import feedback as store

LONGEST = timedelta(days=60)


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


def rows_of(connection: Connection, items: Sequence[Feedback], tokens: Tokens) -> list[int | None]:
    """For each item its row id, or None."""
    found: list[int | None] = []
    open_keys: dict[str, datetime] = {}
    for item in items:
        row_id = item.row_id
        if row_id is None:
            told = (row_of_message_id(tokens, message_id) for message_id in item.message_ids)
            row_id = next((each for each in told if each is not None), None)
        found.append(row_id)
        if row_id is None and (key := email_key(item.recipient)):
            since = item.at - LONGEST
            open_keys[key] = min(since, open_keys.get(key, since))
    if not open_keys:
        return found
    newest = store.newest_of(connection, open_keys, min(open_keys.values()))
    for number, item in enumerate(items):
        if found[number] is None and item.recipient:
            sent = newest.get(email_key(item.recipient), [])
            through = [row_id for row_id, service in sent if service == item.service_id]
            found[number] = next(iter([*through, *(row_id for row_id, _service in sent)]), None)
    return found
