"""Experiments: which template of a task brings more replies or clicks, and from when on that may be said.

**Counted** is who was sent the message at least ``wait_hours`` ago; a success is a reply (one of somebody who
is interested, a click of a person) within these hours. So everybody counts once, had the same time, and the
result does not change any more, but where a person corrects what a reply wants. Of texts that were edited
only messages since then count.

**Looks.** Whoever looks every hour and stops at the first "significant" difference finds one where there
is none. So a result is judged only at looks: the first when each template has ``min_sample`` counted
recipients, the next when each has twice as many as at the one before, and one more when the task has ended.
When a look happens depends on counts of recipients, never on results. Each look may err with half of what
is left of ``1 - confidence``: all looks together err at most so often (the union bound), however many there
are and whatever is edited or added between them.

**A winner** must beat each of the others in Fisher's exact test (``statistics.py``). With k templates its
level is multiplied by 2 / k. Why that is enough: a winner is wrong if another one is as good. Some template
is truly the best, or one of the best; for another to win wrongly it must beat that one, which happens at
most in half of the level, and there are k - 1 others; for it to win wrongly it must beat one that is as
good, half of the level once more. That makes k / 2 levels.

Stored in ``tasks.experiment`` as JSON, keys as the fields of :class:`Experiment`; times are ISO 8601.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from coldsend.domain.reply_category import ReplyCategory
from coldsend.domain.statistics import chance_of_difference, trials_needed
from coldsend.errors import InvalidInput

DEFAULT_CONFIDENCE = 95.0
DEFAULT_SAMPLE = 200
SAMPLES = (10, 10_000_000)
HOURS = (1, 24 * 60)
CONFIDENCES = (80.0, 99.9)

GROWTH = 2  # between two looks; and at the end of a task:
GROWTH_AT_END = 1.25
SHORTEST_PAUSE, LONGEST_PAUSE = timedelta(minutes=5), timedelta(hours=1)
AFTER_THE_END = timedelta(days=1)  # then only a decision about an unknown message or an expansion changes it


class Goal(StrEnum):
    """What is counted as a success."""

    REPLIES = "replies"
    INTERESTED = "interested"
    CLICKS = "clicks"

    @property
    def one(self) -> str:
        """``reply``, ``interested reply``, ``click``."""
        return {Goal.REPLIES: "reply", Goal.INTERESTED: "interested reply"}.get(self, "click")

    @property
    def many(self) -> str:
        """``replies``, ``interested replies``, ``clicks``."""
        return "interested replies" if self is Goal.INTERESTED else self.value

    @property
    def column(self) -> str:
        """When it happened to a row of the send list."""
        return "clicked_at" if self is Goal.CLICKS else "replied_at"

    @property
    def category(self) -> ReplyCategory | None:
        """What a reply must want to count; None: anything, or it is none."""
        return ReplyCategory.INTERESTED if self is Goal.INTERESTED else None

    @property
    def usual_hours(self) -> int:
        """Within which most of them come."""
        return 48 if self is Goal.CLICKS else 72


class Standing(StrEnum):
    RUNNING = "running"
    DECIDED = "decided"  # its winner is sent alone
    STOPPED = "stopped"  # by hand: templates take turns as their set says


@dataclass(frozen=True, slots=True)
class Count:
    """What became of one template. sent: all that were accepted, of which ``counted`` long enough ago."""

    template_id: int
    sent: int
    counted: int
    successes: int

    @property
    def rate(self) -> float:
        return self.successes / self.counted if self.counted else 0.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the best template stands against the nearest. chance: of such a lead where there is no difference,
    corrected for the number of templates. needed: recipients each to tell the two apart, None for no lead."""

    leader: Count
    rival: Count
    chance: float
    needed: int | None


@dataclass(frozen=True, slots=True)
class Look:
    """A look that was taken: with which level, at which counts, and what it found."""

    at: datetime
    level: float
    chance: float
    leader: int
    counts: tuple[Count, ...]
    since: datetime | None = None

    @property
    def is_conclusive(self) -> bool:
        return self.chance <= self.level

    @property
    def smallest(self) -> int:
        return min(count.counted for count in self.counts)


@dataclass(frozen=True, slots=True)
class Experiment:
    """The experiment of one task. confidence in percent. auto: a winner is sent alone without being asked.

    since: only messages sent from then on count. texts: template id -> digest of its text. look_after: not
    worth counting before. round: the templates in turn before the winner was sent alone. moved: all waiting
    recipients have been given the winner.
    """

    goal: Goal
    min_sample: int
    wait_hours: int
    confidence: float = DEFAULT_CONFIDENCE
    auto: bool = True
    standing: Standing = Standing.RUNNING
    looks: tuple[Look, ...] = ()
    since: datetime | None = None
    texts: Mapping[int, str] = field(default_factory=dict)
    look_after: datetime | None = None
    winner: int | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None
    round: tuple[int, ...] = ()
    moved: bool = False

    @property
    def alpha(self) -> float:
        """How often all looks together may name a winner where there is none."""
        return 1 - self.confidence / 100

    @property
    def next_level(self) -> float:
        """The level of the next look: half of what the looks so far have left."""
        return self.alpha * 0.5 ** (len(self.looks) + 1)

    @property
    def found(self) -> Look | None:
        """The look that found a winner among the texts as they are now; no other follows it."""
        return next((look for look in self._current if look.is_conclusive), None)

    @property
    def next_sample(self) -> int:
        """Counted recipients that each template needs for the next look."""
        return GROWTH * self._current[-1].smallest if self._current else self.min_sample

    @property
    def _current(self) -> list[Look]:
        return [look for look in self.looks if look.since == self.since]

    def with_texts(
        self, texts: Mapping[int, str], changed_at: Mapping[int, datetime], began: datetime
    ) -> Experiment:
        """The experiment with the texts as they are: where one was edited, it begins anew from then on.

        changed_at: when each template was changed last, be it its name. began: the task; what was changed
        after that and has not been seen before counts as edited.
        """
        if dict(texts) == dict(self.texts):
            return self
        edited = [
            one
            for one, text in texts.items()
            if (self.texts[one] != text if one in self.texts else changed_at[one] > began)
        ]
        since = max((changed_at[one] for one in edited), default=self.since)
        return replace(self, texts=dict(texts), since=since, look_after=None if edited else self.look_after)

    def judged(self, counts: Sequence[Count], now: datetime, *, ended: bool) -> Experiment:
        """The experiment after these counts, with one more look if it is time for it. ended: the task has."""
        if self.standing != Standing.RUNNING or len(counts) < 2:
            return self
        looks = self.looks
        smallest = min(count.counted for count in counts)
        over = ended and is_whole(counts)
        is_due = smallest >= self.next_sample or (over and smallest >= self._last_sample)
        if is_due and not self.found:
            seen = verdict(counts, self.next_level)
            look = Look(now, self.next_level, seen.chance, seen.leader.template_id, tuple(counts), self.since)
            looks = (*looks, look)
        pause = AFTER_THE_END if over else self._pause(counts)
        return replace(self, looks=looks, look_after=now + pause)

    @property
    def _last_sample(self) -> float:
        """Counted recipients that a task which has ended needs for a look."""
        return GROWTH_AT_END * self._current[-1].smallest if self._current else self.min_sample

    def _pause(self, counts: Sequence[Count]) -> timedelta:
        """Until it is worth counting again; counting reads the whole list."""
        waiting = timedelta(hours=self.wait_hours)
        if min(count.sent for count in counts) < self.min_sample:
            return waiting  # what is not sent yet counts after it, at the earliest
        return min(LONGEST_PAUSE, max(SHORTEST_PAUSE, waiting / 24))

    def templates(self, round_now: Sequence[int]) -> list[int]:
        """The templates that are compared, each once. round_now: the task's."""
        return list(dict.fromkeys(self.round or round_now))

    def decided(self, winner: int, by: str, round_before: Sequence[int], now: datetime) -> Experiment:
        """The winner is sent alone from now on. by: who said so; "test" where the looks did."""
        kept = self.round or tuple(round_before)
        return replace(
            self,
            standing=Standing.DECIDED,
            winner=winner,
            decided_at=now,
            decided_by=by,
            round=kept,
            moved=False,
        )

    def stopped(self) -> Experiment:
        """Nothing is judged any more, and templates take turns again from now on."""
        return replace(self, standing=Standing.STOPPED)


def planned(
    goal: str, min_sample: int | None, wait_hours: int | None, confidence: float | None, *, auto: bool
) -> Experiment:
    """A new experiment as asked for, None for what was not; InvalidInput names what makes no sense."""
    try:
        kind = Goal(goal.strip().lower())
    except ValueError:
        raise InvalidInput(
            f"{goal!r} is nothing that an experiment counts", hint=f"possible: {', '.join(Goal)}"
        ) from None
    found = Experiment(
        kind,
        DEFAULT_SAMPLE if min_sample is None else min_sample,
        kind.usual_hours if wait_hours is None else wait_hours,
        DEFAULT_CONFIDENCE if confidence is None else confidence,
        auto,
    )
    _require("the minimum sample", found.min_sample, SAMPLES, "recipients of each template")
    _require("the time to wait", found.wait_hours, HOURS, "hours")
    _require("the confidence", found.confidence, CONFIDENCES, "percent")
    return found


def _require(what: str, value: float, bounds: tuple[float, float], unit: str) -> None:
    low, high = bounds
    if not low <= value <= high:
        raise InvalidInput(f"{what} of an experiment is {low:,} to {high:,} {unit}, not {value:,}")


def is_whole(counts: Sequence[Count]) -> bool:
    """Whether everything that was sent is counted."""
    return all(count.counted == count.sent for count in counts)


def verdict(counts: Sequence[Count], level: float) -> Verdict:
    """How the template with the highest rate stands against those that it must beat. level: of the look."""
    leader = max(counts, key=lambda count: (count.rate, count.counted))
    rivals = [count for count in counts if count is not leader]
    chances = [
        chance_of_difference(leader.successes, leader.counted, rival.successes, rival.counted)
        for rival in rivals
    ]
    nearest = rivals[chances.index(max(chances))]
    correction = len(counts) / 2
    return Verdict(
        leader,
        nearest,
        min(1.0, max(chances) * correction),
        trials_needed(leader.rate, nearest.rate, level / correction) if nearest.counted else None,
    )


def as_json(experiment: Experiment) -> dict[str, Any]:
    """As ``tasks.experiment`` holds it."""
    found: dict[str, Any] = asdict(experiment)
    found["texts"] = {str(template_id): text for template_id, text in experiment.texts.items()}
    return {key: _plain(value) for key, value in found.items()}


def from_json(document: Mapping[str, Any]) -> Experiment:
    """What :func:`as_json` made; KeyError or ValueError for anything else."""
    given = dict(document)
    return Experiment(
        **given
        | {
            "goal": Goal(given["goal"]),
            "standing": Standing(given["standing"]),
            "looks": tuple(_look(one) for one in given["looks"]),
            "since": _moment(given["since"]),
            "texts": {int(template_id): text for template_id, text in given["texts"].items()},
            "look_after": _moment(given["look_after"]),
            "decided_at": _moment(given["decided_at"]),
            "round": tuple(given["round"]),
        }
    )


def _look(document: Mapping[str, Any]) -> Look:
    counts = tuple(Count(**count) for count in document["counts"])
    at = datetime.fromisoformat(document["at"])
    return Look(**{**document, "at": at, "since": _moment(document["since"]), "counts": counts})


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value
