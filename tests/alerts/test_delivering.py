"""Notices reach targets at least once, in order, whoever dies; a target that fails holds up no other."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend import meter
from coldsend.alerts import delivering, seam
from coldsend.alerts.delivering import CLAIM, Delivered, Deliverer
from coldsend.alerts.seam import NotDelivered
from coldsend.database.tables import alert_deliveries
from coldsend.domain.alert import WAITS, AlertEvent, AlertKind, Condition, Notice
from coldsend.stores import alerts as store
from tests.planning.world import NOW, World


@dataclass
class Place:
    """A target that keeps what it takes. trouble: raised for each message; slow: never answers."""

    name: str
    gathers: bool = False
    trouble: Exception | None = None
    slow: bool = False
    taken: list[tuple[str, list[str]]] = field(default_factory=list)
    tried: int = 0

    async def send(self, notices: Sequence[Notice], message_id: str, at: datetime) -> None:
        self.tried += 1
        if self.slow:
            await asyncio.sleep(3600)
        if self.trouble is not None:
            raise self.trouble
        self.taken.append((message_id, [f"{notice.event} {notice.subject}" for notice in notices]))


class Post:
    """Alerts that are to be told, and the clock they are told by."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.now = NOW

    def alert(
        self, subject: str, *targets: str, event: AlertEvent = AlertEvent.RAISED, alert_id: int = 0
    ) -> int:
        condition = Condition(AlertKind.BREAKER, subject, subject, f"{subject} was paused", "why")
        with self.world.database.begin() as connection:
            number = alert_id or store.raise_(connection, condition, "why", self.now)
            assert number is not None
            store.plan(connection, number, event, targets, self.now)
        return number

    def deliver(self, *places: Place, digest_over: int = 3, **options: Any) -> Delivered:
        targets = {place.name: place for place in places}
        return Deliverer(self.world.database, targets, digest_over, lambda: self.now, **options).deliver()

    def rows(self) -> list[Mapping[str, Any]]:
        with self.world.database.read() as connection:
            statement = sa.select(alert_deliveries).order_by(alert_deliveries.c.id)
            return list(connection.execute(statement).mappings())

    def statuses(self) -> list[str]:
        return [row["status"] for row in self.rows()]


@pytest.fixture
def post(world: World) -> Post:
    return Post(world)


@pytest.fixture
def quick(quick_world: World) -> Post:
    return Post(quick_world)


def test_each_target_is_told_once(post: Post) -> None:
    post.alert("spring", "a", "b")
    one, two = Place("a"), Place("b")
    assert post.deliver(one, two) == Delivered(done=2)
    assert post.deliver(one, two) == Delivered()
    assert [taken for _id, taken in one.taken] == [["raised spring"]]
    assert one.taken[0][0] != two.taken[0][0], "each message has a name of its own"
    assert post.statuses() == ["done", "done"]


def test_what_is_due_later_waits(post: Post) -> None:
    with post.world.database.begin() as connection:
        number = store.raise_(connection, Condition(AlertKind.BREAKER, "x", "x", "x", "why"), "why", NOW)
        assert number is not None
        store.plan(connection, number, AlertEvent.RAISED, ["a"], NOW + timedelta(minutes=1))
    place = Place("a")
    assert post.deliver(place) == Delivered()
    post.now += timedelta(minutes=1)
    assert post.deliver(place) == Delivered(done=1)


@pytest.mark.costly
def test_an_attempt_that_fails_is_repeated_ever_later_and_given_up_in_the_end(post: Post) -> None:
    post.alert("spring", "a")
    place = Place("a", trouble=NotDelivered("answered 503"))
    for attempt, wait in enumerate(WAITS, start=1):
        assert post.deliver(place) == Delivered(failed=1)
        [row] = post.rows()
        assert (row["status"], row["attempts"], row["last_error"]) == ("pending", attempt, "answered 503")
        assert row["next_at"] == post.now + wait
        assert post.deliver(place) == Delivered(), "not before its time"
        post.now += wait
    assert post.deliver(place) == Delivered(given_up=1)
    [row] = post.rows()
    assert (row["status"], row["next_at"]) == ("given_up", None)
    post.now += timedelta(days=9)
    assert post.deliver(place) == Delivered()
    assert place.tried == len(WAITS) + 1


def test_an_attempt_that_no_later_one_can_better_is_given_up_at_once(quick: Post) -> None:
    quick.alert("spring", "a")
    assert quick.deliver(Place("a", trouble=NotDelivered("answered 410", final=True))) == Delivered(
        given_up=1
    )


def test_a_message_has_the_same_id_each_time(quick: Post) -> None:
    quick.alert("spring", "a")
    place = Place("a", trouble=NotDelivered("no"))
    ids = []
    original = place.send

    async def noted(notices: Sequence[Notice], message_id: str, at: datetime) -> None:
        ids.append(message_id)
        await original(notices, message_id, at)

    place.send = noted  # type: ignore[method-assign]
    quick.deliver(place)
    quick.now += WAITS[0]
    quick.deliver(place)
    place.trouble = None
    quick.now += WAITS[1]
    assert quick.deliver(place) == Delivered(done=1)
    assert len(ids) == 3
    assert len(set(ids)) == 1


def test_what_was_claimed_by_a_process_that_died_is_told_by_the_next(post: Post) -> None:
    post.alert("spring", "a")
    with post.world.database.begin() as connection:
        [row] = store.due(connection, NOW, 10)
        assert store.claim(connection, row, NOW + CLAIM)
        assert not store.claim(connection, row, NOW + CLAIM), "it is somebody else's now"
    place = Place("a")
    assert post.deliver(place) == Delivered()
    post.now += CLAIM
    assert post.deliver(place) == Delivered(done=1)


def test_two_that_deliver_at_once_tell_each_target_once(post: Post) -> None:
    for number in range(20):
        post.alert(f"c{number}", "a")
    places = [Place("a"), Place("a")]
    begin = threading.Barrier(2)

    def work(place: Place) -> None:
        begin.wait()
        post.deliver(place)

    threads = [threading.Thread(target=work, args=(place,)) for place in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = [subject for place in places for _id, [subject] in place.taken]
    assert sorted(told) == sorted(f"raised c{number}" for number in range(20))
    assert set(post.statuses()) == {"done"}


def test_that_it_is_over_is_told_after_that_it_began(quick: Post) -> None:
    number = quick.alert("spring", "a")
    place = Place("a", trouble=NotDelivered("no"))
    quick.deliver(place)
    quick.alert("spring", "a", event=AlertEvent.CLEARED, alert_id=number)
    place.trouble = None
    assert quick.deliver(place) == Delivered(), "the first has to wait for its next attempt"
    quick.now += WAITS[0]
    assert quick.deliver(place) == Delivered(done=2)
    assert [taken for _id, taken in place.taken] == [["raised spring"], ["cleared spring"]]


def test_many_at_once_go_to_people_in_one_message_and_to_programs_one_by_one(quick: Post) -> None:
    for number in range(4):
        quick.alert(f"c{number}", "people", "program")
    people, program = Place("people", gathers=True), Place("program")
    assert quick.deliver(people, program) == Delivered(done=8)
    assert [taken for _id, taken in people.taken] == [[f"raised c{number}" for number in range(4)]]
    assert len(program.taken) == 4
    for number in range(3):
        quick.alert(f"d{number}", "people")
    quick.deliver(people, program)
    assert len(people.taken) == 4, "three are told one by one"


def test_a_target_that_fails_is_not_asked_for_the_rest_and_the_rest_is_not_lost(quick: Post) -> None:
    for number in range(3):
        quick.alert(f"c{number}", "a", "b")
    broken, well = Place("a", trouble=NotDelivered("no")), Place("b")
    assert quick.deliver(broken, well) == Delivered(done=3, failed=1)
    assert (broken.tried, len(well.taken)) == (1, 3)
    assert [row["attempts"] for row in quick.rows() if row["target"] == "a"] == [1, 0, 0]
    broken.trouble = None
    quick.now += WAITS[0]
    assert quick.deliver(broken, well) == Delivered(done=3)


def test_a_target_that_fails_is_asked_once_however_many_notices_wait(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "BATCH", 2)
    for number in range(5):
        post.alert(f"c{number}", "a", "b")
    broken, well = Place("a", trouble=NotDelivered("no")), Place("b")
    assert post.deliver(broken, well) == Delivered(done=5, failed=1)
    assert broken.tried == 1
    broken.trouble = None
    post.now += WAITS[0]
    assert post.deliver(broken, well) == Delivered(done=5)


def test_a_target_that_never_answers_holds_up_no_other_for_long(
    quick: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "SECONDS", 0.2)
    quick.alert("spring", "a", "b")
    assert quick.deliver(Place("a", slow=True), Place("b")) == Delivered(done=1, failed=1)
    assert quick.rows()[0]["last_error"] == "no answer within 0.2 seconds"
    assert seam.SECONDS < 9, "a process that is told to stop ends itself after nine and a half"


def test_a_bug_in_one_target_is_a_failed_attempt(quick: Post, capsys: pytest.CaptureFixture[str]) -> None:
    quick.alert("spring", "a", "b")
    assert quick.deliver(Place("a", trouble=ZeroDivisionError()), Place("b")) == Delivered(done=1, failed=1)
    assert quick.rows()[0]["last_error"] == "a bug in coldsend: ZeroDivisionError"


def test_a_target_that_is_configured_no_more_is_given_up(quick: Post) -> None:
    quick.alert("spring", "gone", "b")
    assert quick.deliver(Place("b")) == Delivered(done=1, given_up=1)
    assert quick.rows()[0]["last_error"] == "the configuration names this target no more"


def test_whoever_is_told_to_stop_leaves_the_rest(quick: Post) -> None:
    for number in range(3):
        quick.alert(f"c{number}", "a")
    place = Place("a")
    stops: Callable[[], bool] = lambda: bool(place.taken)  # noqa: E731
    assert quick.deliver(place, should_stop=stops) == Delivered(done=1)
    assert [row["attempts"] for row in quick.rows()] == [1, 0, 0]
    assert quick.deliver(place) == Delivered(done=2)


def test_what_was_given_up_can_be_tried_again(post: Post) -> None:
    first, second = post.alert("spring", "a"), post.alert("autumn", "a")
    place = Place("a", trouble=NotDelivered("gone", final=True))
    assert post.deliver(place).given_up == 2
    place.trouble = None
    with post.world.database.begin() as connection:
        assert store.again(connection, [first], post.now) == 1
    assert post.deliver(place) == Delivered(done=1)
    with post.world.database.begin() as connection:
        assert store.again(connection, None, post.now) == 1
    assert post.deliver(place) == Delivered(done=1)
    assert [taken for _id, taken in place.taken] == [["raised spring"], ["raised autumn"]]
    assert second


def test_deliveries_are_counted_by_kind_of_target_and_outcome(quick: Post) -> None:
    meter.reset()
    quick.alert("spring", "webhook:a", "webhook:b", "log")
    quick.deliver(Place("webhook:a"), Place("webhook:b", trouble=NotDelivered("no")), Place("log"))
    name = "coldsend_alert_deliveries_total"
    counted = {key[1:]: value for key, value in meter.read().counters.items() if key[0] == name}
    assert counted == {("webhook", "done"): 1, ("webhook", "retry"): 1, ("log", "done"): 1}
