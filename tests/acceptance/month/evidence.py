"""What a month left behind, arranged for the checker: the record, the script, and when what was carried out.

``carried`` are the scripted inputs with the time at which each was handed in (``at``) and from which on the
engine knew of it (``by``); ``stands`` are the stretches in which the clock went on in real time: nothing can
be sent in between. Imports nothing of coldsend.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

from tests.acceptance.month.almanac import day_of, hour_of, is_open
from tests.acceptance.month.record import Message
from tests.acceptance.month.script import ENDS, REPLIES, Kind, Person, Place, Script, Sender, Step

Key = tuple[object, ...]

UNDER_WAY = timedelta(seconds=2)  # a message that was being sent when something became known still arrives
_LAST_CALL = timedelta(seconds=10)  # before a window closes nothing new is begun


@dataclass(frozen=True)
class Carried:
    """A scripted input as it was carried out: handed in at ``at``, known to the engine by ``by``.

    what: a Kind, or what a Deed does. whom: an address, a domain or a service. step: of the message that it
    is about; 0 for deeds.
    """

    what: str
    whom: str
    step: int
    at: datetime
    by: datetime


@dataclass(frozen=True)
class Stand:
    """The clock went on in real time from ``begins`` to ``ends``."""

    begins: datetime
    ends: datetime


@dataclass(frozen=True, eq=False)
class Evidence:
    """See the module."""

    script: Script
    messages: Sequence[Message]
    carried: Sequence[Carried]
    stands: Sequence[Stand]

    # people

    @cached_property
    def sent(self) -> dict[str, dict[int, list[Message]]]:
        """address -> step -> messages, in order."""
        found: dict[str, dict[int, list[Message]]] = defaultdict(lambda: defaultdict(list))
        for message in sorted(self.messages, key=lambda one: one.at):
            found[message.to][message.step].append(message)
        return found

    def first(self, email: str, step: int) -> Message | None:
        """The (first) message of a step to an address."""
        of_step = self.sent[email].get(step) if email in self.sent else None
        return of_step[0] if of_step else None

    @cached_property
    def ended(self) -> dict[str, datetime]:
        """address or domain -> from when on it gets nothing more."""
        found: dict[str, datetime] = {}

        def end(key: str, by: datetime) -> None:
            found[key] = min(by, found.get(key, by))

        for one in self.carried:
            person = self.script.by_email.get(one.whom)
            if one.what == "stop" and person is None:
                end(one.whom, one.by)
            elif person is not None and one.what in ENDS:
                end(person.email, one.by)
                if one.what in REPLIES and not person.free_mail:
                    end(person.domain, one.by)
        return found

    def ends_for(self, person: Person) -> datetime | None:
        """From when on somebody gets nothing more; None: nothing has ended it."""
        found = [self.ended[key] for key in (person.email, person.domain) if key in self.ended]
        return min(found, default=None)

    @cached_property
    def clicks(self) -> dict[str, datetime]:
        """address -> when a person's first click was known. Those of machines mean nothing."""
        found: dict[str, datetime] = {}
        for one in self.carried:
            if one.what == Kind.CLICK:
                found[one.whom] = min(one.by, found.get(one.whom, one.by))
        return found

    @cached_property
    def absences(self) -> dict[str, list[tuple[datetime, date]]]:
        """address -> (from when on it is known, the last day)."""
        found: dict[str, list[tuple[datetime, date]]] = defaultdict(list)
        for one in self.carried:
            if one.what == Kind.AUTO_REPLY:
                [happening] = [
                    each
                    for each in self.script.by_email[one.whom].happenings
                    if each.kind == Kind.AUTO_REPLY and each.step == one.step
                ]
                found[one.whom].append((one.by, self.script.away_until(one.at, happening)))
        return found

    def is_away(self, person: Person, moment: datetime) -> bool:
        """Whether somebody is known to be away, by the day where they are."""
        return any(
            by + UNDER_WAY <= moment and day_of(moment, person.place.zone) <= last
            for by, last in self.absences.get(person.email, ())
        )

    def came(self, person: Person) -> datetime:
        """When somebody was on the send list."""
        added = [one.by for one in self.carried if one.what == "add" and one.whom == str(person.wave)]
        return added[0] if added else self.script.begins

    # services

    @cached_property
    def by_sender(self) -> dict[str, list[Message]]:
        found: dict[str, list[Message]] = {sender.name: [] for sender in self.script.senders}
        for message in sorted(self.messages, key=lambda one: one.at):
            found.setdefault(message.sender, []).append(message)
        return found

    @cached_property
    def frozen(self) -> dict[str, list[tuple[datetime, datetime]]]:
        """service -> stretches in which it is frozen, from when it was known to when it was being lifted."""
        found: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
        for one in self.carried:
            if one.what == "freeze":
                found[one.whom].append((one.by, datetime.max.replace(tzinfo=UTC)))
            elif one.what == "thaw":
                begun = found[one.whom].pop()[0]
                found[one.whom].append((begun, one.at))
        return found

    @cached_property
    def limits(self) -> dict[tuple[str, date], int]:
        """(service, its day) -> messages at most, after the ramp, on each day on which it sent something."""
        found = {}
        for sender in self.script.senders:
            days = sorted({day_of(message.at, sender.zone) for message in self.by_sender[sender.name]})
            for number, day in enumerate(days):
                start, step = sender.ramp
                found[sender.name, day] = min(sender.daily_quota, start + step * number)
        return found

    def limit(self, sender: Sender, day: date) -> int:
        """Messages at most on any day."""
        known = self.limits.get((sender.name, day))
        if known is not None:
            return known
        earlier = sum(1 for name, one in self.limits if name == sender.name and one < day)
        return min(sender.daily_quota, sender.ramp[0] + sender.ramp[1] * earlier)

    @cached_property
    def times(self) -> dict[Key, list[datetime]]:
        """When messages were taken, in order: by (service, "day", day), (.., "hour", hour), (.., "domain",
        day, domain), and first ones by ("new", day)."""
        zones = {sender.name: sender.zone for sender in self.script.senders}
        found: dict[Key, list[datetime]] = defaultdict(list)
        for message in sorted(self.messages, key=lambda one: one.at):
            if message.sender not in zones:
                continue
            day = day_of(message.at, zones[message.sender])
            found[message.sender, "day", day].append(message.at)
            found[message.sender, "hour", hour_of(message.at)].append(message.at)
            found[message.sender, "domain", day, message.to.rpartition("@")[2]].append(message.at)
            if message.step == 1:
                found["new", day_of(message.at, self.script.zone)].append(message.at)
        return found

    def used(self, place: int, *key: object) -> int:
        """How many messages of a key had been taken by the end of a stand."""
        return bisect_right(self.times.get(key, ()), self.stands[place].ends)

    @cached_property
    def open_places(self) -> list[frozenset[Place]]:
        """For each stand, the places whose recipients may be written to all the time, and a little longer."""
        places = {person.place for person in self.script.people}
        window = self.script.window
        return [
            frozenset(
                place
                for place in places
                if is_open(stand.begins, place, window) and is_open(stand.ends + _LAST_CALL, place, window)
            )
            for stand in self.stands
        ]

    def stand_after(self, moment: datetime) -> int:
        """The place of the first stand that begins after a moment."""
        return bisect_left(self._begins, moment)

    @cached_property
    def _begins(self) -> list[datetime]:
        return [stand.begins for stand in self.stands]

    @cached_property
    def senders(self) -> dict[str, Sender]:
        return {sender.name: sender for sender in self.script.senders}

    @cached_property
    def steps(self) -> dict[int, Step]:
        return {step.number: step for step in self.script.steps}
