"""The life of a task by hand, on both databases."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import pytest

from coldsend.database.tables import campaigns, task_contacts, tasks
from coldsend.domain.access import Actor
from coldsend.domain.states import TASK_MOVES, TaskEvent, TaskStatus
from coldsend.errors import InvalidInput, NotAllowed, NotFound, Refused, WrongState
from coldsend.planning import lifecycle
from coldsend.planning import tasks as use
from coldsend.stores import tasks as task_rows
from tests.planning.world import NOW, SETTINGS, World


def create(world: World, actor: Actor | None = None, **wanted: Any) -> use.Changed:
    given = {"campaign": "spring", "name": "intro", "template_set": "ts", "rule": "everyone", **wanted}
    return use.create(world.database, actor or world.admin, use.NewTask(**given), SETTINGS, NOW)


@pytest.fixture
def campaign(world: World) -> int:
    """Campaign `spring`, template set `ts` and service `main`, all the admin's."""
    world.service("main")
    world.template_set("<p>Hello.</p>", name="ts")
    return world.campaign("spring")


def state(world: World, task: int) -> str:
    return str(world.row(tasks, task)["status"])


class TestCreating:
    def test_a_task_of_a_draft_is_a_draft_and_keeps_what_was_given(self, world: World, campaign: int) -> None:
        made = create(world, rule='{"any":[{"tag":"a"},{"tag":"b"}]}', plan_time=NOW, services=["main"])
        row = world.row(tasks, made.id)
        assert (row["status"], row["campaign_id"], row["plan_time"]) == ("draft", campaign, NOW)
        assert row["recipient_rule"] == {"any": [{"tag": "a"}, {"tag": "b"}]}
        with world.database.read() as connection:
            assert task_rows.service_names(connection, [made.id]) == {made.id: ["main"]}

    def test_a_rule_in_words_is_stored_as_its_json(self, world: World, campaign: int) -> None:
        made = create(world, rule="tag:lead and not tag:customer")
        assert world.row(tasks, made.id)["recipient_rule"] == {
            "all": [{"tag": "lead"}, {"not": {"tag": "customer"}}]
        }

    @pytest.mark.parametrize("running", ["active", "paused"])
    def test_a_task_of_a_campaign_that_has_been_started_is_scheduled(
        self, world: World, campaign: int, running: str
    ) -> None:
        world.change(campaigns, campaign, status=running)
        assert create(world).status == "scheduled"

    def test_a_task_that_cannot_be_sent_is_refused_in_an_active_campaign_and_not_kept(
        self, world: World, campaign: int
    ) -> None:
        world.change(campaigns, campaign, status="active")
        world.template_set(name="hollow")
        with pytest.raises(Refused, match="'hollow' is empty"):
            create(world, template_set="hollow")
        with world.database.read() as connection:
            assert task_rows.listed(connection) == []

    def test_a_task_of_a_draft_may_still_be_unfinished(self, world: World, campaign: int) -> None:
        world.template_set(name="hollow")
        assert create(world, template_set="hollow").status == "draft"

    @pytest.mark.parametrize("ended", ["completed", "cancelled"])
    def test_a_campaign_that_ended_takes_no_new_tasks(self, world: World, campaign: int, ended: str) -> None:
        world.change(campaigns, campaign, status=ended)
        with pytest.raises(WrongState, match=f"is {ended}: it takes no new tasks"):
            create(world)

    def test_a_name_is_taken_once_in_a_campaign_and_free_in_another(
        self, world: World, campaign: int
    ) -> None:
        create(world)
        with pytest.raises(Refused, match="has a task 'intro' already"):
            create(world)
        world.campaign("autumn")
        assert create(world, campaign="autumn").reference == "autumn/intro"

    @pytest.mark.parametrize(
        ("wanted", "error"),
        [
            ({"campaign": "nope"}, NotFound),
            ({"template_set": "nope"}, NotFound),
            ({"services": ["nope"]}, NotFound),
            ({"rule": "tag:"}, InvalidInput),
            ({"rule": '{"tag": 5}'}, InvalidInput),
            ({"rule": "sent:spring/nope"}, InvalidInput),
            ({"name": "a/b"}, InvalidInput),
        ],
    )
    def test_what_is_wrong_is_refused_and_nothing_is_kept(
        self, world: World, campaign: int, wanted: dict[str, Any], error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            create(world, **wanted)
        with world.database.read() as connection:
            assert task_rows.listed(connection) == []

    def test_operators_use_their_own_campaigns_and_template_sets_and_granted_services(
        self, world: World, campaign: int
    ) -> None:
        anna = world.user("anna")
        world.campaign("hers", owner=anna)
        with pytest.raises(NotAllowed, match="campaign 'spring'"):
            create(world, anna)
        with pytest.raises(NotAllowed, match="template set 'ts'"):
            create(world, anna, campaign="hers")
        world.template_set("<p>x</p>", name="her set", owner=anna)
        with pytest.raises(NotAllowed, match="service 'main' is not granted"):
            create(world, anna, campaign="hers", template_set="her set", services=["main"])
        world.service("granted", granted=anna)
        made = create(world, anna, campaign="hers", template_set="her set", services=["granted"])
        assert world.row(tasks, made.id)["created_by"] == anna.id


class TestFinding:
    def test_a_task_is_found_by_names_by_ids_and_by_both(self, world: World, campaign: int) -> None:
        made = create(world).id
        with world.database.read() as connection:
            for given in ("spring/intro", f"{campaign}/intro", f"spring/{made}", str(made), made):
                assert task_rows.find(connection, given)["id"] == made

    @pytest.mark.parametrize(
        ("given", "error", "says"),
        [
            ("intro", InvalidInput, "does not name a task"),
            ("spring/", InvalidInput, "does not name a task"),
            ("sprng/intro", NotFound, "campaign 'sprng' does not exist"),
            ("spring/intr", NotFound, "campaign 'spring' has no task 'intr'"),
            ("999", NotFound, "task 999 does not exist"),
        ],
    )
    def test_what_is_missing_is_named(
        self, world: World, campaign: int, given: str, error: type[Exception], says: str
    ) -> None:
        create(world)
        with world.database.read() as connection, pytest.raises(error, match=says):
            task_rows.find(connection, given)

    def test_a_task_of_another_campaign_is_not_found_by_its_id(self, world: World, campaign: int) -> None:
        other = world.task(world.campaign("autumn"), "outro")
        with world.database.read() as connection, pytest.raises(NotFound):
            task_rows.find(connection, f"spring/{other}")


VERBS = {
    TaskEvent.PAUSE: use.pause,
    TaskEvent.RESUME: use.resume,
    TaskEvent.CANCEL: use.cancel,
}


class TestMoves:
    @pytest.mark.parametrize(("before", "event"), list(itertools.product(TaskStatus, VERBS)))
    def test_every_verb_in_every_state_does_what_the_table_says(
        self, world: World, campaign: int, before: TaskStatus, event: TaskEvent
    ) -> None:
        task = world.task(campaign, status=before)
        after = TASK_MOVES.get((before, event))
        if after is None:
            with pytest.raises(WrongState):
                VERBS[event](world.database, world.admin, str(task), NOW)
        else:
            assert VERBS[event](world.database, world.admin, str(task), NOW).status == after
        assert state(world, task) == (after or before)

    def test_a_task_that_had_begun_resumes_sending_and_forgets_why_it_was_paused(
        self, world: World, campaign: int
    ) -> None:
        task = world.task(
            campaign, status="paused", actual_start_time=NOW, status_reason="20 errors in a row"
        )
        assert use.resume(world.database, world.admin, str(task), NOW).status == "sending"
        assert world.row(tasks, task)["status_reason"] is None

    def test_cancelling_counts_who_still_waits(self, world: World, campaign: int) -> None:
        task = world.task(campaign, status="sending")
        for row_state, count in {"pending": 2, "sending": 1, "sent": 4}.items():
            world.rows(task, row_state, count)
        assert use.cancel(world.database, world.admin, str(task), NOW).count == 3

    @pytest.mark.parametrize("event", VERBS)
    def test_an_operator_may_not_touch_tasks_of_anothers_campaign(
        self, world: World, campaign: int, event: TaskEvent
    ) -> None:
        task = world.task(campaign, status="sending")
        with pytest.raises(NotAllowed):
            VERBS[event](world.database, world.user("anna"), str(task), NOW)

    def test_of_two_people_who_cancel_at_once_one_is_told_so(self, world: World, campaign: int) -> None:
        task = world.task(campaign, status="sending")
        outcomes: list[str] = []

        def cancel() -> None:
            try:
                use.cancel(world.database, world.admin, str(task), NOW)
                outcomes.append("done")
            except WrongState:
                outcomes.append("refused")

        threads = [threading.Thread(target=cancel) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["done", "refused", "refused", "refused"]


class TestRetrying:
    def test_only_failures_that_were_passing_are_taken_up_with_a_fresh_lifetime(
        self, world: World, campaign: int
    ) -> None:
        task = world.task(campaign, status="sending")
        service = world.service("second")
        [expired] = world.rows(
            task,
            "failed_to_send",
            reason="expired",
            error_message="450 later",
            retries=9,
            attempt=10,
            first_attempt_at=NOW,
            sender_service_id=service,
        )
        for kept in ("no_such_user", "gave_up", None):
            world.rows(task, "failed_to_send", reason=kept)
        for kept_state in ("unknown", "bounced", "skipped", "sent"):
            world.rows(task, kept_state, reason="expired")
        retried = use.retry(world.database, world.admin, str(task), SETTINGS, NOW)
        assert retried.count == 1
        assert world.statuses(task) == {
            "pending": 1,
            "failed_to_send": 3,
            "unknown": 1,
            "bounced": 1,
            "skipped": 1,
            "sent": 1,
        }
        row = world.row(task_contacts, expired)
        assert (row["retries"], row["attempt"], row["scheduled_send_at"]) == (0, 10, NOW)
        for emptied in ("reason", "error_message", "first_attempt_at", "sender_service_id"):
            assert row[emptied] is None

    def test_a_finished_task_of_a_completed_campaign_sends_again_and_ends_again(
        self, world: World, campaign: int
    ) -> None:
        world.change(campaigns, campaign, status="completed")
        task = world.task(campaign, status="finished", expanded_at=NOW, actual_end_time=NOW)
        [row] = world.rows(task, "failed_to_send", reason="expired")
        assert use.retry(world.database, world.admin, str(task), SETTINGS, NOW).status == "sending"
        assert world.row(campaigns, campaign)["status"] == "active"
        assert world.row(tasks, task)["actual_end_time"] is None
        world.change(task_contacts, row, status="sent")
        assert lifecycle.finish_ended(world.database, NOW) == lifecycle.Ended((task,), (campaign,))

    def test_a_paused_task_stays_paused(self, world: World, campaign: int) -> None:
        task = world.task(campaign, status="paused")
        world.rows(task, "failed_to_send", reason="expired")
        assert use.retry(world.database, world.admin, str(task), SETTINGS, NOW).status == "paused"
        assert world.statuses(task) == {"pending": 1}

    @pytest.mark.parametrize("before", ["draft", "scheduled", "failed", "cancelled"])
    def test_other_tasks_refuse(self, world: World, campaign: int, before: str) -> None:
        task = world.task(campaign, status=before)
        world.rows(task, "failed_to_send", reason="expired")
        with pytest.raises(WrongState):
            use.retry(world.database, world.admin, str(task), SETTINGS, NOW)
        assert world.statuses(task) == {"failed_to_send": 1}

    def test_a_finished_task_of_a_cancelled_campaign_refuses(self, world: World, campaign: int) -> None:
        world.change(campaigns, campaign, status="cancelled")
        task = world.task(campaign, status="finished")
        world.rows(task, "failed_to_send", reason="expired")
        with pytest.raises(WrongState, match="is cancelled"):
            use.retry(world.database, world.admin, str(task), SETTINGS, NOW)

    def test_nothing_is_reopened_where_there_is_nothing_to_retry(self, world: World, campaign: int) -> None:
        task = world.task(campaign, status="finished", actual_end_time=NOW)
        assert use.retry(world.database, world.admin, str(task), SETTINGS, NOW).count == 0
        assert state(world, task) == "finished"

    def test_a_task_that_cannot_be_sent_any_more_is_not_reopened(self, world: World, campaign: int) -> None:
        hollow, _ = world.template_set(name="hollow")
        task = world.task(campaign, status="finished", template_set_id=hollow)
        world.rows(task, "failed_to_send", reason="expired")
        with pytest.raises(Refused, match="'hollow' is empty"):
            use.retry(world.database, world.admin, str(task), SETTINGS, NOW)
        assert (state(world, task), world.statuses(task)) == ("finished", {"failed_to_send": 1})

    def test_long_lists_are_taken_up_in_chunks_each_of_which_reopens_the_task(
        self, world: World, campaign: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(use, "RETRY_CHUNK", 3)
        task = world.task(campaign, status="finished", expanded_at=NOW)
        world.rows(task, "failed_to_send", 7, reason="expired")
        reopened: list[str] = []
        original = use.reopen

        def reopen(connection: Any, row: Any, *arguments: Any) -> Any:
            reopened.append(row["status"])
            return original(connection, row, *arguments)

        monkeypatch.setattr(use, "reopen", reopen)
        assert use.retry(world.database, world.admin, str(task), SETTINGS, NOW).count == 7
        assert reopened == ["finished", "sending", "sending"]


class TestExpandingAgain:
    def test_contacts_added_later_come_in_and_nobody_twice(self, world: World, campaign: int) -> None:
        world.change(campaigns, campaign, status="active")
        world.contacts(3)
        task = world.task(campaign, status="sending")
        lifecycle.expand_due(world.database, NOW)
        world.contacts(2)
        made = use.expand_again(world.database, world.admin, str(task), SETTINGS, NOW)
        assert (made.count, made.status) == (2, "sending")
        assert world.statuses(task) == {"pending": 5}

    def test_a_finished_task_sends_to_the_new_ones_and_its_campaign_is_active_again(
        self, world: World, campaign: int
    ) -> None:
        world.change(campaigns, campaign, status="completed")
        world.contacts(1)
        task = world.task(campaign, status="finished", expanded_at=NOW, actual_end_time=NOW)
        assert use.expand_again(world.database, world.admin, str(task), SETTINGS, NOW).count == 1
        assert (state(world, task), world.row(campaigns, campaign)["status"]) == ("sending", "active")

    @pytest.mark.parametrize("before", ["draft", "scheduled", "paused", "failed", "cancelled"])
    def test_other_tasks_refuse(self, world: World, campaign: int, before: str) -> None:
        task = world.task(campaign, status=before)
        with pytest.raises(WrongState):
            use.expand_again(world.database, world.admin, str(task), SETTINGS, NOW)
        assert state(world, task) == before


class TestOpenTasks:
    def test_only_sending_tasks_of_active_campaigns_are_open(self, world: World) -> None:
        active, paused = world.campaign("active", "active"), world.campaign("paused", "paused")
        made = {status: world.task(active, f"t {status}", status) for status in TaskStatus}
        world.task(paused, "sending", "sending")
        with world.database.read() as connection:
            [task] = task_rows.open_tasks(connection)
        assert task == {
            "id": made[TaskStatus.SENDING],
            "campaign_id": active,
            "created_by": world.admin.id,
            "services": None,
            "follows_task_id": None,
            "time_zone": None,
            "send_window": None,
            "holidays": None,
            "spread": False,
            "followups_first": True,
            "new_per_day": None,
        }

    def test_the_services_a_task_is_limited_to_come_with_it(self, world: World, campaign: int) -> None:
        two = world.service("two")
        made = create(world, services=["two"])
        world.change(campaigns, campaign, status="active")
        world.change(tasks, made.id, status="sending")
        with world.database.read() as connection:
            [task] = task_rows.open_tasks(connection)
        assert task["services"] == frozenset({two})

    def test_an_operators_task_may_use_what_is_granted_within_its_limit(self, world: World) -> None:
        anna = world.user("anna")
        world.template_set("<p>x</p>", name="set", owner=anna)
        world.campaign("hers", owner=anna)
        for name in ("one", "two"):
            world.service(name, granted=anna)
        world.service("three")
        free = create(world, anna, campaign="hers", template_set="set", name="free")
        bound = create(world, anna, campaign="hers", template_set="set", name="bound", services=["two"])
        with world.database.read() as connection:
            usable = {
                made.name: [
                    s.name for s in task_rows.usable_services(connection, task_rows.get(connection, made.id))
                ]
                for made in (free, bound)
            }
        assert usable == {"free": ["one", "two"], "bound": ["two"]}


@pytest.mark.costly
def test_a_retry_and_the_end_of_a_task_at_the_same_moment_leave_no_pending_row_in_a_finished_task(
    world: World, campaign: int
) -> None:
    world.change(campaigns, campaign, status="active")
    task = world.task(campaign, status="sending", expanded_at=NOW)
    rows = world.rows(task, "failed_to_send", 8, reason="expired")
    for _ in range(8):
        threads = [
            threading.Thread(target=use.retry, args=(world.database, world.admin, str(task), SETTINGS, NOW)),
            threading.Thread(target=lifecycle.finish_ended, args=(world.database, NOW)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert world.statuses(task) == {"pending": 8}
        assert (state(world, task), world.row(campaigns, campaign)["status"]) == ("sending", "active")
        for row in rows:
            world.change(task_contacts, row, status="failed_to_send", reason="expired")
