"""Counts of send lists, on both databases."""

from __future__ import annotations

from datetime import timedelta

from coldsend.analytics import tally
from coldsend.analytics.tally import Tally
from tests.planning.world import NOW, World

MINUTE = timedelta(minutes=1)


def of_task(world: World, task: int, service: int | None = None) -> Tally:
    with world.database.read() as connection:
        return tally.of_task(connection, task, NOW, tally.names(connection), service_id=service)


def test_an_empty_task_counts_nothing(world: World) -> None:
    document = of_task(world, world.task(world.campaign())).as_json()
    assert (document["recipients"], document["by_status"], document["reasons"]) == (0, {}, [])
    assert document["sent_per_minute"] is None


def test_rows_of_other_tasks_are_not_counted(world: World) -> None:
    campaign = world.campaign()
    mine, other = world.task(campaign, "mine"), world.task(campaign, "other")
    world.rows(mine, "sent", 2)
    world.rows(other, "sent", 5)
    assert of_task(world, mine).recipients == 2


def test_every_status_that_occurs_is_counted_in_the_order_of_a_rows_life(world: World) -> None:
    task = world.task(world.campaign())
    for status, count in {"skipped": 1, "unknown": 2, "sent": 3, "pending": 4, "bounced": 5}.items():
        world.rows(task, status, count)
    assert list(of_task(world, task).as_json()["by_status"].items()) == [
        ("pending", 4),
        ("sent", 3),
        ("unknown", 2),
        ("skipped", 1),
        ("bounced", 5),
    ]


def test_templates_count_every_expanded_row_and_services_only_what_a_server_accepted(world: World) -> None:
    set_id, (one, two) = world.template_set("a", "b", name="s")
    service = world.service("main")
    task = world.task(world.campaign(), template_set_id=set_id)
    world.rows(task, "sent", 2, selected_template_id=one, sender_service_id=service)
    world.rows(task, "opened", 1, selected_template_id=two, sender_service_id=service)
    world.rows(task, "failed_to_send", 1, selected_template_id=two, sender_service_id=service)
    world.rows(task, "pending", 1, selected_template_id=one)
    document = of_task(world, task).as_json()
    assert document["by_template"] == {"template1.1": 3, "template1.2": 2}
    assert document["by_service"] == {"main": 3}


def test_reasons_are_counted_by_status_the_most_frequent_first(world: World) -> None:
    task = world.task(world.campaign())
    world.rows(task, "skipped", 2, reason="suppressed")
    world.rows(task, "skipped", 1, reason="missing_variable")
    world.rows(task, "pending", 4, reason="greylisted")
    world.rows(task, "sent", 9)
    assert of_task(world, task).as_json()["reasons"] == [
        {"status": "pending", "reason": "greylisted", "count": 4},
        {"status": "skipped", "reason": "suppressed", "count": 2},
        {"status": "skipped", "reason": "missing_variable", "count": 1},
    ]


def test_feedback_is_counted_from_the_times_not_from_the_furthest_status(world: World) -> None:
    task = world.task(world.campaign())
    world.rows(task, "unsubscribed", 1, sent_at=NOW, opened_at=NOW, clicked_at=NOW, unsubscribed_at=NOW)
    world.rows(task, "opened", 1, sent_at=NOW, opened_at=NOW)
    assert of_task(world, task).as_json()["feedback"] == {
        "accepted": 2,
        "delivered": 0,
        "opened": 2,
        "clicked": 1,
        "replied": 0,
        "bounced": 0,
        "unsubscribed": 1,
        "complained": 0,
    }


def test_the_rate_is_what_was_accepted_between_the_first_and_the_last(world: World) -> None:
    task = world.task(world.campaign())
    world.rows(task, "sent", 1, sent_at=NOW - 4 * MINUTE)
    world.rows(task, "sent", 9, sent_at=NOW - 2 * MINUTE)
    counts = of_task(world, task)
    assert (counts.first_sent_at, counts.last_sent_at) == (NOW - 4 * MINUTE, NOW - 2 * MINUTE)
    assert counts.sent_per_minute == 5.0


def test_messages_of_one_moment_have_no_rate(world: World) -> None:
    task = world.task(world.campaign())
    world.rows(task, "sent", 3, sent_at=NOW)
    assert of_task(world, task).sent_per_minute is None


def test_pending_rows_that_are_due_later_are_told_apart(world: World) -> None:
    task = world.task(world.campaign())
    world.rows(task, "pending", 2)
    world.rows(task, "pending", 3, scheduled_send_at=NOW + 5 * MINUTE)
    world.rows(task, "pending", 1, scheduled_send_at=NOW + 2 * MINUTE)
    world.rows(task, "sent", 1, scheduled_send_at=NOW + MINUTE)
    counts = of_task(world, task)
    assert (counts.pending, counts.later, counts.next_due_at) == (6, 4, NOW + 2 * MINUTE)


def test_only_one_services_rows_are_counted_where_asked_for(world: World) -> None:
    one, two = world.service("one"), world.service("two")
    task = world.task(world.campaign())
    world.rows(task, "sent", 2, sender_service_id=one)
    world.rows(task, "sent", 3, sender_service_id=two)
    assert of_task(world, task, one).recipients == 2


def test_tallies_add_up(world: World) -> None:
    campaign = world.campaign()
    one, two = world.task(campaign, "one"), world.task(campaign, "two")
    world.rows(one, "sent", 1, sent_at=NOW - MINUTE)
    world.rows(two, "sent", 2, sent_at=NOW)
    world.rows(two, "pending", 3, scheduled_send_at=NOW + MINUTE)
    total = Tally()
    for task in (one, two):
        total.add(of_task(world, task))
    assert total.by_status == {"sent": 3, "pending": 3}
    assert (total.first_sent_at, total.last_sent_at) == (NOW - MINUTE, NOW)
    assert (total.later, total.next_due_at) == (3, NOW + MINUTE)
    assert total.sent_per_minute == 3.0
