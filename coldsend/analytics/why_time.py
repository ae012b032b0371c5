"""Time and pace in the answer to "why": the recipient's hours, the campaign's day, the limits of services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection, RowMapping

from coldsend.analytics import task_limits
from coldsend.domain import gates
from coldsend.domain.gates import Blocked
from coldsend.domain.replies import provider_of
from coldsend.pacing.calendar import Calendar, Whereabouts
from coldsend.stores import campaigns


def calendar_of(connection: Connection, task: RowMapping) -> Calendar:
    """The calendar of a task's campaign."""
    return Calendar.of(dict(campaigns.find(connection, task["campaign_id"])))


def zone_of(connection: Connection, task: RowMapping, contact: Mapping[str, Any]) -> ZoneInfo:
    """The time zone that a campaign writes to a contact in."""
    where = Whereabouts.of(contact["id"], contact["time_zone"], contact["fields"])
    return calendar_of(connection, task).zone_of(where.time_zone, where.country)


def gates_of_row(
    connection: Connection, task: RowMapping, contact: Mapping[str, Any], row: RowMapping, now: datetime
) -> list[Blocked]:
    """Hours, the campaign's new recipients, and every service that could carry the row."""
    campaign = campaigns.find(connection, task["campaign_id"])
    domain = contact["email_domain"]
    services = task_limits.services_of(connection, task, now, domain)
    first = task_limits.goes_first(task, campaign)
    return [
        *_window(Calendar.of(dict(campaign)), contact, now),
        *task_limits.new_per_day(connection, task, campaign, now),
        *gates.carrier_gates(
            services,
            row["sender_service_id"],
            now,
            provider_of(domain),
            domain,
            goes_first=first,
            follows=task["follows_task_id"] is not None,
        ),
    ]


def _window(calendar: Calendar, contact: Mapping[str, Any], now: datetime) -> list[Blocked]:
    """The gate of the hours, in the recipient's own time."""
    where = Whereabouts.of(contact["id"], contact["time_zone"], contact["fields"])
    opens = calendar.open(now, where)
    zone = calendar.zone_of(where.time_zone, where.country)
    there = f"it is {now.astimezone(zone):%a %H:%M} there ({zone.key})"
    return [
        replace(gate, detail=f"{gate.detail}: {there}, and opens {opens.astimezone(zone):%a %Y-%m-%d %H:%M}")
        for gate in gates.window_gate(opens)
        if opens is not None
    ]
