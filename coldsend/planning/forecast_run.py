"""The forecast itself: sends what waits in memory, stretch by stretch, by the rules that delivery goes by.

This module keeps the time: when days and hours of the limits begin, when recipients come due and their hours
open, and what each day of the campaign comes to. Who is sent to within a stretch is decided in
``forecast_stretch``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from coldsend.domain.gates import Gate
from coldsend.pacing.followups import parts
from coldsend.planning.forecast_stretch import Stretch
from coldsend.planning.forecast_world import NEVER, Campaign, Carrier, Hours, Line, World

Limits = dict[tuple[Gate, str], str]  # (gate, service or "") -> words


@dataclass(slots=True, eq=False)
class Day:
    """What goes out on one day of the campaign, by service id and by task id; new: first messages of it.

    held: recipients who were due and did not go out on this day. limits: what held them back.
    """

    begins: float
    by_carrier: Counter[int] = field(default_factory=Counter)
    by_step: Counter[int] = field(default_factory=Counter)
    new: int = 0
    held: int = 0
    limits: Limits = field(default_factory=dict)

    @property
    def sends(self) -> int:
        return self.by_carrier.total()


class Run:
    """One forecast for ``mine``. effort: about how many single decisions a stretch may take; more rows than
    that are decided on together, and the last of a day may go out through another service than foreseen.
    """

    def __init__(self, world: World, mine: Campaign, now: float, effort: int) -> None:
        self._world = world
        self._mine = mine
        self._effort = effort
        self.days: list[Day] = []
        self.last_send: float | None = None
        self.ended = False
        self._now = now
        self._day: Day | None = None
        self._day_ends = now
        self._changes: dict[Hours, float] = {}  # when hours close, or open (then they are in _shut)
        self._shut: set[Hours] = set()
        for one in world.carriers.values():
            one.day_ends = one.hour_ends = 0.0
            self._begin_day(one, now, first=True)

    def until(self, horizon: float, in_hand: Iterable[tuple[Line, int, int]] = ()) -> None:
        """Go on to the horizon, or until nothing can be sent any more (``ended``).

        in_hand: (line, service, messages) that are being sent as it begins; they have their quota.
        """
        moment = self._now
        self._roll(moment)
        for line, carrier, count in in_hand:
            self._sent(self._world.carriers[carrier], line, count, moment)
        while moment < horizon:
            self._roll(moment)
            self._world.ripen(moment)
            self._look_at_hours(moment)
            ends = min(self._stretch_ends(moment), horizon)
            self._serve(moment, ends)
            moment = self._next(moment, ends)
        self.ended = moment == NEVER
        self._close_day()

    def limits_of(self, line: Line) -> Limits:
        """What holds recipients of a line back now."""
        found: Limits = {}
        self._explain(line, found)
        return found

    # -- periods -------------------------------------------------------------------------------------------

    def _roll(self, moment: float) -> None:
        if moment >= self._day_ends:
            self._close_day()
            self._day = Day(moment)
            self._day_ends = self._mine.next_day(moment)
            for carrier in self._world.carriers.values():
                carrier.hits.clear()
        for carrier in self._world.carriers.values():
            if moment >= carrier.day_ends:
                self._begin_day(carrier, moment)
            if moment >= carrier.hour_ends:
                carrier.hour_used = carrier.hour_used if carrier.hour_ends == 0.0 else 0
                carrier.hour_ends = carrier.next_hour(moment)
        for campaign in self._world.campaigns.values():
            if moment >= campaign.day_ends:
                campaign.new_used = campaign.new_used if campaign.day_ends == 0.0 else 0
                campaign.day_ends = campaign.next_day(moment)

    def _begin_day(self, carrier: Carrier, moment: float, *, first: bool = False) -> None:
        if not first:
            carrier.days_sent += carrier.used > 0
            carrier.used = 0
            carrier.domain_used.clear()
        carrier.limit = carrier.limit_of(carrier.days_sent)
        carrier.gap = carrier.gap_of(carrier.limit)
        carrier.day_ends = carrier.next_day(moment)
        carrier.reserved = 0
        for line in self._world.lines:
            rests = carrier.rests_for(line.domain, carrier.day_ends)
            if line.step.goes_first and line.keeps in (None, carrier.id) and not rests:
                due = line.due_before(carrier.day_ends) + self._ready_today(line, carrier.day_ends, moment)
                mine = due if line.keeps is not None else self._part(line, due, carrier, first=first)
                carrier.reserved += mine

    def _part(self, line: Line, due: int, carrier: Carrier, *, first: bool) -> int:
        """What a service keeps of its day for follow-ups that any service of their step may carry."""
        step = [self._world.carriers[one] for one in line.step.carriers]
        limits = {one: one.limit_of(one.days_sent) - (one.used if first else 0) for one in step}
        room = {one.id: max(0, limit) for one, limit in limits.items() if one.closed is None}
        return parts(due, room).get(carrier.id, 0)

    def _ready_today(self, line: Line, day_ends: float, moment: float) -> int:
        return line.ready if line.ready and line.hours.opens(moment) < day_ends else 0

    def _close_day(self) -> None:
        """Note what the day sent, and what held the rest of it back."""
        if self._day is None:
            return
        for line in self._world.ready.values():
            if line.step.campaign is self._mine:
                self._day.held += line.ready
                self._explain(line, self._day.limits)
        if self._day.sends or self._day.held:
            self.days.append(self._day)
        self._day = None

    def _explain(self, line: Line, limits: Limits) -> None:
        carriers = line.step.carriers if line.keeps is None else [line.keeps]
        if not line.step.follows and self._mine.new_left <= 0:
            limits[Gate.NEW_PER_DAY, ""] = f"new recipients a day: {self._mine.new_per_day}"
            return
        if line.hours in self._shut:
            limits[Gate.WINDOW, ""] = "send window"
        for carrier in (self._world.carriers[one] for one in carriers):
            if carrier.closed is not None:
                continue  # it sends nothing on any day: the plan says so below
            for gate, words in carrier.hits.items():
                limits[gate, carrier.name] = words
            if carrier.gap and not carrier.hits:
                limits[Gate.THROTTLE, carrier.name] = f"{carrier.name} sends every {carrier.gap:g} s"

    # -- one stretch ---------------------------------------------------------------------------------------

    def _look_at_hours(self, moment: float) -> None:
        for hours in {line.hours for line in self._world.ready.values()}:
            if self._changes.get(hours, 0.0) > moment:
                continue
            opens = hours.opens(moment)
            if opens > moment:
                self._shut.add(hours)
                self._changes[hours] = opens
            else:
                self._shut.discard(hours)
                self._changes[hours] = hours.closes(moment)

    def _stretch_ends(self, moment: float) -> float:
        grid = self._world.grid
        ends = [moment - moment % grid + grid, self._day_ends, *self._changes.values()]
        for carrier in self._world.carriers.values():
            ends += [carrier.day_ends, carrier.rests_until]
            if carrier.hourly is not None:
                ends.append(carrier.hour_ends)
        ends += [campaign.day_ends for campaign in self._world.campaigns.values()]
        return min(end for end in ends if end > moment)

    def _serve(self, moment: float, ends: float) -> None:
        lines = [line for line in self._world.ready.values() if line.hours not in self._shut]
        if lines:
            Stretch(self._world, lines, moment, ends).serve(self._effort, self._sent)

    def _sent(self, carrier: Carrier, line: Line, count: int, at: float) -> None:
        """Note messages that went out at this time; what follows them is due later."""
        step = line.step
        for follow_up, share in step.follow_ups:
            gate = Gate.CONDITION if not share else self._world.hopeless(follow_up, carrier.id, line.domain)
            if gate is not None:
                self._world.lost[follow_up.id, gate] += count
                continue
            follow_up.carry += count * share
            whole = int(follow_up.carry + 1e-9)
            follow_up.carry -= whole
            due = line.hours.follow_up(at, follow_up.days, follow_up.business_days)
            next_line = self._world.line(follow_up, line.hours, line.domain, carrier.id)
            self._world.add(next_line, due, whole)
        if step.campaign is not self._mine:
            return
        assert self._day is not None
        self._day.by_carrier[carrier.id] += count
        self._day.by_step[step.id] += count
        self._day.new += 0 if step.follows else count
        self.last_send = max(self.last_send or at, at)

    # -- between stretches ---------------------------------------------------------------------------------

    def _next(self, moment: float, ends: float) -> float:
        """The next moment at which something can be sent, or may have changed."""
        found = [self._world.next_due()]
        sendable: set[int] = set()  # services that a line which is open now may go out through
        carriers: set[int] = set()
        for line in self._world.ready.values():
            mine = line.step.carriers if line.keeps is None else [line.keeps]
            carriers.update(mine)
            if line.hours in self._shut:
                found.append(self._changes[line.hours])
            else:
                sendable.update(mine)
            if not line.step.follows and line.step.campaign.new_left <= 0:
                found.append(line.step.campaign.day_ends)
        for carrier in (self._world.carriers[one] for one in carriers):
            if carrier.closed is None:
                found += self._next_of(carrier, moment, sendable=carrier.id in sendable)
        return max(ends, min(found)) if found else NEVER

    def _next_of(self, carrier: Carrier, moment: float, *, sendable: bool) -> list[float]:
        if carrier.rests_until > moment:
            return [carrier.rests_until]
        found = [carrier.day_ends]
        if carrier.hourly is not None and carrier.hour_used >= carrier.hourly:
            found.append(carrier.hour_ends)
        elif carrier.left > 0 and carrier.gap and sendable:
            found.append(carrier.next_slot)
        found += [until for until in carrier.paused_domains.values() if until > moment]
        return found
