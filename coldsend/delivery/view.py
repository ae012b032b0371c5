"""What a worker knows of the world, read once a second: services, tasks, pauses, and the other workers.

A view may be a second old. It only chooses what to ask for; every claim is checked again by the guards of
the intent (``stores/ledger.py``) and by the limits reserved with it (``pacing/limits.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection

from coldsend.domain.gates import ServiceFacts
from coldsend.domain.states import CountKind
from coldsend.pacing.calendar import Calendar
from coldsend.pacing.facts import service_facts
from coldsend.pacing.followups import FollowupsDue
from coldsend.pacing.limits import NewToday
from coldsend.pacing.quota import period_of
from coldsend.stores import access, leases, ledger, send_counts, tasks, workers

ANY_TIME = Calendar(ZoneInfo("UTC"))


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task that sends, and the ids of the services it may use now.

    calendar: of its campaign. follows: its messages are follow-ups. goes_first: and they have precedence.
    new_left: first messages that its campaign may still send today; None where that is not limited.
    """

    id: int
    campaign_id: int
    services: frozenset[int]
    calendar: Calendar = ANY_TIME
    follows: bool = False
    goes_first: bool = False
    new_left: int | None = None


@dataclass(frozen=True, slots=True)
class View:
    """services: by id. owners: service id -> worker id, of throttled services. new_today: by campaign id."""

    services: Mapping[int, ServiceFacts] = field(default_factory=dict)
    tasks: Sequence[OpenTask] = ()
    owners: Mapping[int, int | None] = field(default_factory=dict)
    senders: Sequence[int] = ()  # ids of senders that have not signed off, oldest first
    new_today: Mapping[int, NewToday] = field(default_factory=dict)

    def wanted(self) -> set[int]:
        """Services that some open task may use; one that was added this very moment is not known yet."""
        return {service for task in self.tasks for service in task.services} & self.services.keys()


def read(connection: Connection, now: datetime, followups: FollowupsDue | None = None) -> View:
    """The view at ``now``. followups: remembers what follow-ups need; None: they are counted anew."""
    found, new_today = _tasks(connection, now)
    facts = service_facts(connection, now)
    first = {task.id: task.services for task in found if task.goes_first}
    due = (followups or FollowupsDue()).by_service(connection, first, facts)
    return View(
        services={sid: replace(facts[sid], followups_due=due.get(sid, 0)) for sid in facts} if due else facts,
        tasks=found,
        owners={service: row["worker_id"] for service, row in leases.sender_leases_all(connection).items()},
        senders=[row["id"] for row in workers.unstopped(connection, "sender")],
        new_today=new_today,
    )


def open_tasks(connection: Connection, now: datetime) -> list[OpenTask]:
    """Tasks in `sending` of active campaigns; services limited to what their creators may use now."""
    return _tasks(connection, now)[0]


def _tasks(connection: Connection, now: datetime) -> tuple[list[OpenTask], dict[int, NewToday]]:
    rows = tasks.open_tasks(connection)
    usable = access.usable_by(connection, {row["created_by"] for row in rows})
    calendars = {row["campaign_id"]: Calendar.of(row) for row in rows}
    new_today = {
        row["campaign_id"]: NewToday(row["new_per_day"], calendars[row["campaign_id"]].day_of)
        for row in rows
        if row["new_per_day"] is not None
    }
    periods = [(campaign_id, period_of(new.day_of(now))) for campaign_id, new in new_today.items()]
    used = send_counts.used_by(connection, CountKind.CAMPAIGN_NEW, periods)
    found = []
    for row in rows:
        campaign_id = row["campaign_id"]
        follows, new = row["follows_task_id"] is not None, new_today.get(campaign_id)
        found.append(
            OpenTask(
                row["id"],
                campaign_id,
                access.allowed(usable, row),
                calendars[campaign_id],
                follows=follows,
                goes_first=follows and bool(row["followups_first"]),
                new_left=None if follows or new is None else max(0, new.limit - used[campaign_id]),
            )
        )
    return found, new_today


def own_buckets(view: View, worker_id: int) -> list[int]:
    """The buckets this worker takes rows from first: the live senders split them evenly."""
    senders = sorted(view.senders) or [worker_id]
    if worker_id not in senders:
        return list(range(ledger.BUCKETS))
    mine, count = senders.index(worker_id), len(senders)
    return [bucket for bucket in range(ledger.BUCKETS) if bucket % count == mine]
