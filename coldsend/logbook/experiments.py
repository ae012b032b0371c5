"""Events of experiments: what was looked at, and what became of it."""

from __future__ import annotations

import logging

from coldsend.logbook.line import event


def experiment_looked(
    task: str, task_id: int, template: str, *, look: int, chance: float, limit: float, conclusive: bool
) -> None:
    """An experiment was judged: ``template`` leads; it wins where the chance is within the limit."""
    event(
        logging.INFO,
        "experiment_looked",
        task=task,
        task_id=task_id,
        template=template,
        look=look,
        chance=round(chance, 6),
        limit=round(limit, 6),
        conclusive=conclusive,
    )


def experiment_decided(task: str, task_id: int, template: str, by: str) -> None:
    """A task's recipients get this template alone from now on; by: a user, or the test."""
    event(logging.INFO, "experiment_decided", task=task, task_id=task_id, template=template, by=by)


def experiment_moved(task: str, task_id: int, template: str, recipients: int) -> None:
    """All recipients that waited for another template than the winner have been given it."""
    event(
        logging.INFO,
        "experiment_moved",
        task=task,
        task_id=task_id,
        template=template,
        recipients=recipients,
    )


def experiment_stopped(task: str, task_id: int, by: str) -> None:
    """An experiment was stopped by hand: templates take turns again."""
    event(logging.INFO, "experiment_stopped", task=task, task_id=task_id, by=by)
