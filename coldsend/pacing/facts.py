"""Services as the gates see them: health, quota day, throttle gap and provider pauses, read together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from coldsend.domain.gates import ServiceFacts
from coldsend.domain.service import Service
from coldsend.pacing import quota
from coldsend.pacing import services as health
from coldsend.stores import leases, services


def service_facts(
    connection: Connection, now: datetime, only: Sequence[Service] | None = None
) -> dict[int, ServiceFacts]:
    """service id -> facts at ``now``, of all services or of those given."""
    gaps = leases.sender_leases_all(connection)
    paused: dict[int, dict[str, datetime | None]] = {}
    for (service_id, provider), (until, _reason) in health.provider_pauses(connection, now).items():
        paused.setdefault(service_id, {})[provider] = until
    wanted = services.all_services(connection) if only is None else only
    return {
        day.service.id: ServiceFacts(
            day.service,
            used=day.used,
            next_quota_day=day.next_day_begins,
            next_send_at=gaps[day.service.id]["next_send_at"] if day.service.id in gaps else None,
            paused_providers=paused.get(day.service.id),
            ramp_limit=day.ramp_limit,
            hour_used=day.hour_used,
            next_hour=quota.hour_of(now) + timedelta(hours=1),
        )
        for day in quota.quota_days(connection, wanted, now)
    }
