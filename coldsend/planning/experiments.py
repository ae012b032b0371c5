"""Experiments as they go on: looked at by the scheduler, decided by it or by a person, stopped by hand.

All of it may be interrupted anywhere and run by two processes at once. A look and a decision are written
where the experiment still is what was looked at. A decision puts the winner alone into the task's round in
its own transaction, so that rows added after it get the winner (see ``expand.round_for``); those that wait
already are moved chunk by chunk, and the mark that all have been is set at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from shlex import quote

from sqlalchemy.engine import RowMapping

from coldsend import logbook
from coldsend.database.engine import Connection, Database
from coldsend.domain.access import Actor, require_owner
from coldsend.domain.experiment import Experiment, Standing
from coldsend.domain.states import TASK_ENDED, TaskStatus
from coldsend.errors import InvalidInput, Refused, WrongState
from coldsend.stores import experiments, tasks

MOVE_CHUNK = 2_000  # rows of a list that one transaction goes through: the task is locked meanwhile
BY_TEST = "test"


@dataclass(frozen=True, slots=True)
class Changed:
    """A task whose experiment was changed by hand. template: that was chosen; moved: recipients given it."""

    id: int
    reference: str
    template: str | None = None
    moved: int = 0


def _never() -> bool:
    return False


def keep_up(database: Database, now: datetime, should_stop: Callable[[], bool] = _never) -> None:
    """Look at every experiment that it is time for; decide where a winner was found, and move recipients."""
    with database.read() as connection:
        begun = experiments.begun(connection)
    for task_id, experiment in begun:
        if should_stop():
            return
        if experiment.standing == Standing.RUNNING and _is_time(experiment, now):
            experiment = look(database, task_id, now) or experiment  # noqa: PLW2901
        if experiment.standing == Standing.DECIDED and not experiment.moved:
            move_waiting(database, task_id, now, should_stop)


def _is_time(experiment: Experiment, now: datetime) -> bool:
    return experiment.look_after is None or experiment.look_after <= now


def look(database: Database, task_id: int, now: datetime) -> Experiment | None:
    """Count, and judge if it is time for it; a winner is decided upon where the experiment says so.

    None where somebody else changed the experiment meanwhile.
    """
    with database.read() as connection:
        task = tasks.get(connection, task_id)
        before = experiments.of_now(connection, task)
        templates = before.templates(task["template_ids"])
        counts = experiments.counts(connection, task_id, before, templates, now)
        names = experiments.names(connection, templates)
    after = before.judged(counts, now, ended=task["status"] in TASK_ENDED)
    winner = after.found.leader if after.found and after.auto else None
    if winner is not None:
        after = after.decided(winner, BY_TEST, task["template_ids"], now)

    def work(connection: Connection) -> bool:
        experiments.lock(connection, task_id, now)
        if tasks.get(connection, task_id)["experiment"] != task["experiment"]:
            return False
        experiments.save(connection, task_id, after, None if winner is None else [winner])
        return True

    if not database.run(work):
        return None
    if len(after.looks) > len(before.looks):
        _log_look(task, after, names)
    if winner is not None:
        logbook.experiment_decided(tasks.reference(task), task_id, names[winner], BY_TEST)
    return after


def _log_look(task: RowMapping, experiment: Experiment, names: dict[int, str]) -> None:
    last = experiment.looks[-1]
    logbook.experiment_looked(
        tasks.reference(task),
        task["id"],
        names[last.leader],
        look=len(experiment.looks),
        chance=last.chance,
        limit=last.level,
        conclusive=last.is_conclusive,
    )


def move_waiting(
    database: Database,
    task_id: int,
    now: datetime,
    should_stop: Callable[[], bool] = _never,
    chunk: int = MOVE_CHUNK,
) -> int:
    """Give the winner to all who wait for another template and were never attempted; how many got it.

    Does nothing where the experiment has no winner, or another one meanwhile. Whoever is handed to a
    connection at this moment keeps the template it was handed over with.
    """
    moved, after = 0, 0
    while not should_stop():
        step = database.run(lambda connection: _move_step(connection, task_id, after, now, chunk))  # noqa: B023
        if step is None:
            return moved
        count, upto = step
        moved += count
        if upto is None:
            _log_moved(database, task_id, moved)
            return moved
        after = upto
    return moved


def _move_step(
    connection: Connection, task_id: int, after: int, now: datetime, chunk: int
) -> tuple[int, int | None] | None:
    """(recipients moved, contact id reached, None at the end); None where there is nothing to move."""
    experiments.lock(connection, task_id, now)
    experiment = experiments.of(tasks.get(connection, task_id))
    if experiment is None or experiment.standing != Standing.DECIDED or experiment.moved:
        return None
    assert experiment.winner is not None
    upto, waiting = experiments.next_stretch(connection, task_id, after, experiment.winner, chunk)
    count = experiments.give(connection, waiting, experiment.winner) if waiting else 0
    if upto is None:
        experiments.save(connection, task_id, replace(experiment, moved=True))
    return count, upto


def _log_moved(database: Database, task_id: int, moved: int) -> None:
    with database.read() as connection:
        task = tasks.get(connection, task_id)
        experiment = experiments.of(task)
        winner = experiment.winner if experiment and experiment.winner else 0
        name = experiments.names(connection, [winner]).get(winner, "")
    logbook.experiment_moved(tasks.reference(task), task_id, name, moved)


def decide(database: Database, actor: Actor, given: str, template: str | None, now: datetime) -> Changed:
    """Send one template alone from now on: the one named, else the winner that was found.

    Recipients that wait and were never attempted get it, too. WrongState where the task has no experiment,
    has not begun, or sends no more; Refused where none is named and none was found.
    """

    def work(connection: Connection) -> tuple[RowMapping, str]:
        task, experiment = _locked(connection, actor, given, now)
        if task["status"] in (TaskStatus.CANCELLED, TaskStatus.FAILED):
            raise WrongState(f"task {task['name']!r} is {task['status']}: nothing of it is sent any more")
        if not task["template_ids"]:
            raise WrongState(
                f"task {task['name']!r} has not begun: no template of it has been sent",
                hint="to send one template only, make a set of that one",
            )
        names = experiments.names(connection, experiment.templates(task["template_ids"]))
        winner = _chosen(task, experiment, names, template)
        after = experiment.decided(winner, actor.username, task["template_ids"], now)
        experiments.save(connection, task["id"], after, [winner])
        return task, names[winner]

    task, name = database.run(work)
    logbook.experiment_decided(tasks.reference(task), task["id"], name, actor.username)
    return Changed(task["id"], tasks.reference(task), name, move_waiting(database, task["id"], now))


def _chosen(task: RowMapping, experiment: Experiment, names: dict[int, str], template: str | None) -> int:
    known = ", ".join(names.values())
    command = f"coldsend experiment decide {quote(tasks.reference(task))} TEMPLATE"
    if template is None:
        if experiment.standing == Standing.DECIDED and experiment.winner is not None:
            raise WrongState(
                f"task {task['name']!r} sends {names[experiment.winner]!r} alone already",
                hint=f"to choose another one: {command}",
            )
        if experiment.found is None:
            raise Refused(
                f"the experiment of task {task['name']!r} has found no winner",
                hint=f"choose one yourself, of {known}: {command}",
            )
        return experiment.found.leader
    wanted = template.strip()
    for template_id, name in names.items():
        if wanted in {name, str(template_id)}:
            return template_id
    raise InvalidInput(
        f"task {task['name']!r} does not compare a template {wanted!r}", hint=f"it has: {known}"
    )


def stop(database: Database, actor: Actor, given: str, now: datetime) -> Changed:
    """Judge no more, and let templates take turns again in rows that are added from now on.

    Rows that were given a winner keep it.
    """

    def work(connection: Connection) -> RowMapping:
        task, experiment = _locked(connection, actor, given, now)
        if experiment.standing == Standing.STOPPED:
            raise WrongState(f"the experiment of task {task['name']!r} has been stopped already")
        experiments.save(connection, task["id"], experiment.stopped(), experiment.round or None)
        return task

    task = database.run(work)
    logbook.experiment_stopped(tasks.reference(task), task["id"], actor.username)
    return Changed(task["id"], tasks.reference(task))


def _locked(connection: Connection, actor: Actor, given: str, now: datetime) -> tuple[RowMapping, Experiment]:
    """The task and its experiment, which nobody else changes until the transaction ends."""
    found = owned(connection, actor, given)
    experiments.lock(connection, found["id"], now)
    task = tasks.get(connection, found["id"])
    return task, experiments.of_now(connection, task)


def owned(connection: Connection, actor: Actor, given: str) -> RowMapping:
    """The task if ``actor`` may use it and it has an experiment; WrongState where it has none."""
    task = tasks.find(connection, given)
    require_owner(actor, task["owner"], f"campaign {task['campaign']!r}")
    if task["experiment"] is None:
        raise WrongState(
            f"task {task['name']!r} has no experiment",
            hint="a task is made with one: coldsend task create .. --experiment replies",
        )
    return task
