"""What comes back about a message: one form for pixels, links, webhooks, bounces, complaints and replies.

Whoever hears of something makes a :class:`Feedback` of it; ``feedback.apply`` is the only place that acts on
it. Pure: what a happening means for a row of the send list is decided here, so that it does not depend on the
order in which happenings are told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from coldsend.domain.states import EventType, RowStatus

KEY_LENGTH = 128

# Who writes of a longer absence has left, or mistyped the year: mail waits no longer than this.
LONGEST_AWAY = timedelta(days=60)


class Kind(StrEnum):
    """What happened."""

    DELIVERED = "delivered"
    DELAYED = "delayed"  # a mail server still tries: proof that it has the message, and nothing else
    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    OPEN = "open"
    CLICK = "click"
    REPLY = "reply"
    AUTO_REPLY = "auto_reply"
    UNSUBSCRIBE = "unsubscribe"


class Actor(StrEnum):
    """Who opened or clicked, as far as that can be told."""

    HUMAN = "human"
    MACHINE = "machine"  # image proxies that fetch in advance, link scanners, previews
    OWN = "own"  # our own operators


@dataclass(frozen=True, slots=True)
class Feedback:
    """One happening, from whatever source.

    at: when it happened (aware UTC). source: "web", "webhook:<provider>", "inbox:<mailbox>", "cli".
    key: the same for one happening however often it is told; ASCII, at most 128 characters; "" where it is
    never told twice. row_id: of the send list, proven by a signed token; else message_ids (with angle
    brackets, of messages it may be about) and recipient (an address) are used to find it.
    hard: of bounces: the address is no good; None: judge by status (an RFC 3463 code) and diagnostic (the
    words of the server). service_id: whose mailbox or account told of it, if that is known. campaign_only:
    of unsubscribes: this campaign, not all. away_until: of auto-replies. category: of replies, what they want
    (domain/reply_category.py); "" where nobody has looked. details: whatever else is known, as JSON can hold
    it.
    """

    kind: Kind
    at: datetime
    source: str
    key: str = ""
    row_id: int | None = None
    message_ids: tuple[str, ...] = ()
    recipient: str = ""
    service_id: int | None = None
    actor: Actor = Actor.HUMAN
    hard: bool | None = None
    status: str = ""
    diagnostic: str = ""
    campaign_only: bool = False
    away_until: datetime | None = None
    category: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.at.tzinfo is None:
            raise ValueError(f"a naive time: {self.at!r}")
        if len(self.key) > KEY_LENGTH or not self.key.isascii():
            raise ValueError(f"not a key: {self.key!r}")


# The event that is logged; what is not here is none of the ten kinds the event log knows.
EVENT_OF: Mapping[Kind, EventType] = {
    Kind.DELIVERED: EventType.DELIVERED,
    Kind.BOUNCE: EventType.BOUNCE,
    Kind.COMPLAINT: EventType.COMPLAINT,
    Kind.OPEN: EventType.OPEN,
    Kind.CLICK: EventType.CLICK,
    Kind.REPLY: EventType.REPLY,
    Kind.UNSUBSCRIBE: EventType.UNSUBSCRIBE,
}

VISITS = frozenset({Kind.OPEN, Kind.CLICK})

# The column of the send list that tells when it happened first.
COLUMN_OF: Mapping[Kind, str] = {
    Kind.DELIVERED: "delivered_at",
    Kind.BOUNCE: "bounced_at",
    Kind.OPEN: "opened_at",
    Kind.CLICK: "clicked_at",
    Kind.REPLY: "replied_at",
    Kind.UNSUBSCRIBE: "unsubscribed_at",
    Kind.COMPLAINT: "complained_at",
}

# From the nearest to the furthest. An address that bounced and from which somebody clicks was reached.
FURTHEST: tuple[tuple[str, RowStatus], ...] = (
    ("delivered_at", RowStatus.DELIVERED),
    ("bounced_at", RowStatus.BOUNCED),
    ("opened_at", RowStatus.OPENED),
    ("clicked_at", RowStatus.CLICKED),
    ("replied_at", RowStatus.REPLIED),
    ("unsubscribed_at", RowStatus.UNSUBSCRIBED),
    ("complained_at", RowStatus.COMPLAINED),
)

# Rows whose status follows their times: the message is out there.
OUT = frozenset({RowStatus.SENT, *(status for _column, status in FURTHEST)})


def furthest(times: Mapping[str, datetime | None]) -> RowStatus:
    """The status of a row that was sent, by what is known to have happened. times: column -> when."""
    return next(
        (status for column, status in reversed(FURTHEST) if times.get(column) is not None), RowStatus.SENT
    )


def earliest(
    times: Mapping[str, datetime | None], found: Iterable[tuple[Feedback, datetime]]
) -> dict[str, datetime | None]:
    """The times of a row after these happenings, each with when it happened: of each kind the earliest."""
    after = dict(times)
    for item, at in found:
        column = column_of(item.kind, item.actor)
        if column is not None:
            before = after[column]
            after[column] = at if before is None else min(before, at)
    return after


def column_of(kind: Kind, actor: Actor) -> str | None:
    """The column that a happening sets; None for machines' opens and clicks, which prove nothing."""
    if kind in (Kind.OPEN, Kind.CLICK) and actor is not Actor.HUMAN:
        return None
    return COLUMN_OF.get(kind)


def happened_at(at: datetime, attempt_at: datetime | None, now: datetime) -> datetime:
    """When it happened, as far as clocks of others are right: not before the attempt, nor in the future."""
    at = min(at, now)
    return at if attempt_at is None else max(at, attempt_at)


def storable(value: Any) -> Any:
    """``value``, as JSON has it, without what databases cannot hold: lone surrogates, NUL characters."""
    kind = type(value)
    if value is None or kind is bool or kind is int:
        return value
    if isinstance(value, str):
        if value.isascii() and "\0" not in value:
            return value
        return value.encode("utf-8", "replace").decode().replace("\0", "")
    if kind is dict or isinstance(value, Mapping):
        return {storable(str(name)): storable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [storable(inner) for inner in value]
    return value
