"""Expansion: a task's recipient rule becomes its send list, in chunks of contact ids.

Each chunk is one transaction that moves the task's cursor by compare-and-set and adds the rows of the
contacts in between with one INSERT .. SELECT. It may be killed anywhere and called again, also by two
schedulers at once: whoever finds the cursor moved adds nothing. Templates take turns over all rows of a
task, from the first chunk of its first expansion to the last of its last one (``domain/rotation.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select
from sqlalchemy.engine import Connection, RowMapping

from coldsend.audience import rule
from coldsend.audience.rule_sql import RuleQuery, Span
from coldsend.database.engine import Database
from coldsend.errors import NotFound, Refused
from coldsend.pacing.calendar import Calendar
from coldsend.stores import campaigns, due_times, expansion, tasks
from coldsend.stores.due_times import DueTimes

CHUNK = 20_000  # rows one transaction adds: a fraction of a second


@dataclass(frozen=True, slots=True)
class Expanded:
    """count: rows this call added. done: the task's expansion is complete."""

    count: int
    done: bool


@dataclass(frozen=True, slots=True)
class _Step:
    count: int = 0
    ended: bool = False  # there is no next step
    done: bool = False  # because the expansion is complete


def _never() -> bool:
    return False


def expand_task(
    database: Database,
    task_id: int,
    now: datetime,
    *,
    should_stop: Callable[[], bool] = _never,
    chunk: int = CHUNK,
) -> Expanded:
    """Add everyone the task's rule matches at ``now`` to its send list, as far as it is not done yet.

    Contacts added after it began come in only by another expansion. Does nothing where the task is not
    scheduled or sending. chunk: most rows one transaction adds. should_stop is asked between chunks.
    Refused where the task cannot be planned: its template set is empty, its rule is invalid or names a
    task that is gone.
    """
    added = 0
    while not should_stop():
        step = database.run(lambda connection: _step(connection, task_id, now, chunk))
        added += step.count
        if step.ended:
            return Expanded(added, step.done)
    return Expanded(added, done=False)


def restart_expansion(connection: Connection, task_id: int, now: datetime) -> None:
    """Let the next :func:`expand_task` look at all contacts again; nobody is listed twice."""
    expansion.restart(connection, task_id, now)


def _step(connection: Connection, task_id: int, now: datetime, chunk: int) -> _Step:
    task = tasks.get(connection, task_id)
    if task["expanded_at"] is not None or task["status"] not in expansion.EXPANDABLE:
        return _Step(ended=True, done=task["expanded_at"] is not None)
    query = _query(connection, task, now)
    if task["expand_to"] is None:
        templates = None if task["template_ids"] else round_for(connection, task)
        expansion.begin(connection, task_id, templates, expansion.last_contact(connection), now)
        return _Step()
    rest = Span(task["expand_cursor"], task["expand_to"])
    to, lead = query.lead_between(connection, rest, chunk)
    if not expansion.advance(connection, task_id, (rest.after, to), task["expanded_count"], now):
        return _Step()  # moved meanwhile: the next step sees where to
    recipients = query.recipients(lead, Span(rest.after, to))
    added = expansion.add_rows(
        connection,
        recipients,
        task_id=task_id,
        campaign_id=task["campaign_id"],
        after=rest.after,
        # Read behind the lock: an experiment may have been decided since.
        template_ids=tasks.get(connection, task_id)["template_ids"],
        turns=task["expanded_count"],
        due=_due_times(connection, task, recipients, now),
    )
    done = to >= rest.upto
    expansion.count(connection, task_id, added, now, done=done)
    return _Step(added, ended=done, done=done)


def _query(connection: Connection, task: RowMapping, now: datetime) -> RuleQuery:
    resolve_task = rule.task_resolver(connection, task["campaign_id"])
    try:
        return RuleQuery(rule.load(task["recipient_rule"]), resolve_task, now)
    except (NotFound, Refused) as error:
        raise Refused(
            f"task {tasks.reference(task)!r} cannot be expanded, its rule does not hold any more: "
            f"{error.message}",
            hint=error.hint,
        ) from error


def round_for(connection: Connection, task: RowMapping) -> list[int]:
    """The templates of a task as they take turns: the one with number n of its rows gets n modulo the length.

    That of its first expansion, or of an experiment's winner, where it has begun; else that of its set now.
    Whoever adds rows reads it in their transaction, behind a lock of the task's row. Refused where the set
    is empty.
    """
    templates = task["template_ids"] or expansion.rotation(connection, task["template_set_id"])
    if not templates:
        raise Refused(
            f"task {tasks.reference(task)!r} cannot be expanded: its template set has no templates",
            hint="add one: coldsend template-set add SET --template TEMPLATE",
        )
    return list(templates)


def _due_times(connection: Connection, task: RowMapping, recipients: Select[int], now: datetime) -> DueTimes:
    """The due time of each recipient, within the campaign's window where they live."""
    calendar = Calendar.of(campaigns.find(connection, task["campaign_id"]))
    if calendar.any_time:
        return DueTimes.at(_due(task, now))
    due = max(_due(task, now), now)  # what is left of a window begins now
    places = {
        place: calendar.rest_of_day(due, *place) for place in due_times.places_of(connection, recipients)
    }
    return DueTimes(calendar.rest_of_day(due, None, None), places, calendar.spread)


def _due(task: RowMapping, now: datetime) -> datetime:
    """The later of the campaign's start time and the task's plan time; now where neither is set."""
    times = [time for time in (task["campaign_start_time"], task["plan_time"]) if time is not None]
    return max(times, default=now)
