"""Who waited for which step, from when to when, and whether anything kept it from going out meanwhile.

Imports nothing of coldsend.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property, lru_cache

from tests.acceptance.month.almanac import day_of, follow_up_due, hour_of, opens
from tests.acceptance.month.evidence import Evidence
from tests.acceptance.month.script import Person, Sender

_TWO_DAYS = timedelta(days=2)


@dataclass(frozen=True, eq=False)
class Wait:
    """Somebody waited for a step ``since`` it was due.

    sender: the service that carried the message before; None: of a first message, which any may carry. sent:
    when it went out; None: never. kept: from when on it was kept from them for good; None: it was not.
    """

    evidence: Evidence
    person: Person
    step: int
    since: datetime
    sender: Sender | None
    sent: datetime | None
    kept: datetime | None

    @property
    def until(self) -> datetime | None:
        """Until when they waited; None: for ever."""
        return self.sent if self.sent is not None else self.kept

    @cached_property
    def opens(self) -> datetime:
        """When their window opened for it first."""
        return opens(self.since, self.person.place, self.evidence.script.window)

    @property
    def fate(self) -> str:
        return (
            f"went at {self.sent:%F %T}" if self.sent is not None else f"was kept back at {self.kept:%F %T}"
        )

    def has_gone_on(self, day: date) -> bool:
        """Whether it went out on this day of its service."""
        return (
            self.sender is not None and self.sent is not None and day_of(self.sent, self.sender.zone) == day
        )

    def stands(self) -> Iterator[int]:
        """Places of the stands at which it was due, in the recipient's window, and had not gone."""
        evidence = self.evidence
        for place in range(evidence.stand_after(self.since), len(evidence.stands)):
            stand = evidence.stands[place]
            if self.until is not None and stand.ends >= self.until:
                return
            is_open = self.person.place in evidence.open_places[place]
            if is_open and not evidence.is_away(self.person, stand.begins):
                yield place

    def may_use(self, place: int, sender: Sender, *, but_quota: bool = False) -> bool:
        """Whether a service had something left for it after a stand. but_quota: leaving its day's aside."""
        if not waits(self.evidence).has_room(place, sender, first=self.sender is None, but_quota=but_quota):
            return False
        if sender.domain_quota is None:
            return True
        day = day_of(self.evidence.stands[place].begins, sender.zone)
        sent = self.evidence.used(place, sender.name, "domain", day, self.person.domain)
        return sent < sender.domain_quota

    def is_new_allowed(self, place: int) -> bool:
        """Whether the campaign might write to somebody new after a stand; True of follow-ups."""
        limit = self.evidence.script.new_per_day
        if self.step > 1 or limit is None:
            return True
        day = day_of(self.evidence.stands[place].begins, self.evidence.script.zone)
        return self.evidence.used(place, "new", day) < limit


class Waits:
    """Every step that somebody waited for."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.all = [
            wait for person in evidence.script.people if not person.refused for wait in self._of(person)
        ]
        self._kept: dict[tuple[int, str], int] = {}
        self._rooms: dict[tuple[int, str, bool, bool], bool] = {}
        self._follow_ups: dict[str, list[Wait]] = {}
        for wait in self.all:
            if wait.sender is not None:
                self._follow_ups.setdefault(wait.sender.name, []).append(wait)

    def _of(self, person: Person) -> Iterator[Wait]:
        evidence = self.evidence
        since, sender = evidence.came(person), None
        for number, step in sorted(evidence.steps.items()):
            if number > 1:
                before = evidence.first(person.email, number - 1)
                if before is None or before.sender not in evidence.senders:
                    return
                since = follow_up_due(before.at, step, person.place)
                sender = evidence.senders[before.sender]
            message = evidence.first(person.email, number)
            ends = [evidence.ends_for(person)]
            if step.unless_clicked:
                ends.append(evidence.clicks.get(person.email))
            kept = min((end for end in ends if end is not None), default=None)
            yield Wait(
                evidence, person, number, since, sender, message.at if message is not None else None, kept
            )

    def has_room(self, place: int, sender: Sender, *, first: bool, but_quota: bool) -> bool:
        """Whether a service had something left after a stand, whoever it is for: of its day, and its hour.

        first: for first messages. but_quota: leaving its day's quota aside.
        """
        key = (place, sender.name, first, but_quota)
        if key not in self._rooms:
            self._rooms[key] = self._has_room(place, sender, first, but_quota)
        return self._rooms[key]

    def _has_room(self, place: int, sender: Sender, first: bool, but_quota: bool) -> bool:
        evidence, stand = self.evidence, self.evidence.stands[place]
        day, hour = day_of(stand.begins, sender.zone), hour_of(stand.begins)
        if day_of(stand.ends, sender.zone) != day or hour_of(stand.ends) != hour:
            return False
        if any(since < stand.ends and stand.begins < to for since, to in evidence.frozen[sender.name]):
            return False
        sent = evidence.used(place, sender.name, "hour", hour)
        if sender.hourly_quota is not None and sent >= sender.hourly_quota:
            return False
        left = evidence.limit(sender, day) - evidence.used(place, sender.name, "day", day)
        if left > 0 and first:
            left -= self.kept_for_follow_ups(place, sender, day)
        return but_quota or left > 0

    def kept_for_follow_ups(self, place: int, sender: Sender, day: date) -> int:
        """Follow-ups that wait for a service after a stand and are due until the end of its day."""
        key = (place, sender.name)
        if key not in self._kept:
            ends = self.evidence.stands[place].ends
            self._kept[key] = sum(
                1
                for wait in self._follow_ups.get(sender.name, ())
                if (wait.until is None or wait.until > ends)
                and wait.since < ends + _TWO_DAYS
                and day_of(wait.opens, sender.zone) <= day
            )
        return self._kept[key]


@lru_cache(maxsize=4)
def waits(evidence: Evidence) -> Waits:
    return Waits(evidence)
