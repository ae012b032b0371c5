"""The breaker: a campaign whose mail bounces or is complained about too often is paused.

Counted over the last days, and not further back than the last time a person let the campaign go on. Until
``least`` messages were sent nothing is decided. Rates are per cent of the recipients sent to.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from sqlalchemy.engine import Connection

from coldsend.domain.states import EventType
from coldsend.stores import feedback as store


@dataclass(frozen=True, slots=True)
class Limits:
    """bounce_rate, complaint_rate: per cent. least: messages sent. days: how far back is counted."""

    bounce_rate: float = 5.0
    complaint_rate: float = 0.3
    least: int = 50
    days: float = 7.0


def tripped(
    connection: Connection, campaign_id: int, limits: Limits, now: datetime, resumed_at: datetime | None
) -> str | None:
    """Why the campaign must stop, or None."""
    since = now - timedelta(days=limits.days)
    if resumed_at is not None:
        since = max(since, resumed_at)
    tasks = store.task_ids_of(connection, campaign_id)
    for event, rate in ((EventType.BOUNCE, limits.bounce_rate), (EventType.COMPLAINT, limits.complaint_rate)):
        bad = store.count_events(connection, tasks, [event.value], since, _MOST)
        if not bad or not rate:
            continue
        # With more sent than this the rate is within its limit, however many more there are.
        enough = max(limits.least, ceil(bad * 100 / rate))
        sent = store.count_events(connection, tasks, [EventType.SEND_API_SUCCESS.value], since, enough)
        if limits.least <= sent < enough:
            return f"{bad} of {sent} recipients {_WORDS[event]}, more than {rate:g} %"
    return None


_MOST = 10_000
_WORDS = {EventType.BOUNCE: "bounced", EventType.COMPLAINT: "complained"}
