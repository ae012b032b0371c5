"""What a worker knows of the world, read once a second: services, tasks, pauses, and the other workers.

A view may be a second old. It only chooses what to ask for; every claim is checked again by the guards of
the intent (``stores/ledger.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.engine import Connection

from coldsend.domain.gates import ServiceFacts
from coldsend.pacing.facts import service_facts
from coldsend.stores import access, leases, ledger, tasks, workers


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task that sends, and the ids of the services it may use now."""

    id: int
    campaign_id: int
    services: frozenset[int]


@dataclass(frozen=True, slots=True)
class View:
    """services: by id. owners: service id -> worker id, of throttled services."""

    services: Mapping[int, ServiceFacts] = field(default_factory=dict)
    tasks: Sequence[OpenTask] = ()
    owners: Mapping[int, int | None] = field(default_factory=dict)
    senders: Sequence[int] = ()  # ids of senders that have not signed off, oldest first

    def wanted(self) -> set[int]:
        """Services that some open task may use; one that was added this very moment is not known yet."""
        return {service for task in self.tasks for service in task.services} & self.services.keys()


def read(connection: Connection, now: datetime) -> View:
    """The view at ``now``."""
    return View(
        services=service_facts(connection, now),
        tasks=open_tasks(connection),
        owners={service: row["worker_id"] for service, row in leases.sender_leases_all(connection).items()},
        senders=[row["id"] for row in workers.unstopped(connection, "sender")],
    )


def open_tasks(connection: Connection) -> list[OpenTask]:
    """Tasks in `sending` of active campaigns; services limited to what their creators may use now."""
    found = tasks.open_tasks(connection)
    usable = access.usable_by(connection, {task["created_by"] for task in found})
    return [
        OpenTask(
            task["id"],
            task["campaign_id"],
            usable[task["created_by"]] & task["services"]
            if task["services"] is not None
            else usable[task["created_by"]],
        )
        for task in found
    ]


def own_buckets(view: View, worker_id: int) -> list[int]:
    """The buckets this worker takes rows from first: the live senders split them evenly."""
    senders = sorted(view.senders) or [worker_id]
    if worker_id not in senders:
        return list(range(ledger.BUCKETS))
    mine, count = senders.index(worker_id), len(senders)
    return [bucket for bucket in range(ledger.BUCKETS) if bucket % count == mine]
