"""The event log as it is written and read, on both databases."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.database.tables import contacts as contact_table
from coldsend.database.tables import event_log
from coldsend.domain.states import EventType
from coldsend.stores import events
from tests.planning.test_lifecycle import explained
from tests.planning.world import NOW, World


def append(world: World, *rows: dict[str, Any]) -> None:
    with world.database.begin() as connection:
        events.append(connection, [{"type": "open", "ts": NOW, **row} for row in rows])


def latest(world: World, limit: int = 100, **filters: Any) -> list[dict[str, Any]]:
    with world.database.read() as connection:
        return events.named(connection, events.latest(connection, limit, **filters))


@pytest.fixture
def task(world: World) -> int:
    return world.task(world.campaign("spring", "active"), "intro", "sending")


def test_an_event_is_read_back_with_names_instead_of_ids(world: World, task: int) -> None:
    [row] = world.rows(task, "sent")
    contact = world.row(events.task_contacts, row)["contact_id"]
    service = world.service("main")
    details = {"code": 250, "text": "queued, ü"}
    append(
        world,
        {"task_id": task, "contact_id": contact, "sender_service_id": service, "type": "send_api_success"}
        | {"ts": NOW + timedelta(microseconds=7), "details": details},
    )
    [event] = latest(world)
    assert event == {
        "id": event["id"],
        "task": "spring/intro",
        "contact": world.row(contact_table, contact)["email"],
        "service": "main",
        "type": "send_api_success",
        "ts": NOW + timedelta(microseconds=7),
        "details": details,
    }


def test_an_event_outlives_what_it_speaks_of(world: World) -> None:
    append(world, {"task_id": 77, "contact_id": 88, "sender_service_id": 99})
    [event] = latest(world)
    assert (event["task"], event["contact"], event["service"]) == (None, None, None)


def test_an_event_with_a_known_key_is_stored_once_and_its_neighbours_all_the_same(world: World) -> None:
    append(world, {"dedup_key": "a"}, {"dedup_key": "b"})
    append(world, {"dedup_key": "b"}, {"dedup_key": "c"}, {"dedup_key": None})
    with world.database.read() as connection:
        keys = connection.execute(sa.select(event_log.c.dedup_key).order_by(event_log.c.id)).scalars().all()
    assert keys == ["a", "b", "c", None]


def test_nothing_is_appended_for_no_events(world: World) -> None:
    append(world)
    assert latest(world) == []


def test_an_unknown_type_is_refused(world: World) -> None:
    with pytest.raises(sa.exc.StatementError):
        append(world, {"type": "sneeze"})


@pytest.mark.costly
def test_the_newest_come_last_and_older_ones_are_cut_off(world: World, task: int) -> None:
    append(world, *({"task_id": task, "details": {"n": n}} for n in range(5)))
    for filters in ({}, {"task_id": task}, {"event_type": EventType.OPEN}, {"within": [task]}):
        assert [event["details"]["n"] for event in latest(world, 3, **filters)] == [2, 3, 4]


def test_filters_choose_by_task_contact_and_type(world: World, task: int) -> None:
    rows = world.rows(task, "sent", 2)
    one, two = (world.row(events.task_contacts, row)["contact_id"] for row in rows)
    other = world.task(world.campaign("autumn"), "outro")
    append(
        world,
        {"task_id": task, "contact_id": one, "details": 1},
        {"task_id": task, "contact_id": two, "details": 2},
        {"task_id": other, "contact_id": two, "details": 3},
        {"task_id": task, "contact_id": one, "type": "click", "details": 4},
        {"task_id": None, "contact_id": one, "type": "unsubscribe", "details": 5},
    )

    def found(**filters: Any) -> list[int]:
        return [event["details"] for event in latest(world, **filters)]

    assert found(task_id=task) == [1, 2, 4]
    assert found(task_id=task, contact_id=one) == [1, 4]
    assert found(task_id=task, event_type=EventType.CLICK) == [4]
    assert found(contact_id=one) == [1, 4, 5]
    assert found(contact_id=one, event_type=EventType.OPEN) == [1]
    assert found(event_type=EventType.OPEN) == [1, 2, 3]
    assert found(within=[other]) == [3]
    assert found(contact_id=one, within=[task]) == [1, 4]
    assert found(within=[]) == []


def test_paging_after_an_id_walks_forward_through_all(world: World, task: int) -> None:
    append(world, *({"task_id": task if n % 2 else None, "details": n} for n in range(9)))
    seen: list[int] = []
    last = 0
    with world.database.read() as connection:
        while page := events.after(connection, last, 2, task_ids=[task]):
            seen += [row["details"] for row in page]
            last = page[-1]["id"]
    assert seen == [1, 3, 5, 7]


def test_counting_since_a_moment_includes_it(world: World, task: int) -> None:
    append(world, *({"task_id": task, "ts": NOW - timedelta(seconds=s)} for s in range(5)))
    with world.database.read() as connection:
        since = NOW - timedelta(seconds=2)
        assert events.count_since(connection, task, EventType.OPEN, since) == 3
        assert events.count_since(connection, task, EventType.CLICK, since) == 0


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({"task_id": 1, "event_type": EventType.CLICK}, "ix_event_log_type_task_ts"),
        ({"task_id": 1, "contact_id": 5}, "ix_event_log_task_contact"),
    ],
)
def test_the_newest_of_a_task_are_found_through_an_index(
    world: World, filters: dict[str, Any], index: str
) -> None:
    kinds = list(EventType)
    append(
        world,
        *({"task_id": n % 50, "contact_id": n % 500, "type": kinds[n % len(kinds)]} for n in range(3000)),
    )
    with world.database.begin() as connection:
        connection.exec_driver_sql(
            "ANALYZE" if world.database.dialect_name == "sqlite" else "ANALYZE TABLE event_log"
        ).close()
    with world.database.read() as connection:
        _, plan = explained(connection, lambda c: events.latest(c, 10, **filters))
    steps = plan.split(" || ")
    assert all(index in step for step in steps), steps
