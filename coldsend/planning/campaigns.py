"""The life of a campaign by hand: create, start, pause, resume, cancel.

Each is one transaction that locks the campaign's row first and its tasks' rows after it. Pausing and
cancelling need no word to the workers: the transaction that commits a row to sending checks both states.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from shlex import quote
from typing import Any

from coldsend.config.settings import Settings
from coldsend.database.engine import Connection, Database
from coldsend.domain.access import Actor, require_owner
from coldsend.domain.finding import Finding
from coldsend.domain.states import (
    TASK_ENDED,
    CampaignEvent,
    CampaignStatus,
    TaskEvent,
    TaskStatus,
    campaign_after,
    task_after,
)
from coldsend.errors import ChangedMeanwhile
from coldsend.planning import readiness
from coldsend.stores import campaigns, reports, tasks


@dataclass(frozen=True, slots=True)
class Changed:
    """A campaign after a change. tasks: names of the tasks that changed with it. waiting: their recipients
    that are not sent yet. warnings: what was found on the way and does not stop it."""

    id: int
    name: str
    status: CampaignStatus
    tasks: tuple[str, ...] = ()
    waiting: int = 0
    warnings: tuple[Finding, ...] = ()


NO_SETTINGS: Mapping[str, Any] = {}


def create(
    database: Database,
    actor: Actor,
    name: str,
    start_time: datetime | None,
    now: datetime,
    settings: Mapping[str, Any] = NO_SETTINGS,
) -> Changed:
    """A new campaign in draft, owned by ``actor``. settings: columns, checked by campaign_settings.py."""
    return database.run(lambda connection: add(connection, actor, name, start_time, now, settings))


def add(
    connection: Connection,
    actor: Actor,
    name: str,
    start_time: datetime | None,
    now: datetime,
    settings: Mapping[str, Any] = NO_SETTINGS,
) -> Changed:
    """What :func:`create` does, in the caller's transaction."""
    campaign_id = campaigns.insert(connection, name, start_time, actor.id, now)
    if settings:
        campaigns.change(connection, campaign_id, dict(settings), now)
    return Changed(campaign_id, name.strip(), CampaignStatus.DRAFT)


def start(database: Database, actor: Actor, given: str, settings: Settings, now: datetime) -> Changed:
    """Make a draft active and schedule its draft tasks; Refused with every reason why it cannot be sent."""

    def schedule(connection: Connection, before: Changed) -> Changed:
        waiting = [
            task
            for task in tasks.listed(connection, campaign_id=before.id)
            if task["status"] == TaskStatus.DRAFT
        ]
        found = readiness.findings(connection, waiting, settings)
        if not waiting:
            hint = f"add one: coldsend task create {quote(before.name)} NAME --template-set TS --rule 'tag:x'"
            found.insert(0, Finding("error", "tasks", "there is none to send", hint))
        warnings = readiness.require(f"campaign {before.name!r} cannot start", found)
        for task in waiting:
            after = task_after(TaskStatus.DRAFT, TaskEvent.SCHEDULE, task["name"])
            tasks.move(connection, task["id"], [TaskStatus.DRAFT], after, now)
        names = tuple(task["name"] for task in waiting)
        return Changed(before.id, before.name, before.status, tasks=names, warnings=tuple(warnings))

    return _change(database, actor, given, CampaignEvent.START, now, schedule)


def pause(database: Database, actor: Actor, given: str, now: datetime) -> Changed:
    """Send nothing more until :func:`resume`; messages already handed to a connection are finished."""
    return _change(database, actor, given, CampaignEvent.PAUSE, now)


def resume(database: Database, actor: Actor, given: str, now: datetime) -> Changed:
    return _change(database, actor, given, CampaignEvent.RESUME, now)


def cancel(database: Database, actor: Actor, given: str, now: datetime) -> Changed:
    """End a campaign for good with all its open tasks; the scheduler skips recipients that wait."""

    def cancel_tasks(connection: Connection, before: Changed) -> Changed:
        every = tasks.listed(connection, campaign_id=before.id)
        open_tasks = [task for task in every if task["status"] not in TASK_ENDED]
        for task in open_tasks:
            status = TaskStatus(task["status"])
            after = task_after(status, TaskEvent.CANCEL, task["name"])
            tasks.move(connection, task["id"], [status], after, now)
        counts = reports.waiting_counts(connection, [task["id"] for task in open_tasks])
        names = tuple(task["name"] for task in open_tasks)
        return Changed(before.id, before.name, before.status, tasks=names, waiting=sum(counts.values()))

    return _change(database, actor, given, CampaignEvent.CANCEL, now, cancel_tasks)


def _change(
    database: Database,
    actor: Actor,
    given: str,
    event: CampaignEvent,
    now: datetime,
    also: Callable[[Connection, Changed], Changed] | None = None,
) -> Changed:
    """Move the campaign by ``event`` and do ``also`` in the same transaction."""

    def work(connection: Connection) -> Changed:
        row = campaigns.find(connection, given)
        require_owner(actor, row["created_by"], f"campaign {row['name']!r}")
        before = CampaignStatus(row["status"])
        after = campaign_after(before, event, row["name"])
        if not campaigns.move(connection, row["id"], [before], after, now):
            raise ChangedMeanwhile(
                f"campaign {row['name']!r} was changed by somebody else at the same moment",
                hint=f"look at it: coldsend campaign show {quote(row['name'])}",
            )
        changed = Changed(row["id"], row["name"], after)
        return also(connection, changed) if also else changed

    return database.run(work)
