"""Expansion: who comes on the list, which template they get, and that nothing can disturb it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.database.engine import Connection, Database
from coldsend.database.tables import (
    campaigns,
    contact_tags,
    contacts,
    suppressions,
    task_contacts,
    tasks,
    template_set_items,
)
from coldsend.errors import Refused
from coldsend.planning import expand
from coldsend.planning.expand import Expanded, expand_task, restart_expansion
from coldsend.stores import expansion
from tests.planning.world import NOW, World

HOUR = timedelta(hours=1)


class Stage:
    """A sending task with three templates, and people to expand it to."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.database = world.database
        self.campaign = world.campaign(status="active")
        self.template_set, self.templates = world.template_set("<p>1</p>", "<p>2</p>", "<p>3</p>")

    def task(self, rule: Any = None, **values: Any) -> int:
        given = {"recipient_rule": rule or {"everyone": True}, "status": "sending", **values}
        return self.world.task(self.campaign, template_set_id=self.template_set, **given)

    def people(self, count: int, *, first: int = 1, tag: str | None = None, step: int = 1) -> list[int]:
        """Contacts with ids first, first + step .."""
        ids = list(range(first, first + count * step, step))
        rows = [
            {"id": n, "email": f"p{n}@x.example", "email_key": f"p{n}@x.example", "email_domain": "x.example"}
            for n in ids
        ]
        with self.database.begin() as connection:
            connection.execute(sa.insert(contacts), rows)
            if tag:
                connection.execute(sa.insert(contact_tags), [{"tag": tag, "contact_id": n} for n in ids])
        return ids

    def expand(self, task: int, **options: Any) -> Expanded:
        return expand_task(self.database, task, NOW, **options)

    def again(self, task: int, **options: Any) -> Expanded:
        self.database.run(lambda connection: restart_expansion(connection, task, NOW))
        return self.expand(task, **options)

    def listed(self, task: int) -> list[sa.RowMapping]:
        query = sa.select(task_contacts).where(task_contacts.c.task_id == task)
        with self.database.read() as connection:
            return list(connection.execute(query.order_by(task_contacts.c.contact_id)).mappings())

    def ids(self, task: int) -> list[int]:
        return [row["contact_id"] for row in self.listed(task)]

    def spread(self, task: int) -> int:
        """How far the counts of the templates differ."""
        counts = Counter(row["selected_template_id"] for row in self.listed(task))
        assert set(counts) <= set(self.templates)
        return max(counts.values()) - min(counts[template] for template in self.templates)

    def row(self, task: int) -> sa.RowMapping:
        return self.world.row(tasks, task)


@pytest.fixture
def stage(world: World) -> Stage:
    return Stage(world)


def test_a_row_has_everything_that_delivery_needs(stage: Stage) -> None:
    [person] = stage.people(1, first=62)
    task = stage.task(plan_time=NOW - HOUR)
    assert stage.expand(task) == Expanded(1, done=True)
    [row] = stage.listed(task)
    wanted = {
        "task_id": task,
        "contact_id": person,
        "status": "pending",
        "reason": None,
        "selected_template_id": stage.templates[0],
        "scheduled_send_at": NOW - HOUR,
        "event_tracking_uid": f"t{task}c{person}",
        "bucket": 1,
        "attempt": 0,
        "retries": 0,
        "sent_at": None,
        "claim_token": None,
        "sender_service_id": None,
    }
    assert {key: row[key] for key in wanted} == wanted


@pytest.mark.parametrize(
    ("start", "plan", "due"),
    [
        (None, None, NOW),
        (NOW - HOUR, None, NOW - HOUR),
        (None, NOW + HOUR, NOW + HOUR),
        (NOW - HOUR, NOW - 2 * HOUR, NOW - HOUR),
        (NOW - 2 * HOUR, NOW - HOUR, NOW - HOUR),
    ],
)
def test_rows_are_due_at_the_later_of_start_time_and_plan_time(
    stage: Stage, start: datetime | None, plan: datetime | None, due: datetime
) -> None:
    stage.people(1)
    stage.world.change(campaigns, stage.campaign, start_time=start)
    task = stage.task(plan_time=plan)
    stage.expand(task)
    assert stage.listed(task)[0]["scheduled_send_at"] == due


def test_only_those_the_rule_matches_are_listed(stage: Stage) -> None:
    stage.people(3)
    vips = stage.people(3, first=10, tag="vip")
    stage.world.change(contacts, vips[1], deleted_at=NOW)
    task = stage.task({"tag": "vip"})
    stage.expand(task)
    assert stage.ids(task) == [10, 12]


def test_an_expanded_task_is_closed_and_counted(stage: Stage) -> None:
    stage.people(7)
    task = stage.task()
    stage.expand(task, chunk=3)
    row = stage.row(task)
    assert (row["expanded_count"], row["expanded_at"], row["template_ids"]) == (7, NOW, stage.templates)
    assert stage.expand(task) == Expanded(0, done=True)


def test_a_task_without_contacts_is_expanded_to_nobody(stage: Stage) -> None:
    task = stage.task()
    assert stage.expand(task) == Expanded(0, done=True)
    assert stage.row(task)["expanded_at"] == NOW


@pytest.mark.parametrize("count", [1, 2, 3, 7, 61])
@pytest.mark.parametrize("chunk", [1, 4, 1000])
def test_templates_take_turns_in_their_order(stage: Stage, count: int, chunk: int) -> None:
    stage.people(count, step=3)
    task = stage.task()
    stage.expand(task, chunk=chunk)
    assert [row["selected_template_id"] for row in stage.listed(task)] == [
        stage.templates[n % 3] for n in range(count)
    ]


@pytest.mark.parametrize("chunk", [3, 1000])
def test_a_template_with_a_weight_takes_as_many_turns(stage: Stage, chunk: int) -> None:
    with stage.database.begin() as connection:
        heavy = template_set_items.c.template_id == stage.templates[0]
        connection.execute(sa.update(template_set_items).where(heavy).values(weight=3))
    stage.people(10)
    task = stage.task()
    stage.expand(task, chunk=chunk)
    a, b, c = stage.templates
    assert [row["selected_template_id"] for row in stage.listed(task)] == [a, b, a, c, a, a, b, a, c, a]


def test_the_order_of_the_set_decides_then_the_older_item(stage: Stage) -> None:
    by_age = sa.select(template_set_items.c.id).order_by(template_set_items.c.id)
    with stage.database.read() as connection:
        first, second, third = connection.execute(by_age).scalars()
    for item, order in ((first, 5), (second, 2), (third, 2)):
        stage.world.change(template_set_items, item, order=order)
    stage.people(3)
    task = stage.task()
    stage.expand(task)
    one, two, three = stage.templates
    assert [row["selected_template_id"] for row in stage.listed(task)] == [two, three, one]


def test_a_set_changed_after_the_first_expansion_keeps_the_rotation(stage: Stage) -> None:
    stage.people(2)
    task = stage.task()
    stage.expand(task)
    with stage.database.begin() as connection:
        connection.execute(sa.delete(template_set_items).where(template_set_items.c.order == 0))
    stage.people(4, first=10)
    stage.again(task)
    assert stage.spread(task) == 0


def test_contacts_added_later_come_in_by_another_expansion_only(stage: Stage) -> None:
    stage.people(5, first=100)
    task = stage.task()
    stage.expand(task)
    stage.people(2, first=50)  # ids need not grow: a restored backup, another database node
    stage.people(1, first=200)
    assert stage.expand(task).count == 0
    assert stage.again(task, chunk=2) == Expanded(3, done=True)
    assert stage.ids(task) == [50, 51, 100, 101, 102, 103, 104, 200]
    assert stage.spread(task) <= 1


def test_contacts_added_during_an_expansion_stay_out(stage: Stage) -> None:
    stage.people(4)
    task = stage.task()
    stage.expand(task, chunk=2, should_stop=_after(2))
    stage.people(1, first=10)
    assert stage.expand(task, chunk=2).done
    assert stage.ids(task) == [1, 2, 3, 4]


def _after(calls: int) -> Any:
    """should_stop that lets so many steps pass."""
    left = iter([False] * calls)
    return lambda: next(left, True)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
def test_an_expansion_that_stops_goes_on_where_it_was(stage: Stage, steps: int) -> None:
    stage.people(10)
    task = stage.task()
    first = stage.expand(task, chunk=3, should_stop=_after(steps))
    assert first.done == (steps == 5)
    rest = stage.expand(task, chunk=3)
    assert rest.done
    assert first.count + rest.count == 10
    assert stage.ids(task) == list(range(1, 11))
    assert stage.spread(task) == 1


def test_a_chunk_that_fails_leaves_nothing_behind(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.people(10)
    task = stage.task()
    stage.expand(task, chunk=3, should_stop=_after(2))
    before = stage.row(task)

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("killed here")

    with monkeypatch.context() as patch:
        patch.setattr(expansion, "count", broken)  # rows are in, the count is not
        with pytest.raises(RuntimeError):
            stage.expand(task, chunk=3)
    assert stage.row(task) == before
    assert stage.ids(task) == [1, 2, 3]
    assert stage.expand(task, chunk=3).count == 7


def read_stale(monkeypatch: pytest.MonkeyPatch, stale: sa.RowMapping) -> None:
    """Let the next step see the task's cursor and count as they were: another scheduler is ahead of it."""
    real = expand.tasks.get
    old = {key: stale[key] for key in ("expand_cursor", "expanded_count", "expand_to")}

    def get(connection: Connection, task_id: int) -> Any:
        monkeypatch.setattr(expand.tasks, "get", real)
        return {**real(connection, task_id), **old}

    monkeypatch.setattr(expand.tasks, "get", get)


def test_whoever_finds_the_cursor_moved_adds_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.people(10)
    task = stage.task()
    stage.expand(task, chunk=3, should_stop=_after(1))
    stale = stage.row(task)
    assert stage.expand(task, chunk=3, should_stop=_after(2)).count == 6
    read_stale(monkeypatch, stale)
    assert stage.expand(task, chunk=3) == Expanded(4, done=True)
    assert stage.ids(task) == list(range(1, 11))
    assert stage.spread(task) == 1


def test_a_cursor_is_never_set_back(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.people(10)
    task = stage.task({"field": "country", "op": "set", "value": True})  # nobody: the count stays 0
    stage.expand(task, chunk=3, should_stop=_after(1))
    stale = stage.row(task)
    stage.expand(task, chunk=3, should_stop=_after(2))
    read_stale(monkeypatch, stale)
    stage.expand(task, chunk=3, should_stop=_after(1))
    assert stage.row(task)["expand_cursor"] == 6


def test_turns_stay_right_when_the_list_was_made_again_meanwhile(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.people(4)
    task = stage.task()
    stage.expand(task, should_stop=_after(1))
    stale = stage.row(task)  # cursor 0, nothing counted, as after the restart below
    stage.expand(task)
    stage.people(1, first=10)
    stage.again(task, should_stop=_after(1))
    read_stale(monkeypatch, {**stale, "expand_to": 10})  # type: ignore[arg-type]
    assert stage.expand(task).count == 1
    assert stage.listed(task)[-1]["selected_template_id"] == stage.templates[4 % 3]


@pytest.mark.costly
def test_two_schedulers_at_once_list_everyone_once(stage: Stage) -> None:
    stage.people(2000)
    task = stage.task()
    together, results, errors = threading.Barrier(3), [], []

    def run() -> None:
        own = Database(stage.database.url.render_as_string(hide_password=False))
        together.wait()
        try:
            results.append(expand_task(own, task, NOW, chunk=50))
        except Exception as error:
            errors.append(error)
        finally:
            own.dispose()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert all(result.done for result in results)
    assert sum(result.count for result in results) == 2000
    assert stage.ids(task) == list(range(1, 2001))
    assert stage.spread(task) == 1
    assert stage.row(task)["expanded_count"] == 2000


EXPAND_SLOWLY = """
import sys
from coldsend import clock
from coldsend.database.engine import Database
from coldsend.planning.expand import expand_task
expand_task(Database(sys.argv[1]), int(sys.argv[2]), clock.now(), chunk=20)
"""


@pytest.mark.slow
def test_kill_9_at_any_time_costs_nothing(stage: Stage) -> None:
    stage.people(4000)
    task = stage.task()
    url = stage.database.url.render_as_string(hide_password=False)
    kills = 0
    while stage.row(task)["expanded_at"] is None and kills < 3:
        reached = stage.row(task)["expanded_count"]
        process = subprocess.Popen([sys.executable, "-c", EXPAND_SLOWLY, url, str(task)], cwd=_ROOT, env=_ENV)
        deadline = time.monotonic() + 120
        while process.poll() is None and stage.row(task)["expanded_count"] < reached + 100:
            assert time.monotonic() < deadline
        if process.poll() is None:
            kills += 1
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert kills == 3
    assert stage.expand(task).done
    assert stage.ids(task) == list(range(1, 4001))
    assert stage.spread(task) == 1


_ROOT = Path(__file__).parent.parent.parent
_ENV = {**os.environ, "PYTHONPATH": str(_ROOT)}


def test_suppressed_contacts_come_in_skipped_with_the_reason(stage: Stage) -> None:
    stage.people(4)
    other = stage.world.campaign("other")
    entries = [("a:p1@x.example", 0), ("a:p2@x.example", stage.campaign), ("a:p3@x.example", other)]
    for key, campaign in entries:
        values = {"suppression_key": key, "campaign_id": campaign, "scope": "address", "reason": "manual"}
        stage.world.insert(suppressions, **values)
    task = stage.task()
    stage.expand(task)
    assert [(row["status"], row["reason"]) for row in stage.listed(task)] == [
        ("skipped", "suppressed"),
        ("skipped", "suppressed"),
        ("pending", None),
        ("pending", None),
    ]


def test_a_suppressed_domain_comes_in_skipped(stage: Stage) -> None:
    stage.people(1)
    values = {"suppression_key": "d:x.example", "scope": "domain", "reason": "manual"}
    stage.world.insert(suppressions, **values)
    task = stage.task()
    stage.expand(task)
    assert stage.listed(task)[0]["status"] == "skipped"


def test_a_rule_may_exclude_whom_an_earlier_task_reached(stage: Stage) -> None:
    stage.people(4)
    earlier = stage.task(name="earlier")
    stage.expand(earlier)
    for row in stage.listed(earlier)[:2]:
        stage.world.change(task_contacts, row["id"], status="sent", sent_at=NOW)
    later = stage.task({"not": {"sent": "earlier"}}, name="later")
    stage.expand(later)
    assert stage.ids(later) == [3, 4]


@pytest.mark.parametrize("status", ["draft", "paused", "finished", "failed", "cancelled"])
def test_a_task_that_is_not_to_be_sent_is_not_expanded(stage: Stage, status: str) -> None:
    stage.people(2)
    task = stage.task(status=status)
    assert stage.expand(task) == Expanded(0, done=False)
    assert stage.listed(task) == []


def test_a_task_cancelled_meanwhile_gets_no_more_rows(stage: Stage) -> None:
    stage.people(10)
    task = stage.task()
    steps = iter([False, False])

    def cancel_then_go_on() -> bool:
        if next(steps, True):
            stage.world.change(tasks, task, status="cancelled")
        return False

    assert stage.expand(task, chunk=3, should_stop=cancel_then_go_on) == Expanded(3, done=False)
    assert len(stage.listed(task)) == 3


def test_an_empty_template_set_is_refused_with_the_way_out(stage: Stage) -> None:
    stage.people(1)
    empty, _ = stage.world.template_set(name="empty")
    task = stage.world.task(stage.campaign, status="sending", template_set_id=empty)
    with pytest.raises(Refused, match="'spring/intro' cannot be expanded: its template set") as caught:
        stage.expand(task)
    assert "template-set add" in caught.value.hint
    assert stage.row(task)["expand_to"] is None


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"sent": "spring/gone"}, "campaign 'spring' has no task 'gone'"),
        ({"tag": 5}, "must be text"),
        ({}, "empty object"),
    ],
)
def test_a_rule_that_does_not_hold_any_more_is_refused(stage: Stage, rule: Any, said: str) -> None:
    stage.people(1)
    task = stage.task()
    stage.world.change(tasks, task, recipient_rule=rule)
    with pytest.raises(Refused, match=said):
        stage.expand(task)
    assert stage.listed(task) == []


def steps_taken(stage: Stage, task: int, chunk: int) -> int:
    """How many chunks an expansion has, the opening step left out."""
    calls = 0

    def count() -> bool:
        nonlocal calls
        calls += 1
        return False

    assert stage.expand(task, chunk=chunk, should_stop=count).done
    return calls - 1


@pytest.mark.costly
def test_sparse_ids_and_selective_rules_take_no_empty_chunks(stage: Stage) -> None:
    stage.people(1000, tag="many")
    for n in range(3):
        stage.people(2, first=10**9 * (n + 1), tag="few")
    assert steps_taken(stage, stage.task(name="everyone"), 200) == 6
    assert steps_taken(stage, stage.task({"tag": "few"}, name="few"), 200) == 1
    both = {"all": [{"tag": "many"}, {"tag": "few"}]}
    assert steps_taken(stage, stage.task(both, name="both"), 200) == 1
    either = {"any": [{"tag": "many"}, {"tag": "few"}]}
    assert steps_taken(stage, stage.task(either, name="either"), 200) == 11
    assert stage.world.statuses(4) == {"pending": 1006}


@pytest.mark.costly
def test_a_chunk_adds_no_more_rows_than_it_was_told(stage: Stage) -> None:
    stage.people(30, tag="a")
    stage.people(30, first=1000, tag="b")
    task = stage.task({"any": [{"tag": "a"}, {"tag": "b"}]})
    sizes = []
    while not (step := stage.expand(task, chunk=7, should_stop=_after(1))).done:
        sizes.append(step.count)
    assert max(sizes) <= 7
    assert len(stage.listed(task)) == 60
