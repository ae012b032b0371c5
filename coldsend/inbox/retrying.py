"""Take stored messages once more that could not be understood or acted on, because of a mistake in coldsend.

They are kept as they came, so nothing is lost once the mistake is mended. What a message tells is known by
its key, so taking it again never counts anything twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy.engine import Connection, RowMapping

from coldsend import logbook
from coldsend.config.secrets import KeyRing
from coldsend.config.settings import Settings
from coldsend.database.engine import Database
from coldsend.domain.inbox import MessageKind
from coldsend.domain.mailbox import Mailbox
from coldsend.errors import Unreachable
from coldsend.feedback.applier import Applier, applier_of
from coldsend.feedback.apply import announce
from coldsend.inbox.reading import Fetched, Waiting
from coldsend.inbox.storing import Place, Taken, acted_on, looked_up, own_addresses, row_values, understood
from coldsend.stores import inbox_messages


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of a message.

    state: "taken"; "copy", or "not ours" and about no mail of ours: it is deleted; "failed", for ``error``;
    "skipped": ``error`` tells why there is nothing to do.
    """

    message_id: int
    state: Literal["taken", "copy", "not ours", "failed", "skipped"]
    kind: MessageKind | None = None
    error: str = ""


def retry(
    database: Database, settings: Settings, keys: KeyRing, rows: Sequence[RowMapping], now: datetime
) -> list[Retried]:
    """Take these messages once more, each by itself. rows: as ``inbox_messages.get`` gives them.

    Unreachable where the database is away; what was taken until then stays so.
    """
    with database.read() as connection:
        applier = applier_of(connection, settings, keys)
        own = own_addresses(connection)
    return [_retried(database, row, now, applier, own) for row in rows]


def _retried(
    database: Database, row: RowMapping, now: datetime, applier: Applier, own: frozenset[str]
) -> Retried:
    number = int(row["id"])
    if "error" not in (row["details"] or {}):
        return Retried(number, "skipped", error="it was understood and acted on")
    if row["raw"] is None:
        return Retried(number, "skipped", error="the message itself is not kept, or was never to be had")
    try:
        taken, error = _take(database, row, now, applier, own)
    except Unreachable:
        raise
    except Exception as problem:
        logbook.unexpected_error(f"inbox message {number}", problem)
        return Retried(number, "failed", error=f"this is a bug: {type(problem).__name__}")
    if error:
        return Retried(number, "failed", error=f"it still cannot be understood: {error}")
    if taken.applied is not None:
        announce(taken.applied)
    if taken.kind is None:
        return Retried(number, "not ours")
    return Retried(number, "copy" if taken.repeated else "taken", taken.kind)


def _take(
    database: Database, row: RowMapping, now: datetime, applier: Applier, own: frozenset[str]
) -> tuple[Taken, str]:
    """(what became of it, why it still cannot be understood)."""
    # Of the mailbox, which may be gone by now, only this is needed.
    name = row["mailbox"] or str(row["mailbox_id"])
    mailbox = Mailbox(row["mailbox_id"], name, "", 0, "", "", "", row["sender_service_id"])
    place = Place(mailbox, row["uid_validity"], row["uid"])
    raw, size = bytes(row["raw"]), row["details"].get("size")
    waiting = Waiting(row["uid"], size or len(row["raw"]), row["received_at"])
    read = understood(place, Fetched(waiting, raw), now, applier)
    if read.error:
        return Taken(), read.error

    def work(connection: Connection) -> Taken:
        about = looked_up(connection, read, now, applier, own)
        is_copy = inbox_messages.known(connection, read.digest, besides=row["id"])
        if about is None or is_copy:
            inbox_messages.remove(connection, row["id"])
            return Taken(read.message.kind if about is not None else None, repeated=is_copy)
        inbox_messages.change(connection, row["id"], row_values(place, read) | about.values)
        return acted_on(connection, row["id"], read, about, now, applier)

    return database.run(work), ""
