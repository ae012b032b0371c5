"""The breaker: a campaign whose mail bounces or is complained about too often is paused.

Rates are per cent of the recipients that were tried within the last days, and not before the last time a
person let the campaign go on: what comes back later about older messages does not count again. Who was
refused at once counts as bounced. Until ``least`` recipients were tried nothing is decided.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import floor

from sqlalchemy.engine import Connection

from coldsend.domain.answers import Action
from coldsend.domain.reply_rules import RULES
from coldsend.domain.states import CampaignStatus, EventType
from coldsend.stores import campaigns
from coldsend.stores import feedback as store

# Reasons of recipients that a server refused for good, for their sake or the message's.
REFUSED = frozenset(
    rule.name for rule in RULES if rule.action in (Action.FAIL, Action.SUPPRESS, Action.FAIL_CONTENT)
)
# Up to so many events each one is looked at anew; of more, one in a hundred: a look costs what was sent.
ALWAYS = 200


@dataclass(frozen=True, slots=True)
class Limits:
    """bounce_rate, complaint_rate: per cent, 0 for none. least: recipients tried. days: looked back."""

    bounce_rate: float = 5.0
    complaint_rate: float = 0.3
    least: int = 50
    days: float = 7.0


def check(
    connection: Connection, campaign_id: int, limits: Limits, now: datetime, fresh: int | None = None
) -> str | None:
    """Pause the campaign where it bounces or annoys too much; the reason, None where nothing was changed."""
    reason = tripped(connection, campaign_id, limits, now, fresh)
    paused = reason is not None and campaigns.move(
        connection, campaign_id, [CampaignStatus.ACTIVE], CampaignStatus.PAUSED, now, status_reason=reason
    )
    return reason if paused else None


def tripped(
    connection: Connection, campaign_id: int, limits: Limits, now: datetime, fresh: int | None = None
) -> str | None:
    """Why an active campaign must stop, or None.

    fresh: how many bounces and complaints this transaction has added; None: look in any case.
    """
    campaign = campaigns.find(connection, campaign_id)
    if campaign["status"] != CampaignStatus.ACTIVE:
        return None
    since = now - timedelta(days=limits.days)
    if campaign["resumed_at"] is not None:
        since = max(since, campaign["resumed_at"])
    tasks = store.task_ids_of(connection, campaign_id)
    return _too_many_bounces(connection, tasks, limits, since, fresh) or _too_many_complaints(
        connection, tasks, limits, since, fresh
    )


def _too_many_bounces(
    connection: Connection, tasks: list[int], limits: Limits, since: datetime, fresh: int | None
) -> str | None:
    told = store.count_events(connection, tasks, EventType.BOUNCE, since)
    if not limits.bounce_rate or not _is_due(told, fresh):
        return None
    refused = store.count_refused(connection, tasks, REFUSED, since)
    bounced = store.count_came_back(connection, tasks, EventType.BOUNCE, since) if told else 0
    return _exceeded(
        connection, tasks, limits.bounce_rate, limits.least, since, bounced + refused, refused, "bounced"
    )


def _too_many_complaints(
    connection: Connection, tasks: list[int], limits: Limits, since: datetime, fresh: int | None
) -> str | None:
    told = store.count_events(connection, tasks, EventType.COMPLAINT, since)
    if not told or not limits.complaint_rate or not _is_due(told, fresh):
        return None
    bad = store.count_came_back(connection, tasks, EventType.COMPLAINT, since)
    refused = store.count_refused(connection, tasks, REFUSED, since)
    return _exceeded(
        connection, tasks, limits.complaint_rate, limits.least, since, bad, refused, "complained"
    )


def _exceeded(
    connection: Connection,
    tasks: list[int],
    rate: float,
    least: int,
    since: datetime,
    bad: int,
    refused: int,
    what: str,
) -> str | None:
    """The sentence, where ``bad`` is ``rate`` per cent or more of those tried: accepted and refused ones."""
    if not bad:
        return None
    # Of more than this many the rate is within its limit, however many more there are.
    most = max(least, floor(bad * 100 / rate))
    accepted = store.count_events(
        connection, tasks, EventType.SEND_API_SUCCESS, since, max(0, most - refused) + 1
    )
    tried = accepted + refused
    if not least <= tried <= most or bad * 100 < rate * tried:
        return None
    return (
        f"{bad:,} of {tried:,} recipients {what} since {since:%Y-%m-%d %H:%M} UTC: "
        f"{bad * 100 / tried:.1f} %, and the limit is {rate:g} %"
    )


def _is_due(told: int, fresh: int | None) -> bool:
    if fresh is None or told <= ALWAYS:
        return True
    step = told // 100
    return told // step != (told - fresh) // step
