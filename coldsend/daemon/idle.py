"""Whether anything can still be sent soon: what `scheduler run --until-idle` waits for.

Rows that wait for a quota day or hour, a send window, a frozen or resting service, or a retry more than a
minute away do not keep it; neither do rows that a process elsewhere holds.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from coldsend import clock
from coldsend.database.engine import Database
from coldsend.database.views import snapshot
from coldsend.delivery import view as views
from coldsend.domain.gates import Gate, ServiceFacts, service_gates
from coldsend.domain.states import TaskStatus
from coldsend.planning import followups
from coldsend.stores import ledger, tasks

SOON = timedelta(seconds=60)


def nothing_soon(database: Database, *, senders: bool) -> bool:
    """True where nothing can be planned or (with ``senders``) sent within a minute."""
    now = clock.now()
    # At one moment: a limit that a row on its way has used up, and then no such row, would look like the end,
    # though the row has given its place back.
    with snapshot(database) as connection:
        return not (_planning_ahead(connection, now) or (senders and _sending_ahead(connection, now)))


def _planning_ahead(connection: Connection, now: datetime) -> bool:
    """A task begins soon, or one that sends has no complete send list, or one is to be closed."""
    if tasks.due(connection, now + SOON):
        return True
    sending = tasks.in_status(connection, TaskStatus.SENDING)
    live = [row for row in sending if row["campaign_status"] == "active"]
    growing = [row for row in live if row["expanded_at"] is None]
    # The list of a follow-up grows as long as the task before sends: its rows are due in days.
    if any(row["follows_task_id"] is None or followups.is_behind(connection, row, now) for row in growing):
        return True
    ended = [
        row for row in live if row["expanded_at"] is not None and not tasks.has_waiting(connection, row["id"])
    ]
    unwinding = [row for row in tasks.unwound(connection) if ledger.has_pending(connection, row["id"])]
    return bool(ended or unwinding)


def _sending_ahead(connection: Connection, now: datetime) -> bool:
    """A row is on its way, or due soon with a service that can carry it soon."""
    view = views.read(connection, now)
    usable = {service_id for service_id, each in view.services.items() if _opens_soon(each, now)}
    for task in view.tasks:
        if ledger.has_sending(connection, task.id):
            return True
        carriers = [] if task.new_left == 0 else sorted(task.services & usable)
        if not task.goes_first:
            carriers = [service_id for service_id in carriers if view.services[service_id].left_for_first]
        if carriers and ledger.candidates(
            connection, task.id, range(ledger.BUCKETS), carriers, now + SOON, limit=1
        ):
            return True
    return False


def _opens_soon(facts: ServiceFacts, now: datetime) -> bool:
    """Every gate of the service opens by itself within a minute; a throttle gap always does in time."""
    soon = now + SOON
    gates = [
        blocked
        for blocked in service_gates(replace(facts, paused_providers=None), now)
        if blocked.gate != Gate.THROTTLE
    ]
    return all(
        blocked.gate not in (Gate.QUOTA, Gate.RAMP) and blocked.until is not None and blocked.until <= soon
        for blocked in gates
    )
