"""What operators are told about an experiment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from coldsend.domain.experiment import Count, Experiment, Goal
from coldsend.domain.experiment_words import chance_in_words, sentences

NOW = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
A, B, C = 11, 12, 13
NAMES = {A: "intro-a", B: "intro-b", C: "intro-c"}


def said(
    *of: tuple[int, int],
    about: Experiment | None = None,
    waiting: int = 5000,
    has_ended: bool = False,
    names: dict[int, str] = NAMES,
) -> list[str]:
    counts = [Count(A + place, counted, counted, hits) for place, (hits, counted) in enumerate(of)]
    about = about or Experiment(Goal.REPLIES, 200, 72)
    return sentences(about, counts, names, waiting=waiting, has_ended=has_ended)


def looked(*of: tuple[int, int], **values: object) -> Experiment:
    counts = [Count(A + place, counted, counted, hits) for place, (hits, counted) in enumerate(of)]
    began = Experiment(**{"goal": Goal.REPLIES, "min_sample": 200, "wait_hours": 72, **values})  # type: ignore[arg-type]
    return began.judged(counts, NOW, ended=False)


def test_an_open_experiment_is_told_whole() -> None:
    assert said((31, 400), (18, 402), about=looked((31, 400), (18, 402))) == [
        "Counted is who was sent it at least 72 hours ago; a reply counts if it came within 72 hours.",
        "intro-a got 31 replies from 400 (7.8 %), intro-b 18 from 402 (4.5 %).",
        "That is 3.3 points more; the true difference is, 95 % sure, between 0.1 points less and 6.7 more.",
        "If there were no difference, a lead like this would come up in 7 of 100 experiments.",
        "Not enough to call it yet: about 855 more each, if it goes on like this. "
        "It is judged next when each has 800.",
    ]


def test_what_is_counted_has_a_name_in_every_sentence() -> None:
    told = said((31, 400), (18, 402), about=looked((31, 400), (18, 402), goal=Goal.INTERESTED))
    assert told[0].endswith("an interested reply counts if it came within 72 hours.")
    assert told[1].startswith("intro-a got 31 interested replies from 400")


def test_too_few_are_said_to_be_too_few() -> None:
    assert said((0, 0), (0, 3))[-1] == (
        "Too early to tell: each template needs 200 counted recipients, intro-a has 0."
    )
    assert said((1, 150), (2, 199))[-1].startswith("Too early to tell: each template needs 200")
    assert said((1, 150), (2, 199), has_ended=True)[-1].startswith("The task has ended before there was")


def test_one_template_is_said_to_be_no_experiment() -> None:
    assert said((1, 150))[-1] == "There is nothing to compare: the task has one template only."


def test_no_difference_is_said_to_be_none() -> None:
    found = said((20, 400), (20, 400), about=looked((20, 400), (20, 400)))
    assert found[-1] == "There is no difference to be seen so far. It is judged next when each has 800."
    assert len(found) == 3


def test_who_peeks_at_a_clear_lead_is_told_why_it_is_not_called() -> None:
    found = said((60, 500), (20, 500), about=looked((20, 400), (20, 400)))
    assert found[-1].startswith(
        "That looks clear, but it is not called yet. It is judged next when each has 800"
    )


def test_what_is_due_to_be_judged_is_said_to_be() -> None:
    assert said((20, 400), (20, 400))[-1].endswith("It is judged when the scheduler looks next.")


def test_numbers_stay_beside_names_that_are_read_from_right_to_left() -> None:
    found = said((31, 400), (18, 402), names={A: "intro-a", B: "\u0645\u0631\u062d\u0628\u0627"})
    assert "\u2068\u0645\u0631\u062d\u0628\u0627\u2069 18 from 402" in found[1]


def test_too_few_left_are_named() -> None:
    assert said((31, 400), (18, 402), about=looked((31, 400), (18, 402)), waiting=300)[-1] == (
        "Only 300 still wait: unless more come in, it will probably end without a winner."
    )


def test_an_end_without_a_winner_is_no_failure() -> None:
    found = said((31, 400), (18, 402), about=looked((31, 400), (18, 402)), has_ended=True)
    assert found[-1].startswith("The task has ended without a winner")


def test_a_winner_is_named_with_how_sure_it_is_and_who_chose_it() -> None:
    found = looked((60, 400), (20, 400))
    assert said((60, 400), (20, 400), about=found)[-1] == (
        "intro-a is the winner, found on 2027-03-01 09:00 UTC with a lead that chance alone brings up in "
        "fewer than 1 of 1,000 experiments."
    )
    decided = found.decided(A, "test", [A, B], NOW)
    assert said((60, 400), (20, 400), about=decided)[-1] == (
        "intro-a is sent alone since 2027-03-01 09:00 UTC, chosen by the test."
    )
    by_hand = looked((20, 400), (20, 400)).decided(B, "anna", [A, B], NOW)
    assert said((20, 400), (20, 400), about=by_hand)[-1].endswith(
        "intro-b is sent alone since 2027-03-01 09:00 UTC, chosen by anna."
    )
    assert said((60, 400), (20, 400), about=decided.stopped())[-1].startswith("Stopped: ")


def test_an_edited_text_is_mentioned() -> None:
    edited = Experiment(Goal.CLICKS, 200, 1, since=NOW + timedelta(days=1))
    found = said((0, 0), (0, 0), about=edited)
    assert (
        found[0] == "Counted is who was sent it at least 1 hour ago; a click counts if it came within 1 hour."
    )
    assert found[1].startswith("A text was edited on 2027-03-02 09:00 UTC")


@pytest.mark.parametrize(
    ("chance", "words"),
    [
        (1.0, "100 of 100"),
        (0.1, "10 of 100"),
        (0.05, "5 of 100"),
        (0.01, "1 of 100"),
        (0.005, "5 of 1,000"),
        (0.001, "1 of 1,000"),
        (0.0009, "fewer than 1 of 1,000"),
    ],
)
def test_chances_are_told_as_counts(chance: float, words: str) -> None:
    assert chance_in_words(chance) == f"{words} experiments"
