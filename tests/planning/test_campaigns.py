"""The life of a campaign by hand, on both databases."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from coldsend.config.settings import WebSettings
from coldsend.database.tables import campaigns, tasks
from coldsend.domain.states import CAMPAIGN_MOVES, TASK_ENDED, CampaignEvent, CampaignStatus, TaskStatus
from coldsend.errors import InvalidInput, NotAllowed, NotFound, Refused, WrongState
from coldsend.planning import campaigns as use
from tests.planning.world import NOW, SETTINGS, World


def status(world: World, campaign: int) -> str:
    return str(world.row(campaigns, campaign)["status"])


def ready(world: World) -> tuple[int, int]:
    """A draft campaign that can be started, and its task."""
    world.service("main")
    campaign = world.campaign("spring")
    return campaign, world.task(campaign)


def test_a_new_campaign_is_a_draft_of_its_maker(world: World) -> None:
    anna = world.user("anna")
    made = use.create(world.database, anna, " spring ", NOW, NOW)
    row = world.row(campaigns, made.id)
    assert (row["name"], row["status"], row["start_time"]) == ("spring", "draft", NOW)
    assert (row["created_by"], row["created_at"], row["updated_at"]) == (anna.id, NOW, NOW)


@pytest.mark.parametrize("name", ["", "  ", "a/b", "42", "a\nb", "x" * 256])
def test_a_name_that_could_be_mistaken_is_refused(world: World, name: str) -> None:
    with pytest.raises(InvalidInput):
        use.create(world.database, world.admin, name, None, NOW)


def test_a_name_is_taken_once(world: World) -> None:
    world.campaign("spring")
    with pytest.raises(Refused, match="exists already"):
        use.create(world.database, world.admin, "spring", None, NOW)


def test_starting_schedules_the_draft_tasks_and_only_those(world: World) -> None:
    campaign, task = ready(world)
    cancelled = world.task(campaign, "old", status="cancelled", actual_end_time=NOW)
    started = use.start(world.database, world.admin, "spring", SETTINGS, NOW)
    assert (started.status, started.tasks, started.warnings) == ("active", ("intro",), ())
    assert (status(world, campaign), world.row(tasks, task)["status"]) == ("active", "scheduled")
    assert world.row(tasks, cancelled)["status"] == "cancelled"


def test_all_reasons_against_a_start_are_told_at_once_and_nothing_is_changed(world: World) -> None:
    anna = world.user("anna")
    world.service("main")
    campaign = world.campaign("spring")
    broken, _ = world.template_set("<p>Hello {{ nope }}</p>", name="broken")
    world.task(campaign, "one", template_set_id=broken)
    world.task(campaign, "two", template_set_id=world.template_set(name="hollow")[0])
    world.task(campaign, "three", owner=anna)
    settings = dataclasses.replace(SETTINGS, postal_address=" ", web=WebSettings(base_url=""))
    with pytest.raises(Refused) as refusal:
        use.start(world.database, world.admin, "spring", settings, NOW)
    for part in ("postal_address", "web.base_url", "nope", "'hollow' is empty", "task 'three': no sender"):
        assert part in refusal.value.message
    assert status(world, campaign) == "draft"


def test_a_campaign_without_a_task_does_not_start(world: World) -> None:
    world.campaign("spring")
    with pytest.raises(Refused, match="there is none to send"):
        use.start(world.database, world.admin, "spring", SETTINGS, NOW)


def test_an_address_that_is_not_https_is_a_warning(world: World) -> None:
    ready(world)
    settings = dataclasses.replace(SETTINGS, web=WebSettings(base_url="http://127.0.0.1:8025"))
    [warning] = use.start(world.database, world.admin, "spring", settings, NOW).warnings
    assert warning.subject == "web.base_url"


def test_services_that_cannot_send_now_are_a_warning(world: World) -> None:
    campaign, _ = ready(world)
    world.change(campaigns, campaign, start_time=NOW)
    from coldsend.database.tables import sender_services

    world.change(sender_services, 1, daily_quota=0)
    [warning] = use.start(world.database, world.admin, "spring", SETTINGS, NOW).warnings
    assert "no daily quota (main)" in warning.message


def test_a_task_limited_to_a_service_whose_grant_was_revoked_does_not_start(world: World) -> None:
    from coldsend.database.tables import task_services, user_sender_service_access

    anna = world.user("anna")
    named, _other = world.service("named", granted=anna), world.service("other", granted=anna)
    campaign = world.campaign("spring", owner=anna)
    task = world.task(campaign, owner=anna)
    with world.database.begin() as connection:
        connection.execute(task_services.insert().values(task_id=task, sender_service_id=named))
        connection.execute(
            user_sender_service_access.delete().where(user_sender_service_access.c.sender_service_id == named)
        )
    with pytest.raises(Refused, match=r"none of its services \(named\) is granted"):
        use.start(world.database, anna, "spring", SETTINGS, NOW)


def test_cancelling_ends_open_tasks_and_counts_who_still_waits(world: World) -> None:
    campaign = world.campaign("spring", "active")
    made = {
        state: world.task(campaign, f"task {state}", state, actual_end_time=NOW if ended else None)
        for state in TaskStatus
        for ended in [state in TASK_ENDED]
    }
    world.rows(made[TaskStatus.SENDING], "pending", 3)
    world.rows(made[TaskStatus.SENDING], "sending", 1)
    world.rows(made[TaskStatus.SENDING], "sent", 5)
    cancelled = use.cancel(world.database, world.admin, "spring", NOW)
    assert cancelled.waiting == 4
    assert len(cancelled.tasks) == 4
    for state, task in made.items():
        assert world.row(tasks, task)["status"] == (state if state in TASK_ENDED else "cancelled")


def test_pausing_and_resuming_leave_the_tasks_as_they_are(world: World) -> None:
    campaign = world.campaign("spring", "active")
    task = world.task(campaign, status="sending")
    assert use.pause(world.database, world.admin, "spring", NOW).status == "paused"
    assert world.row(tasks, task)["status"] == "sending"
    assert use.resume(world.database, world.admin, "spring", NOW).status == "active"


def test_resuming_forgets_why_the_engine_had_paused_it(world: World) -> None:
    campaign = world.campaign("spring", "paused", status_reason="500 syntax error")
    use.resume(world.database, world.admin, "spring", NOW)
    assert world.row(campaigns, campaign)["status_reason"] is None


VERBS = {
    CampaignEvent.START: lambda w: use.start(w.database, w.admin, "spring", SETTINGS, NOW),
    CampaignEvent.PAUSE: lambda w: use.pause(w.database, w.admin, "spring", NOW),
    CampaignEvent.RESUME: lambda w: use.resume(w.database, w.admin, "spring", NOW),
    CampaignEvent.CANCEL: lambda w: use.cancel(w.database, w.admin, "spring", NOW),
}


@pytest.mark.parametrize(("before", "event"), list(itertools.product(CampaignStatus, VERBS)))
def test_every_verb_in_every_state_does_what_the_table_says(
    world: World, before: CampaignStatus, event: CampaignEvent
) -> None:
    campaign, _ = ready(world)
    world.change(campaigns, campaign, status=before)
    after = CAMPAIGN_MOVES.get((before, event))
    if after is None:
        with pytest.raises(WrongState):
            VERBS[event](world)
    else:
        assert VERBS[event](world).status == after
    assert status(world, campaign) == (after or before)


@pytest.mark.parametrize("event", VERBS)
def test_an_operator_may_not_touch_anothers_campaign(world: World, event: CampaignEvent) -> None:
    campaign, _ = ready(world)
    anna = world.user("anna")
    world.change(campaigns, campaign, status="active" if event != CampaignEvent.START else "draft")
    mine = World.__new__(World)
    mine.database, mine.admin = world.database, anna
    with pytest.raises(NotAllowed):
        VERBS[event](mine)


def test_a_campaign_that_is_not_there_is_not_found(world: World) -> None:
    world.campaign("spring")
    with pytest.raises(NotFound) as missing:
        use.pause(world.database, world.admin, "sprig", NOW)
    assert missing.value.hint == "did you mean 'spring'?"
