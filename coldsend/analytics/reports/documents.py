"""The documents behind ``coldsend report``: of a campaign, a task, a template, a sender service, a domain.

Each is a plain dictionary in the shape that ``--json`` promises. What a send list says (who waits, who was
skipped and why) is counted from its rows, what happened from the event log: ``funnel``, ``rates`` and the
tables below them. To be made in one snapshot of the database (database/views.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.engine import RowMapping

from coldsend.analytics import experiments, tally, waiting
from coldsend.analytics.reports import happenings, measures
from coldsend.analytics.tally import Names, Tally
from coldsend.database.engine import Connection
from coldsend.domain import providers
from coldsend.domain.gates import Blocked
from coldsend.domain.states import EventType, RowStatus
from coldsend.pacing import quota
from coldsend.stores import campaigns, events, reports, tasks
from coldsend.stores import services as service_rows
from coldsend.stores.rollups import Cell, Link

RECENT = timedelta(minutes=5)
DOMAINS = 20  # that are shown on their own
UTC_NAME = "UTC"


def campaign_report(connection: Connection, campaign: RowMapping, now: datetime) -> dict[str, Any]:
    """All tasks of a campaign added up, and each on its own under ``tasks``."""
    known = tally.names(connection)
    listed = tasks.listed(connection, campaign_id=campaign["id"])
    ids = [task["id"] for task in listed]
    cells = happenings.of_tasks(connection, ids)
    of_task = measures.grouped(cells, lambda cell: cell.task_id)
    total = Tally()
    parts: list[dict[str, Any]] = []
    gates: list[Blocked] = []
    for task in listed:
        counts = tally.of_task(connection, task["id"], now, known)
        total.add(counts)
        closed = waiting.of_task(connection, task, counts, now)
        gates.extend(gate for gate in closed if gate not in gates)
        part = _task_document(connection, task, counts, closed, now)
        parts.append({**part, **_outcome(counts, of_task.get(task["id"], []))})
    links = happenings.links_of(connection, ids)
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
        **_outcome(total, cells),
        "experiments": _experiments(connection, listed, now),
        **_details(known, cells, links, campaign["time_zone"]),
        **_by_domain(connection, ids),
    }


def task_report(connection: Connection, task: RowMapping, now: datetime) -> dict[str, Any]:
    """One task: counts, reasons, times, rates, and what its waiting recipients wait for."""
    known = tally.names(connection)
    counts = tally.of_task(connection, task["id"], now, known)
    closed = waiting.of_task(connection, task, counts, now)
    cells = happenings.of_tasks(connection, [task["id"]])
    links = happenings.links_of(connection, [task["id"]])
    zone = campaigns.find(connection, task["campaign_id"])["time_zone"]
    return {
        **_task_document(connection, task, counts, closed, now),
        **_outcome(counts, cells),
        "experiments": _experiments(connection, [task], now),
        **_details(known, cells, links, zone),
        **_by_domain(connection, [task["id"]]),
    }


def template_report(
    connection: Connection, template: RowMapping, now: datetime, owner: int | None = None
) -> dict[str, Any]:
    """One template in all tasks that use it. owner: only tasks of this user's campaigns."""
    known = tally.names(connection)
    using = reports.tasks_with_template(connection, template["id"], owner)
    ids = [task["id"] for task in using]
    cells = [cell for cell in happenings.of_tasks(connection, ids) if cell.template_id == template["id"]]
    links = [link for link in happenings.links_of(connection, ids) if link.template_id == template["id"]]
    total, parts = _parts(connection, using, cells, partial(_tally, now, known, template_id=template["id"]))
    document = total.as_json()
    del document["by_template"]
    return {
        "id": template["id"],
        "template": template["name"],
        "subject": template["subject"],
        **document,
        "tasks": parts,
        **_outcome(total, cells),
        **_details(known, cells, links, None, "templates"),
    }


def service_report(
    connection: Connection, service_row: RowMapping, now: datetime, days: int, owner: int | None = None
) -> dict[str, Any]:
    """One sender service: its health, its last quota days, and what it did in tasks of the last ``days``.

    owner: only tasks of this user's campaigns.
    """
    service = service_rows.as_service(service_row)
    today = quota.quota_days(connection, [service], now)[0]
    known = tally.names(connection)
    used = reports.tasks_sending_since(connection, now - timedelta(days=days), owner)
    every = happenings.of_tasks(connection, [task["id"] for task in used])
    cells = [cell for cell in every if cell.service_id == service.id]
    total, parts = _parts(connection, used, cells, partial(_tally, now, known, service_id=service.id))
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
        **_outcome(total, cells),
        **_details(known, cells, [], service_row["time_zone"], "services", "links"),
    }


def domain_report(connection: Connection, name: str, owner: int | None = None) -> dict[str, Any]:
    """Recipients at one domain, or at all domains of a provider that is known by name.

    From the event log alone: of who was skipped or waits nothing is said. owner: only tasks of this user's
    campaigns.
    """
    listed = reports.all_tasks(connection, owner)
    cells = happenings.of_domain(connection, [task["id"] for task in listed], name)
    of_task = measures.grouped(cells, lambda cell: cell.task_id)
    names = {task["id"]: tasks.reference(task) for task in listed}
    counts = measures.measured(cells)
    return {
        "domain": name,
        "provider": providers.provider_of(name) if name not in providers.NAMES else name,
        "funnel": _reached(counts),
        "rates": measures.rates(counts),
        "events": measures.events(cells),
        "tasks": measures.named(of_task, names),
    }


def _tally(
    now: datetime,
    known: Names,
    connection: Connection,
    task_id: int,
    *,
    service_id: int | None = None,
    template_id: int | None = None,
) -> Tally:
    return tally.of_task(connection, task_id, now, known, service_id=service_id, template_id=template_id)


def _parts(
    connection: Connection, listed: Iterable[RowMapping], cells: Iterable[Cell], count: Any
) -> tuple[Tally, list[dict[str, Any]]]:
    """Tasks that a template or service has rows of: all added up, and each."""
    of_task = measures.grouped(cells, lambda cell: cell.task_id)
    total = Tally()
    parts: list[dict[str, Any]] = []
    for task in listed:
        counts = count(connection, task["id"])
        if not counts.recipients and task["id"] not in of_task:
            continue
        total.add(counts)
        by_status = reports.in_order(counts.by_status)
        part = {"id": task["id"], "task": tasks.reference(task), "by_status": by_status}
        part |= {"last_sent_at": counts.last_sent_at, **measures.compared(of_task.get(task["id"], []))}
        parts.append({**part, "sent": counts.accepted})
    return total, parts


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


def _outcome(counts: Tally, cells: Iterable[Cell]) -> dict[str, Any]:
    """The funnel, from the whole send list to those who answered; and rates of what was sent."""
    found = measures.measured(cells)
    by_status = counts.by_status
    left = {
        "waiting": by_status[RowStatus.PENDING.value] + by_status[RowStatus.SENDING.value],
        "unknown": by_status[RowStatus.UNKNOWN.value],
        "skipped": _reasons(counts, RowStatus.SKIPPED),
        "failed": _reasons(counts, RowStatus.FAILED_TO_SEND),
    }
    return {
        "funnel": {"recipients": counts.recipients, **_reached(found), **left},
        "rates": measures.rates(found),
    }


def _reached(counts: Mapping[str, int]) -> dict[str, int | None]:
    # Only providers that report deliveries tell: without any nothing is known, which is not "none".
    return {**counts, "delivered": counts["delivered"] or None}


def _reasons(counts: Tally, status: RowStatus) -> dict[str, int]:
    known = {reason: count for (of, reason), count in counts.reasons.items() if of == status.value}
    rest = counts.by_status[status.value] - sum(known.values())
    return dict(sorted(known.items(), key=lambda item: (-item[1], item[0]))) | ({"": rest} if rest else {})


def _experiments(connection: Connection, listed: Iterable[RowMapping], now: datetime) -> list[dict[str, Any]]:
    """How the experiments of tasks stand, as ``experiment show`` tells it."""
    running = [task for task in listed if task["experiment"] is not None]
    return [experiments.results(connection, task, now).document() for task in running]


def _details(
    known: Names,
    cells: Sequence[Cell],
    links: Iterable[Link],
    zone_name: str | None,
    *without: str,
) -> dict[str, Any]:
    """What happened when, by which template and service, on which links."""
    zone = ZoneInfo(zone_name or UTC_NAME)
    by_template = measures.grouped(cells, lambda cell: cell.template_id)
    by_service = measures.grouped(cells, lambda cell: cell.service_id)
    document = {
        "time_zone": zone.key,
        "by_day": measures.by_day(cells, zone),
        "by_hour": measures.by_hour(cells, zone),
        "templates": measures.named(by_template, known.templates),
        "services": measures.named(by_service, known.services),
        "links": measures.links(links, known.templates),
        "events": measures.events(cells),
    }
    return {name: value for name, value in document.items() if name not in without}


def _by_domain(connection: Connection, task_ids: Sequence[int]) -> dict[str, Any]:
    found = happenings.domains_of(connection, task_ids, DOMAINS)
    return {
        "providers": measures.named(found.providers, {name: name for name in found.providers}),
        "domains": measures.named(found.largest, {name: name for name in found.largest}),
    }


def _gates(closed: Sequence[Blocked]) -> list[dict[str, Any]]:
    return [{"gate": gate.gate.value, "detail": gate.detail, "until": gate.until} for gate in closed]
