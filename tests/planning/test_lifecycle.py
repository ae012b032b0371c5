"""What happens to tasks and campaigns by themselves, on both databases."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.database.engine import Database
from coldsend.database.tables import campaigns, task_contacts, tasks
from coldsend.errors import ChangedMeanwhile
from coldsend.planning import expand, lifecycle
from coldsend.stores import tasks as task_rows
from tests.planning.world import NOW, World

HOUR = timedelta(hours=1)


def status(world: World, task: int) -> str:
    return str(world.row(tasks, task)["status"])


class TestActivation:
    @pytest.mark.parametrize(
        ("start", "plan", "begins"),
        [
            (None, None, True),
            (NOW, NOW, True),
            (NOW - HOUR, None, True),
            (NOW + HOUR, None, False),
            (None, NOW + HOUR, False),
            (NOW + HOUR, NOW - HOUR, False),
            (NOW - HOUR, NOW + HOUR, False),
        ],
    )
    def test_a_task_begins_at_the_later_of_start_time_and_plan_time(
        self, world: World, start: Any, plan: Any, begins: bool
    ) -> None:
        task = world.task(
            world.campaign(status="active", start_time=start), status="scheduled", plan_time=plan
        )
        assert lifecycle.activate_due(world.database, NOW) == ([task] if begins else [])
        row = world.row(tasks, task)
        assert row["status"] == ("sending" if begins else "scheduled")
        assert row["actual_start_time"] == (NOW if begins else None)

    @pytest.mark.parametrize("campaign_status", ["draft", "paused", "completed", "cancelled"])
    def test_only_tasks_of_active_campaigns_begin(self, world: World, campaign_status: str) -> None:
        task = world.task(world.campaign(status=campaign_status), status="scheduled")
        assert lifecycle.activate_due(world.database, NOW) == []
        assert status(world, task) == "scheduled"

    @pytest.mark.parametrize("before", ["draft", "paused", "sending", "finished", "failed", "cancelled"])
    def test_only_scheduled_tasks_begin(self, world: World, before: str) -> None:
        task = world.task(world.campaign(status="active"), status=before)
        assert lifecycle.activate_due(world.database, NOW) == []
        assert status(world, task) == before

    def test_of_many_schedulers_at_once_one_activates(self, world: World) -> None:
        task = world.task(world.campaign(status="active"), status="scheduled")
        found: list[int] = []
        threads = [
            threading.Thread(target=lambda: found.extend(lifecycle.activate_due(world.database, NOW)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [task]


class TestExpansion:
    def test_a_sending_task_gets_its_send_list_once(self, world: World) -> None:
        world.contacts(5)
        task = world.task(world.campaign(status="active"), status="sending")
        assert lifecycle.expand_due(world.database, NOW) == [task]
        assert lifecycle.expand_due(world.database, NOW) == []
        assert world.statuses(task) == {"pending": 5}
        assert world.row(tasks, task)["expanded_at"] == NOW

    def test_a_task_whose_template_set_is_empty_fails_with_the_reason(self, world: World) -> None:
        empty, _ = world.template_set(name="none")
        task = world.task(world.campaign(status="active"), status="sending", template_set_id=empty)
        assert lifecycle.expand_due(world.database, NOW) == []
        row = world.row(tasks, task)
        assert row["status"] == "failed"
        assert "template set" in row["status_reason"]

    def test_a_failed_task_does_not_keep_others_from_being_expanded(self, world: World) -> None:
        world.contacts(2)
        campaign = world.campaign(status="active")
        world.task(campaign, "bad", status="sending", template_set_id=world.template_set()[0])
        good = world.task(campaign, "good", status="sending")
        assert lifecycle.expand_due(world.database, NOW) == [good]

    def test_a_paused_task_is_not_expanded(self, world: World) -> None:
        world.contacts(2)
        task = world.task(world.campaign(status="active"), status="paused")
        assert lifecycle.expand_due(world.database, NOW) == []
        assert world.statuses(task) == {}

    def test_nothing_is_begun_once_asked_to_stop(self, world: World) -> None:
        world.contacts(2)
        task = world.task(world.campaign(status="active"), status="sending")
        assert lifecycle.expand_due(world.database, NOW, lambda: True) == []
        assert world.statuses(task) == {}


class TestSkipping:
    @pytest.mark.parametrize("ended", ["cancelled", "failed"])
    def test_pending_rows_of_an_ended_task_are_skipped_and_others_left(
        self, world: World, ended: str
    ) -> None:
        task = world.task(world.campaign(status="active"), status=ended)
        pending = world.rows(task, "pending", 3)
        world.rows(task, "sending", 2)
        world.rows(task, "sent", 1)
        assert lifecycle.skip_cancelled(world.database, NOW) == 3
        assert world.statuses(task) == {"skipped": 3, "sending": 2, "sent": 1}
        assert world.row(task_contacts, pending[0])["reason"] == "cancelled"
        assert lifecycle.skip_cancelled(world.database, NOW) == 0

    @pytest.mark.parametrize("going_on", ["draft", "scheduled", "sending", "paused", "finished"])
    def test_other_tasks_are_left_alone(self, world: World, going_on: str) -> None:
        task = world.task(world.campaign(status="active"), status=going_on)
        world.rows(task, "pending", 2)
        assert lifecycle.skip_cancelled(world.database, NOW) == 0
        assert world.statuses(task) == {"pending": 2}

    def test_long_lists_are_skipped_chunk_by_chunk(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lifecycle, "SKIP_CHUNK", 4)
        task = world.task(world.campaign(), status="cancelled")
        world.rows(task, "pending", 10)
        sizes: list[int] = []
        monkeypatch.setattr(task_rows, "skip_rows", _recording(task_rows.skip_rows, sizes))
        assert lifecycle.skip_cancelled(world.database, NOW) == 10
        assert sizes == [4, 4, 2]

    def test_a_stop_between_chunks_leaves_the_rest_for_the_next_round(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lifecycle, "SKIP_CHUNK", 4)
        task = world.task(world.campaign(), status="cancelled")
        world.rows(task, "pending", 10)
        answers = iter([False, True])
        assert lifecycle.skip_cancelled(world.database, NOW, lambda: next(answers)) == 4
        assert lifecycle.finish_ended(world.database, NOW).tasks == ()
        assert lifecycle.skip_cancelled(world.database, NOW) == 6

    def test_a_row_that_a_worker_took_meanwhile_is_not_skipped(self, world: World) -> None:
        task = world.task(world.campaign(), status="cancelled")
        [row] = world.rows(task, "pending")
        world.change(task_contacts, row, status="sending")
        skipped = world.database.run(
            lambda connection: task_rows.skip_rows(connection, [row], lifecycle.RowReason.CANCELLED)
        )
        assert skipped == 0
        assert world.statuses(task) == {"sending": 1}


def _recording(function: Any, sizes: list[int]) -> Any:
    def recorded(connection: Any, ids: Any, reason: Any) -> Any:
        sizes.append(len(ids))
        return function(connection, ids, reason)

    return recorded


class TestFinishing:
    def test_a_task_without_waiting_rows_finishes_with_end_time_and_summary(self, world: World) -> None:
        task = world.task(world.campaign(status="active"), status="sending", expanded_at=NOW)
        for state, count in {"sent": 3, "skipped": 1, "unknown": 1, "opened": 2}.items():
            world.rows(task, state, count)
        assert lifecycle.finish_ended(world.database, NOW).tasks == (task,)
        row = world.row(tasks, task)
        assert (row["status"], row["actual_end_time"]) == ("finished", NOW)
        assert row["summary_stats"] == {
            "recipients": 7,
            "accepted": 5,
            "by_status": {"sent": 3, "unknown": 1, "skipped": 1, "opened": 2},
        }

    @pytest.mark.parametrize("waiting", ["pending", "sending"])
    def test_a_task_with_a_waiting_row_goes_on(self, world: World, waiting: str) -> None:
        task = world.task(world.campaign(status="active"), status="sending", expanded_at=NOW)
        world.rows(task, "sent", 3)
        world.rows(task, waiting)
        assert lifecycle.finish_ended(world.database, NOW) == lifecycle.Ended()
        assert status(world, task) == "sending"

    def test_a_task_that_is_not_expanded_yet_goes_on(self, world: World) -> None:
        task = world.task(world.campaign(status="active"), status="sending")
        assert lifecycle.finish_ended(world.database, NOW).tasks == ()
        assert status(world, task) == "sending"

    @pytest.mark.parametrize("before", ["draft", "scheduled", "paused"])
    def test_a_task_that_is_not_sending_does_not_finish(self, world: World, before: str) -> None:
        task = world.task(world.campaign(status="active"), status=before, expanded_at=NOW)
        assert lifecycle.finish_ended(world.database, NOW).tasks == ()
        assert status(world, task) == before

    @pytest.mark.parametrize("ended", ["cancelled", "failed"])
    def test_an_ended_task_is_closed_once_nothing_of_it_waits(self, world: World, ended: str) -> None:
        task = world.task(world.campaign(status="active"), status=ended)
        [row] = world.rows(task, "sending")
        assert lifecycle.finish_ended(world.database, NOW).tasks == ()
        world.change(task_contacts, row, status="sent")
        assert lifecycle.finish_ended(world.database, NOW).tasks == (task,)
        closed = world.row(tasks, task)
        assert (closed["status"], closed["actual_end_time"]) == (ended, NOW)
        assert closed["summary_stats"]["by_status"] == {"sent": 1}
        assert lifecycle.finish_ended(world.database, NOW + HOUR).tasks == ()

    def test_a_row_made_pending_while_the_summary_is_counted_keeps_the_task_open(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task = world.task(world.campaign(status="active"), status="sending", expanded_at=NOW)
        [row] = world.rows(task, "failed_to_send", reason="expired")
        count = lifecycle.tally.summary

        def slow(*arguments: Any) -> Any:
            summary = count(*arguments)
            world.change(task_contacts, row, status="pending")
            return summary

        monkeypatch.setattr(lifecycle.tally, "summary", slow)
        assert lifecycle.finish_ended(world.database, NOW).tasks == ()
        assert status(world, task) == "sending"

    def test_of_many_schedulers_at_once_one_finishes(self, world: World) -> None:
        task = world.task(world.campaign(status="active"), status="sending", expanded_at=NOW)
        world.rows(task, "sent", 2)
        found: list[lifecycle.Ended] = []
        threads = [
            threading.Thread(target=lambda: found.append(lifecycle.finish_ended(world.database, NOW)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [ended.tasks for ended in found if ended.tasks] == [(task,)]
        assert sum(len(ended.campaigns) for ended in found) == 1


class TestCampaigns:
    def test_a_campaign_completes_when_all_its_tasks_have_ended(self, world: World) -> None:
        campaign = world.campaign(status="active")
        world.task(campaign, "one", status="finished", actual_end_time=NOW)
        world.task(campaign, "two", status="cancelled", actual_end_time=NOW)
        assert lifecycle.finish_ended(world.database, NOW).campaigns == (campaign,)
        assert world.row(campaigns, campaign)["status"] == "completed"

    @pytest.mark.parametrize("open_status", ["draft", "scheduled", "sending", "paused"])
    def test_a_campaign_with_an_open_task_goes_on(self, world: World, open_status: str) -> None:
        campaign = world.campaign(status="active")
        world.task(campaign, "one", status="finished", actual_end_time=NOW)
        world.task(campaign, "two", status=open_status)
        assert lifecycle.finish_ended(world.database, NOW).campaigns == ()

    def test_a_campaign_waits_for_messages_of_a_cancelled_task_that_are_under_way(self, world: World) -> None:
        campaign = world.campaign(status="active")
        task = world.task(campaign, status="cancelled")
        [row] = world.rows(task, "sending")
        assert lifecycle.finish_ended(world.database, NOW).campaigns == ()
        world.change(task_contacts, row, status="sent")
        assert lifecycle.finish_ended(world.database, NOW).campaigns == (campaign,)

    @pytest.mark.parametrize("before", ["draft", "paused", "cancelled"])
    def test_only_active_campaigns_complete(self, world: World, before: str) -> None:
        campaign = world.campaign(status=before)
        world.task(campaign, status="finished", actual_end_time=NOW)
        assert lifecycle.finish_ended(world.database, NOW).campaigns == ()
        assert world.row(campaigns, campaign)["status"] == before


class TestPlansOfTheDatabase:
    """The queries that run every second, and for every chunk, touch what they return and no more."""

    @pytest.fixture
    def big(self, world: World) -> tuple[World, int]:
        """A task with 3,000 sent rows and one pending, beside another task with 3,000 pending ones."""
        campaign = world.campaign(status="active")
        mine, other = world.task(campaign, "mine", status="sending"), world.task(campaign, "other")
        people = [
            {"email": f"x{n}@example.com", "email_key": f"x{n}@example.com", "email_domain": "example.com"}
            for n in range(3001)
        ]
        from coldsend.database.tables import contacts

        with world.database.begin() as connection:
            connection.execute(sa.insert(contacts), people)
            ids = list(connection.execute(sa.select(contacts.c.id)).scalars())
            rows = [
                {"task_id": task, "contact_id": contact, "status": state, "scheduled_send_at": NOW}
                for task, state in [(other, "pending"), (mine, "sent")]
                for contact in ids[:3000]
            ]
            rows.append({**rows[-1], "contact_id": ids[3000], "status": "pending"})
            connection.execute(sa.insert(task_contacts), rows)
        with world.database.begin() as connection:
            connection.exec_driver_sql(
                "ANALYZE" if world.database.dialect_name == "sqlite" else "ANALYZE TABLE task_contacts"
            ).close()
        return world, mine

    @pytest.mark.costly
    @pytest.mark.parametrize("question", ["has_waiting", "pending_ids"])
    def test_waiting_rows_are_found_in_the_lease_index_alone(
        self, big: tuple[World, int], question: str
    ) -> None:
        world, mine = big
        ask = {
            "has_waiting": lambda c: task_rows.has_waiting(c, mine),
            "pending_ids": lambda c: task_rows.pending_ids(c, mine, 5000),
        }[question]
        with world.database.read() as connection:
            answer, plan = explained(connection, ask)
        assert answer is True or len(answer) == 1
        assert "ix_task_contacts_lease" in plan
        if world.database.dialect_name != "sqlite":
            with world.database.read() as connection:
                connection.exec_driver_sql("FLUSH STATUS")
                ask(connection)
                read = connection.exec_driver_sql("SHOW SESSION STATUS LIKE 'Handler_read%%'").all()
            assert sum(int(value) for _name, value in read) < 20


def explained(connection: sa.Connection, ask: Any) -> tuple[Any, str]:
    """The answer to ``ask``, and how the database came to it (its plans, one after the other)."""
    statements: list[tuple[str, Any]] = []

    def record(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    sa.event.listen(connection, "before_cursor_execute", record)
    answer = ask(connection)
    sa.event.remove(connection, "before_cursor_execute", record)
    word = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    plans = [connection.exec_driver_sql(f"{word} {sql}", values).all() for sql, values in statements]
    return answer, " || ".join(" ".join(str(value) for row in plan for value in row) for plan in plans)


def test_a_bug_met_in_one_task_does_not_hold_up_the_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = world.campaign(status="active")
    broken, sound = (world.task(campaign, name, "sending") for name in ("broken", "sound"))
    world.contacts(2)
    real = expand.expand_task

    def expand_task(database: Database, task_id: int, *rest: Any, **options: Any) -> Any:
        if task_id == broken:
            raise ZeroDivisionError("for the test")
        return real(database, task_id, *rest, **options)

    monkeypatch.setattr(expand, "expand_task", expand_task)
    assert lifecycle.expand_due(world.database, NOW) == [sound]
    row = world.row(tasks, broken)
    assert row["status"] == "failed"
    assert "a bug in coldsend: ZeroDivisionError" in row["status_reason"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_task_that_others_change_all_the_time_does_not_fail(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = world.task(world.campaign(status="active"), status="sending")

    def expand_task(*_given: Any, **_options: Any) -> Any:
        raise ChangedMeanwhile("it was changed by somebody else at the same moment")

    monkeypatch.setattr(expand, "expand_task", expand_task)
    assert lifecycle.expand_due(world.database, NOW) == []
    assert status(world, task) == "sending"
