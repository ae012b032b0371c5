"""Experiments with their rows: what counts, what a decision moves, and that nothing gets in between."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.analytics.experiments import results
from coldsend.database.tables import task_contacts, tasks, template_set_items, templates
from coldsend.domain.experiment import Count, Experiment, Goal, Standing, as_json, from_json
from coldsend.domain.states import TaskStatus
from coldsend.errors import InvalidInput, NotAllowed, Refused, WrongState
from coldsend.planning import expand, experiments, followups
from coldsend.stores import expansion, reports
from coldsend.stores import experiments as store
from coldsend.stores import tasks as task_store
from coldsend.stores import templates as template_store
from tests.planning.world import NOW, World

HOUR = timedelta(hours=1)
LONG_AGO = NOW - 100 * HOUR


class Lab:
    """A sending task with templates A and B that takes its first look at ten recipients of each."""

    def __init__(self, world: World, **values: Any) -> None:
        self.world = world
        self.database = world.database
        self.campaign = world.campaign(status="active")
        self.template_set, (self.a, self.b) = world.template_set("<p>A</p>", "<p>B</p>")
        for template in (self.a, self.b):
            world.change(templates, template, updated_at=LONG_AGO)
        given: dict[str, Any] = {"goal": Goal.REPLIES, "min_sample": 10, "wait_hours": 72, **values}
        self.task = world.task(
            self.campaign,
            status="sending",
            template_set_id=self.template_set,
            template_ids=[self.a, self.b],
            experiment=as_json(Experiment(**given)),
            actual_start_time=LONG_AGO,
            expanded_at=LONG_AGO,
        )

    def rows(self, template: int, status: str, count: int = 1, **values: Any) -> list[int]:
        return self.world.rows(self.task, status, count, selected_template_id=template, **values)

    def sent(self, template: int, count: int, replied: int = 0, at: Any = LONG_AGO) -> None:
        answer = {"status": "replied", "replied_at": at + HOUR}
        for place in range(count):
            self.rows(template, **{"status": "sent", **(answer if place < replied else {})}, sent_at=at)

    def clear_lead_of_a(self) -> None:
        self.sent(self.a, 10, replied=9)
        self.sent(self.b, 10)

    def keep_up(self, now: Any = NOW, **options: Any) -> None:
        experiments.keep_up(self.database, now, **options)

    @property
    def experiment(self) -> Experiment:
        return from_json(self.world.row(tasks, self.task)["experiment"])

    @property
    def round(self) -> list[int]:
        return list(self.world.row(tasks, self.task)["template_ids"])

    def counts(self) -> list[Count]:
        with self.database.read() as connection:
            return store.counts(connection, self.task, self.experiment, [self.a, self.b], NOW)

    def templates_of(self, row_ids: list[int]) -> set[int]:
        query = sa.select(task_contacts.c.selected_template_id).where(task_contacts.c.id.in_(row_ids))
        with self.database.read() as connection:
            return set(connection.execute(query).scalars())

    def all_templates(self) -> Counter[int]:
        query = sa.select(task_contacts.c.selected_template_id).where(task_contacts.c.task_id == self.task)
        with self.database.read() as connection:
            return Counter(connection.execute(query).scalars())

    def look_again_at(self, **values: Any) -> None:
        self.world.change(tasks, self.task, **values)


@pytest.fixture
def lab(world: World) -> Lab:
    return Lab(world)


def test_only_what_had_its_time_counts_and_only_what_came_within_it(lab: Lab) -> None:
    long: dict[str, Any] = {"sent_at": LONG_AGO}
    lab.rows(lab.a, "replied", **long, replied_at=LONG_AGO + 72 * HOUR)
    lab.rows(lab.a, "replied", **long, replied_at=LONG_AGO + 72 * HOUR + timedelta(seconds=5))
    lab.rows(lab.a, "clicked", **long, clicked_at=LONG_AGO + HOUR)
    lab.rows(lab.a, "bounced", **long, bounced_at=LONG_AGO + HOUR)
    lab.rows(lab.a, "complained", **long, replied_at=LONG_AGO + HOUR, complained_at=LONG_AGO + 2 * HOUR)
    lab.rows(lab.a, "sent", sent_at=NOW - 72 * HOUR)
    lab.rows(lab.a, "replied", sent_at=NOW - 71 * HOUR, replied_at=NOW - 70 * HOUR)
    for status in ("pending", "sending", "unknown", "failed_to_send", "skipped"):
        lab.rows(lab.a, status)
    lab.rows(lab.b, "sent", **long)
    assert lab.counts() == [Count(lab.a, 7, 6, 2), Count(lab.b, 1, 1, 0)]


def test_clicks_are_counted_where_they_are_the_goal(world: World) -> None:
    lab = Lab(world, goal=Goal.CLICKS, wait_hours=1)
    lab.rows(lab.b, "replied", sent_at=LONG_AGO, clicked_at=LONG_AGO + HOUR, replied_at=LONG_AGO + HOUR)
    lab.rows(lab.b, "replied", sent_at=LONG_AGO, replied_at=LONG_AGO + HOUR)
    assert lab.counts() == [Count(lab.a, 0, 0, 0), Count(lab.b, 2, 2, 1)]


def test_only_replies_of_the_interested_are_counted_where_they_are_the_goal(world: World) -> None:
    lab = Lab(world, goal=Goal.INTERESTED)
    answer: dict[str, Any] = {"sent_at": LONG_AGO, "replied_at": LONG_AGO + HOUR}
    for category in ("interested", "not_interested", "question", None):
        lab.rows(lab.b, "replied", **answer, reply_category=category)
    late = {**answer, "replied_at": LONG_AGO + 73 * HOUR}
    lab.rows(lab.b, "replied", **late, reply_category="interested")
    assert lab.counts() == [Count(lab.a, 0, 0, 0), Count(lab.b, 5, 5, 1)]


@pytest.mark.costly
def test_a_winner_is_sent_alone_and_given_to_all_who_wait_untouched(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.clear_lead_of_a()
    waiting = lab.rows(lab.b, "pending", 3)
    tried = lab.rows(lab.b, "pending", attempt=1)
    others = [*lab.rows(lab.b, "sending"), *lab.rows(lab.b, "skipped"), *lab.rows(lab.b, "unknown")]
    lab.keep_up()
    found = lab.experiment
    assert (found.standing, found.winner, found.decided_by) == (Standing.DECIDED, lab.a, "test")
    assert (found.moved, found.round, lab.round) == (True, (lab.a, lab.b), [lab.a])
    assert lab.templates_of(waiting) == {lab.a}
    assert lab.templates_of(tried) == lab.templates_of(others) == {lab.b}


def test_nothing_is_decided_without_a_winner_or_before_its_time(lab: Lab) -> None:
    lab.sent(lab.a, 10, replied=9)
    lab.sent(lab.b, 9)
    waiting = lab.rows(lab.b, "pending", 2)
    lab.keep_up()
    assert (lab.experiment.looks, lab.experiment.standing) == ((), Standing.RUNNING)
    lab.sent(lab.b, 1, at=NOW - 71 * HOUR)
    lab.keep_up(NOW + 72 * HOUR)
    assert lab.experiment.winner == lab.a
    assert lab.templates_of(waiting) == {lab.a}


def test_an_experiment_that_asks_first_only_says_who_has_won(world: World) -> None:
    lab = Lab(world, auto=False)
    lab.clear_lead_of_a()
    waiting = lab.rows(lab.b, "pending", 2)
    lab.keep_up()
    lab.keep_up(NOW + 100 * HOUR)
    found = lab.experiment
    assert (found.standing, len(found.looks), found.found is not None) == (Standing.RUNNING, 1, True)
    assert lab.templates_of(waiting) == {lab.b}
    made = experiments.decide(lab.database, world.admin, "spring/intro", None, NOW)
    assert (made.template, made.moved) == (world.row(templates, lab.a)["name"], 2)
    assert lab.templates_of(waiting) == {lab.a}
    assert (lab.experiment.decided_by, lab.experiment.moved) == ("admin", True)


def test_the_list_is_not_counted_before_it_is_worth_it(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.keep_up()
    lab.clear_lead_of_a()
    lab.keep_up(NOW + 71 * HOUR)
    assert lab.experiment.looks == ()
    lab.keep_up(NOW + 72 * HOUR)
    assert len(lab.experiment.looks) == 1


def test_what_is_interrupted_while_it_moves_recipients_goes_on(lab: Lab) -> None:
    waiting = lab.rows(lab.b, "pending", 7)
    lab.database.run(
        lambda connection: store.save(
            connection, lab.task, lab.experiment.decided(lab.a, "test", lab.round, NOW), [lab.a]
        )
    )
    steps = iter([False, True])
    moved = experiments.move_waiting(lab.database, lab.task, NOW, lambda: next(steps), chunk=3)
    assert moved == 3
    assert not lab.experiment.moved
    lab.keep_up()
    assert lab.experiment.moved
    assert lab.templates_of(waiting) == {lab.a}


def test_moving_goes_through_lists_of_any_length(lab: Lab) -> None:
    lab.rows(lab.b, "pending", 9)
    lab.rows(lab.a, "pending", 2)
    made = lab.experiment.decided(lab.a, "test", lab.round, NOW)
    lab.database.run(lambda connection: store.save(connection, lab.task, made, [lab.a]))
    assert experiments.move_waiting(lab.database, lab.task, NOW, chunk=4) == 9
    assert lab.all_templates() == {lab.a: 11}
    assert experiments.move_waiting(lab.database, lab.task, NOW, chunk=4) == 0


def test_a_look_at_what_was_stopped_meanwhile_decides_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.clear_lead_of_a()
    waiting = lab.rows(lab.b, "pending", 2)
    counted = store.counts

    def stopped_after_counting(*arguments: Any) -> list[Count]:
        found = counted(*arguments)
        lab.world.change(tasks, lab.task, experiment=as_json(lab.experiment.stopped()))
        return found

    monkeypatch.setattr(store, "counts", stopped_after_counting)
    lab.keep_up()
    assert lab.experiment.standing == Standing.STOPPED
    assert lab.round == [lab.a, lab.b]
    assert lab.templates_of(waiting) == {lab.b}


@pytest.mark.parametrize("meanwhile", ["last_contact", "advance"])
def test_rows_that_are_added_while_it_is_decided_get_the_winner(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    """Decided after the expansion has read its task, and before it holds the lock."""
    lab.look_again_at(expanded_at=None, expanded_count=0)
    people = lab.world.contacts(4)

    do = getattr(expansion, meanwhile)

    def decided_first(connection: sa.Connection, *arguments: Any, **options: Any) -> Any:
        experiment = store.of(task_store.get(connection, lab.task))
        assert experiment is not None
        after = experiment.decided(lab.b, "anna", [lab.a, lab.b], NOW)
        store.save(connection, lab.task, after, [lab.b])
        return do(connection, *arguments, **options)

    monkeypatch.setattr(expansion, meanwhile, decided_first)
    assert expand.expand_task(lab.database, lab.task, NOW).count == len(people)
    assert lab.all_templates() == {lab.b: 4}
    assert lab.round == [lab.b]


@pytest.mark.costly
def test_a_follow_up_enrols_with_its_winner_alone(lab: Lab) -> None:
    lab.sent(lab.a, 3)
    second = Lab.__new__(Lab)
    second.world, second.database = lab.world, lab.database
    second.template_set, (second.a, second.b) = lab.world.template_set("<p>C</p>", "<p>D</p>")
    second.task = lab.world.task(
        lab.campaign,
        "second",
        status="sending",
        template_set_id=second.template_set,
        template_ids=[second.a, second.b],
        experiment=as_json(Experiment(Goal.REPLIES, 10, 72)),
        follows_task_id=lab.task,
        follows_days=3,
    )
    experiments.decide(lab.database, lab.world.admin, "spring/second", str(second.b), NOW)
    assert followups.enrol(lab.database, second.task, NOW).count == 3
    assert second.all_templates() == {second.b: 3}
    assert second.round == [second.b]


def test_stopping_after_a_decision_changes_only_what_comes(lab: Lab) -> None:
    waiting = lab.rows(lab.b, "pending", 2)
    experiments.decide(lab.database, lab.world.admin, "spring/intro", str(lab.a), NOW)
    experiments.stop(lab.database, lab.world.admin, "spring/intro", NOW)
    assert (lab.experiment.standing, lab.round) == (Standing.STOPPED, [lab.a, lab.b])
    assert lab.templates_of(waiting) == {lab.a}
    lab.clear_lead_of_a()
    lab.keep_up(NOW + 1000 * HOUR)
    assert (lab.experiment.standing, lab.experiment.looks) == (Standing.STOPPED, ())
    with pytest.raises(WrongState, match="has been stopped already"):
        experiments.stop(lab.database, lab.world.admin, "spring/intro", NOW)


def test_a_decision_by_hand_can_be_made_otherwise(lab: Lab) -> None:
    waiting = lab.rows(lab.b, "pending", 2)
    experiments.decide(lab.database, lab.world.admin, "spring/intro", str(lab.a), NOW)
    made = experiments.decide(lab.database, lab.world.admin, "spring/intro", str(lab.b), NOW)
    assert made.moved == 2
    assert lab.templates_of(waiting) == {lab.b}
    assert lab.experiment.round == (lab.a, lab.b)


def test_what_cannot_be_decided_is_refused_with_a_way_out(lab: Lab) -> None:
    def refused(
        error: type[Exception], words: str, given: str = "spring/intro", name: str | None = None
    ) -> None:
        before = lab.world.row(tasks, lab.task)["experiment"]
        with pytest.raises(error, match=words):
            experiments.decide(lab.database, lab.world.admin, given, name, NOW)
        assert lab.world.row(tasks, lab.task)["experiment"] == before

    refused(Refused, "has found no winner")
    refused(InvalidInput, "does not compare a template 'x'", name="x")
    lab.world.task(lab.campaign, "plain")
    refused(WrongState, "has no experiment", "spring/plain")
    lab.look_again_at(status="cancelled")
    refused(WrongState, "is cancelled", name=str(lab.a))
    lab.look_again_at(status="sending", template_ids=None)
    refused(WrongState, "has not begun", name=str(lab.a))
    lab.look_again_at(template_ids=[lab.a, lab.b])
    experiments.decide(lab.database, lab.world.admin, "spring/intro", str(lab.a), NOW)
    refused(WrongState, "alone already")


def test_experiments_belong_to_who_made_the_campaign(lab: Lab) -> None:
    anna = lab.world.user("anna")
    for deed in (
        lambda: experiments.decide(lab.database, anna, "spring/intro", str(lab.a), NOW),
        lambda: experiments.stop(lab.database, anna, "spring/intro", NOW),
    ):
        with pytest.raises(NotAllowed):
            deed()
    assert lab.experiment.standing == Standing.RUNNING


@pytest.mark.costly
def test_an_edited_template_begins_the_experiment_anew_a_renamed_one_does_not(lab: Lab) -> None:
    lab.sent(lab.a, 10, replied=5)
    lab.sent(lab.b, 10, replied=5)
    lab.keep_up()
    assert len(lab.experiment.looks) == 1
    lab.world.change(templates, lab.b, name="renamed", updated_at=NOW)
    lab.keep_up(NOW + HOUR)
    assert lab.experiment.since is None
    lab.world.change(templates, lab.b, body="<p>Better</p>", updated_at=NOW + 2 * HOUR)
    lab.keep_up(NOW + 3 * HOUR)
    assert lab.experiment.since == NOW + 2 * HOUR
    lab.sent(lab.a, 10, at=NOW + 3 * HOUR)
    lab.sent(lab.b, 10, replied=9, at=NOW + 3 * HOUR)
    lab.keep_up(NOW + 100 * HOUR)
    assert [(count.counted, count.successes) for count in lab.experiment.looks[1].counts] == [
        (10, 0),
        (10, 9),
    ]
    assert lab.experiment.winner == lab.b


def test_a_template_taken_out_of_its_set_stays_in_the_experiment(lab: Lab) -> None:
    """Sets of open tasks cannot be changed; what a task has sent is compared after its end as well."""
    lab.clear_lead_of_a()
    lab.look_again_at(status="finished", actual_end_time=NOW)
    with lab.database.begin() as connection:
        connection.execute(sa.delete(template_set_items).where(template_set_items.c.template_id == lab.b))
    lab.keep_up()
    assert [count.template_id for count in lab.experiment.looks[0].counts] == [lab.a, lab.b]
    assert lab.experiment.winner == lab.a


def test_a_template_that_was_never_sent_and_is_gone_keeps_nothing_from_being_shown(lab: Lab) -> None:
    lab.sent(lab.a, 1)
    lab.look_again_at(status="finished", actual_end_time=NOW)
    with lab.database.begin() as connection:
        connection.execute(sa.delete(template_set_items))
        connection.execute(sa.delete(templates).where(templates.c.id == lab.b))
    with lab.database.read() as connection:
        shown = results(connection, task_store.find(connection, "spring/intro"), NOW).document()
    assert [template["name"] for template in shown["templates"]][1:] == ["(removed)"]
    lab.keep_up()
    with pytest.raises(InvalidInput, match="does not compare"):
        experiments.decide(lab.database, lab.world.admin, "spring/intro", str(lab.b), NOW)


def test_a_template_that_lost_stays_locked_and_reported(lab: Lab) -> None:
    """Its retries are still to be sent, whatever its set holds by now."""
    experiments.decide(lab.database, lab.world.admin, "spring/intro", str(lab.a), NOW)
    with lab.database.begin() as connection:
        connection.execute(sa.delete(template_set_items))
        assert set(template_store.in_tasks(connection, [TaskStatus.SENDING])) == {lab.a, lab.b}
        assert [task["id"] for task in reports.tasks_with_template(connection, lab.b)] == [lab.task]


def test_a_task_that_has_ended_is_looked_at_whatever_was_waited_for(lab: Lab) -> None:
    lab.sent(lab.a, 10, replied=2)
    lab.sent(lab.b, 10, replied=2)
    lab.keep_up()
    lab.sent(lab.a, 5, replied=5)
    lab.sent(lab.b, 5)
    lab.keep_up(NOW + 4 * HOUR)
    assert len(lab.experiment.looks) == 1
    lab.look_again_at(status="finished", actual_end_time=NOW)
    lab.keep_up(NOW + 8 * HOUR)
    assert len(lab.experiment.looks) == 2
