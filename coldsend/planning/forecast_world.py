"""What a forecast is made of: services, campaigns, steps, and the recipients that wait, counted by groups.

Times are seconds since the epoch (float), so that a forecast of months costs seconds. Nobody has an object
of his own: a :class:`Line` holds how many recipients of one step wait for the same hours, the same service
and the same domain limit, by the moment they are due.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from coldsend.domain.gates import Gate

NEVER = math.inf
_LONG = 100_000  # days


class Hours(Protocol):
    """When a group of recipients may be written to; what the campaign's calendar says of them."""

    def opens(self, moment: float) -> float:
        """The moment itself where it is open, else the next opening."""

    def closes(self, moment: float) -> float:
        """When an open moment's opening ends; NEVER where it does not."""

    def follow_up(self, sent_at: float, days: int, business_days: bool) -> float:
        """When the message that follows one sent then is due."""


@dataclass(slots=True, eq=False)
class Carrier:
    """A sender service. Limits are messages.

    limit_of: (days on which it sent something before) -> its limit of a day. gap_of: that limit -> seconds
    between two messages, 0: none. next_day, next_hour: a moment -> when the next period begins.
    closed: the gate that keeps it from sending until a person does something, with its words.
    """

    id: int
    name: str
    limit_of: Callable[[int], int]
    gap_of: Callable[[int], float]
    next_day: Callable[[float], float]
    next_hour: Callable[[float], float]
    days_sent: int = 0
    used: int = 0
    next_slot: float = 0.0
    rests_until: float = 0.0
    hourly: int | None = None
    hour_used: int = 0
    per_domain: int | None = None
    domain_used: dict[str, int] = field(default_factory=dict)
    paused_domains: dict[str, float] = field(default_factory=dict)
    closed: tuple[Gate, str] | None = None
    # What changes while the forecast runs.
    limit: int = 0
    full_limit: int = field(init=False)  # where a ramp ends
    gap: float = 0.0
    day_ends: float = 0.0
    hour_ends: float = 0.0
    reserved: int = 0  # of today's limit, for follow-ups that are due before the day ends
    hits: dict[Gate, str] = field(default_factory=dict)  # limits it met on this day of the campaign

    def __post_init__(self) -> None:
        self.full_limit = self.limit_of(_LONG)

    @property
    def left(self) -> int:
        """What it may still send now: today, and within this hour."""
        today = self.limit - self.used
        return max(0, today if self.hourly is None else min(today, self.hourly - self.hour_used))

    @property
    def share_left(self) -> float:
        return (self.limit - self.used) / self.limit if self.limit else 0.0

    def rests_for(self, domain: str, moment: float) -> bool:
        """Whether it is paused for the provider of a domain."""
        return self.paused_domains.get(domain, 0.0) > moment

    def room_for(self, domain: str, moment: float) -> int:
        """What it may still send to a domain; ``""`` is one without a limit of its own."""
        if not domain:
            return self.left
        if self.rests_for(domain, moment):
            return 0
        if self.per_domain is None:
            return self.left
        return min(self.left, self.per_domain - self.domain_used.get(domain, 0))


@dataclass(slots=True, eq=False)
class Campaign:
    """new_per_day: first messages in one of its days, None: no limit. next_day: see :class:`Carrier`."""

    id: int
    name: str
    next_day: Callable[[float], float]
    new_per_day: int | None = None
    new_used: int = 0
    followups_first: bool = True
    day_ends: float = 0.0

    @property
    def new_left(self) -> float:
        return NEVER if self.new_per_day is None else max(0, self.new_per_day - self.new_used)


@dataclass(slots=True, eq=False)
class Step:
    """A task. carriers: ids of the services it may use. follow_ups: the steps that follow it, each with the
    part of its recipients (0 to 1) that they take in."""

    id: int
    name: str
    campaign: Campaign
    carriers: Sequence[int]
    follows: bool = False
    days: int = 0
    business_days: bool = False
    paused: bool = False
    follow_ups: list[tuple[Step, float]] = field(default_factory=list)
    taken: int = 0  # in the stretch of time that is looked at
    carry: float = 0.0  # part of a recipient that shares of those of the step before have come to

    @property
    def goes_first(self) -> bool:
        return self.follows and self.campaign.followups_first


@dataclass(slots=True, eq=False)
class Line:
    """Recipients of a step that are alike. keeps: the one service they must go out through, None: any."""

    number: int
    step: Step
    hours: Hours
    domain: str
    keeps: int | None
    ready: int = 0
    coming: dict[float, int] = field(default_factory=dict)  # due time -> how many
    at_start: int = 0  # of the stretch that is looked at
    taken: int = 0

    def due_before(self, moment: float) -> int:
        return sum(count for due, count in self.coming.items() if due < moment)


class World:
    """Everything that competes for the same services. grid: seconds to which times are rounded down."""

    def __init__(self, grid: float) -> None:
        self.grid = grid
        self.carriers: dict[int, Carrier] = {}
        self.campaigns: dict[int, Campaign] = {}
        self.steps: dict[int, Step] = {}
        self.lines: list[Line] = []
        self.ready: dict[int, Line] = {}  # by number: those with recipients who are due
        self.lost: Counter[tuple[int, Gate]] = Counter()  # (step, why) -> who will get nothing
        self._by_key: dict[tuple[int, Hours, str, int | None], Line] = {}
        self._heap: list[tuple[float, int]] = []

    def line(self, step: Step, hours: Hours, domain: str, keeps: int | None) -> Line:
        key = (step.id, hours, domain, keeps)
        found = self._by_key.get(key)
        if found is None:
            found = self._by_key[key] = Line(len(self.lines), step, hours, domain, keeps)
            self.lines.append(found)
        return found

    def add(self, line: Line, due: float, count: int) -> None:
        """So many more recipients that are due then."""
        due -= due % self.grid
        if due in line.coming:
            line.coming[due] += count
        elif count:
            line.coming[due] = count
            heapq.heappush(self._heap, (due, line.number))

    def hopeless(self, step: Step, keeps: int | None, domain: str) -> Gate | None:
        """Why recipients of a step at a domain will not go out as things stand; None where they may."""
        if step.paused:
            return Gate.TASK_STATE
        if keeps is not None and keeps not in step.carriers:
            return Gate.KEEPS_SERVICE
        carriers = [self.carriers[one] for one in (step.carriers if keeps is None else [keeps])]
        able = [carrier for carrier in carriers if carrier.closed is None]
        if any(carrier.paused_domains.get(domain) != NEVER for carrier in able):
            return None
        if able:
            return Gate.PROVIDER_PAUSED
        return next((carrier.closed[0] for carrier in carriers if carrier.closed), Gate.NO_SERVICE)

    def next_due(self) -> float:
        return self._heap[0][0] if self._heap else NEVER

    def ripen(self, moment: float) -> None:
        """Recipients that have come due are ready."""
        while self._heap and self._heap[0][0] <= moment:
            due, number = heapq.heappop(self._heap)
            line = self.lines[number]
            line.ready += line.coming.pop(due)
            self.ready[number] = line

    def take(self, line: Line, count: int) -> None:
        """So many of a line are not ready any more."""
        line.ready -= count
        if not line.ready:
            del self.ready[line.number]

    def waiting(self) -> int:
        return sum(line.ready + sum(line.coming.values()) for line in self.lines)
