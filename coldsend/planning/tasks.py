"""The life of a task by hand: create, preview, expand again, pause, resume, cancel, retry.

Whoever makes rows of a task pending again updates the task's row in the same transaction (:func:`reopen`):
that, and not luck, keeps the scheduler from closing the task at the same moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from shlex import quote

from sqlalchemy.engine import RowMapping

from coldsend.audience import rule
from coldsend.config.settings import Settings
from coldsend.database.engine import Connection, Database
from coldsend.domain.access import Actor, require_owner
from coldsend.domain.finding import Finding
from coldsend.domain.states import (
    CAMPAIGN_OPEN,
    CampaignEvent,
    CampaignStatus,
    TaskEvent,
    TaskStatus,
    campaign_after,
    task_after,
)
from coldsend.errors import ChangedMeanwhile, WrongState
from coldsend.planning import expand, followups, readiness
from coldsend.planning.wanted import Following, NewTask, columns, require_no_limit, service_ids
from coldsend.stores import campaigns, enrolment, reports, tasks

__all__ = [
    "Changed",
    "Following",
    "NewTask",
    "add",
    "cancel",
    "create",
    "expand_again",
    "pause",
    "reopen",
    "resume",
    "retry",
    "retryable",
]

RETRY_CHUNK = 5_000


@dataclass(frozen=True, slots=True)
class Changed:
    """A task after a change. count: recipients it concerned. warnings: found on the way, stop nothing."""

    id: int
    campaign: str
    name: str
    status: TaskStatus
    count: int = 0
    warnings: tuple[Finding, ...] = ()

    @property
    def reference(self) -> str:
        return f"{self.campaign}/{self.name}"


def create(database: Database, actor: Actor, wanted: NewTask, settings: Settings, now: datetime) -> Changed:
    """A new task: in draft while its campaign is, else scheduled at once, after the checks of a start."""
    return database.run(lambda connection: add(connection, actor, wanted, settings, now))


def add(
    connection: Connection,
    actor: Actor,
    wanted: NewTask,
    settings: Settings,
    now: datetime,
    resolve_task: rule.TaskResolver | None = None,
) -> Changed:
    """What :func:`create` does, in the caller's transaction.

    resolve_task: finds the tasks its rule names where they are not all there yet; left out: they must be.
    """
    campaign = campaigns.find(connection, wanted.campaign)
    require_owner(actor, campaign["created_by"], f"campaign {campaign['name']!r}")
    # Locked: the campaign must neither complete nor start between this look and the new row.
    if not campaigns.touch(connection, campaign["id"], CAMPAIGN_OPEN, now):
        raise WrongState(
            f"campaign {campaign['name']!r} is {campaign['status']}: it takes no new tasks",
            hint="create another one: coldsend campaign create NAME",
        )
    campaign = campaigns.find(connection, campaign["id"])
    is_draft = campaign["status"] == CampaignStatus.DRAFT
    status = TaskStatus.DRAFT if is_draft else task_after(TaskStatus.DRAFT, TaskEvent.SCHEDULE, wanted.name)
    values = {
        **columns(connection, actor, campaign, wanted, resolve_task),
        "campaign_id": campaign["id"],
        "status": status.value,
        "created_by": actor.id,
    }
    require_no_limit(wanted)
    task_id = tasks.insert(connection, values, service_ids(connection, actor, wanted.services), now)
    row = tasks.get(connection, task_id)
    warnings: list[Finding] = []
    if not is_draft:
        found = readiness.findings(connection, [row], settings)
        warnings = readiness.require(f"task {row['name']!r} cannot be scheduled", found)
    return _changed(row, status, warnings=tuple(warnings))


def pause(database: Database, actor: Actor, given: str, now: datetime) -> Changed:
    """Send nothing more of a task until :func:`resume`; messages on a connection are finished."""
    return _change(database, actor, given, TaskEvent.PAUSE, now)


def resume(database: Database, actor: Actor, given: str, now: datetime) -> Changed:
    return _change(database, actor, given, TaskEvent.RESUME, now)


def cancel(database: Database, actor: Actor, given: str, now: datetime) -> Changed:
    """End a task for good; the scheduler skips the ``count`` recipients that still wait."""
    return _change(database, actor, given, TaskEvent.CANCEL, now)


def _change(database: Database, actor: Actor, given: str, event: TaskEvent, now: datetime) -> Changed:
    def work(connection: Connection) -> Changed:
        row = _owned(connection, actor, given)
        before = TaskStatus(row["status"])
        started = row["actual_start_time"] is not None
        after = task_after(before, event, row["name"], started=started)
        if not tasks.move(connection, row["id"], [before], after, now, status_reason=None):
            raise _changed_meanwhile(row)
        return _changed(row, after, count=reports.waiting_counts(connection, [row["id"]])[row["id"]])

    return database.run(work)


def expand_again(database: Database, actor: Actor, given: str, settings: Settings, now: datetime) -> Changed:
    """Let contacts into a task that match its rule by now; ``count``: how many came in.

    Into a follow-up: whoever has been sent the message before and has no follow-up yet.
    """

    def reopen_it(connection: Connection) -> Changed:
        row = _owned(connection, actor, given)
        after, warnings = reopen(connection, row, TaskEvent.EXPAND_AGAIN, settings, now)
        if row["follows_task_id"] is not None:
            enrolment.open_again(connection, row["id"], now)
        else:
            expand.restart_expansion(connection, row["id"], now)
        return _changed(row, after, warnings=warnings)

    changed = database.run(reopen_it)
    before = _recipients(database, changed.id)
    bring_in = followups.enrol if _follows(database, changed.id) else expand.expand_task
    bring_in(database, changed.id, now)
    added = _recipients(database, changed.id) - before
    return Changed(
        changed.id, changed.campaign, changed.name, changed.status, added, warnings=changed.warnings
    )


def retryable(database: Database, actor: Actor, given: str) -> tuple[RowMapping, int]:
    """The task and how many recipients :func:`retry` would take up again."""
    with database.read() as connection:
        row = _owned(connection, actor, given)
        return row, tasks.count_retryable(connection, row["id"])


def retry(database: Database, actor: Actor, given: str, settings: Settings, now: datetime) -> Changed:
    """Make recipients pending again that failed for passing reasons only, with a new lifetime of retries.

    Refused, bounced, suppressed and unknown ones stay as they are.
    """

    def take_up(connection: Connection) -> tuple[Changed, int]:
        row = _owned(connection, actor, given)
        task_after(TaskStatus(row["status"]), TaskEvent.RETRY, row["name"])
        ids = tasks.retryable_ids(connection, row["id"], RETRY_CHUNK)
        if not ids:
            return _changed(row, TaskStatus(row["status"])), 0
        after, warnings = reopen(connection, row, TaskEvent.RETRY, settings, now)
        count = tasks.retry_rows(connection, row["id"], ids, now)
        return _changed(row, after, count=count, warnings=warnings), len(ids)

    # Each chunk reopens the task anew: the one before may have been sent and the task closed meanwhile.
    changed, found = database.run(take_up)
    total = changed.count
    while found == RETRY_CHUNK:
        changed, found = database.run(take_up)
        total += changed.count
    return Changed(
        changed.id, changed.campaign, changed.name, changed.status, total, warnings=changed.warnings
    )


def reopen(
    connection: Connection, row: RowMapping, event: TaskEvent, settings: Settings, now: datetime
) -> tuple[TaskStatus, tuple[Finding, ...]]:
    """Let a task send rows that the caller makes pending in this transaction; returns its status after it.

    event: EXPAND_AGAIN or RETRY. A completed campaign becomes active again; WrongState where the task has
    been cancelled or has failed, Refused where it cannot be sent as things stand.
    """
    before = TaskStatus(row["status"])
    after = task_after(before, event, row["name"])
    campaign = CampaignStatus(row["campaign_status"])
    if before == TaskStatus.FINISHED and campaign == CampaignStatus.COMPLETED:
        active = campaign_after(campaign, CampaignEvent.REOPEN, row["campaign"])
        moved = campaigns.move(connection, row["campaign_id"], [campaign], active, now)
    elif campaign == CampaignStatus.CANCELLED:
        raise WrongState(
            f"campaign {row['campaign']!r} is cancelled: none of its tasks sends again",
            hint="create another one: coldsend campaign create NAME",
        )
    else:
        moved = campaigns.touch(connection, row["campaign_id"], [campaign], now)
    if not (moved and tasks.move(connection, row["id"], [before], after, now, actual_end_time=None)):
        raise _changed_meanwhile(row)
    followups.open_followers(connection, row["id"], now)
    found = readiness.findings(connection, [row], settings)
    return after, tuple(readiness.require(f"task {row['name']!r} cannot send again", found))


def _owned(connection: Connection, actor: Actor, given: str) -> RowMapping:
    row = tasks.find(connection, given)
    require_owner(actor, row["owner"], f"campaign {row['campaign']!r}")
    return row


def _recipients(database: Database, task_id: int) -> int:
    with database.read() as connection:
        return int(tasks.get(connection, task_id)["expanded_count"])


def _follows(database: Database, task_id: int) -> bool:
    with database.read() as connection:
        return tasks.get(connection, task_id)["follows_task_id"] is not None


def _changed(
    row: RowMapping, status: TaskStatus, count: int = 0, warnings: tuple[Finding, ...] = ()
) -> Changed:
    return Changed(row["id"], row["campaign"], row["name"], status, count, warnings)


def _changed_meanwhile(row: RowMapping) -> ChangedMeanwhile:
    return ChangedMeanwhile(
        f"task {row['name']!r} was changed by somebody else at the same moment",
        hint=f"look at it: coldsend task show {quote(tasks.reference(row))}",
    )
