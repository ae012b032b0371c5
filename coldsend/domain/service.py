"""A sender service as the engine sees one: a frozen snapshot of its row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from coldsend.domain.states import FreezeCode, HealthStatus

DEFAULT_CONNECTIONS = 4
WEB_URL = "web_url"  # setting: where links of its messages lead, instead of [web] base_url


@dataclass(frozen=True, slots=True)
class Service:
    """A sender service. ``throttle_sec`` in seconds; ``daily_quota`` in messages, 0: nothing may be sent."""

    id: int
    name: str
    type: str
    from_email: str
    from_name: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    daily_quota: int = 0
    throttle_sec: float = 0.0
    time_zone: str = "UTC"
    health_status: HealthStatus = HealthStatus.ACTIVE
    frozen_code: FreezeCode | None = None
    frozen_reason: str | None = None
    cool_down_until: datetime | None = None
    cool_down_reason: str | None = None
    consecutive_errors: int = 0
    max_consecutive_errors: int = 5

    @property
    def throttled(self) -> bool:
        return self.throttle_sec > 0

    @property
    def connections(self) -> int:
        """Connections one worker may open; a throttled service needs only one."""
        return 1 if self.throttled else int(self.settings.get("connections") or DEFAULT_CONNECTIONS)

    def quota_day(self, now: datetime) -> date:
        """The day its quota counts for at ``now``, in its own time zone."""
        return now.astimezone(ZoneInfo(self.time_zone)).date()
