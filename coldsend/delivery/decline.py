"""Rows that an intent was written for and that must not be sent after all, decided in its transaction.

Each reason ends the row (it is skipped) or puts it off. What may be known before the intent, is looked at
before it (``delivery/sift.py``); here is what must hold at the moment of the commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.engine import Connection

from coldsend.delivery import sequences
from coldsend.delivery.attempt import Claim
from coldsend.delivery.sequences import Sequel
from coldsend.delivery.view import View
from coldsend.domain import outcome as outcomes
from coldsend.domain.gates import ServiceFacts
from coldsend.domain.outcome import PROVIDER_RETRY, RowOutcome
from coldsend.domain.replies import provider_of
from coldsend.domain.states import RowReason
from coldsend.domain.suppression import keys_for
from coldsend.stores import row_outcomes, suppressions


def decline(
    connection: Connection, claims: Sequence[Claim], view: View, now: datetime, pepper: bytes
) -> tuple[list[Claim], list[RowOutcome]]:
    """The claims that may go on, and what became of the others: written already.

    pepper: key of hashed suppressions. Reasons: consent, removed or absent contacts, paused providers,
    what ended a sequence. Claims that go on have the thread they answer.
    """
    suppressed = _suppressed(connection, claims, pepper)
    sequel = sequences.look(connection, claims, {sid: facts.service for sid, facts in view.services.items()})
    kept: list[Claim] = []
    refused: list[RowOutcome] = []
    for claim in claims:
        outcome = _refusal(claim, view, now, suppressed.get(claim.row.id), sequel)
        if outcome is None:
            kept.append(claim)
        else:
            refused.append(outcome)
    if refused:
        row_outcomes.record(connection, refused)
    return kept, refused


def _refusal(
    claim: Claim, view: View, now: datetime, suppressed: str | None, sequel: Sequel
) -> RowOutcome | None:
    row = claim.row
    if suppressed is not None:
        return outcomes.skipped(claim.attempt, now, "suppressed", f"suppressed: {suppressed}")
    if row.contact_removed:
        return outcomes.skipped(claim.attempt, now, "contact_removed", "the contact was removed")
    if row.id in sequel.stopped:
        return outcomes.skipped(claim.attempt, now, *sequel.stopped[row.id])
    if row.away_until is not None and row.away_until > now:
        return outcomes.postponed(claim.attempt, now, row.away_until, RowReason.AWAY)
    paused = provider_pause(view.services[row.service_id], row.email_domain, now)
    if paused is not None:
        return outcomes.postponed(claim.attempt, now, paused, "provider_paused")
    if row.id in sequel.unmet:
        # Last: what has to wait anyway is asked when its wait is over.
        return outcomes.skipped(claim.attempt, now, *sequel.unmet[row.id])
    return None


def _suppressed(connection: Connection, claims: Sequence[Claim], pepper: bytes) -> dict[int, str]:
    """row id -> why its address gets nothing; one query per campaign."""
    found: dict[int, str] = {}
    if not claims:
        return found
    key = pepper if suppressions.has_hashed(connection) else None
    by_campaign: dict[int, list[Claim]] = {}
    for claim in claims:
        by_campaign.setdefault(claim.campaign_id, []).append(claim)
    for campaign_id, mine in by_campaign.items():
        keys = {claim.row.id: keys_for(claim.row.email_key, claim.row.email_domain, key) for claim in mine}
        wanted = sorted({one for of_row in keys.values() for one in of_row})
        hits = suppressions.matching(connection, wanted, campaign_id)
        if hits:
            for row_id, of_row in keys.items():
                reason = next((hits[one] for one in of_row if one in hits), None)
                if reason is not None:
                    found[row_id] = reason
    return found


def provider_pause(facts: ServiceFacts, domain: str, now: datetime) -> datetime | None:
    """When to try a row again whose provider this service rests for; None where it does not."""
    paused = facts.paused_providers
    if not paused:
        return None
    provider = provider_of(domain)
    if provider not in paused:
        return None
    until = paused[provider]
    if until is not None and until <= now:
        return None
    soon = now + PROVIDER_RETRY
    return soon if until is None else min(until, soon)
