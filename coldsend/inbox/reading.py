"""A folder as it stands: what is new in it, and the beginning of each message. Changes nothing there.

EXAMINE and BODY.PEEK only: no flag is set, no message is deleted, and nobody sees that we were there.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from coldsend.domain.mailbox import Trouble
from coldsend.inbox.connection import Connection, MailboxError, quoted

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
AT_ONCE = 100  # messages that are asked about in one command
BATCH_BYTES = 4 * 2**20  # that are held at once

_UID = re.compile(rb"\bUID (\d+)")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d+)")
_RECEIVED = re.compile(
    rb'\bINTERNALDATE "([ \d]\d)-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-]\d{4})"', re.IGNORECASE
)
_SHORT_BODY = re.compile(rb'\bBODY\[\](?:<0>)? (?:NIL|"((?:[^"\\]|\\.)*)")')


@dataclass(frozen=True, slots=True)
class Folder:
    """uid_validity: another one means that all UIDs are new. next_uid: that comes; None: not told."""

    uid_validity: int
    next_uid: int | None
    messages: int

    def is_another(self, uid_validity: int | None, last_uid: int | None) -> bool:
        """Whether it is not the folder that was read up to there, but a new one or one made anew."""
        # UIDs only ever grow: some servers forget to say that they began anew.
        went_back = self.next_uid is not None and last_uid is not None and self.next_uid <= last_uid
        return uid_validity != self.uid_validity or last_uid is None or went_back


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that was not read yet. size: in bytes, as the server says. received: by the server."""

    uid: int
    size: int
    received: datetime


@dataclass(frozen=True, slots=True)
class Fetched:
    """The beginning of a message; raw None: the server cannot give it, for the reason in ``error``."""

    waiting: Waiting
    raw: bytes | None
    error: str = ""


def examine(connection: Connection, name: str) -> Folder:
    """Open a folder for reading; MailboxError (FOLDER) where there is none of this name."""
    data = connection.command(
        Trouble.FOLDER, lambda client: client.select(quoted(modified_utf7(name)), readonly=True)
    )
    count = int(data[0]) if data and data[0] else 0
    validity = _number(connection, "UIDVALIDITY")
    if validity is None:
        raise MailboxError(Trouble.SERVER, f"the server gives no UIDVALIDITY for the folder {name!r}")
    return Folder(validity, _number(connection, "UIDNEXT"), count)


def last_before(connection: Connection, folder: Folder, since: datetime) -> int:
    """The UID after which messages are that were received on that day or later; maybe some earlier ones."""
    day = f"{since.day}-{MONTHS[since.month - 1]}-{since.year}"
    found = _search(connection, "SINCE", day)
    if found:
        return min(found) - 1
    if folder.next_uid is not None:
        return folder.next_uid - 1
    return max(_search(connection, "UID", "*"), default=0)


def uids_after(connection: Connection, last_uid: int) -> list[int]:
    """The UIDs of messages that came later, in their order."""
    # "n:*" gives the last message even where it comes before n.
    return sorted({uid for uid in _search(connection, "UID", f"{last_uid + 1}:*") if uid > last_uid})


def described(connection: Connection, uids: Sequence[int], now: datetime) -> list[Waiting]:
    """What the server says of these messages; those that are gone by now are left out."""
    items = connection.command(
        Trouble.SERVER,
        lambda client: client.uid("FETCH", uid_set(uids), "(UID RFC822.SIZE INTERNALDATE)"),
    )
    wanted = set(uids)
    found = {}
    for item in items:
        text = item[0] if isinstance(item, tuple) else item or b""
        if (uid := _UID.search(text)) and (size := _SIZE.search(text)) and int(uid[1]) in wanted:
            received = min(_received(text) or now, now)
            found[int(uid[1])] = Waiting(int(uid[1]), int(size[1]), received)
    return [found[uid] for uid in sorted(found)]


def batches(waiting: Sequence[Waiting], limit: int, *, one_by_one: bool) -> Iterator[list[Waiting]]:
    """Messages to fetch together: no more than can be held."""
    batch: list[Waiting] = []
    total = 0
    for each in waiting:
        size = min(each.size, limit)
        if batch and (one_by_one or total + size > BATCH_BYTES):
            yield batch
            batch, total = [], 0
        batch.append(each)
        total += size
    if batch:
        yield batch


def fetched(connection: Connection, batch: Sequence[Waiting], limit: int) -> list[Fetched]:
    """The first ``limit`` bytes of each message; those that are gone by now are left out.

    MailboxError (MESSAGE) where the connection broke over a single one.
    """
    try:
        found = _bodies(connection, [each.uid for each in batch], limit)
    except MailboxError as error:
        if error.trouble is not Trouble.SERVER:
            trouble = Trouble.MESSAGE if len(batch) == 1 else error.trouble
            raise MailboxError(trouble, error.message) from error
        if len(batch) == 1:
            return [Fetched(batch[0], None, error.message)]
        return [message for each in batch for message in fetched(connection, [each], limit)]
    return [Fetched(each, found[each.uid]) for each in batch if each.uid in found]


def _bodies(connection: Connection, uids: Sequence[int], limit: int) -> dict[int, bytes]:
    items = connection.command(
        Trouble.SERVER, lambda client: client.uid("FETCH", uid_set(uids), f"(UID BODY.PEEK[]<0.{limit}>)")
    )
    found: dict[int, bytes] = {}
    for position, item in enumerate(items):
        if isinstance(item, tuple):
            after = items[position + 1] if position + 1 < len(items) else b""
            text, body = item[0] + (b" " + after if isinstance(after, bytes) else b""), bytes(item[1])
        elif item and (short := _SHORT_BODY.search(item)):
            text, body = item, re.sub(rb"\\(.)", rb"\1", short[1] or b"")
        else:
            continue  # flags that somebody else has changed meanwhile
        if uid := _UID.search(text):
            found[int(uid[1])] = body[:limit]
    return found


def _search(connection: Connection, *criteria: str) -> list[int]:
    data = connection.command(Trouble.SERVER, lambda client: client.uid("SEARCH", *criteria))
    return [int(number) for item in data if item for number in item.split() if number.isdigit()]


def _number(connection: Connection, code: str) -> int | None:
    """A number that the server told in brackets when the folder was opened."""
    _code, data = connection.client.response(code)
    text = data[0] if data else None
    return int(text) if isinstance(text, bytes) and text.isdigit() else None


def _received(text: bytes) -> datetime | None:
    found = _RECEIVED.search(text)
    if found is None:
        return None
    day, month, year, *clock, offset = (part.decode() for part in found.groups())
    try:
        number = MONTHS.index(month.title()) + 1
        iso = f"{year}-{number:02}-{int(day):02}T{':'.join(clock)}{offset[:3]}:{offset[3:]}"
        return datetime.fromisoformat(iso).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def uid_set(uids: Iterable[int]) -> str:
    """UIDs as IMAP writes sets of them: ``5:9,12``."""
    runs = groupby(enumerate(sorted(uids)), key=lambda pair: pair[1] - pair[0])
    ends = [[uid for _position, uid in run] for _key, run in runs]
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}:{run[-1]}" for run in ends)


def modified_utf7(name: str) -> str:
    """A folder's name as IMAP writes it (RFC 3501, 5.1.3)."""
    written: list[str] = []
    for printable, run in groupby(name, key=lambda c: " " <= c <= "~"):
        text = "".join(run)
        if printable:
            written.append(text.replace("&", "&-"))
        else:
            data = base64.b64encode(text.encode("utf-16-be", "surrogatepass")).decode()
            written.append(f"&{data.rstrip('=').replace('/', ',')}-")
    return "".join(written)


def shown(folder: Folder) -> dict[str, Any]:
    """What `mailbox test` tells of a folder."""
    return {"messages": folder.messages, "uid_validity": folder.uid_validity, "next_uid": folder.next_uid}
