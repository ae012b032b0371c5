"""What a happening means beyond its row: suppressions, absences, the health of services."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy.engine import Connection

from coldsend.domain import suppression
from coldsend.domain.answers import Action, Verdict
from coldsend.domain.feedback import LONGEST_AWAY, Feedback, Kind, storable
from coldsend.domain.replies import provider_of
from coldsend.domain.states import FreezeCode, SuppressionReason, SuppressionScope
from coldsend.domain.suppression import Suppression
from coldsend.feedback import bounces
from coldsend.feedback.applier import Applier
from coldsend.feedback.entries import WORDS_LENGTH
from coldsend.feedback.matching import email_key
from coldsend.pacing import services as health
from coldsend.pacing.calendar import Calendar
from coldsend.stores import feedback as store
from coldsend.stores import suppressions
from coldsend.stores.feedback import Row

# A bounce that is told later than this says nothing about how the service stands today.
STALE = timedelta(days=1)
SOURCE_LENGTH = 255

_ASKED = {Kind.COMPLAINT: SuppressionReason.COMPLAINT, Kind.UNSUBSCRIBE: SuppressionReason.UNSUBSCRIBE}


def of_bounce(
    connection: Connection, row: Row, item: Feedback, verdict: Verdict, at: datetime
) -> Suppression | None:
    """The address is given up where it is no good; the event of the bounce has been logged."""
    hard = bounces.is_hard(item, verdict)
    if not (hard or is_repeated(connection, row["contact_id"], verdict.rule, at)):
        return None
    return _suppression(row["email_key"], SuppressionReason.HARD_BOUNCE, item)


def is_repeated(connection: Connection, contact_id: int, rule: str, at: datetime) -> bool:
    """Whether an answer that says little alone has come so often that the address is given up."""
    if rule not in bounces.REPEATED:
        return False
    _count, within = bounces.REPEATED[rule]
    return bounces.often_enough(rule, store.refused_by(connection, contact_id, rule, at - within))


def of_request(row: Row, item: Feedback) -> Suppression | None:
    """Somebody complained or unsubscribed: nothing more, of this campaign or of all."""
    if item.kind not in _ASKED:
        return None
    only = item.campaign_only and item.kind is Kind.UNSUBSCRIBE
    campaign_id = row["campaign_id"] if only else suppression.ALL_CAMPAIGNS
    return _suppression(row["email_key"], _ASKED[item.kind], item, campaign_id)


def of_stranger(item: Feedback, key: str) -> Suppression | None:
    """Somebody of whom no message of ours is known, and who wants or can get none, gets none."""
    reason = _ASKED.get(item.kind)
    if item.kind is Kind.BOUNCE:
        verdict = bounces.verdict_of(item, provider_of(key.rpartition("@")[2]))
        reason = SuppressionReason.HARD_BOUNCE if bounces.is_hard(item, verdict) else None
    return _suppression(key, reason, item) if reason is not None else None


def unless_erased(connection: Connection, item: Feedback, applier: Applier) -> str | None:
    """The key of the recipient, "" where there is none; None where only the hash of it may be kept."""
    key = email_key(item.recipient)
    if not key:
        return ""
    hashed = suppression.hashed_key(key, applier.pepper)
    return None if suppressions.matching(connection, [hashed], suppression.ALL_CAMPAIGNS) else key


def _suppression(
    key: str, reason: SuppressionReason, item: Feedback, campaign_id: int = suppression.ALL_CAMPAIGNS
) -> Suppression:
    return Suppression(
        suppression.address_key(key),
        SuppressionScope.ADDRESS,
        key,
        reason,
        campaign_id=campaign_id,
        source=storable(item.source[:SOURCE_LENGTH]),
        detail=storable(item.diagnostic[:WORDS_LENGTH]) or None,
    )


def postpone(connection: Connection, row: Row, item: Feedback, now: datetime) -> int:
    """Let somebody who is away be written to afterwards; returns how many recipients wait longer now."""
    if item.kind is not Kind.AUTO_REPLY or item.away_until is None:
        return 0
    until = min(_there_again(connection, row, item.away_until), item.at + LONGEST_AWAY)
    return store.postpone(connection, row["contact_id"], until, now) if until > now else 0


def _there_again(connection: Connection, row: Row, told: datetime) -> datetime:
    """The day that somebody told, where they are: in Honolulu it begins ten hours after it has in UTC."""
    settings, time_zone, country = store.whereabouts(connection, row["id"])
    zone = Calendar.of(settings).zone_of(time_zone, country)
    return told.astimezone(UTC).replace(tzinfo=zone).astimezone(UTC)


def blame(
    connection: Connection, row: Row, item: Feedback, verdict: Verdict, now: datetime, applier: Applier
) -> health.HealthChange | None:
    """What a bounce says about the service it went out through.

    Not that its credentials are wrong: the server that took the message had accepted them.
    """
    service_id = row["sender_service_id"] or item.service_id
    words = storable(item.diagnostic or item.status)
    if service_id is None or now - item.at > STALE:
        return None
    if verdict.action is Action.PAUSE_PROVIDER:
        until = item.at + timedelta(seconds=verdict.wait_seconds)
        if until <= now:
            return None
        provider = provider_of(row["email_domain"])
        return health.pause_provider(connection, service_id, provider, until, words, now=now)
    if verdict.action is Action.FREEZE_SERVICE and verdict.freeze is not FreezeCode.CREDENTIALS:
        return health.record_failure(
            connection, service_id, verdict, words, now, probe_minutes=applier.probe_minutes
        )
    return None
