"""The ledger's compare-and-set moves: what an intent and an outcome may change, and what they must not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.database.engine import Database
from coldsend.database.tables import (
    campaigns,
    contacts,
    sender_leases,
    sender_services,
    task_contacts,
    tasks,
    workers,
)
from coldsend.domain.outcome import RowOutcome
from coldsend.domain.states import FreezeCode, RowStatus
from coldsend.stores import claims, ledger, row_outcomes
from tests.planning.world import NOW, World

TOKEN = ledger.token_of(7, 1)


class Sending(World):
    """A task that sends through one open service."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.service_id = self.service()
        self.campaign_id = self.campaign(status="active")
        self.task_id = self.task(self.campaign_id, status="sending", actual_start_time=NOW)

    def intend(self, ids: Sequence[int], **values: Any) -> int:
        asked: dict[str, Any] = {
            "row_ids": ids,
            "task_id": self.task_id,
            "service_id": self.service_id,
            "token": TOKEN,
            "now": NOW,
            "owner": None,
        }
        with self.database.begin() as connection:
            return ledger.intend(connection, **{**asked, **values})

    def record(self, *outcomes: RowOutcome, late: bool = False) -> int:
        with self.database.begin() as connection:
            return row_outcomes.record(connection, outcomes, late=late)

    def outcome(self, row: int, status: RowStatus = RowStatus.SENT, **values: Any) -> RowOutcome:
        made = RowOutcome(row, TOKEN, self.service_id, status, NOW + timedelta(seconds=3), attempt_at=NOW)
        return replace(made, **values)


@pytest.fixture
def world(database: Database) -> Sending:
    return Sending(database)


def test_an_intent_takes_pending_rows_and_leaves_all_others(world: Sending) -> None:
    pending = world.rows(world.task_id, "pending", 3)
    taken = [
        world.rows(world.task_id, status.value)[0] for status in RowStatus if status != RowStatus.PENDING
    ]
    assert world.intend(pending + taken) == 3
    row = world.row(task_contacts, pending[0])
    assert (row["status"], row["claim_token"], row["attempt"]) == ("sending", TOKEN, 1)
    assert (row["attempt_at"], row["sender_service_id"]) == (NOW, world.service_id)


def test_a_row_can_be_claimed_only_once(world: Sending) -> None:
    rows = world.rows(world.task_id, "pending", 2)
    assert world.intend(rows) == 2
    assert world.intend(rows, token=TOKEN + 1) == 0
    assert world.row(task_contacts, rows[0])["claim_token"] == TOKEN


@pytest.mark.parametrize("status", ["draft", "scheduled", "paused", "finished", "failed", "cancelled"])
def test_nothing_is_claimed_for_a_task_that_does_not_send(world: Sending, status: str) -> None:
    rows = world.rows(world.task_id, "pending")
    world.change(tasks, world.task_id, status=status)
    assert world.intend(rows) == 0


@pytest.mark.parametrize("status", ["draft", "paused", "completed", "cancelled"])
def test_nothing_is_claimed_for_a_campaign_that_is_not_active(world: Sending, status: str) -> None:
    rows = world.rows(world.task_id, "pending")
    world.change(campaigns, world.campaign_id, status=status)
    assert world.intend(rows) == 0


def test_a_frozen_service_claims_nothing(world: Sending) -> None:
    rows = world.rows(world.task_id, "pending")
    world.change(
        sender_services, world.service_id, health_status="frozen", frozen_code=FreezeCode.ERRORS.value
    )
    assert world.intend(rows) == 0


def test_a_probe_claims_for_a_service_frozen_for_errors_and_for_no_other(world: Sending) -> None:
    rows = world.rows(world.task_id, "pending", 2)
    assert world.intend(rows[:1], probe=True) == 0, "a healthy service needs no probe"
    for code in FreezeCode:
        world.change(sender_services, world.service_id, health_status="frozen", frozen_code=code.value)
        expected = 1 if code == FreezeCode.ERRORS else 0
        assert world.intend(rows[1:], probe=True) == expected, code


def test_a_resting_service_claims_nothing_until_its_rest_is_over(world: Sending) -> None:
    rows = world.rows(world.task_id, "pending")
    world.change(sender_services, world.service_id, cool_down_until=NOW + timedelta(seconds=1))
    assert world.intend(rows) == 0
    assert world.intend(rows, now=NOW + timedelta(seconds=1)) == 1


def test_only_the_owner_claims_for_a_throttled_service(world: Sending) -> None:
    rows = world.rows(world.task_id, "pending")
    world.change(sender_services, world.service_id, throttle_sec=2)
    world.insert(sender_leases, sender_service_id=world.service_id, worker_id=7)
    assert world.intend(rows) == 0, "nobody sends through it as if it were not throttled"
    assert world.intend(rows, owner=8) == 0
    assert world.intend(rows, owner=7) == 1


def test_candidates_are_due_pending_rows_of_the_task_that_the_services_may_take(world: Sending) -> None:
    due = world.rows(world.task_id, "pending", 2)
    kept = world.rows(world.task_id, "pending", sender_service_id=world.service_id)
    world.rows(world.task_id, "pending", sender_service_id=99)
    world.rows(world.task_id, "pending", scheduled_send_at=NOW + timedelta(seconds=1))
    world.rows(world.task_id, "sent")
    world.rows(world.task(world.campaign_id, "other", "sending"), "pending")
    with world.database.read() as connection:
        found = ledger.candidates(connection, world.task_id, range(61), [world.service_id], NOW, 100)
    assert sorted(found) == sorted([*((row, None) for row in due), (kept[0], world.service_id)])


def test_candidates_come_from_the_buckets_asked_for(world: Sending) -> None:
    rows = world.rows(world.task_id, "pending", 4)
    buckets = {row: world.row(task_contacts, row)["bucket"] for row in rows}
    with world.database.read() as connection:
        found = ledger.candidates(connection, world.task_id, [buckets[rows[0]]], [world.service_id], NOW, 100)
    assert [row for row, _keeps in found] == [row for row in rows if buckets[row] == buckets[rows[0]]]


def test_the_lease_walks_its_index(world: Sending) -> None:
    statement = (
        "SELECT id FROM task_contacts {hint} WHERE task_id=1 AND status='pending' AND bucket IN (1,2,3) "
        "AND scheduled_send_at <= '2027-01-01' LIMIT 10"
    )
    world.rows(world.task_id, "pending", 3)
    with world.database.read() as connection:
        if world.database.dialect_name == "sqlite":
            plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement.format(hint=""))
        else:
            plan = connection.exec_driver_sql("EXPLAIN " + statement.format(hint=""))
        assert "ix_task_contacts_lease" in str(plan.all())


def test_an_outcome_is_written_once_and_only_under_its_token(world: Sending) -> None:
    rows = world.rows(world.task_id, "pending", 2)
    world.intend(rows)
    first, second = world.outcome(rows[0], message_id="<a@x>"), world.outcome(rows[1])
    assert world.record(first, replace(second, token=TOKEN + 1)) == 1
    assert world.record(first) == 0, "writing it again changes nothing"
    row = world.row(task_contacts, rows[0])
    assert (row["status"], row["sent_at"], row["message_id"]) == ("sent", first.at, "<a@x>")
    assert world.row(task_contacts, rows[1])["status"] == "sending"


def test_each_row_gets_its_own_values(world: Sending) -> None:
    rows = world.rows(world.task_id, "pending", 3)
    world.intend(rows)
    due = NOW + timedelta(minutes=5)
    assert (
        world.record(
            world.outcome(rows[0]),
            world.outcome(
                rows[1],
                RowStatus.PENDING,
                scheduled_send_at=due,
                retries=2,
                reason="greylisted",
                error_message="451 später 😀",
                keep_service=world.service_id,
                first_attempt_at=NOW,
            ),
            world.outcome(rows[2], RowStatus.FAILED_TO_SEND, reason="no_such_user", error_message="550 no"),
        )
        == 3
    )
    retry = world.row(task_contacts, rows[1])
    assert (retry["status"], retry["scheduled_send_at"], retry["retries"]) == ("pending", due, 2)
    assert (retry["error_message"], retry["sender_service_id"]) == ("451 später 😀", world.service_id)
    assert (retry["first_attempt_at"], retry["sent_at"]) == (NOW, None)
    failed = world.row(task_contacts, rows[2])
    assert (failed["status"], failed["reason"]) == ("failed_to_send", "no_such_user")
    assert failed["scheduled_send_at"] == NOW


def test_a_pending_row_is_free_for_any_service_unless_it_keeps_one(world: Sending) -> None:
    rows = world.rows(world.task_id, "pending")
    world.intend(rows)
    world.record(world.outcome(rows[0], RowStatus.PENDING, scheduled_send_at=NOW))
    assert world.row(task_contacts, rows[0])["sender_service_id"] is None


@pytest.mark.parametrize(
    ("status", "written"), [(RowStatus.SENT, 1), (RowStatus.PENDING, 0), (RowStatus.UNKNOWN, 0)]
)
def test_an_unknown_row_takes_the_true_outcome_of_its_own_claim(
    world: Sending, status: RowStatus, written: int
) -> None:
    rows = world.rows(world.task_id, "unknown", claim_token=TOKEN)
    outcome = world.outcome(rows[0], status, scheduled_send_at=NOW)
    assert world.record(outcome) == 0, "whoever does not look first does not know what else it means"
    assert world.record(outcome, late=True) == written


@pytest.mark.parametrize("status", [s for s in RowStatus if s not in (RowStatus.SENDING, RowStatus.UNKNOWN)])
def test_no_outcome_moves_a_row_that_has_one(world: Sending, status: RowStatus) -> None:
    rows = world.rows(world.task_id, status.value, claim_token=TOKEN)
    assert world.record(world.outcome(rows[0])) == 0
    assert world.row(task_contacts, rows[0])["status"] == status


@pytest.mark.parametrize("ended", [False, True])
def test_an_unknown_row_that_was_never_sent_waits_again_unless_its_task_has_ended(
    world: Sending, ended: bool
) -> None:
    rows = world.rows(world.task_id, "unknown", claim_token=TOKEN)
    if ended:
        world.change(tasks, world.task_id, status="finished", actual_end_time=NOW)
    outcome = world.outcome(rows[0], RowStatus.PENDING, scheduled_send_at=NOW)
    with world.database.begin() as connection:
        open_keys = row_outcomes.still_open(connection, [outcome])
        assert row_outcomes.record(connection, [outcome] if open_keys else []) == (0 if ended else 1)
    assert world.row(task_contacts, rows[0])["status"] == ("unknown" if ended else "pending")


def test_still_open_tells_exactly_what_record_would_write(world: Sending) -> None:
    made = [world.rows(world.task_id, status.value, claim_token=TOKEN)[0] for status in RowStatus]
    for wanted in (RowStatus.SENT, RowStatus.UNKNOWN, RowStatus.FAILED_TO_SEND):
        outcomes = [world.outcome(row, wanted, scheduled_send_at=NOW) for row in made]
        with world.database.begin() as connection:
            written = [o for o in outcomes if row_outcomes.record(connection, [o], late=True) == 1]
            expected = {(o.row_id, o.token) for o in written}
            connection.rollback()
        with world.database.begin() as connection:
            assert row_outcomes.still_open(connection, outcomes) == expected


def test_claimed_rows_come_with_their_contact(world: Sending) -> None:
    rows = world.rows(world.task_id, "pending", 2)
    contact = world.row(task_contacts, rows[0])["contact_id"]
    world.change(contacts, contact, nickname="Zoë", tags=["vip"], fields={"company": "Acme"}, deleted_at=NOW)
    world.intend(rows[:1])
    with world.database.read() as connection:
        [claimed] = ledger.claimed(connection, rows, TOKEN)
    assert (claimed.id, claimed.nickname, claimed.tags) == (rows[0], "Zoë", ("vip",))
    assert (claimed.fields, claimed.contact_removed) == ({"company": "Acme"}, True)


def test_put_back_undoes_an_intent_of_the_same_token(world: Sending) -> None:
    rows = world.rows(world.task_id, "pending", 2)
    world.intend(rows)
    with world.database.begin() as connection:
        assert ledger.put_back(connection, rows[:1], TOKEN) == 1
        assert ledger.put_back(connection, rows[1:], TOKEN + 1) == 0
    row = world.row(task_contacts, rows[0])
    assert (row["status"], row["attempt"], row["sender_service_id"]) == ("pending", 0, None)


def test_claims_of_a_worker_are_found_by_their_tokens(world: Sending) -> None:
    mine = world.rows(world.task_id, "sending", 2, claim_token=ledger.token_of(7, 5))
    world.rows(world.task_id, "sending", claim_token=ledger.token_of(8, 5))
    world.rows(world.task_id, "sent", claim_token=ledger.token_of(7, 5))
    with world.database.read() as connection:
        assert sorted(row.id for row in claims.of_worker(connection, 7)) == mine
    world.change(tasks, world.task_id, status="cancelled")
    with world.database.read() as connection:
        assert len(claims.of_worker(connection, 7)) == 2, "also of a task that was cancelled meanwhile"


def test_rows_of_workers_that_are_gone_are_orphans(world: Sending) -> None:
    living, stopped = world.process(), world.process()
    world.change(workers, stopped, stopped_at=NOW)
    for worker in (living, stopped, 999):
        world.rows(world.task_id, "sending", 2, claim_token=ledger.token_of(worker, 5))
    with world.database.read() as connection:
        assert claims.orphaned(connection) == [stopped, 999]


def test_a_row_that_keeps_its_service_still_does_when_it_is_put_back(world: Sending) -> None:
    kept = world.rows(world.task_id, "pending", sender_service_id=world.service_id)
    free = world.rows(world.task_id, "pending")
    world.intend(kept + free)
    with world.database.begin() as connection:
        keeps = {row.id: row.keeps_service for row in ledger.claimed(connection, kept + free, TOKEN)}
        assert keeps == {kept[0]: True, free[0]: False}
        ledger.put_back(connection, kept + free, TOKEN)
    assert world.row(task_contacts, kept[0])["sender_service_id"] == world.service_id
    assert world.row(task_contacts, free[0])["sender_service_id"] is None


def test_more_outcomes_than_one_statement_takes_are_all_written(
    world: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "_CHUNK", 2)
    rows = world.rows(world.task_id, "pending", 5)
    world.intend(rows)
    outcomes = [world.outcome(row) for row in rows]
    with world.database.begin() as connection:
        assert len(ledger.claimed(connection, rows, TOKEN)) == 5
        assert len(row_outcomes.still_open(connection, outcomes)) == 5
        assert len(ledger.event_keys(connection, rows)) == 5
    assert world.record(*outcomes) == 5


def test_a_token_names_its_worker() -> None:
    assert ledger.worker_of(ledger.token_of(123, 2**32 - 1)) == 123


def test_times_are_kept_to_the_microsecond(world: Sending) -> None:
    rows = world.rows(world.task_id, "pending")
    world.intend(rows)
    at: datetime = NOW.replace(microsecond=123456)
    world.record(world.outcome(rows[0], at=at))
    with world.database.read() as connection:
        found = connection.execute(
            sa.select(task_contacts.c.sent_at).where(task_contacts.c.id == rows[0])
        ).scalar()
    assert found == at
