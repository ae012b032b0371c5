"""Records that break one rule each, made of one that breaks none: what the checker must find.

Each deed takes the evidence of a month and yields it changed in one place. A deed that finds no place to
change raises StopIteration or IndexError: then the month was too tame to prove the checker. Imports nothing
of coldsend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from tests.acceptance.month.almanac import day_of, days_off, follow_up_due, is_open, local, opens, zone
from tests.acceptance.month.evidence import Carried, Evidence
from tests.acceptance.month.record import Message
from tests.acceptance.month.script import DAY, ENDS, HOUR, Kind, Person

Deed = Callable[[Evidence], Evidence]


@dataclass(frozen=True)
class Sabotage:
    """rule: of the checker, which must find it, with ``words`` in what it says."""

    rule: str
    deed: Deed
    words: str = ""


def deeds() -> dict[str, Sabotage]:
    """What is done -> how, and what must be found."""
    told: dict[str, tuple[str, Deed] | tuple[str, Deed, str]] = {
        "a step twice": ("once", _twice),
        "a step without the one before": ("order", _without_the_one_before),
        "to a stranger": ("known", partial(_changed, 1, to="stranger@elsewhere.example")),
        "to two people at once": ("known", partial(_changed, 2, copies=2)),
        "two messages under one Message-ID": ("known", _one_id),
        "a message of no step": ("known", partial(_changed, 1, step=0)),
        "another subject": ("thread", partial(_changed, 2, subject="Re: something else")),
        "a subject without Re:": ("thread", _without_re),
        "a first message that answers something": ("thread", partial(_changed, 1, in_reply_to="<x@y>")),
        "an answer to the first instead of the second": ("thread", _answers_the_first),
        "references the other way round": ("thread", _references_reversed),
        "through another service": ("same_service", _other_service),
        "the first template to most": ("rotation", _one_template),
        "an hour too early": ("delay", _too_early),
        "a day too early, for a holiday counted as a working day": ("delay", _holiday_counted),
        "before the window opens": ("window", partial(_at_hour, 8)),
        "after the window has closed": ("window", partial(_at_hour, 17)),
        "on a Saturday": ("window", _on_saturday),
        "on a holiday": ("window", _on_holiday),
        "an hour late in the night in which clocks are set forward": ("window", _after_the_night),
        "while somebody is away": ("absence", _while_away),
        "to a colleague of somebody who replied": ("ended", _to_colleague),
        "the third step to somebody who clicked": ("condition", _to_clicked),
        "one more than the day allows": ("limits", partial(_one_more, "day"), "day "),
        "one more than the ramp allows": ("limits", partial(_one_more, "ramp"), "day "),
        "one more than the hour allows": ("limits", partial(_one_more, "hour"), "hour "),
        "one more than the recipient's domain allows": ("limits", partial(_one_more, "domain"), "domain "),
        "one new recipient more than the day allows": ("limits", partial(_one_more, "new"), "new "),
        "too soon after another": ("throttle", _too_soon),
        "nothing by chance": ("throttle", _no_chance, "by chance"),
        "through a frozen service": ("frozen", _frozen),
        "a first message in place of a follow-up": ("follow_ups_first", _first_in_place),
        "a lost third step": ("complete", partial(_lost, 3)),
        "a lost second step": ("complete", partial(_lost, 2)),
        "a lost recipient": ("complete", _lost_recipient),
        "a follow-up two days late for nothing": ("complete", _late),
        "a first message days late for nothing": ("complete", _late_first),
        "a reply that was never handed in": ("carried_out", partial(_not_carried_out, Kind.REPLY)),
        "a click that was handed in too late": ("carried_out", partial(_not_in_time, Kind.CLICK)),
    }
    for kind in sorted(ENDS):
        told[f"to somebody after {kind.replace('_', ' ')}"] = ("ended", partial(_after_the_end, kind))
    return {what: Sabotage(*how) for what, how in told.items()}


def _with(evidence: Evidence, old: Message | None, *new: Message) -> Evidence:
    """One message replaced, removed or added."""
    return replace(evidence, messages=[*(one for one in evidence.messages if one is not old), *new])


def _copy(evidence: Evidence, message: Message, **values: object) -> Message:
    number = max(one.number for one in evidence.messages) + 1
    own = {"number": number, "message_id": f"<sabotage-{number}@sender.example>"}
    return replace(message, **{**own, **values})  # type: ignore[arg-type]


def _of_step(evidence: Evidence, step: int) -> Iterator[Message]:
    return (message for message in evidence.messages if message.step == step)


def _person(evidence: Evidence, message: Message) -> Person:
    return evidence.script.by_email[message.to]


def _middle(messages: Iterable[Message]) -> Message:
    found = list(messages)
    return found[len(found) // 2]


def _before(evidence: Evidence, message: Message) -> Message:
    found = evidence.first(message.to, message.step - 1)
    assert found is not None
    return found


def _is_open(evidence: Evidence, person: Person, moment: datetime) -> bool:
    return is_open(moment, person.place, evidence.script.window)


# what is sent


def _changed(of_step: int, evidence: Evidence, **values: object) -> Evidence:
    message = _middle(_of_step(evidence, of_step))
    return _with(evidence, message, replace(message, **values))  # type: ignore[arg-type]


def _twice(evidence: Evidence) -> Evidence:
    message = _middle(_of_step(evidence, 2))
    return _with(evidence, None, _copy(evidence, message, at=message.at + timedelta(minutes=5)))


def _without_the_one_before(evidence: Evidence) -> Evidence:
    return _with(evidence, _before(evidence, _middle(_of_step(evidence, 3))))


def _one_id(evidence: Evidence) -> Evidence:
    one, other = list(_of_step(evidence, 1))[:2]
    return _with(evidence, one, replace(one, message_id=other.message_id))


def _without_re(evidence: Evidence) -> Evidence:
    message = _middle(_of_step(evidence, 2))
    return _with(evidence, message, replace(message, subject=message.subject.removeprefix("Re: ")))


def _answers_the_first(evidence: Evidence) -> Evidence:
    message = _middle(_of_step(evidence, 3))
    return _with(evidence, message, replace(message, in_reply_to=message.references[0]))


def _references_reversed(evidence: Evidence) -> Evidence:
    message = _middle(_of_step(evidence, 3))
    return _with(evidence, message, replace(message, references=message.references[::-1]))


def _other_service(evidence: Evidence) -> Evidence:
    message = _middle(_of_step(evidence, 2))
    other = next(name for name in evidence.senders if name != message.sender)
    return _with(evidence, message, replace(message, sender=other))


def _one_template(evidence: Evidence) -> Evidence:
    return replace(
        evidence,
        messages=[
            replace(one, template=0) if one.step == 2 and one.number % 4 else one for one in evidence.messages
        ],
    )


# time


def _too_early(evidence: Evidence) -> Evidence:
    """An hour sooner, where it was sent soon after it was due, and within the window still."""
    for message in _of_step(evidence, 2):
        person, earlier = _person(evidence, message), message.at - HOUR
        due = follow_up_due(_before(evidence, message).at, evidence.steps[2], person.place)
        if earlier < due and _is_open(evidence, person, earlier):
            return _with(evidence, message, replace(message, at=earlier))
    raise IndexError


def _holiday_counted(evidence: Evidence) -> Evidence:
    """As if only weekends were no working days."""
    for message in _of_step(evidence, 2):
        person, before = _person(evidence, message), _before(evidence, message)
        plain = replace(person.place, holidays=None)
        naive = follow_up_due(before.at, evidence.steps[2], plain)
        proper = follow_up_due(before.at, evidence.steps[2], person.place)
        at = opens(naive, person.place, evidence.script.window)
        if at < proper:
            return _with(evidence, message, replace(message, at=at))
    raise IndexError


def _on(message: Message, person: Person, day: datetime, hour: int, minute: int = 30) -> Message:
    wall = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone(person.place.zone))
    return replace(message, at=wall.astimezone(UTC))


def _at_hour(hour: int, evidence: Evidence) -> Evidence:
    message = next(
        one for one in _of_step(evidence, 1) if local(one.at, _person(evidence, one).place.zone).weekday() < 5
    )
    person = _person(evidence, message)
    return _with(evidence, message, _on(message, person, local(message.at, person.place.zone), hour))


def _on_saturday(evidence: Evidence) -> Evidence:
    message = _middle(_of_step(evidence, 3))
    person = _person(evidence, message)
    here = local(message.at, person.place.zone)
    return _with(evidence, message, _on(message, person, here + (12 - here.weekday()) % 7 * DAY, 11))


def _on_holiday(evidence: Evidence) -> Evidence:
    """On a weekday within the month that is a holiday where the recipient is."""
    script = evidence.script
    for message in _of_step(evidence, 2):
        person = _person(evidence, message)
        if person.place.holidays is None:
            continue
        for day in sorted(days_off(person.place.holidays)):
            if script.begins.date() < day < script.ends.date() and day.weekday() < 5:
                moment = datetime(day.year, day.month, day.day)  # noqa: DTZ001
                return _with(evidence, message, _on(message, person, moment, 11))
    raise IndexError


def _after_the_night(evidence: Evidence) -> Evidence:
    """An engine that had not heard of summer time would send until four of its own clock."""
    message = next(
        one for one in _of_step(evidence, 1) if _person(evidence, one).place.zone == "America/New_York"
    )
    return _with(evidence, message, replace(message, at=datetime(2024, 3, 10, 8, 30, tzinfo=UTC)))


def _while_away(evidence: Evidence) -> Evidence:
    for email, absences in evidence.absences.items():
        for by, _last in absences:
            after = [one for step in (2, 3) if (one := evidence.first(email, step)) and one.at > by]
            if after:
                return _with(evidence, after[0], replace(after[0], at=by + timedelta(minutes=1)))
    raise IndexError


# what ends it


def _one_step_more(evidence: Evidence, email: str, since: datetime) -> Evidence | None:
    """The next step to somebody, a day later, properly otherwise; None where there is none."""
    got = [one for step in sorted(evidence.steps) if (one := evidence.first(email, step)) is not None]
    if not got or len(got) == len(evidence.steps) or got[-1].at > since:
        return None
    person = evidence.script.by_email[email]
    due = follow_up_due(got[-1].at, evidence.steps[len(got) + 1], person.place)
    at = opens(max(due, since + HOUR), person.place, evidence.script.window)
    thread = tuple(one.message_id for one in got)
    subject = f"Re: {got[0].subject}"
    values = {"step": len(got) + 1, "at": at, "subject": subject, "steady": got[-1].steady + 0.5}
    more = _copy(evidence, got[-1], in_reply_to=thread[-1], references=thread, **values)
    return _with(evidence, None, more)


def _after_the_end(kind: Kind, evidence: Evidence) -> Evidence:
    found = (_one_step_more(evidence, one.whom, one.by) for one in evidence.carried if one.what == kind)
    return next(one for one in found if one is not None)


def _to_colleague(evidence: Evidence) -> Evidence:
    """Somebody for whom only the reply of another has ended it."""
    for person in evidence.script.people:
        since = evidence.ended.get(person.domain)
        if since is not None and person.email not in evidence.ended:
            found = _one_step_more(evidence, person.email, since)
            if found is not None:
                return found
    raise IndexError


def _to_clicked(evidence: Evidence) -> Evidence:
    for email, since in evidence.clicks.items():
        waits = evidence.first(email, 2) is not None and evidence.first(email, 3) is None
        if waits and evidence.ends_for(evidence.script.by_email[email]) is None:
            found = _one_step_more(evidence, email, since)
            if found is not None:
                return found
    raise IndexError


# limits


def _one_more(what: str, evidence: Evidence) -> Evidence:
    """Another message where a limit is used up."""
    for key, times in evidence.times.items():
        if (key[0] if what == "new" else key[1]) != ("day" if what == "ramp" else what):
            continue
        sender = evidence.senders.get(str(key[0]))
        if what == "new":
            limit = evidence.script.new_per_day
        else:
            assert sender is not None
            allowed = evidence.limits.get((sender.name, key[2]), 0)  # type: ignore[arg-type]
            ramps = allowed < sender.daily_quota
            of_day = allowed if ramps == (what == "ramp") else None
            limit = {"hour": sender.hourly_quota, "domain": sender.domain_quota}.get(what, of_day)
        if limit is not None and len(times) == limit:
            message = next(
                one
                for one in evidence.messages
                if one.at == times[-1] and (sender is None or one.sender == sender.name)
            )
            return _with(evidence, None, _copy(evidence, message))
    raise IndexError


def _too_soon(evidence: Evidence) -> Evidence:
    name = next(sender.name for sender in evidence.script.senders if sender.throttle)
    first, second = sorted(evidence.by_sender[name], key=lambda one: one.steady)[10:12]
    return _with(evidence, second, replace(second, steady=first.steady + 0.005))


def _no_chance(evidence: Evidence) -> Evidence:
    """The throttle kept to the millisecond, and nothing added."""
    sender = next(sender for sender in evidence.script.senders if sender.jitter)
    steady = {
        message.number: place * (sender.throttle + 0.002)
        for place, message in enumerate(evidence.by_sender[sender.name])
    }
    return replace(
        evidence,
        messages=[replace(one, steady=steady.get(one.number, one.steady)) for one in evidence.messages],
    )


def _frozen(evidence: Evidence) -> Evidence:
    name, [(since, _until)] = next(iter(evidence.frozen.items()))
    message = next(one for one in evidence.by_sender[name] if one.at > since)
    return _with(evidence, message, replace(message, at=since + HOUR))


# precedence, and that nobody is forgotten


def _first_in_place(evidence: Evidence) -> Evidence:
    """A follow-up of a day on which its service was short changes places with a later first message."""
    for sender in evidence.script.senders:
        messages = evidence.by_sender[sender.name]
        for message in messages:
            day = day_of(message.at, sender.zone)
            if message.step == 1 or len(evidence.times[sender.name, "day", day]) < evidence.limit(
                sender, day
            ):
                continue
            if sender.domain_quota is not None or sender.hourly_quota is not None:
                continue
            for later in messages:
                if later.step == 1 and day_of(later.at, sender.zone) > day:
                    kept = [one for one in evidence.messages if one not in (message, later)]
                    swapped = [replace(message, at=later.at), replace(later, at=message.at)]
                    return replace(evidence, messages=[*kept, *swapped])
    raise IndexError


def _unhindered(evidence: Evidence) -> Iterator[Person]:
    """Those for whom nothing has ended it, and who did not click."""
    for person in evidence.script.people:
        if not person.happenings and evidence.ends_for(person) is None and evidence.first(person.email, 3):
            yield person


def _lost(step: int, evidence: Evidence) -> Evidence:
    person = next(_unhindered(evidence))
    lost = [evidence.first(person.email, number) for number in evidence.steps if number >= step]
    return replace(evidence, messages=[one for one in evidence.messages if one not in lost])


def _lost_recipient(evidence: Evidence) -> Evidence:
    person = next(_unhindered(evidence))
    return replace(evidence, messages=[one for one in evidence.messages if one.to != person.email])


def _late(evidence: Evidence) -> Evidence:
    """On the last days, when the services are no longer short of anything."""
    thirds = [one for person in _unhindered(evidence) if (one := evidence.first(person.email, 3))]
    message = max(thirds, key=lambda one: one.at)
    return _with(evidence, message, replace(message, at=message.at + 2 * DAY))


def _late_first(evidence: Evidence) -> Evidence:
    """The last first message, and what follows it, after the end of all others."""
    message = max(_of_step(evidence, 1), key=lambda one: one.at)
    moved = [replace(one, at=one.at + 4 * DAY) for one in evidence.messages if one.to == message.to]
    return replace(evidence, messages=[*(one for one in evidence.messages if one.to != message.to), *moved])


# the script


def _not_carried_out(kind: Kind, evidence: Evidence) -> Evidence:
    gone = next(one for one in evidence.carried if one.what == kind)
    return replace(evidence, carried=[one for one in evidence.carried if one is not gone])


def _not_in_time(kind: Kind, evidence: Evidence) -> Evidence:
    def later(one: Carried) -> Carried:
        return replace(one, at=one.at + HOUR, by=one.by + HOUR)

    late = next(one for one in evidence.carried if one.what == kind)
    return replace(evidence, carried=[later(one) if one is late else one for one in evidence.carried])
