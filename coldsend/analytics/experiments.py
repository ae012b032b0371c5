"""Results of an experiment, as people and scripts see them: counts, rates with intervals, sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection, RowMapping

from coldsend.domain.experiment import Count, Experiment, Look, Standing, is_whole, verdict
from coldsend.domain.experiment_words import rules, sentences
from coldsend.domain.states import TASK_ENDED
from coldsend.domain.statistics import rate_interval
from coldsend.stores import experiments, reports, tasks, template_sets


@dataclass(frozen=True, slots=True)
class Results:
    """An experiment at one moment. waiting: recipients not sent to yet. ended: the task has."""

    task: RowMapping
    experiment: Experiment
    counts: Sequence[Count]
    names: Mapping[int, str]
    waiting: int
    ended: bool
    begun: bool

    @property
    def said(self) -> list[str]:
        """How it stands, for people."""
        if not self.begun:
            return [*rules(self.experiment), "The task has not begun: nothing has been sent yet."]
        return sentences(
            self.experiment,
            self.counts,
            self.names,
            waiting=self.waiting,
            has_ended=self.ended and is_whole(self.counts),
        )

    def document(self) -> dict[str, Any]:
        """All of it, for scripts. Rates and chances are 0 to 1."""
        one = self.experiment
        judged = len(self.counts) > 1 and all(count.counted for count in self.counts)
        seen = verdict(self.counts, one.next_level) if judged else None
        is_open = one.standing == Standing.RUNNING and one.found is None
        return {
            **summary(one, self.names),
            "task": tasks.reference(self.task),
            "since": one.since,
            "templates": [self._template(count) for count in self.counts],
            "leader": self.names[seen.leader.template_id] if seen else None,
            "chance": seen.chance if seen else None,
            "needed_each": seen.needed if seen and is_open else None,
            "next_look_at_each": one.next_sample if is_open else None,
            "looks": [self._look(look) for look in one.looks],
            "waiting": self.waiting,
            "sentences": self.said,
        }

    def _template(self, count: Count) -> dict[str, Any]:
        between = rate_interval(count.successes, count.counted, self.experiment.confidence / 100)
        return {
            "id": count.template_id,
            "name": self.names[count.template_id],
            "sent": count.sent,
            "counted": count.counted,
            "successes": count.successes,
            "rate": count.rate if count.counted else None,
            "low": between.low if count.counted else None,
            "high": between.high if count.counted else None,
        }

    def _look(self, look: Look) -> dict[str, Any]:
        return {
            "at": look.at,
            "leader": self.names.get(look.leader),
            "chance": look.chance,
            "level": look.level,
            "conclusive": look.is_conclusive,
            "counts": {self.names.get(one.template_id): [one.successes, one.counted] for one in look.counts},
        }


def results(connection: Connection, task: RowMapping, now: datetime) -> Results:
    """How the experiment of a task stands at ``now``. task: of ``tasks.find``, with an experiment."""
    experiment = experiments.of_now(connection, task)
    in_turn = task["template_ids"]
    if in_turn is None:
        compared = [item["template_id"] for item in template_sets.items(connection, task["template_set_id"])]
    else:
        compared = experiment.templates(in_turn)
    return Results(
        task,
        experiment,
        experiments.counts(connection, task["id"], experiment, compared, now),
        # One that was never sent may have been removed when the task had ended.
        dict.fromkeys(compared, "(removed)") | experiments.names(connection, compared),
        reports.waiting_counts(connection, [task["id"]])[task["id"]],
        task["status"] in TASK_ENDED,
        in_turn is not None,
    )


def summary(experiment: Experiment, names: Mapping[int, str]) -> dict[str, Any]:
    """What an experiment is and how far it has come, without its counts. names: of templates, by id."""
    found, winner = experiment.found, experiment.winner
    return {
        "goal": experiment.goal.value,
        "status": experiment.standing.value,
        "min_sample": experiment.min_sample,
        "wait_hours": experiment.wait_hours,
        "confidence": experiment.confidence,
        "auto": experiment.auto,
        "found": names.get(found.leader) if found else None,
        "winner": names.get(winner) if winner is not None else None,
        "decided_at": experiment.decided_at,
        "decided_by": experiment.decided_by,
        "moved": experiment.moved,
    }


def in_brief(connection: Connection, task: RowMapping) -> dict[str, Any] | None:
    """:func:`summary` for a task's row, None where it has no experiment; reads no send list."""
    experiment = experiments.of(task)
    if experiment is None:
        return None
    names = experiments.names(connection, experiment.templates(task["template_ids"] or ()))
    return summary(experiment, names)
