"""Which service carries which row: the open one with the largest share of its day's quota left."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from coldsend.domain.gates import ServiceFacts

NONE_BARRED: Mapping[int, Collection[int]] = {}


@dataclass(slots=True)
class Offer:
    """What one service would take now. want: rows it has connections and time for.

    taken: rows it was given; taken_first: those of them that are no follow-ups.
    """

    facts: ServiceFacts
    want: int
    taken: int = 0
    taken_first: int = 0
    _most: int = field(init=False)  # looked at for every row, so worked out once
    _most_first: int = field(init=False)

    def __post_init__(self) -> None:
        self._most = min(self.want, self.facts.hour_left)
        self._most_first = self.facts.quota_left - self.facts.followups_due

    @property
    def service_id(self) -> int:
        return self.facts.service.id

    @property
    def room(self) -> int:
        """Rows it can still take, within the quotas of its day and its hour."""
        return self._most - self.taken

    def room_for(self, *, follows: bool) -> int:
        """Rows it can still take that are follow-ups, or that are none: those leave them what they need."""
        room = self._most - self.taken
        return room if follows else min(room, self._most_first - self.taken_first)

    @property
    def share_left(self) -> float:
        quota = self.facts.limit_today
        return (self.facts.quota_left - self.taken) / quota if quota else 0.0

    def take(self, *, follows: bool) -> None:
        self.taken += 1
        self.taken_first += not follows


def allocate(
    rows: Sequence[tuple[int, int | None]],
    offers: Sequence[Offer],
    barred: Mapping[int, Collection[int]] = NONE_BARRED,
    *,
    follows: bool = False,
) -> dict[int, list[int]]:
    """Service id -> row ids. rows: (row id, service it must keep or None), in the order they are due.

    barred: row id -> services that may not carry it. follows: the rows are follow-ups that have precedence.
    Rows that no offer can take are left out. Offers remember
    what they took, so that several tasks can be served one after the other.
    """
    given: dict[int, list[int]] = {}
    for row_id, keeps in rows:
        willing = [offer for offer in offers if offer.room_for(follows=follows) > 0]
        able = [offer for offer in willing if keeps in (None, offer.service_id)]
        if not able:
            continue
        if barred and (unwelcome := barred.get(row_id)):
            able = [offer for offer in able if offer.service_id not in unwelcome]
            if not able:
                continue  # those it may go through have no room left: the next turn
        best = max(able, key=lambda offer: (offer.share_left, -offer.service_id))
        best.take(follows=follows)
        given.setdefault(best.service_id, []).append(row_id)
    return given
