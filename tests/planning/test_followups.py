"""Who gets a follow-up, when it is due, and when its list is complete: on both databases."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend import clock
from coldsend.database.engine import Connection, Database
from coldsend.database.tables import campaigns, contacts, event_log, sequence_stops, task_contacts, tasks
from coldsend.domain.states import StopReason
from coldsend.planning import campaign_settings, followups, lifecycle
from coldsend.planning import tasks as use
from coldsend.stores import enrolment
from coldsend.stores import sequence_stops as stops
from coldsend.stores.sequence_stops import Stop
from tests.planning.world import NOW, SETTINGS, World

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Steps(World):
    """An active campaign whose task ``first`` sends, and ``second``, three days after it."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.service_id = self.service()
        self.campaign_id = self.campaign(status="active")
        begun = {"actual_start_time": NOW - DAY, "expanded_at": NOW - DAY}
        self.first = self.task(self.campaign_id, "first", "sending", **begun)
        self.second = self.follow(self.first, "second")

    def follow(self, task: int, name: str, status: str = "sending", **values: Any) -> int:
        row = {"follows_task_id": task, "follows_days": 3, "actual_start_time": NOW - DAY, **values}
        return self.task(self.campaign_id, name, status, **row)

    def sent(self, count: int = 1, task: int | None = None, status: str = "sent", **values: Any) -> list[int]:
        """Rows whose message was accepted a minute ago, with their events."""
        at = values.pop("sent_at", NOW - MINUTE)
        row = {"sent_at": at, "sender_service_id": self.service_id, **values}
        made = self.rows(task or self.first, status, count, **row)
        for row_id in made:
            self.accepted(row_id, at)
        return made

    def accepted(self, row_id: int, at: Any) -> None:
        row = self.row(task_contacts, row_id)
        about = {"task_id": row["task_id"], "contact_id": row["contact_id"]}
        self.insert(event_log, **about, type="send_api_success", ts=at)

    def enrol(self, now: Any = NOW, task: int | None = None, **options: Any) -> int:
        return followups.enrol(self.database, task or self.second, now, **options).count

    def listed(self, task: int | None = None) -> list[sa.RowMapping]:
        query = sa.select(task_contacts).where(task_contacts.c.task_id == (task or self.second))
        with self.database.read() as connection:
            return list(connection.execute(query.order_by(task_contacts.c.contact_id)).mappings())

    def reasons(self, task: int | None = None) -> list[str | None]:
        return [row["reason"] for row in self.listed(task)]

    def end(self, task: int, now: Any = NOW) -> None:
        self.change(tasks, task, status="finished", actual_end_time=now)

    def stop(self, key: str, reason: StopReason = StopReason.MANUAL) -> None:
        stop = Stop(self.campaign_id, key, key[2:], reason)
        self.database.run(lambda connection: stops.add(connection, [stop], NOW))

    def email(self, row: int) -> str:
        return str(self.row(contacts, self.row(task_contacts, row)["contact_id"])["email"])


@pytest.fixture
def steps(database: Database) -> Steps:
    return Steps(database)


def test_who_was_sent_the_message_before_gets_a_row_and_nobody_else(steps: Steps) -> None:
    sent = steps.sent(2)
    for status in ("pending", "sending", "unknown", "failed_to_send", "skipped"):
        steps.rows(steps.first, status)
    assert steps.enrol() == 2
    assert [row["follows_id"] for row in steps.listed()] == sent
    assert steps.enrol() == 0


def test_a_row_is_due_days_after_its_own_message_and_keeps_its_service(steps: Steps) -> None:
    other = steps.service("other")
    steps.sent(sent_at=NOW - MINUTE)
    steps.sent(sent_at=NOW - DAY, sender_service_id=other)
    steps.enrol()
    rows = steps.listed()
    assert [row["scheduled_send_at"] for row in rows] == [NOW - MINUTE + 3 * DAY, NOW + 2 * DAY]
    assert [row["sender_service_id"] for row in rows] == [steps.service_id, other]
    assert {row["status"] for row in rows} == {"pending"}
    assert [row["bucket"] for row in rows] == [row["contact_id"] % 61 for row in rows]
    assert [row["event_tracking_uid"] for row in rows] == [
        f"t{steps.second}c{row['contact_id']}" for row in rows
    ]


@on_sqlite
def test_business_days_and_the_window_of_the_campaign_are_kept(steps: Steps) -> None:
    steps.change(tasks, steps.second, follows_days=1, follows_business_days=True)
    steps.change(campaigns, steps.campaign_id, send_window=["mon-fri 10:00-12:00"], time_zone="UTC")
    friday = NOW + 4 * DAY
    steps.sent(sent_at=friday)
    steps.enrol(friday + MINUTE)
    [row] = steps.listed()
    assert row["scheduled_send_at"] == NOW + 7 * DAY + timedelta(hours=1), "Monday, when the window opens"


def test_its_own_templates_take_turns_over_all_chunks(steps: Steps) -> None:
    set_id, templates = steps.template_set("<p>a</p>", "<p>b</p>", "<p>c</p>")
    steps.change(tasks, steps.second, template_set_id=set_id)
    steps.sent(4)
    assert steps.enrol(chunk=3) == 4
    steps.sent(3, sent_at=NOW)
    assert steps.enrol(NOW + MINUTE, chunk=2) == 3
    assert [row["selected_template_id"] for row in steps.listed()] == [*templates, *templates, templates[0]]
    assert steps.row(tasks, steps.second)["expanded_count"] == 7


def test_what_is_accepted_later_is_found_in_the_event_log_a_minute_later(steps: Steps) -> None:
    assert steps.enrol() == 0
    steps.sent(5, sent_at=NOW + MINUTE / 2)
    assert steps.enrol(NOW + MINUTE / 2) == 0, "nobody looks more often than once a minute"
    assert steps.enrol(NOW + MINUTE, chunk=2) == 5
    assert steps.row(tasks, steps.second)["enrolled_to"] == NOW + MINUTE


def test_an_outcome_that_is_written_a_little_late_is_found(steps: Steps) -> None:
    steps.enrol()
    steps.enrol(NOW + MINUTE)
    steps.sent(sent_at=NOW + MINUTE / 2)
    assert steps.enrol(NOW + 2 * MINUTE) == 1


def test_an_outcome_that_is_written_very_late_is_found_the_next_day(steps: Steps) -> None:
    steps.enrol()
    steps.enrol(NOW + 10 * MINUTE)
    steps.sent(sent_at=NOW - DAY)
    assert steps.enrol(NOW + 12 * MINUTE) == 0
    assert steps.enrol(NOW + DAY) == 1


def test_the_list_is_complete_when_the_task_before_has_ended_and_nobody_is_left(steps: Steps) -> None:
    steps.sent(3)
    assert lifecycle.expand_due(steps.database, NOW) == []
    assert steps.row(tasks, steps.second)["expanded_at"] is None
    late = steps.rows(steps.first, "sent", sent_at=NOW - DAY, sender_service_id=steps.service_id)
    steps.end(steps.first)
    assert lifecycle.expand_due(steps.database, NOW + MINUTE) == [steps.second]
    assert late[0] in {row["follows_id"] for row in steps.listed()}, "promoted without an event of its own"
    assert len(steps.listed()) == 4
    assert steps.row(tasks, steps.second)["expanded_at"] == NOW + MINUTE


def test_a_follow_up_does_not_finish_while_the_task_before_may_send(steps: Steps) -> None:
    steps.rows(steps.first, "pending")
    lifecycle.expand_due(steps.database, NOW)
    assert lifecycle.finish_ended(steps.database, NOW).tasks == ()
    steps.change(tasks, steps.first, status="paused")
    assert lifecycle.finish_ended(steps.database, NOW).tasks == ()
    assert steps.row(tasks, steps.second)["status"] == "sending"


@pytest.mark.costly
def test_a_chain_closes_from_its_beginning_and_then_its_campaign(steps: Steps) -> None:
    third = steps.follow(steps.second, "third")
    for minute in range(6):
        lifecycle.expand_due(steps.database, NOW + minute * MINUTE)
        lifecycle.finish_ended(steps.database, NOW + minute * MINUTE)
    assert {steps.row(tasks, task)["status"] for task in (steps.first, steps.second, third)} == {"finished"}
    assert steps.row(campaigns, steps.campaign_id)["status"] == "completed"


def test_a_sweep_that_was_interrupted_goes_on_where_it_was(steps: Steps) -> None:
    steps.sent(5)
    stop_after = iter([False, False, True])
    first = followups.enrol(steps.database, steps.second, NOW, should_stop=lambda: next(stop_after), chunk=2)
    assert (first.count, first.done) == (2, False)
    assert steps.enrol(NOW + MINUTE / 4, chunk=2) == 3


@pytest.mark.costly
def test_of_many_schedulers_at_once_each_row_is_added_once_in_turn(steps: Steps) -> None:
    set_id, templates = steps.template_set("<p>a</p>", "<p>b</p>")
    steps.change(tasks, steps.second, template_set_id=set_id)
    steps.sent(20)
    counts: list[int] = []
    threads = [threading.Thread(target=lambda: counts.append(steps.enrol(chunk=3))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) <= 20
    steps.enrol(chunk=3)
    chosen = [row["selected_template_id"] for row in steps.listed()]
    assert chosen == templates * 10


def test_a_list_is_not_closed_where_the_task_before_sends_again_at_that_moment(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = followups._is_due
    stale = iter(["last"])
    monkeypatch.setattr(followups, "_is_due", lambda *about: next(stale, None) or looked(*about))
    steps.sent()
    assert steps.enrol() == 1
    assert steps.row(tasks, steps.second)["expanded_at"] is None
    assert steps.row(tasks, steps.second)["enrolled_to"] == NOW


def test_who_is_proven_to_be_sent_behind_the_last_walk_is_found_all_the_same(steps: Steps) -> None:
    unknown = steps.rows(steps.first, "unknown", sender_service_id=steps.service_id)[0]
    steps.sent(3)
    steps.end(steps.first)
    stop_after = iter([False, False, True])
    followups.enrol(steps.database, steps.second, NOW, should_stop=lambda: next(stop_after), chunk=2)
    steps.change(task_contacts, unknown, status="sent", sent_at=NOW)
    steps.database.run(lambda connection: enrolment.look_again(connection, [unknown], NOW))
    steps.enrol(NOW + MINUTE, chunk=2)
    assert unknown in [row["follows_id"] for row in steps.listed()]
    assert len(steps.listed()) == 4
    assert steps.row(tasks, steps.second)["expanded_at"] is not None


@on_sqlite
def test_a_long_walk_through_a_list_lets_others_have_their_turn(
    steps: Steps, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps.sent(2)
    steps.follow(steps.first, "third")
    moments = itertools.count(0, lifecycle.TURN * 0.6)
    monkeypatch.setattr(clock, "monotonic", lambda: next(moments))
    monkeypatch.setattr(Database, "run", _at_once)
    lifecycle.expand_due(steps.database, NOW)
    assert steps.listed() == [], "begun, and left at that"
    lifecycle.expand_due(steps.database, NOW)
    assert len(steps.listed()) == 2


def _at_once(database: Database, work: Callable[[Connection], Any]) -> Any:
    """Without a look at the clock."""
    with database.begin() as connection:
        return work(connection)


@on_sqlite
def test_a_second_in_which_nobody_is_to_be_looked_for_takes_no_lock(steps: Steps) -> None:
    lifecycle.expand_due(steps.database, NOW)
    with steps.database.begin() as connection:  # holds the one lock that there is
        connection.execute(sa.update(tasks).values(status_reason="x"))
        assert lifecycle.expand_due(steps.database, NOW + MINUTE / 2) == []


@on_sqlite
class TestWhoComesInSkipped:
    def test_a_suppressed_address(self, steps: Steps) -> None:
        [row] = steps.sent()
        from coldsend.domain import suppression
        from coldsend.domain.states import SuppressionReason
        from coldsend.stores import suppressions

        entry = suppression.read(steps.email(row), SuppressionReason.UNSUBSCRIBE)
        steps.database.run(lambda connection: suppressions.add(connection, [entry], NOW))
        steps.enrol()
        assert steps.reasons() == ["suppressed"]
        assert steps.statuses(steps.second) == {"skipped": 1}

    @pytest.mark.parametrize(
        ("reason", "told"),
        [
            (StopReason.REPLIED, "replied"),
            (StopReason.BOUNCED, "bounced"),
            (StopReason.MANUAL, "stopped"),
        ],
    )
    @pytest.mark.parametrize("scope", ["address", "domain"])
    def test_a_stopped_address_or_domain(
        self, steps: Steps, scope: str, reason: StopReason, told: str
    ) -> None:
        [row] = steps.sent()
        steps.stop(f"a:{steps.email(row)}" if scope == "address" else "d:example.com", reason)
        steps.enrol()
        assert steps.reasons() == [told]

    def test_a_reply_keeps_nobody_out_of_what_is_for_those_who_replied(self, steps: Steps) -> None:
        third = steps.follow(steps.first, "third", follows_condition=["replied"])
        [row] = steps.sent()
        steps.stop(f"a:{steps.email(row)}", StopReason.REPLIED)
        steps.enrol(task=third)
        assert steps.reasons(third) == [None]

    def test_a_stop_of_another_campaign_is_none(self, steps: Steps) -> None:
        [row] = steps.sent()
        other = Stop(steps.campaign_id + 1, f"a:{steps.email(row)}", "x", StopReason.MANUAL)
        steps.database.run(lambda connection: stops.add(connection, [other], NOW))
        steps.enrol()
        assert steps.reasons() == [None]


def test_the_rule_of_a_follow_up_filters_when_it_enrols(steps: Steps) -> None:
    ours, _theirs = steps.sent(2)
    steps.change(tasks, steps.second, recipient_rule={"email": [steps.email(ours)]})
    assert steps.enrol() == 1
    assert [row["follows_id"] for row in steps.listed()] == [ours]


@on_sqlite
def test_a_removed_contact_gets_no_follow_up(steps: Steps) -> None:
    [row] = steps.sent()
    steps.change(contacts, steps.row(task_contacts, row)["contact_id"], deleted_at=NOW)
    assert steps.enrol() == 0


@on_sqlite
def test_a_follow_up_whose_template_set_is_empty_fails_with_the_reason(steps: Steps) -> None:
    steps.change(tasks, steps.second, template_set_id=steps.template_set(name="none")[0])
    lifecycle.expand_due(steps.database, NOW)
    row = steps.row(tasks, steps.second)
    assert row["status"] == "failed"
    assert "no templates" in row["status_reason"]


class TestBeginning:
    @pytest.mark.parametrize(
        ("before", "begins"),
        [
            ({"status": "scheduled"}, False),
            ({"status": "sending", "actual_start_time": NOW}, True),
            ({"status": "paused", "actual_start_time": NOW}, True),
            ({"status": "cancelled"}, False),
            ({"status": "cancelled", "actual_end_time": NOW}, True),
        ],
    )
    def test_a_follow_up_begins_when_the_task_before_has_begun_or_never_will(
        self, steps: Steps, before: dict[str, Any], begins: bool
    ) -> None:
        steps.change(tasks, steps.first, **{"actual_start_time": None, **before})
        third = steps.follow(steps.first, "third", "scheduled", actual_start_time=None)
        assert (third in lifecycle.activate_due(steps.database, NOW)) is begins

    def test_what_came_back_before_the_first_follow_up_begins_stops_its_campaign_too(
        self, steps: Steps
    ) -> None:
        steps.change(tasks, steps.second, status="scheduled", actual_start_time=None)
        replied, bounced, free, _nothing = steps.sent(4)
        steps.change(task_contacts, replied, replied_at=NOW, status="replied")
        steps.change(task_contacts, bounced, bounced_at=NOW, status="bounced")
        steps.change(task_contacts, free, replied_at=NOW, status="replied")
        contact = steps.row(task_contacts, free)["contact_id"]
        values = {"email": "x@gmail.com", "email_key": "x@gmail.com", "email_domain": "gmail.com"}
        steps.change(contacts, contact, **values)
        lifecycle.activate_due(steps.database, NOW)
        with steps.database.read() as connection:
            found = {
                (row.stop_key, row.reason) for row in connection.execute(sa.select(sequence_stops)).all()
            }
        assert found == {
            (f"a:{steps.email(replied)}", "replied"),
            ("d:example.com", "replied"),
            (f"a:{steps.email(bounced)}", "bounced"),
            ("a:x@gmail.com", "replied"),
        }

    @pytest.mark.parametrize(
        ("before", "wanted", "stopped"),
        [
            ({"stop_on_reply": False}, {"stop_on_reply": True}, {"a:", "d:"}),
            ({"stop_domain_on_reply": False}, {"stop_domain_on_reply": True}, {"a:", "d:"}),
            (
                {"stop_on_reply": False, "stop_domain_on_reply": False},
                {"stop_on_reply": True},
                {"a:"},
            ),
            ({"stop_domain_on_reply": False}, {"stop_on_reply": True}, set()),
            ({"stop_on_reply": False}, {"spread": False}, set()),
        ],
    )
    @on_sqlite
    def test_replies_that_came_while_they_stopped_nothing_count_once_they_do(
        self, steps: Steps, before: dict[str, bool], wanted: dict[str, bool], stopped: set[str]
    ) -> None:
        steps.change(campaigns, steps.campaign_id, **before)
        replied, bounced = steps.sent(2)
        steps.change(task_contacts, replied, replied_at=NOW, status="replied")
        steps.change(task_contacts, bounced, bounced_at=NOW, status="bounced")
        campaign_settings.update(steps.database, steps.admin, "spring", wanted, NOW)
        with steps.database.read() as connection:
            keys = set(connection.execute(sa.select(sequence_stops.c.stop_key)).scalars())
        assert {key[:2] for key in keys} == stopped
        assert f"a:{steps.email(bounced)}" not in keys, "a stop that was lifted by hand stays lifted"

    @on_sqlite
    def test_a_stop_that_was_lifted_does_not_come_back_with_the_next_step(self, steps: Steps) -> None:
        [replied] = steps.sent()
        steps.change(task_contacts, replied, replied_at=NOW, status="replied")
        steps.follow(steps.second, "third", "scheduled", actual_start_time=None)
        lifecycle.activate_due(steps.database, NOW)
        with steps.database.read() as connection:
            assert connection.execute(sa.select(sequence_stops)).first() is None


class TestSendingAgain:
    @pytest.mark.costly
    def test_expanding_a_finished_follow_up_lets_in_who_was_sent_to_meanwhile(self, steps: Steps) -> None:
        steps.sent(2)
        steps.end(steps.first)
        steps.enrol()
        steps.change(task_contacts, steps.listed()[0]["id"], status="sent")
        steps.end(steps.second)
        steps.sent(sent_at=NOW - DAY)
        made = use.expand_again(steps.database, steps.admin, "spring/second", SETTINGS, NOW + MINUTE)
        assert (made.count, made.status) == (1, "sending")
        assert steps.row(tasks, steps.second)["expanded_at"] == NOW + MINUTE
        again = use.expand_again(steps.database, steps.admin, "spring/second", SETTINGS, NOW + MINUTE)
        assert again.count == 0

    def test_a_task_that_sends_again_opens_the_lists_of_all_that_follow_it(self, steps: Steps) -> None:
        third = steps.follow(steps.second, "third")
        cancelled = steps.follow(steps.first, "gone", "cancelled", actual_end_time=NOW)
        for task in (steps.first, steps.second, third):
            steps.change(tasks, task, status="finished", actual_end_time=NOW, expanded_at=NOW)
        steps.change(campaigns, steps.campaign_id, status="completed")
        steps.rows(steps.first, "failed_to_send", reason="expired")
        use.retry(steps.database, steps.admin, "spring/first", SETTINGS, NOW + MINUTE)
        for task in (steps.second, third):
            row = steps.row(tasks, task)
            assert (row["status"], row["expanded_at"], row["actual_end_time"]) == ("sending", None, None)
        assert steps.row(tasks, cancelled)["status"] == "cancelled"

    @on_sqlite
    def test_a_follow_up_that_is_retried_keeps_its_service(self, steps: Steps) -> None:
        steps.sent()
        steps.enrol()
        [row] = steps.listed()
        steps.change(task_contacts, row["id"], status="failed_to_send", reason="expired")
        use.retry(steps.database, steps.admin, "spring/second", SETTINGS, NOW + 4 * DAY)
        [row] = steps.listed()
        assert (row["status"], row["sender_service_id"]) == ("pending", steps.service_id)


@on_sqlite
class TestStoppingOneStep:
    def test_a_paused_step_leaves_the_next_to_go_on(self, steps: Steps) -> None:
        steps.sent()
        use.pause(steps.database, steps.admin, "spring/first", NOW)
        lifecycle.expand_due(steps.database, NOW)
        assert len(steps.listed()) == 1

    @pytest.mark.costly
    def test_a_cancelled_step_is_followed_where_it_was_sent_and_ends_where_not(self, steps: Steps) -> None:
        third = steps.follow(steps.second, "third")
        steps.sent(2)
        steps.enrol()
        sent, waiting = steps.listed()
        steps.change(task_contacts, sent["id"], status="sent", sent_at=NOW)
        use.cancel(steps.database, steps.admin, "spring/second", NOW)
        lifecycle.skip_cancelled(steps.database, NOW)
        lifecycle.finish_ended(steps.database, NOW)
        lifecycle.expand_due(steps.database, NOW + MINUTE)
        assert [row["follows_id"] for row in steps.listed(third)] == [sent["id"]]
        assert steps.row(task_contacts, waiting["id"])["reason"] == "cancelled"
        assert steps.row(tasks, third)["expanded_at"] is not None


@on_sqlite
class TestReachingTheEndOfADay:
    def test_a_follow_up_that_waits_for_the_task_before_is_not_behind(self, steps: Steps) -> None:
        def behind(now: Any) -> bool:
            with steps.database.read() as connection:
                return followups.is_behind(connection, steps.row(tasks, steps.second), now)

        assert behind(NOW), "never looked"
        steps.enrol()
        assert not behind(NOW + MINUTE / 2)
        assert behind(NOW + MINUTE)
        steps.enrol(NOW + MINUTE)
        steps.end(steps.first)
        assert behind(NOW + MINUTE), "the last look"
        steps.enrol(NOW + MINUTE)
        assert not behind(NOW + 5 * DAY)
