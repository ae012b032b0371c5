"""Sequences: what a follow-up asks of the messages before it, and what ends a sequence for somebody. Pure.

A condition is written as it is stored, and all conditions of a task must hold:

    no reply   no click   no open   opened   clicked   replied   replied:CATEGORY

They look at every earlier message of the chain to that recipient; opens and clicks are those of people. They
are asked when the message is due, not before: what came back until then counts.

A stop is kept by campaign and key: ``a:`` + email_key for one address, ``d:`` + domain for everybody there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from coldsend.domain.reply_category import ReplyCategory
from coldsend.domain.states import RowReason, StopReason
from coldsend.errors import InvalidInput

MOST_DAYS = 365


class What(StrEnum):
    """What a condition asks."""

    NO_REPLY = "no reply"
    NO_CLICK = "no click"
    NO_OPEN = "no open"
    OPENED = "opened"
    CLICKED = "clicked"
    REPLIED = "replied"


_OPPOSITES = (
    (What.NO_REPLY, What.REPLIED),
    (What.NO_CLICK, What.CLICKED),
    (What.NO_OPEN, What.OPENED),
    (What.NO_OPEN, What.CLICKED),  # a click opens
)


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition. category: of the reply that ``replied`` asks for; None: any."""

    what: What
    category: ReplyCategory | None = None

    def __str__(self) -> str:
        return f"{self.what}:{self.category}" if self.category else str(self.what)


@dataclass(frozen=True, slots=True)
class Chain:
    """What is known of the earlier messages of a chain to one recipient. categories: of the replies."""

    opened: bool = False
    clicked: bool = False
    replied: bool = False
    categories: frozenset[str] = frozenset()

    def meets(self, condition: Condition) -> bool:
        """Whether a condition holds now."""
        match condition.what:
            case What.NO_REPLY:
                return not self.replied
            case What.NO_CLICK:
                return not self.clicked
            case What.NO_OPEN:
                return not (self.opened or self.clicked)
            case What.OPENED:
                return self.opened or self.clicked
            case What.CLICKED:
                return self.clicked
        if condition.category is None:
            return self.replied
        return self.replied and condition.category in self.categories


def chain_of(messages: Iterable[Mapping[Any, Any]]) -> Chain:
    """The chain of these rows of send lists: their times of opens, clicks and replies, ``reply_category``."""
    known = list(messages)
    return Chain(
        opened=any(row["opened_at"] is not None for row in known),
        clicked=any(row["clicked_at"] is not None for row in known),
        replied=any(row["replied_at"] is not None for row in known),
        categories=frozenset(str(row["reply_category"]) for row in known if row["reply_category"]),
    )


def unmet(conditions: Iterable[Condition], chain: Chain) -> Condition | None:
    """The first condition that does not hold; None where all do."""
    return next((one for one in conditions if not chain.meets(one)), None)


def wants_reply(conditions: Iterable[Condition]) -> bool:
    """Whether a task is for those who replied: their reply does not end it for them."""
    return any(one.what is What.REPLIED for one in conditions)


def read_condition(text: str) -> Condition:
    """A condition as somebody wrote it; InvalidInput names what is possible."""
    words = " ".join(text.strip().lower().replace("_", " ").split())
    what, colon, category = (part.strip() for part in words.partition(":"))
    try:
        asked = What(what)
    except ValueError:
        raise InvalidInput(f"{text!r} is not a condition", hint=f"possible: {_POSSIBLE}") from None
    if not colon:
        return Condition(asked)
    if asked is not What.REPLIED:
        raise InvalidInput(
            f"{text!r} is not a condition: only 'replied' takes a category", hint=f"possible: {_POSSIBLE}"
        )
    try:
        return Condition(asked, ReplyCategory(category.replace(" ", "_")))
    except ValueError:
        categories = ", ".join(each.value for each in ReplyCategory)
        raise InvalidInput(
            f"{category!r} is not a category of replies", hint=f"possible: {categories}"
        ) from None


_POSSIBLE = ", ".join([*(repr(each.value) for each in What), "'replied:CATEGORY'"])


def read_conditions(texts: Iterable[str]) -> tuple[Condition, ...]:
    """Conditions that must all hold, each once; InvalidInput where two can never hold together."""
    found = tuple(dict.fromkeys(read_condition(text) for text in texts))
    asked = {one.what for one in found}
    for one, other in _OPPOSITES:
        if one in asked and other in asked:
            raise InvalidInput(f"nobody meets both {one.value!r} and {other.value!r}")
    return found


def stored(conditions: Sequence[Condition]) -> list[str] | None:
    """Conditions as ``tasks.follows_condition`` holds them, read by :func:`read_conditions`; None: none."""
    return [str(one) for one in conditions] or None


_REASONS = {
    StopReason.REPLIED: RowReason.REPLIED,
    StopReason.BOUNCED: RowReason.BOUNCED,
    StopReason.MANUAL: RowReason.STOPPED,
}


ROW_REASONS = frozenset(_REASONS.values())  # of rows that a stop has ended


def row_reason(stop: StopReason | str) -> RowReason:
    """The reason of a row that a stop has ended."""
    return _REASONS[StopReason(stop)]


def stop_that_ends_early(stops: Iterable[StopReason], conditions: Iterable[Condition]) -> StopReason | None:
    """Which of the stops in force for an address ends a row before it is due; None: none does.

    Tasks for those who replied ask about replies when they are due: see :func:`stop_that_ends`.
    """
    for_replies = wants_reply(conditions)
    return next((stop for stop in stops if not (for_replies and stop is StopReason.REPLIED)), None)


def stop_that_ends(
    stops: Iterable[StopReason], conditions: Iterable[Condition], chain: Chain
) -> StopReason | None:
    """Which of the stops in force for an address ends a row of a task with these conditions; None: none does.

    Who has replied gets what is sent to those who replied, whatever replies have stopped.
    """
    passes = chain.replied and wants_reply(conditions)
    return next((stop for stop in stops if not (passes and stop is StopReason.REPLIED)), None)
