"""Conditions of follow-ups, and what ends a sequence."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from coldsend.domain.reply_category import ReplyCategory
from coldsend.domain.sequence import (
    Chain,
    Condition,
    What,
    chain_of,
    read_condition,
    read_conditions,
    row_reason,
    stop_that_ends,
    stored,
    unmet,
    wants_reply,
)
from coldsend.domain.states import StopReason
from coldsend.errors import InvalidInput

AT = datetime(2027, 3, 1, tzinfo=UTC)
NOTHING, OPENED, CLICKED = Chain(), Chain(opened=True), Chain(clicked=True)
REPLIED = Chain(replied=True, categories=frozenset({"interested"}))


def row(**values: Any) -> dict[str, Any]:
    return dict.fromkeys(("opened_at", "clicked_at", "replied_at", "reply_category")) | values


@pytest.mark.parametrize(
    ("text", "met_by"),
    [
        ("no reply", {"nothing", "opened", "clicked"}),
        ("no click", {"nothing", "opened", "replied"}),
        ("no open", {"nothing", "replied"}),
        ("opened", {"opened", "clicked"}),
        ("clicked", {"clicked"}),
        ("replied", {"replied"}),
        ("replied:interested", {"replied"}),
        ("replied:question", set()),
    ],
)
def test_each_condition_holds_for_these_and_no_others(text: str, met_by: set[str]) -> None:
    chains = {"nothing": NOTHING, "opened": OPENED, "clicked": CLICKED, "replied": REPLIED}
    assert {name for name, chain in chains.items() if chain.meets(read_condition(text))} == met_by


def test_all_conditions_must_hold_and_the_first_that_does_not_is_told() -> None:
    both = read_conditions(["opened", "no click"])
    assert unmet(both, OPENED) is None
    assert unmet(both, CLICKED) == Condition(What.NO_CLICK)
    assert unmet((), NOTHING) is None


def test_all_earlier_messages_count() -> None:
    chain = chain_of([row(clicked_at=AT), row(replied_at=AT, reply_category="referral"), row(opened_at=AT)])
    assert chain == Chain(opened=True, clicked=True, replied=True, categories=frozenset({"referral"}))
    assert chain_of([row()]) == NOTHING


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (" No  Reply ", "no reply"),
        ("NO_CLICK", "no click"),
        ("replied: Not Interested", "replied:not_interested"),
        ("replied:unsubscribe_request", "replied:unsubscribe_request"),
    ],
)
def test_conditions_are_read_however_they_are_written_and_stored_in_one_way(given: str, written: str) -> None:
    assert str(read_condition(given)) == written
    assert stored([read_condition(given)]) == [written]
    assert read_condition(written) == read_condition(given)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no reply"),
        ("bounced", "no reply"),
        ("opened:x", "replied:CATEGORY"),
        ("replied:keen", "interested"),
    ],
)
def test_what_is_no_condition_is_refused_with_what_is_possible(text: str, told: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read_condition(text)
    assert told in refused.value.hint


@pytest.mark.parametrize(
    "texts",
    [
        ["no reply", "replied:question"],
        ["no click", "clicked"],
        ["opened", "no open"],
        ["no open", "clicked"],
    ],
)
def test_conditions_that_nobody_can_meet_are_refused(texts: list[str]) -> None:
    with pytest.raises(InvalidInput):
        read_conditions(texts)


def test_a_condition_said_twice_is_one_and_none_is_stored_as_nothing() -> None:
    assert read_conditions(["opened", "Opened"]) == (Condition(What.OPENED),)
    assert stored(()) is None


@pytest.mark.parametrize("stop", StopReason)
def test_every_stop_ends_a_row_without_conditions(stop: StopReason) -> None:
    assert stop_that_ends([stop], (), REPLIED) is stop
    assert stop_that_ends([], (), REPLIED) is None


def test_who_replied_gets_what_is_for_those_who_replied_and_nobody_else_does() -> None:
    wanted = (Condition(What.REPLIED, ReplyCategory.INTERESTED),)
    assert wants_reply(wanted)
    assert not wants_reply(read_conditions(["no click"]))
    assert stop_that_ends([StopReason.REPLIED], wanted, REPLIED) is None
    assert stop_that_ends([StopReason.REPLIED], wanted, NOTHING) is StopReason.REPLIED
    assert stop_that_ends([StopReason.REPLIED, StopReason.MANUAL], wanted, REPLIED) is StopReason.MANUAL
    assert stop_that_ends([StopReason.BOUNCED], wanted, REPLIED) is StopReason.BOUNCED


def test_rows_name_the_stop_that_ended_them() -> None:
    assert [row_reason(stop).value for stop in StopReason] == ["replied", "bounced", "stopped"]
