"""What comes back moves the send list: never backwards, in any order, once however often it is told."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.database.engine import Connection
from coldsend.database.tables import contacts, event_log, task_contacts
from coldsend.domain.feedback import Actor, Feedback, Kind
from coldsend.errors import Refused
from coldsend.feedback.apply import apply
from tests.feedback.happenings import NOBODY, SENT, TRIED, Sent, on_sqlite
from tests.planning.world import NOW

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("kind", "status", "column"),
    [
        (Kind.DELIVERED, "delivered", "delivered_at"),
        (Kind.BOUNCE, "bounced", "bounced_at"),
        (Kind.OPEN, "opened", "opened_at"),
        (Kind.CLICK, "clicked", "clicked_at"),
        (Kind.REPLY, "replied", "replied_at"),
        (Kind.UNSUBSCRIBE, "unsubscribed", "unsubscribed_at"),
        (Kind.COMPLAINT, "complained", "complained_at"),
    ],
)
def test_each_kind_sets_its_time_moves_the_status_and_is_logged(
    world: Sent, kind: Kind, status: str, column: str
) -> None:
    [row_id] = world.sent()
    item = world.heard(kind, row_id)
    applied = world.apply(item)
    row = world.row(task_contacts, row_id)
    assert (row["status"], row[column]) == (status, item.at)
    assert world.events() == [(kind.value, item.at)]
    assert (applied.matched, applied.unmatched, applied.repeated) == (1, 0, 0)
    assert applied.matches == [(row_id, row["contact_id"], world.task_id)]


@on_sqlite
@pytest.mark.parametrize("kind", [Kind.DELAYED, Kind.AUTO_REPLY])
def test_what_is_no_step_of_the_message_changes_nothing_of_it(world: Sent, kind: Kind) -> None:
    [row_id] = world.sent()
    assert world.apply(world.heard(kind, row_id)).matched == 1
    assert world.status(row_id) == "sent"
    assert world.events() == []


def test_a_late_delivery_does_not_undo_an_open(world: Sent) -> None:
    [row_id] = world.sent()
    world.apply(world.heard(Kind.OPEN, row_id))
    late = world.heard(Kind.DELIVERED, row_id)
    world.apply(late)
    row = world.row(task_contacts, row_id)
    assert (row["status"], row["delivered_at"]) == ("opened", late.at)


def test_the_time_is_that_of_the_earliest_whatever_is_told_first(world: Sent) -> None:
    [row_id] = world.sent()
    first, second = NOW - 30 * MINUTE, NOW - 20 * MINUTE
    world.apply(world.heard(Kind.OPEN, row_id, at=second))
    world.apply(world.heard(Kind.OPEN, row_id, at=first))
    world.apply(world.heard(Kind.OPEN, row_id, at=second))
    assert world.row(task_contacts, row_id)["opened_at"] == first
    assert len(world.events()) == 3, "and each of them is in the event log"


@on_sqlite
@pytest.mark.parametrize("actor", [Actor.MACHINE, Actor.OWN])
@pytest.mark.parametrize("kind", [Kind.OPEN, Kind.CLICK])
def test_machines_and_our_own_people_are_logged_and_prove_nothing(
    world: Sent, kind: Kind, actor: Actor
) -> None:
    [row_id] = world.sent()
    world.apply(world.heard(kind, row_id, actor=actor))
    row = world.row(task_contacts, row_id)
    assert (row["status"], row["opened_at"], row["clicked_at"]) == ("sent", None, None)
    [event] = world.all(event_log)
    assert event["details"]["actor"] == actor.value


class TestTellingItAgain:
    def test_what_was_told_before_is_not_noted_again(self, world: Sent) -> None:
        [row_id] = world.sent()
        item = world.heard(Kind.OPEN, row_id)
        world.apply(item)
        applied = world.apply(item, item)
        assert (applied.matched, applied.repeated) == (0, 2)
        assert applied.matches[0] == applied.matches[1] != None  # noqa: E711 - its row is told all the same
        assert len(world.events()) == 1

    def test_twice_in_one_batch_is_once(self, world: Sent) -> None:
        [row_id] = world.sent()
        item = world.heard(Kind.CLICK, row_id)
        applied = world.apply(item, item)
        assert (applied.matched, applied.repeated) == (1, 1)
        assert len(world.events()) == 1

    def test_what_has_no_key_is_another_each_time(self, world: Sent) -> None:
        [row_id] = world.sent()
        item = world.heard(Kind.OPEN, row_id, key="")
        world.apply(item, item)
        assert len(world.events()) == 2

    def test_what_matched_nobody_is_kept_once(self, world: Sent) -> None:
        item = world.heard(Kind.OPEN, 4711)
        world.apply(item)
        assert world.apply(item).repeated == 1
        assert len(world.unmatched()) == 1

    @pytest.mark.costly
    def test_two_who_tell_the_same_at_the_same_moment_are_one(self, world: Sent) -> None:
        rows = world.sent(20)
        items = [world.heard(Kind.OPEN, row_id) for row_id in rows]
        items += [world.bounce(row_id) for row_id in rows]
        told: list[int] = []

        def tell(mine: list[Feedback]) -> None:
            for start in range(0, len(mine), 8):
                told.append(world.apply(*mine[start : start + 8]).matched)

        threads = [threading.Thread(target=tell, args=(part,)) for part in (items, items[::-1])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(told) == len(items)
        assert len(world.events()) == len(items)
        assert {world.status(row_id) for row_id in rows} == {"opened"}


class TestRowsWithoutAnAnswer:
    @pytest.mark.parametrize("kind", [Kind.DELAYED, Kind.AUTO_REPLY, Kind.OPEN, Kind.BOUNCE, Kind.COMPLAINT])
    def test_whatever_comes_back_proves_that_an_unknown_message_was_sent(
        self, world: Sent, kind: Kind
    ) -> None:
        [row_id] = world.sent(status="unknown", reason="no_final_answer", error_message="lost")
        applied = world.apply(world.heard(kind, row_id))
        row = world.row(task_contacts, row_id)
        assert row["status"] not in ("unknown", "failed_to_send")
        assert (row["sent_at"], row["reason"], row["error_message"]) == (TRIED, None, None)
        assert applied.promoted == [row_id]
        assert world.events()[0] == ("send_api_success", TRIED), "the result its attempt never had"

    def test_a_machine_that_opens_it_proves_it_as_well(self, world: Sent) -> None:
        [row_id] = world.sent(status="unknown")
        world.apply(world.heard(Kind.OPEN, row_id, actor=Actor.MACHINE))
        row = world.row(task_contacts, row_id)
        assert (row["status"], row["opened_at"]) == ("sent", None)

    def test_what_a_person_gave_up_is_sent_after_all(self, world: Sent) -> None:
        [row_id] = world.sent(status="failed_to_send", reason="given_up", sent_at=None)
        world.apply(world.heard(Kind.REPLY, row_id))
        row = world.row(task_contacts, row_id)
        assert (row["status"], row["sent_at"], row["reason"]) == ("replied", TRIED, None)

    def test_it_is_completed_once(self, world: Sent) -> None:
        [row_id] = world.sent(status="unknown")
        world.apply(world.heard(Kind.OPEN, row_id), world.heard(Kind.CLICK, row_id))
        world.apply(world.heard(Kind.REPLY, row_id))
        assert [kind for kind, _at in world.events()].count("send_api_success") == 1

    @on_sqlite
    @pytest.mark.parametrize(
        ("status", "reason"),
        [("pending", None), ("skipped", "suppressed"), ("failed_to_send", "unknown_recipient")],
    )
    def test_a_row_that_nothing_was_sent_for_stays_as_it_is_and_the_happening_is_logged(
        self, world: Sent, status: str, reason: str | None
    ) -> None:
        [row_id] = world.sent(status=status, reason=reason)
        before = dict(world.row(task_contacts, row_id))
        world.apply(world.heard(Kind.CLICK, row_id))
        assert dict(world.row(task_contacts, row_id)) == before
        assert [kind for kind, _at in world.events()] == ["click"]

    def test_a_row_that_is_being_sent_gets_its_times_and_stays_with_its_worker(self, world: Sent) -> None:
        [row_id] = world.sent(status="sending")
        item = world.heard(Kind.OPEN, row_id)
        world.apply(item)
        row = world.row(task_contacts, row_id)
        assert (row["status"], row["opened_at"], row["reason"]) == ("sending", item.at, "heard_of")


class TestClocksOfOthers:
    def test_nothing_happens_in_the_future(self, world: Sent) -> None:
        [row_id] = world.sent()
        world.apply(world.heard(Kind.OPEN, row_id, at=NOW + timedelta(days=400)))
        assert world.row(task_contacts, row_id)["opened_at"] == NOW

    def test_nor_before_the_message_went_out(self, world: Sent) -> None:
        [row_id] = world.sent()
        world.apply(world.heard(Kind.OPEN, row_id, at=NOW - timedelta(days=9000)))
        assert world.row(task_contacts, row_id)["opened_at"] == TRIED


def test_words_that_no_database_can_hold_are_stored_without_them(world: Sent) -> None:
    [row_id] = world.sent()
    odd = f"{NOBODY} \udcff\x00 Zoë 😀"
    details = {"a\x00": ["\ud800", {"b": "\x00"}]}
    world.apply(world.bounce(row_id, odd, details=details, source="inbox:ä\udcff"))
    world.apply(world.heard(Kind.COMPLAINT, recipient="nobody@example.org", diagnostic=odd))
    [event] = world.all(event_log)
    assert event["details"]["diagnostic"] == f"{NOBODY} ? Zoë 😀"
    assert event["details"]["a"] == ["?", {"b": ""}]
    assert world.unmatched()[0]["diagnostic"] == f"{NOBODY} ? Zoë 😀"


def test_of_somebody_who_was_erased_only_that_it_happened_is_noted(world: Sent) -> None:
    [row_id] = world.sent()
    world.change(contacts, world.row(task_contacts, row_id)["contact_id"], erased_at=NOW)
    words = f"{NOBODY} <bob@example.org>"
    world.apply(
        world.bounce(row_id, words, details={"to": "bob@example.org"}),
        world.heard(Kind.AUTO_REPLY, row_id, away_until=NOW + timedelta(days=3)),
    )
    assert world.status(row_id) == "bounced"
    assert "bob" not in str([dict(row) for row in world.all(event_log)])
    assert world.suppressed() == {}, "their hash is suppressed already"
    assert world.row(contacts, world.row(task_contacts, row_id)["contact_id"])["away_until"] is None


def test_an_empty_batch_is_nothing(world: Sent) -> None:
    applied: Any = world.apply()
    assert (applied.matched, applied.unmatched, applied.matches) == (0, 0, [])


def test_a_batch_is_one_transaction(world: Sent) -> None:
    [row_id] = world.sent()

    def work(connection: Connection) -> None:
        apply(connection, [world.bounce(row_id)], NOW, world.applier)
        raise Refused("what the caller writes beside it is wrong")

    with pytest.raises(Refused):
        world.database.run(work)
    assert world.row(task_contacts, row_id)["sent_at"] == SENT
    assert (world.status(row_id), world.events(), world.suppressed()) == ("sent", [], {})


def test_visits_of_many_take_five_statements(world: Sent) -> None:
    """Locked and read, who is erased, what was told before, moved, logged: each costs a round trip."""
    rows = world.sent(40)
    told = [world.heard(Kind.OPEN, row_id) for row_id in rows]
    told += [world.heard(Kind.CLICK, row_id, actor=Actor.MACHINE) for row_id in rows]
    statements: list[str] = []
    sa.event.listen(
        world.database.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2])
    )
    assert world.apply(*told).matched == 80
    assert len([one for one in statements if not one.startswith("BEGIN")]) == 5
    assert (len(world.events()), {world.status(row_id) for row_id in rows}) == (80, {"opened"})
