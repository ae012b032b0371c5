"""Decisions about unknown rows, on both databases: what they write, and that no late answer is overrun."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from coldsend.database.engine import Database
from coldsend.database.tables import campaigns, contacts, event_log, task_contacts, tasks
from coldsend.delivery.record import outcomes_of_rows
from coldsend.domain import suppression
from coldsend.domain.outcome import RowOutcome
from coldsend.domain.states import ROW_MOVES, RowStatus, SuppressionReason
from coldsend.errors import NotAllowed, NotFound, WrongState
from coldsend.planning import lifecycle
from coldsend.planning import tasks as task_life
from coldsend.planning import unknown as use
from coldsend.planning.unknown import Decided, Wanted
from coldsend.stores import ledger, suppressions
from coldsend.stores import unknown as rows_of
from tests.planning.world import NOW, SETTINGS, World

TRIED = NOW - timedelta(minutes=5)
TOKEN = ledger.token_of(7, 1)
PEPPER = b"p" * 32


class Doubtful(World):
    """Task spring/intro in `sending`, and rows whose outcome worker 7 never learned."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.service_id = self.service()
        self.campaign_id = self.campaign("spring", "active")
        self.task_id = self.begun("intro")

    def begun(self, name: str, status: str = "sending") -> int:
        return self.task(self.campaign_id, name, status, actual_start_time=TRIED, expanded_at=TRIED)

    def unknown(self, count: int = 1, task: int | None = None, **values: Any) -> list[int]:
        row = {"claim_token": TOKEN, "sender_service_id": self.service_id, "attempt": 1}
        row |= {"attempt_at": TRIED, "first_attempt_at": TRIED, "retries": 2, "reason": "no_final_answer"}
        row |= {"message_id": "<m@x>", "error_message": "connection lost"}
        return self.rows(task or self.task_id, "unknown", count, **{**row, **values})

    def found(self, **wanted: Any) -> list[RowMapping]:
        return use.find(self.database, self.admin, Wanted(**wanted))

    def resend(self, rows: Sequence[RowMapping]) -> Decided:
        return use.resend(self.database, self.admin, rows, SETTINGS, PEPPER, NOW)

    def late(self, row_id: int, status: RowStatus) -> bool:
        """The old attempt's answer arrives after all; whether the ledger took it."""
        due = NOW if status == RowStatus.PENDING else None
        answer = RowOutcome(
            row_id, TOKEN, self.service_id, status, NOW, attempt_at=TRIED, scheduled_send_at=due
        )
        work: Callable[[Any], Any] = lambda c: outcomes_of_rows(c, [answer], {}, check=True)  # noqa: E731
        return bool(self.database.run(work))

    def email(self, row_id: int) -> str:
        return str(self.row(contacts, self.row(task_contacts, row_id)["contact_id"])["email"])

    def events(self) -> list[tuple[str, Any]]:
        query = sa.select(event_log.c.type, event_log.c.details).order_by(event_log.c.id)
        with self.database.read() as connection:
            return [(row[0], row[1]) for row in connection.execute(query)]


@pytest.fixture
def world(database: Database) -> Doubtful:
    return Doubtful(database)


@pytest.mark.parametrize("how", ["by hand", "by a late answer"])
def test_what_is_settled_as_sent_is_followed_up_where_the_list_was_complete(
    world: Doubtful, how: str
) -> None:
    world.change(tasks, world.task_id, status="finished", actual_end_time=NOW)
    second = world.task(
        world.campaign_id, "second", "sending", follows_task_id=world.task_id, follows_days=3,
        actual_start_time=TRIED, expanded_at=NOW, enrolled_to=NOW,
    )  # fmt: skip
    [row_id] = world.unknown()
    assert lifecycle.expand_due(world.database, NOW) == []
    if how == "by hand":
        use.mark_sent(world.database, world.admin, world.found(row_ids=[row_id]), NOW)
    else:
        assert world.late(row_id, RowStatus.SENT)
    assert lifecycle.expand_due(world.database, NOW) == [second]
    with world.database.read() as connection:
        listed = sa.select(task_contacts.c.follows_id).where(task_contacts.c.task_id == second)
        assert connection.execute(listed).scalars().all() == [row_id]


class TestResending:
    def test_a_row_waits_again_as_if_it_had_never_been_tried(self, world: Doubtful) -> None:
        [row_id] = world.unknown()
        made = world.resend(world.found(row_ids=[row_id]))
        row = world.row(task_contacts, row_id)
        assert [one["id"] for one in made.done] == [row_id]
        assert (row["status"], row["scheduled_send_at"], row["retries"]) == ("pending", NOW, 0)
        for column in ("claim_token", "sender_service_id", "first_attempt_at", "reason", "error_message"):
            assert row[column] is None, column

    @pytest.mark.costly
    def test_a_finished_task_and_its_completed_campaign_go_on(self, world: Doubtful) -> None:
        world.unknown()
        world.change(tasks, world.task_id, status="finished", actual_end_time=NOW)
        world.change(campaigns, world.campaign_id, status="completed")
        made = world.resend(world.found(where="spring", every=True))
        task = world.row(tasks, world.task_id)
        assert (task["status"], task["actual_end_time"]) == ("sending", None)
        assert world.row(campaigns, world.campaign_id)["status"] == "active"
        assert made.task_states == {"spring/intro": "sending"}

    def test_rows_of_a_paused_task_wait_for_it(self, world: Doubtful) -> None:
        world.unknown()
        world.change(tasks, world.task_id, status="paused")
        assert world.resend(world.found(where="spring/intro", every=True)).task_states == {
            "spring/intro": "paused"
        }
        assert world.statuses(world.task_id) == {"pending": 1}

    @pytest.mark.parametrize("status", ["cancelled", "failed"])
    def test_rows_of_a_task_that_ended_for_good_are_left_with_the_reason(
        self, world: Doubtful, status: str
    ) -> None:
        world.unknown()
        world.change(tasks, world.task_id, status=status)
        made = world.resend(world.found(where="spring/intro", every=True))
        assert not made.done
        assert status in made.left[0][1]
        assert world.statuses(world.task_id) == {"unknown": 1}
        assert world.events() == []

    @pytest.mark.parametrize("how", ["address", "domain", "hash"])
    def test_an_address_that_is_suppressed_by_now_is_left_with_the_reason(
        self, world: Doubtful, how: str
    ) -> None:
        first, second = world.unknown(2)
        other = world.row(task_contacts, second)["contact_id"]
        values = {"email": "b@else.example", "email_key": "b@else.example", "email_domain": "else.example"}
        world.change(contacts, other, **values)
        email = world.email(first)
        text = {"address": email, "domain": "example.com", "hash": suppression.hashed_key(email, PEPPER)}[how]
        entry = suppression.read(text, SuppressionReason.UNSUBSCRIBE)
        world.database.run(lambda connection: suppressions.add(connection, [entry], NOW))
        made = world.resend(world.found(where="spring/intro", every=True))
        assert [(row["id"], "suppressed (unsubscribe)" in why) for row, why in made.left] == [(first, True)]
        assert world.row(task_contacts, first)["status"] == "unknown"
        assert world.row(task_contacts, second)["status"] == "pending"

    def test_a_contact_removed_since_it_was_looked_at_is_left(self, world: Doubtful) -> None:
        [row_id] = world.unknown()
        seen = world.found(row_ids=[row_id])
        world.change(contacts, world.row(task_contacts, row_id)["contact_id"], deleted_at=NOW)
        assert "removed" in world.resend(seen).left[0][1]
        assert world.row(task_contacts, row_id)["status"] == "unknown"

    def test_a_task_with_nobody_left_to_send_to_is_not_reopened(self, world: Doubtful) -> None:
        [row_id] = world.unknown()
        world.change(tasks, world.task_id, status="finished", actual_end_time=NOW)
        entry = suppression.read(world.email(row_id), SuppressionReason.COMPLAINT)
        world.database.run(lambda connection: suppressions.add(connection, [entry], NOW))
        world.resend(world.found(row_ids=[row_id]))
        assert world.row(tasks, world.task_id)["status"] == "finished"

    @pytest.mark.costly
    def test_more_rows_than_one_transaction_takes_all_go_and_each_once(
        self, world: Doubtful, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(use, "CHUNK", 2)
        other = world.begun("second", "finished")
        world.unknown(5)
        world.unknown(2, other)
        made = world.resend(world.found(where="spring", every=True))
        assert len({row["id"] for row in made.done}) == len(made.done) == 7
        assert world.statuses(world.task_id) == {"pending": 5}
        assert world.row(tasks, other)["status"] == "sending"


def test_marked_as_sent_means_sent_when_it_was_tried(world: Doubtful) -> None:
    [row_id] = world.unknown()
    use.mark_sent(world.database, world.admin, world.found(row_ids=[row_id]), NOW)
    row = world.row(task_contacts, row_id)
    assert (row["status"], row["sent_at"], row["reason"]) == ("sent", TRIED, "marked_sent")
    assert row["error_message"] is None
    assert row["sender_service_id"] == world.service_id


def test_given_up_is_failed_with_a_reason_of_its_own_and_not_taken_up_by_task_retry(world: Doubtful) -> None:
    [row_id] = world.unknown()
    use.give_up(world.database, world.admin, world.found(row_ids=[row_id]), NOW)
    row = world.row(task_contacts, row_id)
    assert (row["status"], row["reason"]) == ("failed_to_send", "given_up")
    assert row["error_message"] == "connection lost", "what was known last stays"
    assert task_life.retry(world.database, world.admin, str(world.task_id), SETTINGS, NOW).count == 0


@pytest.mark.parametrize("status", ["cancelled", "finished", "paused"])
def test_counting_as_sent_and_giving_up_leave_an_ended_task_ended(world: Doubtful, status: str) -> None:
    one, two = world.unknown(2)
    world.change(tasks, world.task_id, status=status)
    use.mark_sent(world.database, world.admin, world.found(row_ids=[one]), NOW)
    use.give_up(world.database, world.admin, world.found(row_ids=[two]), NOW)
    assert world.statuses(world.task_id) == {"sent": 1, "failed_to_send": 1}
    assert world.row(tasks, world.task_id)["status"] == status


def test_the_event_log_tells_who_decided_what(world: Doubtful) -> None:
    one, two, three = world.unknown(3)
    world.resend(world.found(row_ids=[one]))
    use.mark_sent(world.database, world.admin, world.found(row_ids=[two]), NOW)
    use.give_up(world.database, world.admin, world.found(row_ids=[three]), NOW)
    told = [(kind, details["decision"], details["by"]) for kind, details in world.events()]
    assert told == [
        ("send_api_fail", "resend", "admin"),
        ("send_api_success", "mark-sent", "admin"),
        ("send_api_fail", "give-up", "admin"),
    ]
    assert world.events()[0][1]["error"] == "connection lost"


def test_decisions_are_moves_that_rows_may_make() -> None:
    made = {
        (RowStatus.UNKNOWN, after) for after in (RowStatus.PENDING, RowStatus.SENT, RowStatus.FAILED_TO_SEND)
    }
    assert made <= ROW_MOVES


class TestFinding:
    def test_rows_are_named_by_task_and_addresses_in_any_form(self, world: Doubtful) -> None:
        one, two, _ = world.unknown(3)
        emails = [world.email(one).upper(), world.email(two)]
        found = world.found(where="spring/intro", emails=[*emails, world.email(one)])
        assert [row["id"] for row in found] == [one, two]

    def test_all_of_a_campaign_a_task_or_a_service(self, world: Doubtful) -> None:
        second = world.begun("second")
        here, there = world.unknown(2), world.unknown(1, second)
        elsewhere = world.unknown(1, sender_service_id=world.service("backup"))
        assert {row["id"] for row in world.found(where="spring", every=True)} == {*here, *there, *elsewhere}
        assert [row["id"] for row in world.found(where="spring/second", every=True)] == there
        assert [row["id"] for row in world.found(service="backup", every=True)] == elsewhere

    def test_the_oldest_attempt_comes_first(self, world: Doubtful) -> None:
        young, old = world.unknown(1), world.unknown(1, attempt_at=TRIED - timedelta(days=1))
        with world.database.read() as connection:
            rows, total = use.listed(connection, world.admin, None, None, 1)
        assert ([row["id"] for row in rows], total) == (old, 2)
        assert young != old

    def test_operators_find_and_name_their_own_only(self, world: Doubtful) -> None:
        anna = world.user("anna")
        [row_id] = world.unknown()
        assert use.find(world.database, anna, Wanted(service="main", every=True)) == []
        named = (
            Wanted(row_ids=[row_id]),
            Wanted(where="spring", every=True),
            Wanted(where="spring/intro", emails=[world.email(row_id)]),
        )
        for wanted in named:
            with pytest.raises(NotAllowed):
                use.find(world.database, anna, wanted)

    def test_what_is_not_unknown_or_not_there_is_refused_before_anything_changes(
        self, world: Doubtful
    ) -> None:
        [row_id] = world.unknown()
        [sent] = world.rows(world.task_id, "sent")
        with pytest.raises(WrongState, match="is sent"):
            world.found(row_ids=[row_id, sent])
        with pytest.raises(NotFound, match="row 999"):
            world.found(row_ids=[row_id, 999])
        with pytest.raises(NotFound, match=r"nobody@example\.com"):
            world.found(where="spring/intro", emails=[world.email(row_id), "nobody@example.com"])

    def test_unknown_rows_are_found_through_the_lease_index(self, world: Doubtful) -> None:
        world.rows(world.task_id, "sent", 30)
        world.unknown(2)
        plans: list[str] = []

        def explain(connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
            if "attempt_at" in statement and statement.startswith("SELECT"):
                kind = "EXPLAIN QUERY PLAN " if world.database.dialect_name == "sqlite" else "EXPLAIN "
                cursor = connection.connection.cursor()
                cursor.execute(kind + statement, values)
                plans.extend(str(row) for row in cursor.fetchall())

        with world.database.read() as connection:
            sa.event.listen(connection, "before_cursor_execute", explain)
            assert len(rows_of.ids(connection, [world.task_id])) == 2
        assert plans
        assert "ix_task_contacts_lease" in plans[0], plans


class TestLateAnswers:
    """The old worker was not dead after all, or its host came back with the journal."""

    @pytest.mark.parametrize("deed", ["resend", "mark_sent", "give_up"])
    def test_a_row_settled_since_it_was_looked_at_is_reported_and_not_overwritten(
        self, world: Doubtful, deed: str
    ) -> None:
        [row_id] = world.unknown()
        seen = world.found(row_ids=[row_id])
        assert world.late(row_id, RowStatus.SENT)
        made = (
            world.resend(seen)
            if deed == "resend"
            else getattr(use, deed)(world.database, world.admin, seen, NOW)
        )
        assert not made.done
        assert made.left[0][1] == "it was settled meanwhile: it is sent"
        row = world.row(task_contacts, row_id)
        assert (row["status"], row["sent_at"], row["reason"]) == ("sent", NOW, None)

    def test_a_row_that_was_tried_again_since_is_another_question(self, world: Doubtful) -> None:
        [row_id] = world.unknown()
        seen = world.found(row_ids=[row_id])
        world.change(task_contacts, row_id, claim_token=ledger.token_of(8, 1), attempt=2)
        assert world.resend(seen).left[0][1] == "it was tried again meanwhile: look at it anew"
        assert world.row(task_contacts, row_id)["status"] == "unknown"

    @pytest.mark.parametrize("answer", [RowStatus.SENT, RowStatus.FAILED_TO_SEND, RowStatus.PENDING])
    def test_after_a_decision_the_old_attempt_has_no_say(self, world: Doubtful, answer: RowStatus) -> None:
        resent, marked, given_up = world.unknown(3)
        world.resend(world.found(row_ids=[resent]))
        use.mark_sent(world.database, world.admin, world.found(row_ids=[marked]), NOW)
        use.give_up(world.database, world.admin, world.found(row_ids=[given_up]), NOW)
        told = world.events()
        assert not any(world.late(row_id, answer) for row_id in (resent, marked, given_up))
        states = [world.row(task_contacts, row_id)["status"] for row_id in (resent, marked, given_up)]
        assert states == ["pending", "sent", "failed_to_send"]
        assert world.events() == told, "an answer that does not count leaves no event either"

    @pytest.mark.parametrize("answer", [RowStatus.SENT, RowStatus.PENDING])
    def test_a_row_resent_and_claimed_anew_belongs_to_its_new_claim(
        self, world: Doubtful, answer: RowStatus
    ) -> None:
        [row_id] = world.unknown()
        world.resend(world.found(row_ids=[row_id]))
        new = ledger.token_of(8, 1)
        world.database.run(
            lambda connection: ledger.intend(
                connection,
                row_ids=[row_id],
                task_id=world.task_id,
                service_id=world.service_id,
                token=new,
                now=NOW,
                owner=None,
            )
        )
        assert not world.late(row_id, answer)
        row = world.row(task_contacts, row_id)
        assert (row["status"], row["claim_token"]) == ("sending", new)


def together(*deeds: Callable[[], Any]) -> list[Any]:
    """Do all of this at the same moment; what each gave back."""
    ready = threading.Barrier(len(deeds))
    results: list[Any] = [None] * len(deeds)

    def do(place: int) -> None:
        ready.wait(timeout=120)
        results[place] = deeds[place]()

    threads = [threading.Thread(target=do, args=(place,)) for place in range(len(deeds))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    return results


class TestAtTheSameMoment:
    def test_of_two_who_resend_the_same_rows_one_does(self, world: Doubtful) -> None:
        ids = world.unknown(6)
        seen = world.found(row_ids=ids)
        one, two = together(lambda: world.resend(seen), lambda: world.resend(seen[::-1]))
        done = [row["id"] for made in (one, two) for row in made.done]
        assert sorted(done) == sorted(ids)
        assert len(one.left) + len(two.left) == 6
        assert [kind for kind, _ in world.events()] == ["send_api_fail"] * 6

    @pytest.mark.parametrize("deed", ["resend", "mark_sent", "give_up"])
    @pytest.mark.parametrize("answer", [RowStatus.SENT, RowStatus.PENDING])
    def test_of_a_decision_and_a_late_answer_one_counts(
        self, world: Doubtful, deed: str, answer: RowStatus
    ) -> None:
        [row_id] = world.unknown()
        seen = world.found(row_ids=[row_id])
        decide = {
            "resend": lambda: world.resend(seen),
            "mark_sent": lambda: use.mark_sent(world.database, world.admin, seen, NOW),
            "give_up": lambda: use.give_up(world.database, world.admin, seen, NOW),
        }[deed]
        made, late = together(decide, lambda: world.late(row_id, answer))
        decided = {"resend": "pending", "mark_sent": "sent", "give_up": "failed_to_send"}[deed]
        assert len(made.done) + late == 1
        row = world.row(task_contacts, row_id)
        assert row["status"] == (answer.value if late else decided)
        marks = [details.get("decision") for _, details in world.events() if details]
        assert len([mark for mark in marks if mark]) == len(made.done)

    @pytest.mark.costly
    @pytest.mark.parametrize("deed", ["resend", "mark_sent", "give_up"])
    def test_an_answer_that_comes_between_the_last_look_and_the_decision_is_not_overwritten(
        self, world: Doubtful, deed: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        [row_id] = world.unknown()
        seen = world.found(row_ids=[row_id])
        late: list[bool] = []
        answer = threading.Thread(target=lambda: late.append(world.late(row_id, RowStatus.SENT)))
        look = rows_of.shown

        def look_and_be_late(*asked: Any) -> list[RowMapping]:
            found = look(*asked)
            if answer.ident is None:
                answer.start()
                answer.join(0.5)  # where it may come through, it has
            return found

        monkeypatch.setattr(rows_of, "shown", look_and_be_late)
        if deed == "resend":
            made = world.resend(seen)
        else:
            made = getattr(use, deed)(world.database, world.admin, seen, NOW)
        answer.join(120)
        assert len(made.done) + late[0] == 1
        assert len([kind for kind, _ in world.events() if kind != "send_api_try"]) == 1

    @pytest.mark.costly
    def test_a_task_is_not_closed_over_a_row_that_is_being_resent(self, world: Doubtful) -> None:
        for _ in range(5):
            world.unknown()
            seen = world.found(where="spring/intro", every=True)
            made, _ = together(
                lambda seen=seen: world.resend(seen), lambda: lifecycle.finish_ended(world.database, NOW)
            )
            waiting = world.statuses(world.task_id).get("pending", 0)
            ended = world.row(tasks, world.task_id)["status"] == "finished"
            assert not (waiting and ended)
            assert len(made.done) == waiting
            with world.database.begin() as connection:
                connection.execute(sa.delete(task_contacts))
                connection.execute(sa.update(tasks).values(status="sending", actual_end_time=None))
                connection.execute(sa.update(campaigns).values(status="active"))
