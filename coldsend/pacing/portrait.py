"""A service as `service show` and `service list` describe it: everything but its credentials."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.engine import RowMapping

from coldsend.database.engine import Connection
from coldsend.domain.sender import Sender
from coldsend.domain.service import Service
from coldsend.domain.states import HealthStatus
from coldsend.pacing.quota import QuotaDay, quota_days
from coldsend.stores import access, provider_pauses, services


def of(connection: Connection, row: RowMapping, now: datetime) -> dict[str, Any]:
    """One service with its pauses and the users it is granted to."""
    (portrait,) = of_all(connection, [row], now)
    pauses = provider_pauses.in_force(connection, now, row["id"])
    return {
        **portrait,
        "provider_pauses": [
            {"provider": one["provider"], "until": one["paused_until"], "reason": one["reason"]}
            for one in pauses
        ],
        "granted_to": access.users_of(connection, row["id"]),
    }


def of_all(connection: Connection, rows: Sequence[RowMapping], now: datetime) -> list[dict[str, Any]]:
    """Services as documents. ``used_today`` is the quota's truth, not the mirror in the row."""
    days = quota_days(connection, [services.as_service(row) for row in rows], now)
    return [_document(row, day, now) for row, day in zip(rows, days, strict=True)]


def _document(row: RowMapping, day: QuotaDay, now: datetime) -> dict[str, Any]:
    service = day.service
    return {
        "id": service.id,
        "name": service.name,
        "type": service.type,
        "from": str(Sender(service.from_name, service.from_email)),
        "health": _health(service, now),
        "health_status": service.health_status,
        "frozen_code": service.frozen_code,
        "frozen_reason": service.frozen_reason,
        "cool_down_until": service.cool_down_until,
        "cool_down_reason": service.cool_down_reason,
        "consecutive_errors": service.consecutive_errors,
        "max_consecutive_errors": service.max_consecutive_errors,
        "last_error": row["last_error"],
        "last_error_at": row["last_error_at"],
        "daily_quota": service.daily_quota,
        "limit_today": day.limit,
        "used_today": day.used,
        "left_today": day.left,
        "quota_day": day.day,
        "next_quota_day": day.next_day_begins,
        "time_zone": service.time_zone,
        "ramp": service.ramp.document() if service.ramp else None,
        "hourly_quota": service.hourly_quota,
        "used_this_hour": day.hour_used if service.hourly_quota is not None else None,
        "domain_quota": service.domain_quota,
        "throttle_sec": service.throttle_sec,
        "jitter_sec": service.jitter_sec,
        "spread_hours": service.spread_hours,
        "gap_sec": service.gap(day.limit),
        "has_credentials": row["credentials"] is not None,
        "settings": dict(service.settings),
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def _health(service: Service, now: datetime) -> str:
    """Health in a few words, for people."""
    if service.health_status == HealthStatus.FROZEN:
        probe = f", probed from {service.cool_down_until:%H:%M} UTC" if service.cool_down_until else ""
        return f"frozen: {service.frozen_reason}{probe}"
    if service.cool_down_until is not None and service.cool_down_until > now:
        return f"rests until {service.cool_down_until:%Y-%m-%d %H:%M:%S}: {service.cool_down_reason}"
    return "active"
