"""The rules of a campaign whose steps follow each other, held against the SMTP server's record.

Each rule is a function that yields a sentence for every violation it finds; :func:`violations` asks them all.
Nothing is asked of the engine, its database or its code: a rule is worked out anew from the script, and from
when what was scripted was carried out. Imports nothing of coldsend.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from tests.acceptance.month.almanac import day_of, follow_up_due, is_open, local
from tests.acceptance.month.evidence import UNDER_WAY, Evidence
from tests.acceptance.month.record import Message
from tests.acceptance.month.script import Person
from tests.acceptance.month.waiting import waits

Rule = Callable[[Evidence], Iterator[str]]

# A time of the record is read before the answer, with which a gap begins: it can only seem longer.
GAP_SLACK = 0.001
UNEVEN = 0.1  # part of what a template should have
JITTERED = 100  # so many gaps say something about chance
PUNCTUAL = timedelta(minutes=1)  # a scripted moment is met within this
QUICK = timedelta(minutes=2)  # what comes back is known within this


def violations(evidence: Evidence, *only: str) -> list[str]:
    """Everything that breaks a rule, each as "rule: what". only: of these rules, else of all."""
    return [f"{name}: {what}" for name in only or RULES for what in RULES[name](evidence)]


def _shown(message: Message) -> str:
    what = f"message {message.number}, step {message.step} to {message.to}"
    return f"{what} by {message.sender} at {message.at:%F %T}"


def _people(evidence: Evidence) -> Iterator[tuple[Person, dict[int, list[Message]]]]:
    """Everybody, with what they got."""
    for person in evidence.script.people:
        yield person, evidence.sent.get(person.email, {})


# what is sent


def known(evidence: Evidence) -> Iterator[str]:
    """Each message goes to one recipient, from a service and of a step of the script, with an own id."""
    ids = Counter(message.message_id for message in evidence.messages)
    for message in evidence.messages:
        person = evidence.script.by_email.get(message.to)
        if person is None or person.refused:
            yield f"{_shown(message)} went to nobody who takes mail"
        elif message.copies != 1:
            yield f"{_shown(message)} has {message.copies} recipients"
        elif message.step not in evidence.steps:
            yield f"{_shown(message)} is no step"
        elif message.sender not in evidence.senders:
            yield f"{_shown(message)} comes from no service"
        elif not message.message_id or ids[message.message_id] > 1:
            yield f"{_shown(message)} has no Message-ID of its own"


def once(evidence: Evidence) -> Iterator[str]:
    """Nobody gets a step twice."""
    for person, steps in _people(evidence):
        for step, messages in steps.items():
            if len(messages) > 1:
                yield f"{person.email} got step {step} {len(messages)} times"


def order(evidence: Evidence) -> Iterator[str]:
    """Nobody gets a step before or without the one that it follows."""
    for person, steps in _people(evidence):
        for step, messages in steps.items():
            before = evidence.first(person.email, step - 1)
            if step > 1 and (before is None or before.at > messages[0].at):
                yield f"{person.email} got step {step} without the one before"


# threads


def thread(evidence: Evidence) -> Iterator[str]:
    """A follow-up answers the messages before it, under the subject of the first."""
    for person, steps in _people(evidence):
        first = evidence.first(person.email, 1)
        expected = {text.replace("NAME", person.nickname) for text in evidence.steps[1].subjects}
        for step, messages in steps.items():
            message = messages[0]
            earlier = [each for n in range(1, step) if (each := evidence.first(person.email, n)) is not None]
            if step == 1:
                if message.subject not in expected or message.in_reply_to or message.references:
                    yield f"{_shown(message)} is no first message: {message.subject!r}"
            elif first is not None:
                ids = tuple(each.message_id for each in earlier)
                if message.subject != f"Re: {first.subject}":
                    yield f"{_shown(message)} has the subject {message.subject!r} after {first.subject!r}"
                if message.in_reply_to != ids[-1] or message.references != ids:
                    yield f"{_shown(message)} does not answer the messages before it"


def same_service(evidence: Evidence) -> Iterator[str]:
    """A follow-up goes out through the service that carried the first message."""
    for person, steps in _people(evidence):
        first = evidence.first(person.email, 1)
        for messages in steps.values():
            if first is not None and messages[0].sender != first.sender:
                yield f"{_shown(messages[0])}, and the first message was carried by {first.sender}"


def rotation(evidence: Evidence) -> Iterator[str]:
    """The templates of each step take turns. Who got no message has had a turn, too: they differ by a few."""
    for step in evidence.steps.values():
        turns = Counter(message.template for message in evidence.messages if message.step == step.number)
        expected = turns.total() / len(step.subjects)
        for template in range(len(step.subjects)):
            if abs(turns[template] - expected) > max(3.0, UNEVEN * expected):
                yield f"template {template} of step {step.number} had {turns[template]} of {dict(turns)}"


# time


def delay(evidence: Evidence) -> Iterator[str]:
    """A follow-up is not sent before so many (working) days have passed since the recipient's own message."""
    for person, steps in _people(evidence):
        for step, messages in steps.items():
            before = evidence.first(person.email, step - 1)
            if before is None:
                continue
            due = follow_up_due(before.at, evidence.steps[step], person.place)
            if messages[0].at < due:
                yield f"{_shown(messages[0])} was due at {due:%F %T}, after the one of {before.at:%F %T}"


def window(evidence: Evidence) -> Iterator[str]:
    """Nobody is written to outside the window of their own wall clock, or on a holiday of their country."""
    for message in evidence.messages:
        person = evidence.script.by_email.get(message.to)
        if person is not None and not is_open(message.at, person.place, evidence.script.window):
            yield f"{_shown(message)}, which is {local(message.at, person.place.zone):%a %F %T} there"


def absence(evidence: Evidence) -> Iterator[str]:
    """Who is known to be away is written to afterwards."""
    for message in evidence.messages:
        person = evidence.script.by_email.get(message.to)
        if person is not None and evidence.is_away(person, message.at):
            yield f"{_shown(message)}, where somebody is away"


# what ends it


def ended(evidence: Evidence) -> Iterator[str]:
    """Nothing goes to whom it has ended for: a reply, a bounce, a complaint, an unsubscribe, an operator."""
    for person, steps in _people(evidence):
        since = evidence.ends_for(person)
        for messages in steps.values():
            for message in messages:
                if since is not None and message.at > since + UNDER_WAY:
                    yield f"{_shown(message)}, after the end at {since:%F %T}"


def condition(evidence: Evidence) -> Iterator[str]:
    """A step that wants no click goes to nobody of whom one was known."""
    for message in evidence.messages:
        step, clicked = evidence.steps.get(message.step), evidence.clicks.get(message.to)
        if step is None or not step.unless_clicked or clicked is None:
            continue
        if clicked + UNDER_WAY < message.at:
            yield f"{_shown(message)}, who had clicked by {clicked:%F %T}"


# limits


def limits(evidence: Evidence) -> Iterator[str]:
    """No quota of a service's day (after the ramp), hour or recipient domain, nor of new recipients a day."""
    for key, times in evidence.times.items():
        limit = _limit(evidence, key)
        if limit is not None and len(times) > limit:
            yield f"{len(times)} messages, and {limit} are allowed: {' '.join(map(str, key))}"


def _limit(evidence: Evidence, key: tuple[object, ...]) -> int | None:
    match key:
        case ("new", _):
            return evidence.script.new_per_day
        case (name, "day", day):
            return evidence.limit(evidence.senders[str(name)], day)  # type: ignore[arg-type]
        case (name, "hour", _):
            return evidence.senders[str(name)].hourly_quota
        case (name, "domain", _, _):
            return evidence.senders[str(name)].domain_quota
    raise AssertionError(key)


def throttle(evidence: Evidence) -> Iterator[str]:
    """Between two messages of a service lies its gap, and as much by chance as is to be expected."""
    for sender in evidence.script.senders:
        messages = sorted(evidence.by_sender[sender.name], key=lambda one: one.steady)
        gaps = [later.steady - one.steady for one, later in pairwise(messages)]
        for gap, message in zip(gaps, messages[1:], strict=True):
            if gap < sender.throttle - GAP_SLACK:
                yield f"{_shown(message)} came {gap:.4f} s after the one before, not {sender.throttle}"
        added = [gap - sender.throttle for gap in gaps if gap < 10 * (sender.throttle + sender.jitter)]
        if sender.jitter and len(added) >= JITTERED and sum(added) / len(added) < 0.35 * sender.jitter:
            yield f"{sender.name} adds {sum(added) / len(added):.4f} s by chance, of up to {sender.jitter}"


def frozen(evidence: Evidence) -> Iterator[str]:
    """A frozen service sends nothing."""
    for name, stretches in evidence.frozen.items():
        for message in evidence.by_sender.get(name, ()):
            if any(since + UNDER_WAY < message.at < until for since, until in stretches):
                yield f"{_shown(message)}, which was frozen"


# precedence, and that nobody is forgotten


def follow_ups_first(evidence: Evidence) -> Iterator[str]:
    """While follow-ups wait for a service's quota of the day, it carries no first messages on that day."""
    first: Counter[tuple[str, object]] = Counter()
    for message in evidence.messages:
        sender = evidence.senders.get(message.sender)
        if message.step == 1 and sender is not None:
            first[sender.name, day_of(message.at, sender.zone)] += 1
    for waiting in waits(evidence).all:
        sender = waiting.sender
        if sender is None:
            continue
        for place in waiting.stands():
            day = day_of(evidence.stands[place].begins, sender.zone)
            if first[sender.name, day] and not waiting.has_gone_on(day):
                used_up = evidence.used(place, sender.name, "day", day) >= evidence.limit(sender, day)
                if used_up and waiting.may_use(place, sender, but_quota=True):
                    yield (
                        f"step {waiting.step} to {waiting.person.email} waited for {sender.name} on {day}, "
                        f"which carried {first[sender.name, day]} first messages"
                    )
                    break


def complete(evidence: Evidence) -> Iterator[str]:
    """Everybody gets every step, unless something keeps it from them; and nobody waits without a reason."""
    for waiting in waits(evidence).all:
        email = waiting.person.email
        if waiting.until is None:
            yield f"{email} never got step {waiting.step}, and nothing kept it from them"
            continue
        if waiting.step == 1 and waiting.person.greylisted:
            continue
        for place in waiting.stands():
            if not waiting.is_new_allowed(place):
                continue
            carriers = [waiting.sender] if waiting.sender else list(evidence.senders.values())
            able = [one.name for one in carriers if waiting.may_use(place, one)]
            if able:
                yield (
                    f"step {waiting.step} to {email} could have gone "
                    f"at {evidence.stands[place].begins:%F %T} "
                    f"through {', '.join(able)}, and {waiting.fate}"
                )
                break


# the script itself


def carried_out(evidence: Evidence) -> Iterator[str]:
    """What is scripted was done, when it was scripted, and nothing else."""
    expected: dict[tuple[str, str, int], datetime] = {}
    for message in evidence.messages:
        person = evidence.script.by_email.get(message.to)
        for happening in person.happenings if person is not None else ():
            at = evidence.script.delivered_at(message.at, happening)
            if happening.step == message.step and at is not None:
                expected[happening.kind.value, message.to, message.step] = at
    for deed in evidence.script.deeds:
        expected[deed.what, deed.whom, 0] = deed.at
    last = max((stand.ends for stand in evidence.stands), default=evidence.script.begins)
    for one in evidence.carried:
        at = expected.pop((one.what, one.whom, one.step), None)
        if at is None or not timedelta() <= one.at - at <= PUNCTUAL or one.by - one.at > QUICK:
            when = f"at {one.at:%F %T} to {one.by:%T}, scripted: {at}"
            yield f"{one.what} of {one.whom} (step {one.step}) {when}"
    for (what, whom, step), at in expected.items():
        if at <= last:
            yield f"{what} of {whom} (step {step}) was to be at {at:%F %T}"


RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        known,
        once,
        order,
        thread,
        same_service,
        rotation,
        delay,
        window,
        absence,
        ended,
        condition,
        limits,
        throttle,
        frozen,
        follow_ups_first,
        complete,
        carried_out,
    )
}
