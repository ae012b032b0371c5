"""Hits: what visitors did with the links of a message, as the spool keeps them.

One line a hit, ``<crc32, 8 hex digits> <JSON array>``: kind, row, time (microseconds since 1970), client
(keyed hash of address and browser), network, User-Agent, signs (``domain/visits.py``), URL of a click, rest.
The rest of an unsubscribe is its scope and way ("all" or "campaign", "one_click" or "page"); of an undoing,
the scope and time of the unsubscribe it takes back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from typing import NamedTuple
from zlib import crc32

from coldsend.domain import feedback
from coldsend.domain.feedback import Feedback
from coldsend.domain.visits import Judged

SOURCE = "web"
SAME_SECONDS = 10  # within which the same client doing the same is one happening
ALL, CAMPAIGN = "all", "campaign"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class HitKind(StrEnum):
    OPEN = "open"
    CLICK = "click"
    UNSUBSCRIBE = "unsubscribe"
    UNDO = "undo"


_KINDS = {kind.value: kind for kind in HitKind}
_TOLD_AS = {kind.value: kind for kind in feedback.Kind}

# Made once: json.dumps and json.loads look at their options each time, which doubles their cost.
_written = json.JSONEncoder(separators=(",", ":")).encode
_read = json.JSONDecoder().decode


class Hit(NamedTuple):
    """One hit; see the module for the fields. at: microseconds since 1970."""

    kind: HitKind
    row_id: int
    at: int
    client: str = ""
    network: str = ""
    agent: str = ""
    signs: tuple[str, ...] = ()
    url: str = ""
    rest: tuple[str, ...] = ()

    @property
    def moment(self) -> datetime:
        return _EPOCH + timedelta(microseconds=self.at)

    @property
    def key(self) -> str:
        """The same for one happening however often it is told, by whatever process."""
        if self.kind is HitKind.UNSUBSCRIBE:
            return unsubscribe_key(self.row_id, self.rest[0], self.at)
        slot = self.at // (SAME_SECONDS * 1_000_000)
        target = f":{blake2b(self.url.encode(), digest_size=8).hexdigest()}" if self.url else ""
        # A browser that has looked ahead and the person who follows are two.
        signs = "".join(f":{sign}" for sign in self.signs)
        return f"web:{self.kind.value}:{self.row_id}{target}:{self.client}{signs}:{slot}"


def unsubscribe_key(row_id: int, scope: str, at: int) -> str:
    """Of all unsubscribes of one row and scope within a second: an unsubscribe is never "the same" as an
    earlier one that was taken back since."""
    return f"web:unsubscribe:{row_id}:{scope}:{at // 1_000_000}"


def microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def encode(hit: Hit) -> bytes:
    """The hit as a line of the spool."""
    text = _written(hit).encode()
    return b"%08x %b\n" % (crc32(text), text)


def decode(content: bytes) -> Iterator[Hit | bytes]:
    """The hits of a spool file; what is no whole line of one as it stands.

    A torn line can only be the last of a process that was killed, or of a disk that was full.
    """
    for line in content.split(b"\n"):
        if line:
            yield _decoded(line) or line


def _decoded(line: bytes) -> Hit | None:
    checksum, _space, text = line.partition(b" ")
    if checksum != b"%08x" % crc32(text):
        return None
    try:
        kind, row_id, at, client, network, agent, signs, url, rest = _read(text.decode())
        return Hit(_KINDS[kind], int(row_id), int(at), client, network, agent, tuple(signs), url, tuple(rest))
    except (ValueError, TypeError, KeyError):
        return None


def as_feedback(hit: Hit, judged: Judged) -> Feedback:
    """What the hit means to the ledger; not for undoings."""
    scope, way = hit.rest if hit.kind is HitKind.UNSUBSCRIBE else ("", "")
    details = (
        ("ip", hit.network),
        ("user_agent", hit.agent),
        ("scope", scope),
        ("way", way),
        ("sign", judged.sign),
        ("url", hit.url),
    )
    return Feedback(
        kind=_TOLD_AS[hit.kind.value],
        at=hit.moment,
        source=SOURCE,
        key=hit.key,
        row_id=hit.row_id,
        actor=judged.actor,
        campaign_only=scope == CAMPAIGN,
        details={name: value for name, value in details if value},
    )
