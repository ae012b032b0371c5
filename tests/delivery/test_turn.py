"""A worker's turn at the database: consent, quota, pauses, and what database errors must not do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pymysql
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from coldsend import clock
from coldsend.database.engine import Connection, Database
from coldsend.database.tables import (
    contacts,
    event_log,
    provider_pauses,
    sender_leases,
    sender_quota,
    sender_services,
    task_contacts,
    tasks,
)
from coldsend.delivery import view as views
from coldsend.delivery.attempt import Claim, Result
from coldsend.delivery.claim import Claimer
from coldsend.delivery.record import Recorder
from coldsend.delivery.turn import DatabaseAway, Taken, Turns
from coldsend.domain import outcome as outcomes
from coldsend.domain import suppression
from coldsend.domain.answers import Answer, Phase
from coldsend.domain.outcome import RowOutcome
from coldsend.domain.replies import judge
from coldsend.domain.states import RowStatus, SuppressionReason
from coldsend.stores import ledger, suppressions
from tests.planning.world import NOW, World

WORKER = 7
PEPPER = b"p" * 32


class Sending(World):
    """A task that sends, and worker 7's turns."""

    def __init__(self, database: Database, **service: Any) -> None:
        super().__init__(database)
        self.service_id = self.service(**service)
        self.campaign_id = self.campaign(status="active")
        self.task_id = self.task(self.campaign_id, status="sending", actual_start_time=NOW)
        self.turns = Turns(database, WORKER, Claimer(WORKER, PEPPER, 30), Recorder(WORKER, 30), 3)

    def rows(self, task: int, status: str, count: int = 1, **values: Any) -> list[int]:
        return super().rows(task, status, count, **{"scheduled_send_at": clock.now(), **values})

    def take(self, want: int = 0, results: list[Result] | None = None) -> Taken:
        with self.database.read() as connection:
            view = views.read(connection, clock.now())
        return self.turns.take(results or [], {self.service_id: want} if want else {}, view)

    def used(self) -> int:
        with self.database.read() as connection:
            return int(connection.execute(sa.select(sa.func.sum(sender_quota.c.used))).scalar() or 0)

    def events(self) -> list[str]:
        with self.database.read() as connection:
            return list(connection.execute(sa.select(event_log.c.type).order_by(event_log.c.id)).scalars())

    def suppress(self, text: str) -> None:
        entry = suppression.read(text, SuppressionReason.UNSUBSCRIBE)
        self.database.run(lambda connection: suppressions.add(connection, [entry], NOW))

    def email(self, row: int) -> str:
        return str(self.row(contacts, self.row(task_contacts, row)["contact_id"])["email"])


def answered(claim: Claim, answer: Answer) -> Result:
    verdict = judge(answer)
    now = clock.now()
    decided = outcomes.decide(claim.attempt, answer, verdict, now, now + timedelta(minutes=5), "<m@x>")
    return Result(claim, decided, answer, verdict)


def accepted(claim: Claim) -> Result:
    return answered(claim, Answer(Phase.FINAL, 250, "2.0.0", "ok"))


@pytest.fixture
def world(database: Database) -> Sending:
    return Sending(database)


def test_what_is_claimed_is_sending_and_costs_quota(world: Sending) -> None:
    rows = world.rows(world.task_id, "pending", 3)
    taken = world.take(2)
    assert len(taken.claims) == 2
    assert {claim.row.id for claim in taken.claims} < set(rows)
    assert world.statuses(world.task_id) == {"pending": 1, "sending": 2}
    assert world.used() == 2


def test_consent_is_asked_again_at_the_intent(world: Sending) -> None:
    rows = world.rows(world.task_id, "pending", 3)
    world.suppress(world.email(rows[0]).upper())
    taken = world.take(10)
    assert {claim.row.id for claim in taken.claims} == set(rows[1:])
    row = world.row(task_contacts, rows[0])
    assert (row["status"], row["reason"]) == ("skipped", "suppressed")
    assert world.used() == 2, "a declined row costs nothing"
    assert world.events() == [], "and nothing was tried"


@pytest.mark.parametrize("form", ["domain", "hashed"])
def test_every_form_of_suppression_is_asked(world: Sending, form: str) -> None:
    rows = world.rows(world.task_id, "pending")
    email = world.email(rows[0])
    world.suppress("example.com" if form == "domain" else suppression.hashed_key(email, PEPPER))
    assert list(world.take(10).claims) == []
    assert world.row(task_contacts, rows[0])["status"] == "skipped"


def test_a_removed_contact_is_skipped(world: Sending) -> None:
    rows = world.rows(world.task_id, "pending")
    world.change(contacts, world.row(task_contacts, rows[0])["contact_id"], deleted_at=NOW)
    assert list(world.take(10).claims) == []
    assert world.row(task_contacts, rows[0])["reason"] == "contact_removed"


def test_no_more_is_claimed_than_the_quota_leaves(database: Database) -> None:
    world = Sending(database, daily_quota=2)
    world.rows(world.task_id, "pending", 5)
    assert len(world.take(5).claims) == 2
    assert world.statuses(world.task_id) == {"pending": 3, "sending": 2}
    assert list(world.take(5).claims) == []
    assert world.used() == 2


def test_quota_that_another_worker_took_meanwhile_is_put_back(database: Database) -> None:
    world = Sending(database, daily_quota=3)
    world.rows(world.task_id, "pending", 3)
    with database.read() as connection:
        stale = views.read(connection, clock.now())
    today = stale.services[world.service_id].service.quota_day(clock.now())
    world.insert(sender_quota, sender_service_id=world.service_id, quota_day=today, used=2)
    taken = world.turns.take([], {world.service_id: 3}, stale)
    assert len(taken.claims) == 1
    assert world.statuses(world.task_id) == {"pending": 2, "sending": 1}
    assert world.used() == 3


def test_a_row_for_a_paused_provider_waits_and_is_free_for_other_services(world: Sending) -> None:
    rows = world.rows(world.task_id, "pending")
    until = clock.now() + timedelta(hours=4)
    world.insert(
        provider_pauses,
        sender_service_id=world.service_id,
        provider="example.com",
        paused_until=until,
        reason="S3150",
    )
    assert list(world.take(10).claims) == []
    row = world.row(task_contacts, rows[0])
    assert (row["status"], row["reason"], row["sender_service_id"]) == ("pending", "provider_paused", None)
    assert clock.now() < row["scheduled_send_at"] < until
    assert world.used() == 0


def test_outcomes_are_written_with_their_events_and_refunds(world: Sending) -> None:
    world.rows(world.task_id, "pending", 3)
    claims = world.take(3).claims
    results = [
        accepted(claims[0]),
        answered(claims[1], Answer(Phase.RCPT, 550, "5.1.1", "no such user")),
        answered(claims[2], Answer(Phase.FINAL, 0, text="connection lost", lost=True)),
    ]
    world.take(results=results)
    assert world.statuses(world.task_id) == {"failed_to_send": 1, "sent": 1, "unknown": 1}
    assert sorted(world.events()) == ["send_api_fail", "send_api_success", *["send_api_try"] * 3]
    assert world.used() == 2, "the recipient that was refused at RCPT is not counted"
    with world.database.read() as connection:
        email = world.email(claims[1].row.id)
        keys = suppression.keys_for(email, "example.com", None)
        assert set(suppressions.matching(connection, keys, 0).values()) == {SuppressionReason.HARD_BOUNCE}


def test_the_journal_is_not_told_to_forget_what_is_in_doubt(world: Sending) -> None:
    world.rows(world.task_id, "pending", 2)
    sent, lost = world.take(2).claims
    in_doubt = answered(lost, Answer(Phase.FINAL, 0, text="connection lost", lost=True))
    taken = world.take(results=[accepted(sent), in_doubt])
    assert list(taken.written) == [(sent.row.id, sent.token)], "without its dot it would look unsent"


LOST = Answer(Phase.MAIL, 0, text="connection lost", lost=True)
RELAY = Answer(Phase.RCPT, 550, "5.7.1", "relaying denied")


def errors(world: Sending) -> tuple[int, str]:
    row = world.row(sender_services, world.service_id)
    return row["consecutive_errors"], row["health_status"]


def test_connections_that_break_together_are_one_failure(world: Sending) -> None:
    world.rows(world.task_id, "pending", 8)
    world.take(results=[answered(claim, LOST) for claim in world.take(8).claims])
    assert errors(world) == (1, "active")


def test_each_refusal_that_blames_the_sender_counts(world: Sending) -> None:
    world.rows(world.task_id, "pending", 5)
    world.take(results=[answered(claim, RELAY) for claim in world.take(5).claims])
    assert errors(world) == (5, "frozen")


def test_a_message_that_is_accepted_ends_a_row_of_failures(world: Sending) -> None:
    world.rows(world.task_id, "pending", 10)
    with world.database.read() as connection:
        before = views.read(connection, clock.now())  # all that follows happens within this view's second

    def take(want: int, results: list[Result]) -> Taken:
        return world.turns.take(results, {world.service_id: want} if want else {}, before)

    claims = take(10, []).claims
    take(0, [answered(claim, RELAY) for claim in claims[:4]])
    assert errors(world) == (4, "active")
    take(0, [answered(claims[4], RELAY), accepted(claims[5]), answered(claims[6], RELAY)])
    assert errors(world) == (1, "active")
    take(0, [accepted(claims[7])])
    assert errors(world) == (0, "active")


def test_rows_that_keep_a_full_service_do_not_stand_in_the_way_of_others(world: Sending) -> None:
    full = world.service("full")
    before = clock.now() - timedelta(hours=1)
    kept = world.rows(world.task_id, "pending", 5, sender_service_id=full, scheduled_send_at=before)
    free = world.rows(world.task_id, "pending", 2)
    with world.database.read() as connection:
        view = views.read(connection, clock.now())
    claims = world.turns.take([], {full: 1, world.service_id: 2}, view).claims
    assert {claim.row.id for claim in claims if claim.row.service_id == world.service_id} == set(free)
    assert len([claim for claim in claims if claim.row.id in kept]) == 1


@pytest.mark.costly
def test_tasks_take_turns_at_a_service(world: Sending) -> None:
    other = world.task(world.campaign_id, "other", status="sending", actual_start_time=NOW)
    for task in (world.task_id, other):
        world.rows(task, "pending", 5)
    taken = [world.take(1).claims[0].row.task_id for _ in range(6)]
    assert sorted(taken) == [world.task_id] * 3 + [other] * 3


@pytest.mark.costly
def test_tasks_take_turns_at_a_service_whose_answers_are_written_in_between(world: Sending) -> None:
    other = world.task(world.campaign_id, "other", status="sending", actual_start_time=NOW)
    for task in (world.task_id, other):
        world.rows(task, "pending", 3)
    taken = []
    for _ in range(4):
        claims = world.take(1).claims
        taken += [claim.row.task_id for claim in claims]
        world.take(results=[accepted(claim) for claim in claims])  # while the throttle holds
    assert sorted(taken) == [world.task_id] * 2 + [other] * 2


def test_a_kept_service_is_kept_when_the_row_was_not_sent(world: Sending) -> None:
    rows = world.rows(world.task_id, "pending", sender_service_id=world.service_id)
    [claim] = world.take(1).claims
    released = Result(claim, outcomes.released(claim.attempt, clock.now(), "stopped"))
    world.take(results=[released])
    assert world.row(task_contacts, rows[0])["sender_service_id"] == world.service_id
    [claim] = world.take(1).claims
    world.take(results=[answered(claim, Answer(Phase.CONNECT, 0, text="refused", lost=True))])
    assert world.row(task_contacts, rows[0])["sender_service_id"] == world.service_id


def test_of_all_workers_one_probes_a_frozen_service(database: Database) -> None:
    over = clock.now() - timedelta(minutes=1)
    world = Sending(database, health_status="frozen", frozen_code="errors", cool_down_until=over)
    world.rows(world.task_id, "pending", 3)
    with database.read() as connection:
        view = views.read(connection, clock.now())
    other = Turns(database, 8, Claimer(8, PEPPER, 30), Recorder(8, 30), 3)
    assert len(world.turns.take([], {world.service_id: 1}, view).claims) == 1
    assert list(other.take([], {world.service_id: 1}, view).claims) == []


def test_a_probe_that_the_quota_does_not_cover_any_more_is_none(database: Database) -> None:
    over = clock.now() - timedelta(minutes=1)
    frozen = {"health_status": "frozen", "frozen_code": "errors", "cool_down_until": over}
    world = Sending(database, daily_quota=1, **frozen)
    world.rows(world.task_id, "pending")
    with database.read() as connection:
        stale = views.read(connection, clock.now())
    today = stale.services[world.service_id].service.quota_day(clock.now())
    world.insert(sender_quota, sender_service_id=world.service_id, quota_day=today, used=1)
    assert list(world.turns.take([], {world.service_id: 1}, stale).claims) == []
    assert world.row(sender_services, world.service_id)["cool_down_until"] <= clock.now(), "it may be probed"


def test_where_it_takes_long_to_learn_that_nothing_is_due_it_is_asked_rarely(
    world: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = [100.0]
    look = ledger.candidates

    def slow(*about: Any) -> list[tuple[int, int | None]]:
        moment[0] += 0.25
        return look(*about)

    monkeypatch.setattr(clock, "monotonic", lambda: moment[0])
    monkeypatch.setattr(ledger, "candidates", slow)
    world.rows(world.task_id, "pending", sender_service_id=world.service_id + 1)
    for _ in range(3):
        world.take(1)
    assert moment[0] == 100.25, "asked once"
    moment[0] += 2.5
    world.take(1)
    assert moment[0] == 103.0


def test_a_throttled_service_is_claimed_for_by_its_owner_and_its_gap_is_written(database: Database) -> None:
    world = Sending(database, throttle_sec=2)
    world.rows(world.task_id, "pending", 3)
    world.insert(sender_leases, sender_service_id=world.service_id, worker_id=WORKER + 1)
    assert list(world.take(1).claims) == []
    with database.begin() as connection:
        connection.execute(sa.update(sender_leases).values(worker_id=WORKER))
    world.turns.claimer.dry.clear()
    [claim] = world.take(1).claims

    def gap() -> object:
        with database.read() as connection:
            return connection.execute(sa.select(sender_leases.c.next_send_at)).scalar_one()

    world.take(results=[Result(claim, outcomes.released(claim.attempt, clock.now(), "stopped"))])
    assert gap() is None, "nothing was sent"
    result = accepted(world.take(1).claims[0])
    world.take(results=[result])
    assert gap() == result.outcome.at + timedelta(seconds=2)


@pytest.mark.costly
def test_a_commit_that_is_still_under_way_is_waited_for(world: Sending) -> None:
    rows = world.rows(world.task_id, "pending", 2)
    token = WORKER * 2**32
    world.turns._doubtful.append((rows, token, clock.now()))
    turn = threading.Thread(target=world.take)
    with world.database.begin() as connection:
        assert ledger.intend(
            connection,
            row_ids=rows,
            task_id=world.task_id,
            service_id=world.service_id,
            token=token,
            now=clock.now(),
            owner=None,
        )
        turn.start()
        turn.join(0.5)
        assert turn.is_alive(), "it must not conclude that there is nothing to put back"
    turn.join(120)
    assert world.statuses(world.task_id) == {"pending": 2}


@pytest.mark.costly
def test_render_errors_in_a_row_pause_the_task(world: Sending) -> None:
    world.rows(world.task_id, "pending", 4)
    claims = world.take(4).claims
    now = clock.now()

    def failed(claim: Claim) -> Result:
        made: RowOutcome = outcomes.skipped(claim.attempt, now, "template_error", "no filter 'x'")
        return Result(claim, made, render_error=True)

    world.take(results=[failed(claims[0]), failed(claims[1])])
    assert world.row(tasks, world.task_id)["status"] == "sending"
    world.take(results=[accepted(claims[2]), failed(claims[3])])
    assert world.row(tasks, world.task_id)["status"] == "sending", "one that went well begins the count anew"
    world.rows(world.task_id, "pending", 2)
    world.take(results=[failed(claim) for claim in world.take(2).claims])
    row = world.row(tasks, world.task_id)
    assert row["status"] == "paused"
    assert "no filter 'x'" in row["status_reason"]


def lost(code: int) -> OperationalError:
    return OperationalError("COMMIT", None, pymysql.err.OperationalError(code, "for the test"))


@contextmanager
def failing_commit(
    database: Database, error: Exception, *, times: int, committed: bool
) -> Iterator[list[int]]:
    """The next ``times`` transactions fail at COMMIT, ``committed`` or not: nobody can tell from outside."""
    engine, left = database.engine, [times]

    class Failing:
        def __getattr__(self, name: str) -> Any:
            return getattr(engine, name)

        @contextmanager
        def begin(self) -> Iterator[Connection]:
            if left[0] <= 0:
                with engine.begin() as connection:
                    yield connection
                return
            left[0] -= 1
            with engine.connect() as connection:
                with connection.begin() as transaction:
                    yield connection
                    if not committed:
                        transaction.rollback()
                raise error

    database.engine = Failing()  # type: ignore[assignment]
    try:
        yield left
    finally:
        database.engine = engine


@pytest.mark.parametrize("code", [2006, 2013, 1180])
def test_a_connection_lost_at_commit_neither_doubles_nor_loses_anything(world: Sending, code: int) -> None:
    rows = world.rows(world.task_id, "pending", 6)
    first = world.take(3).claims
    with failing_commit(world.database, lost(code), times=1, committed=True):
        taken = world.take(3, [accepted(claim) for claim in first])
    claimed = [claim.row.id for claim in taken.claims]
    assert sorted(claimed) == sorted(set(rows) - {claim.row.id for claim in first})
    assert world.statuses(world.task_id) == {"sending": 3, "sent": 3}
    assert sorted(world.events()) == ["send_api_success"] * 3 + ["send_api_try"] * 3
    assert world.used() == 6


def test_rows_whose_commit_was_in_doubt_are_asked_for_consent_again(world: Sending) -> None:
    rows = world.rows(world.task_id, "pending", 3)
    with (
        failing_commit(world.database, lost(2013), times=3, committed=True),
        pytest.raises(DatabaseAway),
    ):
        world.take(3)
    assert world.statuses(world.task_id) == {"sending": 3}, "it was committed, and nobody was told so"
    for row in rows:
        world.suppress(world.email(row))  # while the database could not be reached
    assert list(world.take(3).claims) == []
    assert world.statuses(world.task_id) == {"skipped": 3}
    assert world.used() == 0


@pytest.mark.parametrize("code", [1047, 2003])
def test_a_database_that_goes_away_while_it_commits_is_in_doubt_too(world: Sending, code: int) -> None:
    rows = world.rows(world.task_id, "pending", 2)
    with failing_commit(world.database, lost(code), times=1, committed=True), pytest.raises(DatabaseAway):
        world.take(2)
    assert sorted(claim.row.id for claim in world.take(2).claims) == rows


@pytest.mark.parametrize("code", [1213, 1205, 1020, 3101, 1467, 2013])
def test_a_transaction_that_was_undone_is_run_again_whole(world: Sending, code: int) -> None:
    world.rows(world.task_id, "pending", 6)
    first = world.take(3).claims
    with failing_commit(world.database, lost(code), times=2, committed=False):
        taken = world.take(3, [accepted(claim) for claim in first])
    assert len(taken.claims) == 3
    assert world.statuses(world.task_id) == {"sending": 3, "sent": 3}
    assert sorted(world.events()) == ["send_api_success"] * 3 + ["send_api_try"] * 3
    assert world.used() == 6


@pytest.mark.parametrize("code", [1047, 1290, 1114, 2003, 1040])
def test_a_database_that_is_away_is_waited_for_and_the_outcomes_are_kept(world: Sending, code: int) -> None:
    world.rows(world.task_id, "pending", 3)
    results = [accepted(claim) for claim in world.take(3).claims]
    with failing_commit(world.database, lost(code), times=1, committed=False), pytest.raises(DatabaseAway):
        world.take(results=results)
    assert world.statuses(world.task_id) == {"sending": 3}
    world.take(results=results)
    assert world.statuses(world.task_id) == {"sent": 3}


def test_outcomes_of_rows_that_were_rescued_meanwhile_do_not_undo_the_rescue(world: Sending) -> None:
    world.rows(world.task_id, "pending", 2)
    claims = world.take(2).claims
    world.change(task_contacts, claims[0].row.id, status="pending")  # rescued, and free for others
    world.take(results=[accepted(claim) for claim in claims])
    assert world.row(task_contacts, claims[0].row.id)["status"] == "pending"
    assert world.row(task_contacts, claims[1].row.id)["status"] == RowStatus.SENT
    assert sorted(world.events()) == ["send_api_success", "send_api_try"]


def test_who_was_given_up_and_turns_out_to_be_sent_opens_what_follows_once_more(world: Sending) -> None:
    world.rows(world.task_id, "pending")
    [claim] = world.take(1).claims
    world.change(task_contacts, claim.row.id, status="unknown", reason="process_lost")
    world.change(tasks, world.task_id, status="finished", expanded_at=NOW, actual_end_time=NOW)
    follows = {"follows_task_id": world.task_id, "follows_days": 3, "actual_start_time": NOW}
    second = world.task(world.campaign_id, "second", "sending", **follows, expanded_at=NOW)
    world.take(results=[accepted(claim)])
    assert world.row(task_contacts, claim.row.id)["status"] == RowStatus.SENT
    assert world.row(tasks, second)["expanded_at"] is None, "its list was complete without them"


def test_a_template_that_nobody_can_be_sent_pauses_its_task_and_skips_nobody(world: Sending) -> None:
    world.rows(world.task_id, "pending", 2)
    claims = world.take(2).claims
    now = clock.now()
    released = [outcomes.released(claim.attempt, now, "template_error") for claim in claims]
    world.take(
        results=[
            Result(claim, made, broken="template 't' cannot be compiled: no filter 'x'")
            for claim, made in zip(claims, released, strict=True)
        ]
    )
    assert world.statuses(world.task_id) == {"pending": 2}
    row = world.row(tasks, world.task_id)
    assert row["status"] == "paused"
    assert "no filter 'x'" in row["status_reason"]
    assert world.used() == 0


class TestWhatCameBackBeforeTheOutcome:
    """A recipient may open a message before the answer to its final dot is written."""

    OPENED, REPLIED = NOW, NOW + timedelta(minutes=1)

    def heard_of(self, world: Sending, count: int) -> list[Claim]:
        world.rows(world.task_id, "pending", count)
        claims = list(world.take(count).claims)
        for claim in claims:
            times = {"opened_at": self.OPENED, "replied_at": self.REPLIED}
            world.change(task_contacts, claim.row.id, reason="heard_of", **times)
        return claims

    def test_an_accepted_row_takes_the_furthest_status_it_has_come_to(self, world: Sending) -> None:
        heard_of = self.heard_of(world, 2)
        world.rows(world.task_id, "pending", 1)
        plain = list(world.take(1).claims)
        world.take(results=[accepted(claim) for claim in [*heard_of, *plain]])
        assert world.statuses(world.task_id) == {"replied": 2, "sent": 1}
        row = world.row(task_contacts, heard_of[0].row.id)
        assert (row["opened_at"], row["replied_at"]) == (self.OPENED, self.REPLIED)
        assert row["sent_at"] is not None

    def test_so_does_one_whose_outcome_goes_the_long_way(self, world: Sending) -> None:
        [claim] = self.heard_of(world, 1)
        taken = Answer(Phase.FINAL, 200, text="ok", provider_message_id="p-1")
        result = Result(claim, outcomes.accepted(claim.attempt, taken, NOW, "<m@x>"), taken, judge(taken))
        world.take(results=[result])
        assert world.statuses(world.task_id) == {"replied": 1}

    @pytest.mark.parametrize("column", ["delivered_at", "bounced_at", "opened_at", "complained_at"])
    def test_each_time_is_looked_at(self, world: Sending, column: str) -> None:
        world.rows(world.task_id, "pending")
        [claim] = world.take(1).claims
        world.change(task_contacts, claim.row.id, **{column: NOW})
        world.take(results=[accepted(claim)])
        assert world.statuses(world.task_id) == {column.removesuffix("_at"): 1}

    def test_a_message_that_nobody_knows_the_answer_to_was_sent(self, world: Sending) -> None:
        [claim] = self.heard_of(world, 1)
        world.take(results=[answered(claim, Answer(Phase.FINAL, 0, text="lost", lost=True))])
        row = world.row(task_contacts, claim.row.id)
        assert (row["status"], row["sent_at"], row["reason"]) == ("replied", claim.attempt_at, None)
        assert world.events() == ["send_api_try", "send_api_success"]

    def test_so_was_one_that_only_a_machine_has_opened(self, world: Sending) -> None:
        world.rows(world.task_id, "pending")
        [claim] = world.take(1).claims
        world.change(task_contacts, claim.row.id, reason="heard_of")
        world.take(results=[answered(claim, Answer(Phase.FINAL, 0, text="lost", lost=True))])
        assert world.statuses(world.task_id) == {"sent": 1}

    def test_nothing_is_proven_by_what_came_back_of_an_earlier_attempt(self, world: Sending) -> None:
        world.rows(world.task_id, "pending", opened_at=NOW)
        [claim] = world.take(1).claims
        world.take(results=[answered(claim, Answer(Phase.FINAL, 0, text="lost", lost=True))])
        assert world.statuses(world.task_id) == {"unknown": 1}

    def test_what_was_refused_all_the_same_is_failed(self, world: Sending) -> None:
        [claim] = self.heard_of(world, 1)
        world.take(results=[answered(claim, Answer(Phase.RCPT, 550, "5.1.1", "no such user"))])
        assert world.statuses(world.task_id) == {"failed_to_send": 1}


class TestSomebodyWhoIsAway:
    def test_waits_until_they_are_back_and_costs_nothing(self, world: Sending) -> None:
        away, here = world.rows(world.task_id, "pending", 2)
        back = clock.now() + timedelta(days=3)
        world.change(contacts, world.row(task_contacts, away)["contact_id"], away_until=back)
        assert [claim.row.id for claim in world.take(10).claims] == [here]
        row = world.row(task_contacts, away)
        assert (row["status"], row["reason"], row["scheduled_send_at"]) == ("pending", "away", back)
        assert (world.used(), world.events()) == (1, [])

    def test_is_written_to_once_they_are(self, world: Sending) -> None:
        [row_id] = world.rows(world.task_id, "pending")
        contact = world.row(task_contacts, row_id)["contact_id"]
        world.change(contacts, contact, away_until=clock.now() - timedelta(seconds=1))
        assert [claim.row.id for claim in world.take(10).claims] == [row_id]
