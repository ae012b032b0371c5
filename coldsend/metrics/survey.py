"""What the database knows, as metrics: read in one transaction of bounded queries, at any size.

A survey takes some tens of milliseconds, most of them for counting up to ``ROWS_BOUND`` rows; it never walks
a whole send list or the event log. Measured with a million rows: docs/metrics.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from coldsend import clock
from coldsend.database import revision
from coldsend.database.engine import Connection, Database
from coldsend.domain.alert import AlertKind, DeliveryStatus
from coldsend.domain.gates import ServiceFacts
from coldsend.domain.states import CampaignStatus, HealthStatus, RowStatus, TaskStatus
from coldsend.errors import Unreachable
from coldsend.metrics.catalogue import DUE_TASKS_BOUND, METRICS, ROWS_BOUND, TASKS_BOUND
from coldsend.pacing.facts import service_facts
from coldsend.stores import alerts, gauges, leases, tasks, workers

# name of a metric -> its samples: label values and value
Readings = dict[str, list[tuple[tuple[str, ...], float]]]

KINDS = ("scheduler", "sender")
UNDELIVERED = (DeliveryStatus.PENDING, DeliveryStatus.GIVEN_UP)


def of_database(database: Database, now: datetime, lease_seconds: float) -> Readings:
    """All that the database tells at ``now``; Unreachable where it does not answer."""
    started = clock.monotonic()
    status = revision.status(database)
    found: Readings = {
        "coldsend_database_up": _one(1),
        "coldsend_schema_current": _one(status.is_current),
    }
    if status.is_current:
        with database.read() as connection:
            found |= _processes(connection, now, lease_seconds)
            found |= _work(connection, now)
            found |= _alerts(connection)
            found |= _services(service_facts(connection, now), now)
    found["coldsend_survey_duration_seconds"] = _one(clock.monotonic() - started)
    return found


def of_silence() -> Readings:
    """What can be said of a database that does not answer."""
    return {"coldsend_database_up": _one(0)}


def taken(database: Database, now: datetime, lease_seconds: float) -> Readings:
    """The survey, or that there is none."""
    try:
        return of_database(database, now, lease_seconds)
    except Unreachable:
        return of_silence()


def _processes(connection: Connection, now: datetime, lease_seconds: float) -> Readings:
    present = workers.unstopped(connection)
    states: dict[tuple[str, ...], float] = {
        (kind, state): 0 for kind in KINDS for state in ("alive", "silent")
    }
    latest: dict[tuple[str, ...], float] = {}
    for row in present:
        age = max(0.0, (now - row["heartbeat_at"]).total_seconds())
        states[row["kind"], "silent" if age > lease_seconds else "alive"] += 1
        latest[(row["kind"],)] = min(age, latest.get((row["kind"],), age))
    return {
        "coldsend_scheduler_leads": _one(leases.held(connection, leases.SCHEDULER, now)),
        "coldsend_workers": list(states.items()),
        "coldsend_heartbeat_age_seconds": list(latest.items()),
    }


def _work(connection: Connection, now: datetime) -> Readings:
    campaigns_in, tasks_in = gauges.campaigns_by_status(connection), gauges.tasks_by_status(connection)
    sending = [task["id"] for task in tasks.open_tasks(connection)]
    counted = sending[:TASKS_BOUND]
    in_doubt = gauges.last_begun(connection, TASKS_BOUND)
    due = gauges.oldest_due(connection, sending[:DUE_TASKS_BOUND], now)
    rows = {
        RowStatus.PENDING: gauges.rows_in(connection, counted, RowStatus.PENDING, ROWS_BOUND),
        RowStatus.SENDING: gauges.rows_in(connection, counted, RowStatus.SENDING, ROWS_BOUND),
        RowStatus.UNKNOWN: gauges.rows_in(connection, in_doubt, RowStatus.UNKNOWN, ROWS_BOUND),
    }
    return {
        "coldsend_campaigns": _by_status(CampaignStatus, campaigns_in),
        "coldsend_tasks": _by_status(TaskStatus, tasks_in),
        "coldsend_open_tasks": _one(len(sending)),
        "coldsend_open_task_recipients": _one(gauges.recipients_of(connection, counted)),
        "coldsend_rows": [((status.value,), count) for status, count in rows.items()],
        "coldsend_oldest_due_seconds": _one((now - due).total_seconds() if due is not None else 0),
    }


def _alerts(connection: Connection) -> Readings:
    lasting = alerts.open_by_kind(connection)
    waiting = alerts.deliveries_by_status(connection, UNDELIVERED)
    return {
        "coldsend_alerts": [((kind.value,), float(lasting.get(kind, 0))) for kind in AlertKind],
        "coldsend_alert_deliveries": [
            ((status.value,), float(waiting.get(status, 0))) for status in UNDELIVERED
        ],
    }


def _services(facts: Mapping[int, ServiceFacts], now: datetime) -> Readings:
    readings: Readings = {}
    for each in facts.values():
        service = each.service
        rest = (service.cool_down_until or now) - now
        numbers = {
            "frozen": service.health_status == HealthStatus.FROZEN,
            "rest_seconds": max(rest, timedelta()).total_seconds(),
            "paused_providers": len(each.paused_providers or {}),
            "consecutive_errors": service.consecutive_errors,
            "throttle_seconds": service.gap(each.limit_today),
            "quota": service.daily_quota,
            "quota_used": each.used,
            "quota_left": each.quota_left,
        }
        for name, number in numbers.items():
            readings.setdefault(f"coldsend_service_{name}", []).append(((service.name,), float(number)))
    return readings


def _by_status(
    statuses: Iterable[CampaignStatus] | Iterable[TaskStatus], counts: Mapping[str, int]
) -> list[tuple[tuple[str, ...], float]]:
    return [((status.value,), counts.get(status.value, 0)) for status in statuses]


def _one(value: float) -> list[tuple[tuple[str, ...], float]]:
    return [((), float(value))]


def as_documents(readings: Readings) -> list[dict[str, object]]:
    """For ``--json``: one object a sample."""
    return [
        {"name": name, "labels": dict(zip(METRICS[name].labels, values, strict=True)), "value": value}
        for name, samples in readings.items()
        for values, value in samples
    ]
