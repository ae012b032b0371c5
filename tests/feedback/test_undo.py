"""Taking an unsubscribe back takes back that one, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from coldsend.database.tables import event_log, task_contacts
from coldsend.domain.feedback import Feedback, Kind
from coldsend.domain.states import SuppressionReason
from coldsend.domain.suppression import read
from coldsend.feedback.undo import undo
from coldsend.stores import suppressions
from tests.feedback.happenings import Sent
from tests.planning.world import NOW

EARLIER = NOW - timedelta(minutes=30)


def left(world: Sent, row_id: int, **values: Any) -> Feedback:
    return world.heard(Kind.UNSUBSCRIBE, row_id, at=EARLIER, **values)


def take_back(world: Sent, told: Feedback) -> bool:
    return world.database.run(lambda connection: undo(connection, told, NOW, NOW, world.applier))


@pytest.mark.parametrize("campaign_only", [False, True])
def test_it_is_as_if_it_had_never_been(world: Sent, campaign_only: bool) -> None:
    [row_id] = world.sent()
    world.apply(world.heard(Kind.OPEN, row_id))
    told = left(world, row_id, campaign_only=campaign_only)
    world.apply(told)
    assert world.suppressed()
    assert take_back(world, told)
    assert world.suppressed() == {}
    assert (world.status(row_id), world.row(task_contacts, row_id)["unsubscribed_at"]) == ("opened", None)
    [event] = [row for row in world.all(event_log) if row["type"] == "unsubscribe"]
    assert event["details"]["taken_back_at"] == NOW.isoformat()


def test_an_unsubscribe_that_is_told_after_it_was_taken_back_does_nothing(world: Sent) -> None:
    [row_id] = world.sent()
    told = left(world, row_id)
    assert take_back(world, told)
    world.apply(told)
    assert (world.suppressed(), world.status(row_id)) == ({}, "sent")


def test_taking_back_twice_is_once(world: Sent) -> None:
    [row_id] = world.sent()
    told = left(world, row_id)
    assert take_back(world, told)
    world.apply(again := left(world, row_id))
    assert not take_back(world, told), "what came later stands"
    assert (len(world.suppressed()), world.status(row_id)) == (1, "unsubscribed")
    assert take_back(world, again)


def test_another_unsubscribe_of_the_same_person_stands(world: Sent) -> None:
    [one] = world.sent()
    two = world.again(one, world.begun("more"))
    world.apply(before := left(world, two), told := left(world, one))
    assert not take_back(world, told)
    assert (world.status(one), world.status(two)) == ("sent", "unsubscribed")
    assert list(world.suppressed().values()) == ["unsubscribe"]
    assert take_back(world, before)
    assert world.suppressed() == {}


def test_an_address_that_has_turned_out_to_be_none_meanwhile_gets_nothing_all_the_same(world: Sent) -> None:
    [row_id] = world.sent()
    told = left(world, row_id)
    world.apply(told)
    world.apply(world.bounce(row_id, at=NOW - timedelta(minutes=10)))
    assert not take_back(world, told)
    assert len(world.suppressed()) == 1


def test_leaving_one_campaign_and_leaving_all_are_two_things(world: Sent) -> None:
    [row_id] = world.sent()
    world.apply(left(world, row_id, campaign_only=True), told := left(world, row_id))
    assert take_back(world, told)
    assert list(world.suppressed()) == [(world.email(row_id), world.campaign_id)]
    assert world.status(row_id) == "unsubscribed"


def test_a_complaint_stands(world: Sent) -> None:
    [row_id] = world.sent()
    world.apply(told := left(world, row_id), world.heard(Kind.COMPLAINT, row_id))
    assert not take_back(world, told)
    assert (list(world.suppressed().values()), world.status(row_id)) == (["complaint"], "complained")


def test_what_was_suppressed_before_stays_so(world: Sent) -> None:
    [row_id] = world.sent()
    entry = read(world.email(row_id), SuppressionReason.UNSUBSCRIBE, source="import")
    world.database.run(lambda connection: suppressions.add(connection, [entry], EARLIER - timedelta(days=1)))
    world.apply(told := left(world, row_id))
    assert not take_back(world, told)
    assert len(world.suppressed()) == 1


def test_of_nobody_nothing_is_taken_back(world: Sent) -> None:
    assert not take_back(world, left(world, 999_999))
