"""What the waiting recipients of a task wait for, service by service: the gates that delivery asks, too."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.engine import RowMapping

from coldsend.analytics.tally import Tally
from coldsend.database.engine import Connection
from coldsend.domain import gates
from coldsend.domain.gates import Blocked, Gate, ServiceFacts
from coldsend.domain.service import Service
from coldsend.pacing import quota
from coldsend.stores import tasks


def of_task(connection: Connection, task: RowMapping, tally: Tally, now: datetime) -> list[Blocked]:
    """Every closed gate before the pending rows of a task; [] where none is pending.

    All services the task may use are listed, also when another one is open: the one whose quota is used up
    explains why things are slower than they were.
    """
    if not tally.pending:
        return []
    blocked = gates.state_gates(task["campaign_status"], task["status"])
    if tally.later:
        blocked.append(Blocked(Gate.NOT_DUE, f"{tally.later:,} recipients are due later", tally.next_due_at))
    usable = tasks.usable_services(connection, task)
    if not usable:
        return blocked + gates.carrier_gates([], None, now)
    return blocked + [
        gate for facts in facts_of(connection, usable, now) for gate in gates.service_gates(facts, now)
    ]


def facts_of(connection: Connection, services: Sequence[Service], now: datetime) -> list[ServiceFacts]:
    """Each service with its quota day. Throttle gaps are left out: they last seconds and explain nothing."""
    return [
        ServiceFacts(day.service, used=day.used, next_quota_day=day.next_day_begins)
        for day in quota.quota_days(connection, services, now)
    ]
