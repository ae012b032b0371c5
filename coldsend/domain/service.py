"""A sender service as the engine sees one: a frozen snapshot of its row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from coldsend.domain.ramp import Ramp
from coldsend.domain.states import FreezeCode, HealthStatus

DEFAULT_CONNECTIONS = 4
WEB_URL = "web_url"  # setting: where links of its messages lead, instead of [web] base_url


@dataclass(frozen=True, slots=True)
class Service:
    """A sender service. ``throttle_sec`` in seconds; ``daily_quota`` in messages, 0: nothing may be sent.

    ramp: None, all of the quota from the first day on. hourly_quota, domain_quota: messages in an hour of the
    clock, and to one recipient domain in a quota day; None: no limit. jitter_sec: at most added to each gap
    between messages, by chance. spread_hours: over so many a day's messages go out, None as fast as may be.
    """

    id: int
    name: str
    type: str
    from_email: str
    from_name: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    daily_quota: int = 0
    throttle_sec: float = 0.0
    time_zone: str = "UTC"
    ramp: Ramp | None = None
    hourly_quota: int | None = None
    domain_quota: int | None = None
    jitter_sec: float = 0.0
    spread_hours: float | None = None
    health_status: HealthStatus = HealthStatus.ACTIVE
    frozen_code: FreezeCode | None = None
    frozen_reason: str | None = None
    cool_down_until: datetime | None = None
    cool_down_reason: str | None = None
    consecutive_errors: int = 0
    max_consecutive_errors: int = 5

    @property
    def throttled(self) -> bool:
        """Whether there is a gap between its messages, so that one worker at a time may send through it."""
        return self.throttle_sec > 0 or self.jitter_sec > 0 or bool(self.spread_hours)

    def gap(self, limit_today: int) -> float:
        """Least seconds between two messages on a day that allows ``limit_today``; jitter comes on top."""
        spread = (self.spread_hours or 0.0) * 3600 / limit_today if limit_today > 0 else 0.0
        return max(self.throttle_sec, spread)

    @property
    def connections(self) -> int:
        """Connections one worker may open; a throttled service needs only one."""
        return 1 if self.throttled else int(self.settings.get("connections") or DEFAULT_CONNECTIONS)

    def quota_day(self, now: datetime) -> date:
        """The day its quota counts for at ``now``, in its own time zone."""
        return now.astimezone(ZoneInfo(self.time_zone)).date()
