"""Changing a task that has not begun."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from coldsend.database.engine import Database
from coldsend.database.tables import tasks
from coldsend.domain.states import TaskStatus
from coldsend.errors import InvalidInput, NotAllowed, Refused, WrongState
from coldsend.planning.revising import revise
from coldsend.planning.wanted import Following, NewTask
from coldsend.stores import access
from coldsend.stores import tasks as task_rows
from tests.planning.world import NOW, SETTINGS, World


@pytest.fixture
def world(sqlite_url: str) -> Iterator[World]:
    database = Database(sqlite_url)
    yield World(database)
    database.dispose()


def change(world: World, task: int, actor: Any = None, **wanted: Any) -> None:
    given = {"campaign": "spring", "name": "intro", "template_set": "ts", "rule": "everyone", **wanted}
    world.database.run(
        lambda connection: revise(connection, actor or world.admin, task, NewTask(**given), SETTINGS, NOW)
    )


def made(world: World, **values: Any) -> int:
    set_id, _templates = world.template_set("<p>Hello.</p>", name="ts", owner=values.get("owner"))
    owner = {"owner": values["owner"]} if "owner" in values else {}
    return world.task(world.campaign("spring", **owner), template_set_id=set_id, **values)


def services_of(world: World, task: int) -> list[str]:
    with world.database.read() as connection:
        return task_rows.service_names(connection, [task]).get(task, [])


def test_all_of_a_task_becomes_what_is_asked_for_but_its_name(world: World) -> None:
    task = made(world)
    world.service("main")
    change(world, task, name="other", rule="tag:a", plan_time=NOW, services=["main"])
    row = world.row(tasks, task)
    assert (row["name"], row["recipient_rule"], row["plan_time"]) == ("intro", {"tag": "a"}, NOW)
    assert services_of(world, task) == ["main"]
    change(world, task)
    assert (world.row(tasks, task)["plan_time"], services_of(world, task)) == (None, [])


def test_what_it_follows_comes_and_goes(world: World) -> None:
    task = made(world)
    first = world.task(world.row(tasks, task)["campaign_id"], name="first")
    change(world, task, follows=Following("first", 3, conditions=["no reply"]))
    row = world.row(tasks, task)
    assert (row["follows_task_id"], row["follows_days"], row["follows_condition"]) == (first, 3, ["no reply"])
    change(world, task)
    row = world.row(tasks, task)
    assert (row["follows_task_id"], row["follows_days"], row["follows_condition"]) == (None, 0, None)


def test_a_task_never_comes_to_follow_itself(world: World) -> None:
    task = made(world)
    campaign = world.row(tasks, task)["campaign_id"]
    second = world.task(campaign, name="second", follows_task_id=task, follows_days=1)
    world.task(campaign, name="third", follows_task_id=second, follows_days=1)
    for after in ("intro", "second", "third"):
        with pytest.raises(InvalidInput, match="cannot follow itself"):
            change(world, task, follows=Following(after, 2))


@pytest.mark.parametrize(
    ("status", "began"),
    [
        (TaskStatus.SENDING, NOW),
        (TaskStatus.PAUSED, NOW),
        (TaskStatus.FINISHED, NOW),
        (TaskStatus.CANCELLED, None),
    ],
)
def test_a_task_that_has_begun_or_ended_stays_as_it_is(world: World, status: TaskStatus, began: Any) -> None:
    task = made(world, status=status.value, actual_start_time=began)
    with pytest.raises(WrongState, match="settled when it begins"):
        change(world, task, rule="tag:a")
    assert world.row(tasks, task)["recipient_rule"] == {"everyone": True}


def test_a_service_it_has_needs_no_new_grant_and_another_one_does(world: World) -> None:
    olga = world.user("olga")
    task = made(world, owner=olga)
    main = world.service("main", granted=olga)
    world.service("other")
    change(world, task, olga, services=["main"])
    world.database.run(lambda connection: access.revoke(connection, olga.id, main))
    change(world, task, olga, services=["main"], rule="tag:a")
    assert services_of(world, task) == ["main"]
    with pytest.raises(NotAllowed):
        change(world, task, olga, services=["main", "other"])


def test_a_scheduled_task_must_still_be_ready(world: World) -> None:
    world.service("main")
    task = made(world, status=TaskStatus.SCHEDULED.value)
    world.template_set(name="empty")
    with pytest.raises(Refused, match="its template set 'empty' is empty"):
        change(world, task, template_set="empty")
    change(world, task, rule="tag:a")
    assert world.row(tasks, task)["status"] == TaskStatus.SCHEDULED
