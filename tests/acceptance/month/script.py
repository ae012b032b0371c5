"""The scripted inputs of a month: recipients, services, steps, what comes back and what the operator does.

Everything is decided by a seed before the first message goes out; what comes back is told relative to the
message it answers ("two days after step 2"). Imports nothing of coldsend.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Kind(StrEnum):
    """What comes back, or is done, about one recipient."""

    REPLY = "reply"
    UNSUBSCRIBE_REPLY = "unsubscribe_reply"  # a reply that asks for it in words
    AUTO_REPLY = "auto_reply"
    BOUNCE = "bounce"
    SOFT_BOUNCE = "soft_bounce"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"  # by the button of a mail program
    CLICK = "click"
    SCANNER = "scanner"  # a click of a machine, which means nothing
    STOP = "stop"  # by an operator


# After these the recipient gets nothing more.
ENDS = frozenset(
    {
        Kind.REPLY,
        Kind.UNSUBSCRIBE_REPLY,
        Kind.BOUNCE,
        Kind.SOFT_BOUNCE,
        Kind.COMPLAINT,
        Kind.UNSUBSCRIBE,
        Kind.STOP,
    }
)
REPLIES = frozenset({Kind.REPLY, Kind.UNSUBSCRIBE_REPLY})

FREE_MAIL = ("gmail.com", "web.de")
WORDS = (
    "Yes, please call me on Thursday.",
    "Thanks, but we have no need for that.",
    "What does it cost?",
    "Bitte rufen Sie mich naechste Woche an.",
    "Merci, cela nous interesse beaucoup.",
    "My colleague Eve decides about such things.",
    "Not now, maybe in autumn.",
)
UNSUBSCRIBE_WORDS = ("Please remove me from your list.", "Unsubscribe me, please.")


@dataclass(frozen=True)
class Place:
    """Where recipients live. zone: what holds for them. time_zone, country: what the import says of it.

    holidays: ISO code of the country whose holidays they keep; None: it is not known.
    """

    zone: str
    time_zone: str = ""
    country: str = ""
    holidays: str | None = None


CAMPAIGN_ZONE = "Europe/Berlin"
PLACES = (
    Place("Pacific/Auckland", country="NZ", holidays="NZ"),
    Place("Australia/Sydney", time_zone="Australia/Sydney", country="Australia", holidays="AU"),
    Place("Asia/Tokyo", country="Japan", holidays="JP"),
    Place("Asia/Kolkata", country="IND", holidays="IN"),
    Place("Europe/Berlin", time_zone="Europe/Berlin", country="Germany", holidays="DE"),
    Place("Europe/London", time_zone="Europe/London"),
    Place("America/New_York", country="US", holidays="US"),
    Place("America/Los_Angeles", time_zone="America/Los_Angeles", country="USA", holidays="US"),
    Place(CAMPAIGN_ZONE),  # of these nothing is known: the campaign's zone holds
)


@dataclass(frozen=True)
class Happening:
    """Something that comes back ``after`` the acceptance of the message of ``step``.

    away: days that somebody is away from then on.
    """

    kind: Kind
    step: int
    after: timedelta
    words: str = ""
    away: int = 0


@dataclass(frozen=True)
class Person:
    """A recipient.

    refused: the server refuses the address for good. greylisted: only the first time. wave: the import they
    come with.
    """

    number: int
    email: str
    nickname: str
    place: Place
    happenings: tuple[Happening, ...] = ()
    refused: bool = False
    greylisted: bool = False
    wave: int = 0

    @property
    def domain(self) -> str:
        return self.email.rpartition("@")[2]

    @property
    def free_mail(self) -> bool:
        return self.domain in FREE_MAIL


@dataclass(frozen=True)
class Sender:
    """A sender service and its limits, as the operator sets them. zone: of its quota day."""

    name: str
    daily_quota: int
    ramp: tuple[int, int]  # start, step
    zone: str = "UTC"
    throttle: float = 0.0
    jitter: float = 0.0
    hourly_quota: int | None = None
    domain_quota: int | None = None

    @property
    def address(self) -> str:
        return f"{self.name}@sender.example"


@dataclass(frozen=True)
class Step:
    """A task. subjects: of its templates, with NAME for the recipient's; days: after the step before."""

    number: int
    name: str
    subjects: tuple[str, ...]
    days: int = 0
    business_days: bool = False
    unless_clicked: bool = False

    def marker(self, template: int) -> str:
        """Stands in every body, so that a message tells which step and template of it it is."""
        return f"[step-{self.number}-{template}]"


@dataclass(frozen=True)
class Hours:
    """An entry of the send window: weekdays (0 is Monday), from and to in hours of the recipient's day."""

    weekdays: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Deed:
    """What the operator does at a moment: "freeze" or "thaw" a service, "stop" a domain, "add" a wave."""

    at: datetime
    what: str
    whom: str


@dataclass(frozen=True)
class Script:
    """See the module. begins: when the campaign is started. ends: by when all must be over.

    quiet: stretches in which nothing comes back and the operator does nothing. mail: hours (UTC), one a day,
    at which what has come back since is delivered, and minutes past them. plans: when `campaign plan` is
    asked. plan_days: of how many days; 0: to the end. workers: sender processes.
    """

    seed: int
    begins: datetime
    ends: datetime
    people: tuple[Person, ...]
    senders: tuple[Sender, ...]
    steps: tuple[Step, ...]
    window: tuple[Hours, ...]
    new_per_day: int | None
    deeds: tuple[Deed, ...] = ()
    quiet: tuple[tuple[datetime, datetime], ...] = ()
    plans: tuple[datetime, ...] = ()
    plan_days: int = 0
    mail: tuple[int, ...] = (2, 12, 19)
    mail_minute: int = 38
    zone: str = CAMPAIGN_ZONE
    workers: int = 2
    by_email: dict[str, Person] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        self.by_email.update({person.email: person for person in self.people})

    def wave(self, number: int) -> tuple[Person, ...]:
        """Who is imported together: 0 before the campaign begins, the others by deeds."""
        return tuple(person for person in self.people if person.wave == number)

    def moments(self) -> list[datetime]:
        """When what has come back is delivered."""
        found = []
        day = self.begins.astimezone(UTC).date()
        while day <= self.ends.astimezone(UTC).date():
            hour = self.mail[day.toordinal() % len(self.mail)]
            moment = datetime.combine(day, time(hour, self.mail_minute), UTC)
            if moment > self.begins and not self.is_quiet(moment):
                found.append(moment)
            day += DAY
        return found

    def is_quiet(self, moment: datetime) -> bool:
        return any(start <= moment < end for start, end in self.quiet)

    def delivered_at(self, accepted: datetime, happening: Happening) -> datetime | None:
        """When a happening is delivered whose message was accepted at that time; None: after the end."""
        moments = self.moments()
        place = bisect_left(moments, accepted + happening.after)
        return moments[place] if place < len(moments) else None

    def away_until(self, delivered: datetime, happening: Happening) -> date:
        """The last day on which somebody is away whose automatic reply is delivered then."""
        return delivered.date() + timedelta(days=happening.away)


OFFICE = Hours((0, 1, 2, 3, 4), 9, 17)
SUNDAY_NIGHT = Hours((6,), 1, 4)  # in which clocks are changed, on three Sundays of this month

# Parts of the recipients. Between the steps of the second lies a holiday of Japan, between those of the third
# Easter, and the night in which clocks are set back in Australia and New Zealand.
WAVES = (0.4, 0.35, 0.25)

STEPS = (
    Step(1, "intro", ("A word for NAME", "NAME, one question", "Hello NAME")),
    Step(2, "second", ("not used", "nor this one"), days=3, business_days=True),
    Step(3, "third", ("not used either",), days=4, unless_clicked=True),
)


def month(people: int = 2000, seed: int = 5) -> Script:
    """From Monday 4 March 2024 on: clocks change in the US, in Europe and in Australia, and Easter comes.

    In the past, because mail servers do not believe that mail has come in the future. With fewer people the
    services have less to give, and new recipients are not limited: services are short of quota all the time.
    The last of them come in a day earlier: on a holiday of India, and their last step is due at Easter.
    """
    chance = random.Random(seed)
    begins = _utc(3, 3, 18)
    senders = (
        Sender("alpha", 85, (25, 15), zone="Europe/Berlin"),
        Sender("beta", 45, (12, 8), zone="America/New_York", throttle=0.03, jitter=0.04),
        Sender("gamma", 75, (25, 12), hourly_quota=30),
        Sender("delta", 75, (25, 12), zone="Asia/Tokyo", domain_quota=2),
        Sender("epsilon", 85, (20, 15), domain_quota=4, hourly_quota=50),
    )
    return Script(
        seed=seed,
        begins=begins,
        ends=begins + timedelta(days=46),
        people=tuple(_people(chance, people)),
        senders=tuple(_scaled(sender, people / 2000) for sender in senders),
        steps=STEPS,
        window=(OFFICE, SUNDAY_NIGHT),
        new_per_day=150 if people >= 2000 else None,
        deeds=(
            Deed(_utc(3, 10, 20, 20), "freeze", "gamma"),
            Deed(_utc(3, 11, 12, 50), "stop", "c0100.example"),
            Deed(_utc(3, 13, 6, 50), "thaw", "gamma"),
            Deed(_utc(3, 13, 18, 10), "add", "1"),
            Deed(_utc(3, 21, 12, 50), "stop", "c0200.example"),
            Deed(_utc(3, 25 if people >= 2000 else 24, 18, 10), "add", "2"),
        ),
        quiet=(
            (begins, _utc(3, 6, 18)),
            (_utc(3, 18, 18), _utc(3, 21, 1)),
            (_utc(3, 26, 18), _utc(3, 29, 1)),
        ),
        plans=(_utc(3, 3, 18, 30), _utc(3, 18, 18, 30), _utc(3, 26, 18, 30)),
        plan_days=4,
    )


def undisturbed(people: int = 100, seed: int = 6) -> Script:
    """The same in small, of which nothing comes back: what a plan can foresee to its end.

    The ramp limits the first day, the number of new recipients those after it. Which service carries whom
    where several have quota left is decided by fractions of a second, and no plan can tell: so no service
    ever has less quota than its follow-ups need. Nor can it tell which of two senders is ahead: there is one.
    """
    chance = random.Random(seed)
    begins = _utc(3, 3, 18)
    found = [
        replace(one, happenings=(), refused=False, greylisted=False, wave=0)
        for one in _people(chance, people)
    ]
    return Script(
        seed=seed,
        begins=begins,
        ends=begins + timedelta(days=46),
        people=tuple(found),
        senders=(
            Sender("alpha", 30, (3, 4), zone="Europe/Berlin"),
            Sender("beta", 30, (2, 4), zone="America/New_York", throttle=0.03, jitter=0.04),
            Sender("gamma", 30, (2, 4), hourly_quota=8),
            Sender("delta", 30, (2, 4), zone="Asia/Tokyo", domain_quota=3),
            Sender("epsilon", 30, (2, 4), throttle=0.02),
        ),
        steps=STEPS,
        window=(OFFICE,),
        new_per_day=16,
        quiet=((begins, begins + timedelta(days=60)),),
        plans=(_utc(3, 3, 18, 30), _utc(3, 7, 3), _utc(3, 13, 3)),
        workers=1,
    )


def _scaled(sender: Sender, part: float) -> Sender:
    """The limits of a service for so small a part of the recipients; of a domain there are no parts."""
    start, step = sender.ramp
    hourly = sender.hourly_quota
    return replace(
        sender,
        daily_quota=max(1, round(sender.daily_quota * part)),
        ramp=(max(1, round(start * part)), max(1, round(step * part))),
        hourly_quota=max(1, round(hourly * part)) if hourly is not None else None,
    )


def _utc(month: int, day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2024, month, day, hour, minute, tzinfo=UTC)


def _people(chance: random.Random, count: int) -> list[Person]:
    """One after another, colleagues in a row; one in nine has a mailbox of a free provider."""
    found: list[Person] = []
    company = 0
    while len(found) < count:
        if chance.random() < 0.2:
            found.append(_person(chance, len(found), chance.choice(FREE_MAIL)))
            continue
        company += 1
        for _ in range(min(chance.choice((1, 1, 1, 2, 2, 3, 4)), count - len(found))):
            found.append(_person(chance, len(found), f"c{company:04}.example"))
    return found


def _person(chance: random.Random, number: int, domain: str) -> Person:
    fate = chance.random()
    happenings: tuple[Happening, ...] = ()
    if fate >= 0.05:
        happenings = tuple(_happenings(chance))
    return Person(
        number,
        f"p{number:05}@{domain}",
        f"Person{number}",
        chance.choice(PLACES),
        happenings,
        refused=fate < 0.02,
        greylisted=0.02 <= fate < 0.05,
        wave=chance.choices((0, 1, 2), WAVES)[0],
    )


def _happenings(chance: random.Random) -> list[Happening]:
    """What comes back of one recipient: of most nothing, of some two things."""
    found = []
    step, after = chance.choice((1, 1, 1, 2, 2, 3)), timedelta(hours=chance.uniform(0.3, 70))
    drawn = chance.random()
    if drawn < 0.07:
        found.append(Happening(Kind.REPLY, step, after, words=chance.choice(WORDS)))
    elif drawn < 0.085:
        found.append(Happening(Kind.UNSUBSCRIBE_REPLY, step, after, words=chance.choice(UNSUBSCRIBE_WORDS)))
    elif drawn < 0.135:
        found.append(Happening(Kind.AUTO_REPLY, step, timedelta(hours=0.3), away=chance.randint(1, 9)))
        if chance.random() < 0.4:
            found.append(Happening(Kind.REPLY, min(3, step + 1), after, words=chance.choice(WORDS)))
    elif drawn < 0.155:
        found.append(Happening(Kind.BOUNCE, step, after))
    elif drawn < 0.17:
        found.append(Happening(Kind.SOFT_BOUNCE, step, after))
    elif drawn < 0.175:
        found.append(Happening(Kind.COMPLAINT, step, after))
    elif drawn < 0.205:
        found.append(Happening(Kind.UNSUBSCRIBE, step, after))
    elif drawn < 0.255:
        found.append(Happening(Kind.CLICK, min(step, 2), after))
    elif drawn < 0.285:
        found.append(Happening(Kind.SCANNER, min(step, 2), after))
    elif drawn < 0.295:
        found.append(Happening(Kind.STOP, step, after))
    return found
