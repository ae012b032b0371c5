"""Changing a task that has not begun: nobody has been chosen yet by what it is."""

from __future__ import annotations

from datetime import datetime
from shlex import quote

from coldsend.audience import rule
from coldsend.config.settings import Settings
from coldsend.database.engine import Connection
from coldsend.domain.access import Actor, require_owner
from coldsend.domain.finding import Finding
from coldsend.domain.states import TASK_ENDED, TaskStatus
from coldsend.errors import ChangedMeanwhile, InvalidInput, WrongState
from coldsend.planning import readiness
from coldsend.planning.wanted import NewTask, columns, require_no_limit, service_ids
from coldsend.stores import campaigns, services, tasks

NOT_FOLLOWING = {
    "follows_task_id": None,
    "follows_days": 0,
    "follows_business_days": False,
    "follows_condition": None,
}


def revise(
    connection: Connection,
    actor: Actor,
    task_id: int,
    wanted: NewTask,
    settings: Settings,
    now: datetime,
    resolve_task: rule.TaskResolver | None = None,
) -> list[Finding]:
    """Make a task what is asked for, with the checks of a new one; it keeps its name. Returns warnings.

    WrongState where it has begun. Services that it is limited to already need no new grant. resolve_task: as
    in ``wanted.columns``.
    """
    row = tasks.get(connection, task_id)
    require_owner(actor, row["owner"], f"campaign {row['campaign']!r}")
    status = TaskStatus(row["status"])
    begun = row["actual_start_time"] is not None or status in TASK_ENDED
    # Locked: it must not begin between this look and the change.
    if not begun and not tasks.move(connection, task_id, [status], status, now):
        raise ChangedMeanwhile(f"task {row['name']!r} was changed by somebody else at the same moment")
    if begun:
        raise WrongState(
            f"task {row['name']!r} is {status}: what it sends to whom is settled when it begins",
            hint=f"create another task: coldsend task create {quote(row['campaign'])} NAME ..",
        )
    campaign = campaigns.find(connection, row["campaign_id"])
    values = NOT_FOLLOWING | columns(connection, actor, campaign, wanted, resolve_task)
    _require_no_circle(connection, task_id, values["follows_task_id"])
    require_no_limit(wanted)
    held = tasks.service_names(connection, [task_id]).get(task_id, [])
    kept = [int(services.find(connection, name)["id"]) for name in wanted.services if name in held]
    new = service_ids(connection, actor, [name for name in wanted.services if name not in held])
    del values["name"]
    tasks.rewrite(connection, task_id, values, [*kept, *new], now)
    if status == TaskStatus.DRAFT:
        return []
    found = readiness.findings(connection, [tasks.get(connection, task_id)], settings)
    return readiness.require(f"task {row['name']!r} cannot be scheduled", found)


def _require_no_circle(connection: Connection, task_id: int, before: int | None) -> None:
    """InvalidInput where a task would follow itself, by whatever way."""
    while before is not None:
        if before == task_id:
            raise InvalidInput("a task cannot follow itself, nor a task that follows it")
        before = tasks.get(connection, before)["follows_task_id"]
