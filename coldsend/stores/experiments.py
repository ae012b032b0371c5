"""Experiments: ``tasks.experiment``, what a task's templates have brought, and rows that move to a winner."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.database.expressions import hours_between
from coldsend.database.tables import task_contacts, tasks, templates
from coldsend.domain import experiment as experiments
from coldsend.domain.experiment import Count, Experiment, Standing
from coldsend.domain.feedback import OUT
from coldsend.domain.states import RowStatus

rows = task_contacts.c
_OUT = [status.value for status in sorted(OUT)]


def of(task: sa.RowMapping) -> Experiment | None:
    """The experiment of a task, which was read with this column; None where it has none."""
    document = task["experiment"]
    return None if document is None else experiments.from_json(document)


def templates_of(task: sa.RowMapping) -> set[int]:
    """All templates that rows of a task may have, also where one of them takes all turns by now.

    task: read with ``template_ids`` and ``experiment``.
    """
    document = task["experiment"] or {}
    return {*(task["template_ids"] or ()), *document.get("round", ())}


def of_now(connection: Connection, task: sa.RowMapping) -> Experiment:
    """The experiment of a task, which has one, with the texts that its templates have now."""
    experiment = of(task)
    assert experiment is not None
    if experiment.standing != Standing.RUNNING or not task["template_ids"]:
        return experiment
    digests, changed = texts(connection, experiment.templates(task["template_ids"]))
    return experiment.with_texts(digests, changed, task["actual_start_time"] or task["created_at"])


def begun(connection: Connection) -> list[tuple[int, Experiment]]:
    """(task id, experiment) of tasks whose templates take turns already."""
    query = sa.select(tasks.c.id, tasks.c.experiment, tasks.c.template_ids)
    query = query.where(tasks.c.experiment.is_not(None)).order_by(tasks.c.id)
    found = connection.execute(query)
    return [(row.id, experiments.from_json(row.experiment)) for row in found if row.template_ids]


def lock(connection: Connection, task_id: int, now: datetime) -> None:
    """Keep a task's row until the transaction ends: what is read of it from here on stays true."""
    connection.execute(sa.update(tasks).where(tasks.c.id == task_id).values(updated_at=now))


def save(
    connection: Connection,
    task_id: int,
    experiment: Experiment,
    template_ids: Sequence[int] | None = None,
) -> None:
    """Write an experiment, the task's row being locked. template_ids: the round from now on, if it is new."""
    values: dict[str, Any] = {"experiment": experiments.as_json(experiment)}
    if template_ids is not None:
        values["template_ids"] = list(template_ids)
    connection.execute(sa.update(tasks).where(tasks.c.id == task_id).values(values))


def counts(
    connection: Connection,
    task_id: int,
    experiment: Experiment,
    template_ids: Sequence[int],
    now: datetime,
) -> list[Count]:
    """What each of these templates has brought, by the experiment's rules. Reads all of the task's list."""
    old_enough = rows.sent_at <= now - timedelta(hours=experiment.wait_hours)
    happened = rows[experiment.goal.column]
    success = [happened.is_not(None), hours_between(rows.sent_at, happened) <= experiment.wait_hours]
    if experiment.goal.category is not None:
        success.append(rows.reply_category == experiment.goal.category.value)
    query = (
        sa.select(
            rows.selected_template_id,
            sa.func.count(),
            sa.func.sum(sa.case((old_enough, 1), else_=0)),
            sa.func.sum(sa.case((sa.and_(old_enough, *success), 1), else_=0)),
        )
        .where(rows.task_id == task_id, rows.status.in_(_OUT), rows.sent_at.is_not(None))
        .group_by(rows.selected_template_id)
    )
    if experiment.since is not None:
        query = query.where(rows.sent_at >= experiment.since)
    found = {row[0]: Count(row[0], *(int(one) for one in row[1:])) for row in connection.execute(query)}
    return [found.get(one, Count(one, 0, 0, 0)) for one in dict.fromkeys(template_ids)]


def texts(connection: Connection, template_ids: Sequence[int]) -> tuple[dict[int, str], dict[int, datetime]]:
    """(template id -> digest of all that recipients see of it, template id -> when it was changed last)."""
    t = templates.c
    query = sa.select(t.id, t.subject, t.body, t.text_body, t.updated_at).where(t.id.in_(template_ids))
    digests, changed = {}, {}
    for row in connection.execute(query):
        seen = "\0".join((row.subject, row.body, row.text_body or ""))
        digests[int(row.id)] = hashlib.sha256(seen.encode()).hexdigest()[:32]
        changed[int(row.id)] = row.updated_at
    return digests, changed


def names(connection: Connection, template_ids: Sequence[int]) -> dict[int, str]:
    """Template id -> name, in the order asked for; without those that are gone."""
    query = sa.select(templates.c.id, templates.c.name).where(templates.c.id.in_(template_ids))
    found = {row.id: row.name for row in connection.execute(query)}
    return {one: found[one] for one in template_ids if one in found}


def next_stretch(
    connection: Connection, task_id: int, after: int, winner: int, size: int
) -> tuple[int | None, list[int]]:
    """The next ``size`` rows of a list behind contact ``after``: (the last contact of them, ids of those
    among them that wait for another template than the winner). None: that was the end of the list.

    Rows that were attempted keep their template: their recipient may have seen it.
    """
    listed = sa.select(rows.contact_id).where(rows.task_id == task_id, rows.contact_id > after)
    upto = connection.execute(listed.order_by(rows.contact_id).offset(size - 1).limit(1)).scalar()
    query = sa.select(rows.id).where(
        rows.task_id == task_id,
        rows.contact_id > after,
        *([] if upto is None else [rows.contact_id <= upto]),
        *_untouched(winner),
    )
    return upto, sorted(connection.execute(query).scalars())


def give(connection: Connection, row_ids: Sequence[int], winner: int) -> int:
    """Give the winner to those of the rows that still wait untouched; how many did."""
    change = sa.update(task_contacts).where(rows.id.in_(row_ids), *_untouched(winner))
    return connection.execute(change.values(selected_template_id=winner)).rowcount


def _untouched(winner: int) -> list[sa.ColumnElement[bool]]:
    return [
        rows.status == RowStatus.PENDING.value,
        rows.attempt == 0,
        rows.selected_template_id != winner,
    ]
