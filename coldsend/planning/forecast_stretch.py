"""One stretch of a forecast: a span of time in which no limit begins anew and no hours open or close.

The services take their turns in time (a throttled one has its next turn a gap later), at the same moment the
one with the largest share of its day left first, as ``pacing/choose.py`` does. Follow-ups go before first
messages where their campaign says so; besides that the steps that a service may send take equal turns, and
within a step the groups of recipients in proportion to their sizes.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

from coldsend.domain.gates import Gate
from coldsend.domain.providers import provider_of
from coldsend.planning.forecast_world import Carrier, Line, World

Sent = Callable[[Carrier, Line, int, float], None]  # service, whom, how many, when


class Stretch:
    """From ``moment`` to ``ends`` (excluded). lines: recipients that are due, and whose hours are open."""

    def __init__(self, world: World, lines: Iterable[Line], moment: float, ends: float) -> None:
        self._world = world
        self._moment = moment
        self._ends = ends
        self._ready = 0
        # By service: lines with precedence, and the others.
        self._lines: dict[int, tuple[list[Line], list[Line]]] = {}
        for line in lines:
            line.at_start, line.taken, line.step.taken = line.ready, 0, 0
            self._ready += line.ready
            place = 0 if line.step.goes_first else 1
            for carrier in line.step.carriers if line.keeps is None else (line.keeps,):
                self._lines.setdefault(carrier, ([], []))[place].append(line)

    def serve(self, effort: int, sent: Sent) -> None:
        """Send what can be sent. effort: about how many decisions that may take."""
        offers: list[tuple[float, float, int]] = []
        room = 0
        for carrier in self._world.carriers.values():
            if carrier.left <= 0:
                note_limit(carrier)
                continue
            slot = max(carrier.next_slot, self._moment) if carrier.gap else self._moment
            if carrier.closed or carrier.rests_until > self._moment or slot >= self._ends:
                continue
            slots = (self._ends - slot) / carrier.gap if carrier.gap else self._ready
            room += int(min(carrier.left, slots))
            offers.append((slot, -carrier.share_left, carrier.id))
        heapq.heapify(offers)
        together = max(1, min(room, self._ready) // effort)
        while offers:
            slot, _, carrier_id = heapq.heappop(offers)
            carrier = self._world.carriers[carrier_id]
            found = self._choose(carrier)
            if found is None:
                continue
            line, most = found
            count = min(together, most)
            if carrier.gap:
                count = max(1, min(count, int((self._ends - slot) / carrier.gap)))
            self._take(carrier, line, count)
            sent(carrier, line, count, slot + (count - 1) * carrier.gap)
            if carrier.gap:
                carrier.next_slot = slot = slot + count * carrier.gap
            if carrier.left <= 0:
                note_limit(carrier)
            elif slot < self._ends:
                heapq.heappush(offers, (slot, -carrier.share_left, carrier_id))

    def _choose(self, carrier: Carrier) -> tuple[Line, int] | None:
        """Whose turn it is with this service, and how many of them it may take; None: nobody's."""
        first, others = self._lines.get(carrier.id, ((), ()))
        left = carrier.left
        found = self._best(first, carrier, left)
        if found is None and others:
            room = left - carrier.reserved
            if room <= 0:
                words = f"{carrier.name}: {carrier.reserved} kept for follow-ups"
                carrier.hits[Gate.FOLLOWUPS_FIRST] = words
                return None
            found = self._best(others, carrier, room)
        return found

    def _best(self, lines: Iterable[Line], carrier: Carrier, room: int) -> tuple[Line, int] | None:
        best: Line | None = None
        best_key, best_most = (0, 0.0), 0
        for line in lines:
            most = min(line.ready, room)
            if line.domain:
                most = min(most, carrier.room_for(line.domain, self._moment))
                if most <= 0 < line.ready:
                    self._note_domain(carrier, line.domain)
            if not line.step.follows:
                most = int(min(most, line.step.campaign.new_left))
            if most <= 0:
                continue
            key = (line.step.taken, -line.at_start / (line.taken + 1))
            if best is None or key < best_key:
                best, best_key, best_most = line, key, most
        return None if best is None else (best, best_most)

    def _note_domain(self, carrier: Carrier, domain: str) -> None:
        """Remember why a service sends nothing more to a domain now."""
        if carrier.rests_for(domain, self._moment):
            carrier.hits[Gate.PROVIDER_PAUSED] = f"{carrier.name} rests for {provider_of(domain)}"
        else:
            carrier.hits[Gate.DOMAIN_QUOTA] = f"{carrier.name}: {carrier.per_domain} a domain"

    def _take(self, carrier: Carrier, line: Line, count: int) -> None:
        step = line.step
        self._world.take(line, count)
        line.taken += count
        step.taken += count
        carrier.used += count
        carrier.hour_used += count
        if line.domain:
            carrier.domain_used[line.domain] = carrier.domain_used.get(line.domain, 0) + count
        if step.goes_first and line.keeps in (None, carrier.id):
            carrier.reserved = max(0, carrier.reserved - count)
        if not step.follows:
            step.campaign.new_used += count


def note_limit(carrier: Carrier) -> None:
    """Remember which limit of a service is used up."""
    if carrier.used < carrier.limit:
        carrier.hits[Gate.HOURLY_QUOTA] = f"{carrier.name}: {carrier.hourly} an hour"
    elif carrier.limit < carrier.full_limit:
        carrier.hits[Gate.RAMP] = f"ramp of {carrier.name}: {carrier.limit} on this day"
    else:
        carrier.hits[Gate.QUOTA] = f"quota of {carrier.name}: {carrier.limit} a day"
