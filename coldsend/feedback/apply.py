"""Act on what came back: send list, event log, contacts, suppressions, health, campaigns. One transaction.

Idempotent by the keys of happenings, and independent of their order: a row's times are those of the earliest
happening of each kind, and its status follows from its times. A message that opens, bounces or is answered
was accepted, so a row that was ``unknown`` becomes sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection, RowMapping

from coldsend import logbook
from coldsend.domain import suppression
from coldsend.domain.answers import Action
from coldsend.domain.feedback import EVENT_OF, OUT, Feedback, Kind, column_of, furthest
from coldsend.domain.replies import provider_of
from coldsend.domain.states import (
    CampaignStatus,
    EventType,
    RowReason,
    RowStatus,
    SuppressionReason,
    SuppressionScope,
)
from coldsend.feedback import bounces, breaker
from coldsend.feedback.applier import Applier
from coldsend.feedback.matching import email_key, rows_of
from coldsend.pacing import services as health
from coldsend.stores import campaigns, events, suppressions
from coldsend.stores import feedback as store


@dataclass(slots=True)
class Applied:
    """What became of a batch; the rest is told to :func:`announce` after the commit."""

    matched: int = 0
    unmatched: int = 0
    repeated: int = 0
    promoted: list[int] = field(default_factory=list)  # rows that were unknown and were sent after all
    suppressed: list[tuple[str, SuppressionReason]] = field(default_factory=list)
    changes: list[health.HealthChange] = field(default_factory=list)
    paused: list[tuple[int, str]] = field(default_factory=list)  # (campaign id, reason)
    postponed: int = 0


def apply(connection: Connection, items: Sequence[Feedback], now: datetime, applier: Applier) -> Applied:
    """Take note of what came back, in the caller's transaction, which may be repeated."""
    applied = Applied()
    fresh = _fresh(connection, items, applied)
    if not fresh:
        return applied
    row_ids = rows_of(connection, fresh, applier.tokens)
    seen = store.seen(connection, {row_id for row_id in row_ids if row_id is not None})
    by_row: dict[int, list[Feedback]] = {}
    orphans: list[Feedback] = []
    for item, row_id in zip(fresh, row_ids, strict=True):
        if row_id in seen:
            by_row.setdefault(row_id, []).append(item)
        else:
            orphans.append(item)
    applied.matched, applied.unmatched = len(fresh) - len(orphans), len(orphans)
    for row_id, found in sorted(by_row.items()):
        _note(connection, seen[row_id], found, now, applied)
    # Before the events are logged: what is looked at then is what came earlier.
    rules = {
        row_id: _consequences(connection, seen[row_id], found, now, applier, applied)
        for row_id, found in sorted(by_row.items())
    }
    logged = [
        _event(seen[row_id], item, rules[row_id].get(number, ""))
        for row_id, found in sorted(by_row.items())
        for number, item in enumerate(found)
        if item.kind in EVENT_OF
    ]
    events.append(connection, logged)
    for item in orphans:
        _suppress_stranger(connection, item, now, applied)
    store.keep_unmatched(connection, [_unmatched(item, now) for item in orphans])
    touched = {
        seen[row_id]["campaign_id"]
        for row_id, found in by_row.items()
        if any(item.kind in (Kind.BOUNCE, Kind.COMPLAINT) for item in found)
    }
    for campaign_id in sorted(touched):
        _break(connection, campaign_id, now, applier, applied)
    return applied


def announce(applied: Applied) -> None:
    """Log what a batch has changed; call it once its transaction is committed."""
    for change in applied.changes:
        health.announce(change)
    for campaign_id, reason in applied.paused:
        logbook.paused_by_engine("campaign", campaign_id, reason)


def _fresh(connection: Connection, items: Sequence[Feedback], applied: Applied) -> list[Feedback]:
    """Those that were not told before; one of each key."""
    known = store.told_before(connection, {item.key for item in items if item.key})
    fresh: list[Feedback] = []
    for item in items:
        if item.key and item.key in known:
            applied.repeated += 1
            continue
        known.add(item.key)
        fresh.append(item)
    return fresh


def _note(
    connection: Connection, row: RowMapping, found: Sequence[Feedback], now: datetime, applied: Applied
) -> None:
    """Move one row's times, and its status with them."""
    times: dict[str, datetime | None] = {column: row[column] for column in store.TIMES}
    for item in found:
        column = column_of(item.kind, item.actor)
        if column is not None:
            before = times[column]
            times[column] = item.at if before is None else min(before, item.at)
    status = RowStatus(row["status"])
    given_up = status is RowStatus.FAILED_TO_SEND and row["reason"] == RowReason.GIVEN_UP
    if status not in OUT and status not in (RowStatus.UNKNOWN, RowStatus.SENDING) and not given_up:
        return  # nothing of this task is out there: a preview, say, or a link that was passed on
    values: dict[str, Any] = {column: at for column, at in times.items() if at != row[column]}
    if status is RowStatus.UNKNOWN or given_up:
        values |= {
            "status": furthest(times).value,
            "sent_at": row["sent_at"] or row["attempt_at"] or now,
            "reason": None,
            "error_message": None,
        }
        applied.promoted.append(row["id"])
        events.append(connection, [_accepted(row, values["sent_at"])])
    elif status is not RowStatus.SENDING and furthest(times) is not status:
        values["status"] = furthest(times).value
    if values:
        store.move(connection, row["id"], values)


def _consequences(
    connection: Connection,
    row: RowMapping,
    found: Sequence[Feedback],
    now: datetime,
    applier: Applier,
    applied: Applied,
) -> dict[int, str]:
    """What happenings mean beyond their row; number of the bounce in ``found`` -> rule that fits it."""
    rules: dict[int, str] = {}
    earlier: list[tuple[datetime, Mapping[str, Any]]] | None = None
    for number, item in enumerate(found):
        if item.kind is Kind.BOUNCE:
            if earlier is None:
                since = item.at - bounces.LOOK_BACK
                earlier = store.bounces_of_address(connection, row["contact_id"], since)
            decided = bounces.meaning(item, provider_of(row["email_domain"]), earlier)
            rules[number] = decided.verdict.rule
            earlier.append((item.at, {"rule": decided.verdict.rule}))
            if decided.suppress:
                _suppress(connection, row, item, SuppressionReason.HARD_BOUNCE, now, applied)
            _blame(connection, row, item, decided, now, applier, applied)
        elif item.kind is Kind.COMPLAINT:
            _suppress(connection, row, item, SuppressionReason.COMPLAINT, now, applied)
        elif item.kind is Kind.UNSUBSCRIBE:
            _suppress(connection, row, item, SuppressionReason.UNSUBSCRIBE, now, applied)
        elif item.kind is Kind.AUTO_REPLY and item.away_until is not None and item.away_until > now:
            applied.postponed += store.postpone(
                connection, row["contact_id"], item.away_until, RowStatus.PENDING.value
            )
    return rules


def _suppress(
    connection: Connection,
    row: RowMapping,
    item: Feedback,
    reason: SuppressionReason,
    now: datetime,
    applied: Applied,
) -> None:
    campaign_id = row["campaign_id"] if item.campaign_only else suppression.ALL_CAMPAIGNS
    _suppress_address(connection, row["email_key"], campaign_id, item, reason, now, applied)


def _suppress_stranger(connection: Connection, item: Feedback, now: datetime, applied: Applied) -> None:
    """Somebody of whom no message of ours is known, and who complains all the same, gets none."""
    key = email_key(item.recipient)
    reason = {
        Kind.COMPLAINT: SuppressionReason.COMPLAINT,
        Kind.UNSUBSCRIBE: SuppressionReason.UNSUBSCRIBE,
    }.get(item.kind)
    if key and reason is not None:
        _suppress_address(connection, key, suppression.ALL_CAMPAIGNS, item, reason, now, applied)


def _suppress_address(
    connection: Connection,
    key: str,
    campaign_id: int,
    item: Feedback,
    reason: SuppressionReason,
    now: datetime,
    applied: Applied,
) -> None:
    entry = suppression.Suppression(
        suppression.address_key(key),
        SuppressionScope.ADDRESS,
        key,
        reason,
        campaign_id=campaign_id,
        source=item.source,
        detail=item.diagnostic or None,
    )
    suppressions.add(connection, [entry], now)
    applied.suppressed.append((key, reason))


def _blame(
    connection: Connection,
    row: RowMapping,
    item: Feedback,
    decided: bounces.Meaning,
    now: datetime,
    applier: Applier,
    applied: Applied,
) -> None:
    """What a bounce says about the service it went out through."""
    service_id = row["sender_service_id"] or item.service_id
    verdict, words = decided.verdict, item.diagnostic or item.status
    if service_id is None:
        return
    if verdict.action is Action.PAUSE_PROVIDER:
        provider = provider_of(row["email_domain"])
        change = health.pause_provider(connection, service_id, provider, None, words, now=now)
    elif verdict.action is Action.FREEZE_SERVICE:
        change = health.record_failure(
            connection, service_id, verdict, words, now, probe_minutes=applier.probe_minutes
        )
    else:
        return
    if change is not None:
        applied.changes.append(change)


def _break(
    connection: Connection, campaign_id: int, now: datetime, applier: Applier, applied: Applied
) -> None:
    campaign = campaigns.find(connection, campaign_id)
    if campaign["status"] != CampaignStatus.ACTIVE:
        return
    reason = breaker.tripped(connection, campaign_id, applier.limits, now, campaign["resumed_at"])
    if reason is not None and campaigns.move(
        connection, campaign_id, [CampaignStatus.ACTIVE], CampaignStatus.PAUSED, now, status_reason=reason
    ):
        applied.paused.append((campaign_id, reason))


def _event(row: RowMapping, item: Feedback, rule: str) -> dict[str, Any]:
    details = {
        **item.details,
        "source": item.source,
        "actor": item.actor.value if item.kind in (Kind.OPEN, Kind.CLICK) else None,
        "status": item.status or None,
        "diagnostic": item.diagnostic or None,
        "rule": rule or None,
        "hard": item.hard,
    }
    return {
        "task_id": row["task_id"],
        "contact_id": row["contact_id"],
        "sender_service_id": row["sender_service_id"],
        "event_tracking_uid": row["event_tracking_uid"],
        "type": EVENT_OF[item.kind].value,
        "ts": item.at,
        "details": {name: value for name, value in details.items() if value is not None},
        "dedup_key": item.key or None,
    }


def _accepted(row: RowMapping, sent_at: datetime) -> dict[str, Any]:
    """The result that the attempt of an unknown row never had."""
    return {
        "task_id": row["task_id"],
        "contact_id": row["contact_id"],
        "sender_service_id": row["sender_service_id"],
        "event_tracking_uid": row["event_tracking_uid"],
        "type": EventType.SEND_API_SUCCESS.value,
        "ts": sent_at,
        "details": {"message_id": row["message_id"], "known_by": "feedback"},
    }


def _unmatched(item: Feedback, now: datetime) -> dict[str, Any]:
    details = {
        **item.details,
        "kind": item.kind.value,
        "at": item.at.isoformat(),
        "recipient": item.recipient or None,
        "message_ids": list(item.message_ids) or None,
        "status": item.status or None,
        "diagnostic": item.diagnostic or None,
    }
    return {
        "source": item.source[:50],
        "received_at": now,
        "dedup_key": item.key or None,
        "details": {name: value for name, value in details.items() if value is not None},
    }
