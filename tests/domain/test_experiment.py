"""When a template may be called the winner: the rules of looking, and a proof that they err rarely enough."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import comb, floor, log
from typing import Any

import pytest

from coldsend.domain.experiment import (
    Count,
    Experiment,
    Goal,
    Standing,
    as_json,
    from_json,
    planned,
    verdict,
)
from coldsend.domain.statistics import chance_of_difference
from coldsend.errors import InvalidInput

pytestmark = pytest.mark.costly

NOW = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
A, B, C = 11, 12, 13


def experiment(**values: object) -> Experiment:
    return Experiment(**{"goal": Goal.REPLIES, "min_sample": 100, "wait_hours": 72, **values})  # type: ignore[arg-type]


def counts(*of: tuple[int, int]) -> list[Count]:
    """(successes, counted) of templates A, B .."""
    return [Count(A + place, counted, counted, successes) for place, (successes, counted) in enumerate(of)]


def judged(before: Experiment, *of: tuple[int, int], ended: bool = False) -> Experiment:
    return before.judged(counts(*of), NOW, ended=ended)


def test_nothing_is_judged_before_the_minimum_sample_of_every_template() -> None:
    assert judged(experiment(), (90, 900), (0, 99)).looks == ()
    assert len(judged(experiment(), (90, 900), (0, 100)).looks) == 1


def test_the_next_look_comes_when_each_has_twice_as_many() -> None:
    once = judged(experiment(), (5, 110), (4, 100))
    assert once.next_sample == 200
    assert judged(once, (9, 199), (8, 500)).looks == once.looks
    assert len(judged(once, (9, 200), (8, 500)).looks) == 2


def test_a_task_that_has_ended_is_looked_at_once_more_if_there_is_more_to_see() -> None:
    once = judged(experiment(), (5, 100), (4, 100))
    assert len(judged(once, (5, 124), (4, 124), ended=True).looks) == 1
    twice = judged(once, (5, 125), (4, 125), ended=True)
    assert len(twice.looks) == 2
    assert judged(twice, (5, 125), (4, 125), ended=True).looks == twice.looks
    assert judged(experiment(), (50, 99), (0, 99), ended=True).looks == ()
    not_all_counted = [Count(A, 150, 150, 5), Count(B, 151, 150, 5)]
    assert once.judged(not_all_counted, NOW, ended=True).looks == once.looks


def test_looks_share_what_they_may_err_all_together() -> None:
    found = experiment()
    for size in (100, 200, 400, 800, 1600, 3200):
        found = judged(found, (size // 20, size), (size // 20, size))
    levels = [look.level for look in found.looks]
    assert levels[:3] == pytest.approx([0.025, 0.0125, 0.00625])
    assert sum(levels) < 0.05
    assert experiment(looks=found.looks * 20).next_level > 0, "also after as many edits as anybody makes"


def test_a_clear_difference_is_found_and_looked_at_no_more() -> None:
    found = judged(experiment(), (40, 100), (10, 100))
    assert found.found is not None
    assert found.found.leader == A
    assert judged(found, (41, 1000), (900, 1000)).looks == found.looks


def test_no_difference_is_no_winner() -> None:
    assert judged(experiment(), (10, 100), (10, 100)).found is None
    assert judged(experiment(), (0, 100), (0, 100)).found is None
    assert judged(experiment(), (14, 100), (10, 100)).found is None


def test_a_winner_must_beat_every_other_template() -> None:
    assert judged(experiment(), (40, 100), (10, 100), (38, 100)).found is None
    assert judged(experiment(), (40, 100), (10, 100), (12, 100)).found is not None
    seen = verdict(counts((40, 100), (10, 100), (38, 100)), 0.025)
    assert (seen.leader.template_id, seen.rival.template_id) == (A, C)


def test_more_templates_make_it_harder_to_win() -> None:
    pair = verdict(counts((20, 100), (8, 100)), 0.025).chance
    assert pair == chance_of_difference(20, 100, 8, 100)
    assert verdict(counts((20, 100), (8, 100), (8, 100)), 0.025).chance == pytest.approx(1.5 * pair)


def test_one_template_is_no_experiment() -> None:
    assert judged(experiment(), (50, 1000)) == experiment()


def test_what_has_ended_is_not_judged() -> None:
    decided = experiment().decided(A, "anna", [A, B], NOW)
    assert judged(decided, (0, 100), (90, 100)) == decided
    assert judged(experiment().stopped(), (0, 100), (90, 100)).looks == ()


def test_an_edited_text_begins_anew_and_keeps_what_was_spent() -> None:
    texts = {A: "a", B: "b"}
    began = experiment().with_texts(texts, {A: NOW - HOUR, B: NOW}, NOW)
    assert began.since is None
    once = judged(began, (40, 100), (10, 100))
    assert once.found is not None
    assert once.with_texts(texts, {A: NOW + HOUR, B: NOW}, NOW) is once  # renamed, not edited
    edited = once.with_texts({**texts, B: "b2"}, {A: NOW, B: NOW + HOUR}, NOW)
    assert (edited.since, edited.found, edited.next_sample, edited.look_after) == (
        NOW + HOUR,
        None,
        100,
        None,
    )
    assert edited.next_level == pytest.approx(once.next_level)
    assert len(judged(edited, (10, 100), (10, 100)).looks) == 2


def test_a_text_edited_before_it_was_seen_at_all_counts_from_then_on() -> None:
    found = experiment().with_texts({A: "a", B: "b"}, {A: NOW - HOUR, B: NOW + HOUR}, NOW)
    assert found.since == NOW + HOUR


@pytest.mark.parametrize(
    ("hours", "sent", "pause"),
    [
        (72, 99, 72 * HOUR),  # too few were sent to count at all before that
        (72, 100, HOUR),
        (12, 100, HOUR / 2),
        (1, 100, HOUR / 12),
    ],
)
def test_lists_are_counted_no_more_often_than_is_of_use(hours: int, sent: int, pause: timedelta) -> None:
    found = experiment(wait_hours=hours).judged([Count(A, 900, 0, 0), Count(B, sent, 0, 0)], NOW, ended=False)
    assert found.look_after == NOW + pause


def test_what_has_ended_and_is_counted_is_counted_again_but_once_a_day() -> None:
    assert judged(experiment(), (1, 150), (1, 150)).look_after == NOW + HOUR
    assert judged(experiment(), (1, 150), (1, 150), ended=True).look_after == NOW + 24 * HOUR
    open_still = experiment().judged([Count(A, 150, 149, 1), Count(B, 150, 150, 1)], NOW, ended=True)
    assert open_still.look_after == NOW + HOUR


def test_a_decision_keeps_the_round_there_was_before_all_decisions() -> None:
    first = experiment().decided(A, "test", [A, B, A], NOW)
    assert (first.standing, first.winner, first.round) == (Standing.DECIDED, A, (A, B, A))
    assert first.decided(B, "anna", [A], NOW).round == (A, B, A)


def test_it_is_stored_and_read_back() -> None:
    given = judged(experiment(auto=False), (40, 100), (10, 100)).with_texts(
        {A: "x", B: "y"}, {A: NOW, B: NOW}, NOW
    )
    given = given.decided(B, "anna", [A, B], NOW)
    assert from_json(json.loads(json.dumps(as_json(given)))) == given


def test_what_is_not_said_is_usual() -> None:
    assert planned("Clicks", None, None, None, auto=True) == Experiment(Goal.CLICKS, 200, 48)
    assert planned("replies", 50, 24, 90, auto=False) == Experiment(Goal.REPLIES, 50, 24, 90, auto=False)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (("opens", 100, 72, 95), "'opens' is nothing"),
        (("replies", 9, 72, 95), "10 to 10,000,000"),
        (("replies", 100, 0, 95), "1 to 1,440 hours"),
        (("replies", 100, 72, 0.95), "80.0 to 99.9 percent"),
        (("replies", 100, 72, 100), "80.0 to 99.9 percent"),
    ],
)
def test_plans_that_make_no_sense_are_refused(given: tuple[str, int, int, float], complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        planned(*given, auto=True)


# The proof: many experiments in which all templates are the same.

SIZES = [100 * 2**look for look in range(5)]


def successes(chance: random.Random, rate: float) -> list[int]:
    """Successes among the first 100, 200, 400 .. recipients of one template."""
    found, trial = [0] * len(SIZES), 0
    while True:
        trial += 1 + floor(log(1 - chance.random()) / log(1 - rate))
        if trial > SIZES[-1]:
            return found
        for place, size in enumerate(SIZES):
            found[place] += trial <= size


def series(templates: int, rate: float, runs: int, seed: int) -> Iterator[list[list[Count]]]:
    """For each run the counts at each look."""
    chance = random.Random(seed)
    for _ in range(runs):
        each = [successes(chance, rate) for _ in range(templates)]
        yield [counts(*((one[place], size) for one in each)) for place, size in enumerate(SIZES)]


def winners(templates: int, rate: float, runs: int) -> float:
    """The share of experiments that found a winner."""
    found = 0
    for looks in series(templates, rate, runs, seed=templates):
        now = experiment()
        for seen in looks:
            now = now.judged(seen, NOW, ended=False)
        found += now.found is not None
    return found / runs


@pytest.mark.parametrize(("templates", "rate"), [(2, 0.05), (2, 0.2), (3, 0.05), (5, 0.05)])
def test_where_there_is_no_difference_a_winner_is_named_rarely_enough(templates: int, rate: float) -> None:
    assert winners(templates, rate, 600) <= 0.05


def test_stopping_at_the_first_small_chance_would_err_far_too_often() -> None:
    """What the looks are for: the same data, judged as if each look were the only one."""
    wrong = sum(
        any(chance_of_difference(a.successes, a.counted, b.successes, b.counted) <= 0.05 for a, b in looks)
        for looks in series(2, 0.2, 400, seed=1)
    )
    assert wrong / 400 > 0.1


def test_a_real_difference_is_found() -> None:
    found = 0
    chance = random.Random(5)
    for _ in range(200):
        now, better, worse = experiment(), successes(chance, 0.11), successes(chance, 0.05)
        for place, size in enumerate(SIZES):
            now = judged(now, (better[place], size), (worse[place], size))
        found += now.found is not None and now.found.leader == A
    assert found >= 190


def conclusive(sizes: list[tuple[int, int]]) -> Iterator[set[tuple[int, int]]]:
    """For each look in turn the pairs of successes, among so many recipients of A and B, that end it."""
    now = experiment(min_sample=10)
    for a, b in sizes:
        pairs = [(one, other) for one in range(a + 1) for other in range(b + 1)]
        last = (a, b) == sizes[-1]  # when the task has ended
        yield {pair for pair in pairs if judged(now, (pair[0], a), (pair[1], b), ended=last).found}
        now = judged(now, (0, a), (0, b))


def spread(chances: dict[tuple[int, int], float], more: int, rate: float, *, first: bool) -> dict[Any, float]:
    """How likely each pair of successes is after so many more recipients of one template."""
    of_more = [comb(more, hits) * rate**hits * (1 - rate) ** (more - hits) for hits in range(more + 1)]
    found: dict[tuple[int, int], float] = {}
    for (one, other), chance in chances.items():
        for hits, likely in enumerate(of_more):
            key = (one + hits, other) if first else (one, other + hits)
            found[key] = found.get(key, 0.0) + chance * likely
    return found


@pytest.mark.parametrize(
    "sizes",
    [[(10, 10), (20, 20), (40, 40), (50, 50)], [(30, 10), (60, 20), (120, 40)]],
    ids=["even", "3 to 1"],
)
def test_how_often_a_winner_is_named_wrongly_is_within_the_promise_whatever_the_rate(
    sizes: list[tuple[int, int]],
) -> None:
    """Not simulated: every way in which two equal templates may come out, with its chance."""
    ending = list(conclusive(sizes))
    assert all(ending), "every look names winners"
    for rate in (0.02, 0.05, 0.1, 0.3, 0.5, 0.8):
        open_still, wrong, before = {(0, 0): 1.0}, 0.0, (0, 0)
        for size, ends in zip(sizes, ending, strict=True):
            open_still = spread(open_still, size[0] - before[0], rate, first=True)
            open_still = spread(open_still, size[1] - before[1], rate, first=False)
            wrong += sum(open_still.pop(pair, 0.0) for pair in ends)
            before = size
        assert wrong + sum(open_still.values()) == pytest.approx(1)
        assert wrong <= 0.05, rate


def test_a_scheduler_that_asks_every_hour_names_winners_no_more_often() -> None:
    """Recipients come as they come, more of one template than of another, until the task ends."""
    chance, wrong = random.Random(11), 0
    for _ in range(500):
        now, sent, hits = experiment(min_sample=50), [0, 0], [0, 0]
        for hour in range(60):
            for template, most in enumerate((20, 15)):
                more = chance.randrange(most)
                sent[template] += more
                hits[template] += sum(chance.random() < 0.3 for _ in range(more))
            seen = counts(*zip(hits, sent, strict=True))
            now = now.judged(seen, NOW + hour * HOUR, ended=hour == 59)
        wrong += now.found is not None
        assert len(now.looks) <= 5
    assert wrong / 500 <= 0.05
