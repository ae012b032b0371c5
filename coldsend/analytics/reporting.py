"""The documents behind ``coldsend report``: of a campaign, a task, a sender service.

Each is a plain dictionary in the shape that ``--json`` promises; the terminal shows the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.engine import RowMapping

from coldsend.analytics import tally, waiting
from coldsend.analytics.tally import Tally
from coldsend.database.engine import Connection
from coldsend.domain.gates import Blocked
from coldsend.domain.states import EventType
from coldsend.pacing import quota
from coldsend.stores import events, reports, tasks
from coldsend.stores import services as service_rows

RECENT = timedelta(minutes=5)


def campaign_report(connection: Connection, campaign: RowMapping, now: datetime) -> dict[str, Any]:
    """All tasks of a campaign added up, and each on its own under ``tasks``."""
    known = tally.names(connection)
    total = Tally()
    parts: list[dict[str, Any]] = []
    gates: list[Blocked] = []
    for task in tasks.listed(connection, campaign_id=campaign["id"]):
        counts = tally.of_task(connection, task["id"], now, known)
        total.add(counts)
        closed = waiting.of_task(connection, task, counts, now)
        gates.extend(gate for gate in closed if gate not in gates)
        parts.append(_task_document(connection, task, counts, closed, now))
    return {
        "id": campaign["id"],
        "campaign": campaign["name"],
        "status": campaign["status"],
        "status_reason": campaign["status_reason"],
        "start_time": campaign["start_time"],
        **total.as_json(),
        "sent_per_minute_now": round(sum(part["sent_per_minute_now"] for part in parts), 1),
        "waiting": _gates(gates),
        "tasks": parts,
    }


def task_report(connection: Connection, task: RowMapping, now: datetime) -> dict[str, Any]:
    """One task: counts, reasons, times, rates, and what its waiting recipients wait for."""
    counts = tally.of_task(connection, task["id"], now, tally.names(connection))
    closed = waiting.of_task(connection, task, counts, now)
    return _task_document(connection, task, counts, closed, now)


def service_report(
    connection: Connection, service_row: RowMapping, now: datetime, days: int, owner: int | None = None
) -> dict[str, Any]:
    """One sender service: its health, its last quota days, and what it did in tasks of the last ``days``.

    owner: only tasks of this user's campaigns.
    """
    service = service_rows.as_service(service_row)
    today = quota.quota_days(connection, [service], now)[0]
    known = tally.names(connection)
    total = Tally()
    parts: list[dict[str, Any]] = []
    for task in reports.tasks_sending_since(connection, now - timedelta(days=days), owner):
        counts = tally.of_task(connection, task["id"], now, known, service.id)
        if not counts.recipients:
            continue
        total.add(counts)
        by_status = reports.in_order(counts.by_status)
        parts.append(
            {"id": task["id"], "task": f"{task['campaign']}/{task['name']}", "sent": counts.accepted}
            | {"by_status": by_status, "last_sent_at": counts.last_sent_at}
        )
    document = total.as_json()
    del document["by_service"]
    return {
        "id": service.id,
        "service": service.name,
        "type": service.type,
        "status": service.health_status.value,
        "frozen_reason": service.frozen_reason,
        "consecutive_errors": service.consecutive_errors,
        "daily_quota": service.daily_quota,
        "used_today": today.used,
        "next_quota_day": today.next_day_begins,
        "days": [dict(row) for row in reports.quota_days(connection, service.id, days)],
        **document,
        "tasks": parts,
    }


def _task_document(
    connection: Connection, task: RowMapping, counts: Tally, closed: Sequence[Blocked], now: datetime
) -> dict[str, Any]:
    recent = events.count_since(connection, task["id"], EventType.SEND_API_SUCCESS, now - RECENT)
    return {
        "id": task["id"],
        "campaign": task["campaign"],
        "name": task["name"],
        "status": task["status"],
        "status_reason": task["status_reason"],
        "plan_time": task["plan_time"],
        "actual_start_time": task["actual_start_time"],
        "actual_end_time": task["actual_end_time"],
        **counts.as_json(),
        "sent_per_minute_now": round(recent / (RECENT.total_seconds() / 60), 1),
        "waiting": _gates(closed),
    }


def _gates(closed: Sequence[Blocked]) -> list[dict[str, Any]]:
    return [{"gate": gate.gate.value, "detail": gate.detail, "until": gate.until} for gate in closed]
