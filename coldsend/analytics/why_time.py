"""Time and pace in the answer to "why": the recipient's hours, the campaign's day, the limits of services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection, RowMapping

from coldsend.domain import gates
from coldsend.domain.gates import Blocked, ServiceFacts
from coldsend.domain.replies import provider_of
from coldsend.domain.states import CountKind
from coldsend.pacing.calendar import Calendar, Whereabouts
from coldsend.pacing.facts import service_facts
from coldsend.pacing.followups import FollowupsDue
from coldsend.pacing.limits import domains_used
from coldsend.pacing.quota import period_of
from coldsend.stores import campaigns, send_counts, tasks


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
    calendar = Calendar.of(dict(campaign))
    follows = task["follows_task_id"] is not None
    goes_first = follows and bool(campaign["followups_first"])
    domain = contact["email_domain"]
    facts = _facts(connection, task, domain, now)
    return [
        *_window(calendar, contact, now),
        *([] if follows else _new_per_day(connection, campaign, calendar, now)),
        *gates.carrier_gates(
            facts, row["sender_service_id"], now, provider_of(domain), domain, follows=goes_first
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


def _new_per_day(
    connection: Connection, campaign: RowMapping, calendar: Calendar, now: datetime
) -> list[Blocked]:
    period = (campaign["id"], period_of(calendar.day_of(now)))
    used = send_counts.used_by(connection, CountKind.CAMPAIGN_NEW, [period])[campaign["id"]]
    return gates.new_per_day_gate(campaign["new_per_day"], used, calendar.next_day(now))


def _facts(connection: Connection, task: RowMapping, domain: str, now: datetime) -> list[ServiceFacts]:
    """The services a task may use, with what they have sent to a domain and keep for follow-ups."""
    found = service_facts(connection, now, tasks.usable_services(connection, task))
    first = [
        one["id"]
        for one in tasks.open_tasks(connection)
        if one["follows_task_id"] is not None and one["followups_first"]
    ]
    due = FollowupsDue().by_service(connection, first, found)
    return [
        replace(
            facts,
            followups_due=due.get(service_id, 0),
            domains_used=domains_used(connection, facts, [domain], now),
        )
        for service_id, facts in found.items()
    ]
