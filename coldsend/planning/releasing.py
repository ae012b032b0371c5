"""Freeing recipients that wait for a service which will not send again.

A follow-up waits for the service that carried the message before it, a greylisted message for the one it was
tried with: as long as that may take. A person who knows that it will not come back frees them: each then goes
out through any other service its task may use, and what follows it through that one. A thread stays one
thread: what a message answers is noted in its row, whatever service it went out through.

Rows that a worker holds are left as they are. Of a task some thousands are freed in one transaction; a run
that was interrupted is run again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy.engine import RowMapping

from coldsend import logbook
from coldsend.database.engine import Connection, Database
from coldsend.domain.access import Actor, require_owner
from coldsend.domain.service import Service
from coldsend.domain.states import TASK_ENDED
from coldsend.errors import Refused
from coldsend.stores import campaigns, services, tasks, waiting

CHUNK = 5_000  # rows one transaction frees


@dataclass(frozen=True, slots=True)
class Held:
    """What waits for a service in one task. others: names of the services that its task may use besides."""

    task_id: int
    task: str  # CAMPAIGN/TASK
    recipients: int
    others: Sequence[str]


@dataclass(frozen=True, slots=True)
class Found:
    """What waits for a service; ``stuck`` may use no other one."""

    service: Service
    held: Sequence[Held]
    stuck: Sequence[Held]

    @property
    def recipients(self) -> int:
        return sum(one.recipients for one in self.held)


def find(database: Database, actor: Actor, service: str, campaign: str | None) -> Found:
    """What of the actor's campaigns (all, of an admin) waits for a service; campaign: only of this one.

    Refused where nothing waits for it, or nothing of that could go out through another one.
    """
    with database.read() as connection:
        wanted = services.as_service(services.find(connection, service))
        mine = [row for row in _tasks(connection, actor, campaign) if row["status"] not in TASK_ENDED]
        counts = waiting.kept(connection, [row["id"] for row in mine], wanted.id) if mine else {}
        every = [_held(connection, row, counts[row["id"]], wanted) for row in mine if row["id"] in counts]
    held = [one for one in every if one.others]
    where = "" if campaign is None else f" in campaign {campaign!r}"
    if not every:
        raise Refused(
            f"nobody waits for service {wanted.name!r}{where}",
            hint="what a recipient waits for: coldsend why CAMPAIGN/TASK EMAIL",
        )
    if not held:
        raise Refused(
            f"{sum(one.recipients for one in every):,} wait for service {wanted.name!r}{where}, and their "
            "tasks may use no other one",
            hint="an admin can grant one to who made them: coldsend service grant SERVICE USER",
        )
    return Found(wanted, held, [one for one in every if not one.others])


def release(database: Database, actor: Actor, found: Found) -> int:
    """Free what was found, as far as it still waits; how many are free now."""
    total = 0
    for one in found.held:
        free = partial(waiting.release, task_id=one.task_id, service_id=found.service.id, limit=CHUNK)
        count, looked_at = 0, CHUNK
        while looked_at == CHUNK:
            looked_at, freed = database.run(free)
            count += freed
        if count:
            logbook.recipients_released(
                one.task, one.task_id, service=found.service.name, count=count, by=actor.username
            )
        total += count
    return total


def _held(connection: Connection, task: RowMapping, count: int, service: Service) -> Held:
    others = [one.name for one in tasks.usable_services(connection, task) if one.id != service.id]
    return Held(task["id"], tasks.reference(task), count, others)


def _tasks(connection: Connection, actor: Actor, campaign: str | None) -> list[RowMapping]:
    if campaign is None:
        return tasks.listed(connection, owner=None if actor.is_admin else actor.id)
    row = campaigns.find(connection, campaign)
    require_owner(actor, row["created_by"], f"campaign {row['name']!r}")
    return tasks.listed(connection, campaign_id=row["id"])
