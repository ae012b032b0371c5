"""How an experiment stands, in sentences for people who have never heard of a test."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from coldsend.domain.experiment import Count, Experiment, Standing, Verdict, verdict
from coldsend.domain.statistics import difference_interval

_IN_A_HUNDRED, _IN_A_THOUSAND = 0.0095, 0.001
_MANY = 1_000_000


def sentences(
    experiment: Experiment,
    counts: Sequence[Count],
    names: Mapping[int, str],
    *,
    waiting: int,
    has_ended: bool,
) -> list[str]:
    """What there is to say, in the order it is read. names: of templates. waiting: recipients not sent to.

    has_ended: of the task; all that it has sent is counted.
    """
    names = {template_id: _apart(name) for template_id, name in names.items()}
    said = list(rules(experiment))
    if len(counts) > 1 and all(count.counted for count in counts):
        seen = verdict(counts, experiment.next_level)
        said += _lead(experiment, seen, names)
        if experiment.standing == Standing.RUNNING and not experiment.found:
            said += _outlook(experiment, counts, seen, names, waiting=waiting, has_ended=has_ended)
    elif experiment.standing == Standing.RUNNING:
        said.append(_too_early(experiment, counts, names, has_ended=has_ended))
    said += _outcome(experiment, names)
    return said


def rules(experiment: Experiment) -> Iterator[str]:
    """What is counted."""
    hours = _hours(experiment.wait_hours)
    yield (
        f"Counted is who was sent it at least {hours} ago; "
        f"{_a(experiment.goal.one)} counts if it came within {hours}."
    )
    if experiment.since is not None:
        yield (
            f"A text was edited on {_day(experiment.since)}: what was sent before is not counted any more."
        )


def _too_early(
    experiment: Experiment, counts: Sequence[Count], names: Mapping[int, str], *, has_ended: bool
) -> str:
    if len(counts) < 2:
        return "There is nothing to compare: the task has one template only."
    least = min(counts, key=lambda count: count.counted)
    so_far = f"{names[least.template_id]} has {least.counted:,}"
    if has_ended:
        return (
            f"The task has ended before there was enough to judge: each template needs "
            f"{experiment.next_sample:,} counted recipients, {so_far}."
        )
    return f"Too early to tell: each template needs {experiment.next_sample:,} counted recipients, {so_far}."


def _lead(experiment: Experiment, seen: Verdict, names: Mapping[int, str]) -> Iterator[str]:
    leader, rival, goal = seen.leader, seen.rival, experiment.goal.many
    first, second = names[leader.template_id], names[rival.template_id]
    yield (
        f"{first} got {leader.successes:,} {goal} from {leader.counted:,} ({percent(leader.rate)}), "
        f"{second} {rival.successes:,} from {rival.counted:,} ({percent(rival.rate)})."
    )
    if leader.rate == rival.rate:
        return
    between = difference_interval(
        leader.successes, leader.counted, rival.successes, rival.counted, experiment.confidence / 100
    )
    low = f"{abs(100 * between.low):.1f} points {'less' if between.low < 0 else 'more'}"
    high = f"{100 * between.high:.1f} more"
    yield (
        f"That is {100 * (leader.rate - rival.rate):.1f} points more; the true difference is, "
        f"{experiment.confidence:g} % sure, between {low} and {high}."
    )
    yield f"If there were no difference, a lead like this would come up in {chance_in_words(seen.chance)}."


def _outlook(
    experiment: Experiment,
    counts: Sequence[Count],
    seen: Verdict,
    names: Mapping[int, str],
    *,
    waiting: int,
    has_ended: bool,
) -> Iterator[str]:
    smallest = min(count.counted for count in counts)
    if smallest < experiment.min_sample:
        yield _too_early(experiment, counts, names, has_ended=has_ended)
        return
    if has_ended:
        yield "The task has ended without a winner: the difference, if there is one, is too small to be seen."
        return
    again = f"It is judged next when each has {experiment.next_sample:,}"
    if smallest >= experiment.next_sample:
        again = "It is judged when the scheduler looks next"
    if seen.chance <= experiment.next_level:
        yield (
            f"That looks clear, but it is not called yet. {again}: who looks all the time finds differences "
            "that are not there."
        )
        return
    if seen.needed is None:
        yield f"There is no difference to be seen so far. {again}."
        return
    more = max(seen.needed, experiment.next_sample) - smallest
    amount = f"about {more:,}" if more < _MANY else f"more than {_MANY:,}"
    yield f"Not enough to call it yet: {amount} more each, if it goes on like this. {again}."
    if more * len(counts) > waiting:
        yield f"Only {waiting:,} still wait: unless more come in, it will probably end without a winner."


def _outcome(experiment: Experiment, names: Mapping[int, str]) -> Iterator[str]:
    found = experiment.found
    if found is not None:
        yield (
            f"{names[found.leader]} is the winner, found on {_day(found.at)} with a lead that chance alone "
            f"brings up in {chance_in_words(found.chance)}."
        )
    if experiment.standing == Standing.STOPPED:
        yield "Stopped: nothing is judged any more, and templates take turns as their set says."
    elif experiment.winner is not None and experiment.decided_at is not None:
        by = "the test" if experiment.decided_by == "test" else experiment.decided_by
        yield (
            f"{names[experiment.winner]} is sent alone since {_day(experiment.decided_at)}, chosen by {by}."
        )


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _apart(name: str) -> str:
    """A name that is read from right to left takes no number that stands beside it along."""
    turned = any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in name)
    return f"\N{FIRST STRONG ISOLATE}{name}\N{POP DIRECTIONAL ISOLATE}" if turned else name


def chance_in_words(chance: float) -> str:
    """How often something happens: ``12 of 100 experiments``; the fewer, the finer."""
    if chance >= _IN_A_HUNDRED:
        return f"{100 * chance:.0f} of 100 experiments"
    if chance >= _IN_A_THOUSAND:
        return f"{1000 * chance:.0f} of 1,000 experiments"
    return "fewer than 1 of 1,000 experiments"


def percent(rate: float) -> str:
    """``7.8 %``."""
    return f"{100 * rate:.1f} %"


def _hours(hours: int) -> str:
    return "1 hour" if hours == 1 else f"{hours:,} hours"


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
