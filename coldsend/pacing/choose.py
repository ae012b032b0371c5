"""Which service carries which row: the open one with the largest share of its day's quota left."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from coldsend.domain.gates import ServiceFacts

NONE_BARRED: Mapping[int, Collection[int]] = {}


@dataclass(slots=True)
class Offer:
    """What one service would take now. want: rows it has connections and time for."""

    facts: ServiceFacts
    want: int
    taken: int = 0

    @property
    def service_id(self) -> int:
        return self.facts.service.id

    @property
    def room(self) -> int:
        """Rows it can still take, within its quota."""
        return min(self.want, self.facts.quota_left) - self.taken

    @property
    def share_left(self) -> float:
        quota = self.facts.service.daily_quota
        return (self.facts.quota_left - self.taken) / quota if quota else 0.0


def allocate(
    rows: Sequence[tuple[int, int | None]],
    offers: Sequence[Offer],
    barred: Mapping[int, Collection[int]] = NONE_BARRED,
) -> dict[int, list[int]]:
    """Service id -> row ids. rows: (row id, service it must keep or None), in the order they are due.

    barred: row id -> services that should not carry it; they are given it where no other offer is made, and
    put it off. Rows that no offer can take are left out. Offers remember what they took, so that several
    tasks can be served one after the other.
    """
    given: dict[int, list[int]] = {}
    for row_id, keeps in rows:
        able = [offer for offer in offers if offer.room > 0 and keeps in (None, offer.service_id)]
        if not able:
            continue
        if barred and (unwelcome := barred.get(row_id)):
            if all(offer.service_id in unwelcome for offer in offers):
                unwelcome = ()
            able = [offer for offer in able if offer.service_id not in unwelcome]
            if not able:
                continue  # those it may go through have no room left: the next turn
        best = max(able, key=lambda offer: (offer.share_left, -offer.service_id))
        best.taken += 1
        given.setdefault(best.service_id, []).append(row_id)
    return given
