"""One half of a turn: choose rows, write their intents, check consent and quota, all in one transaction.

What comes out may be sent once that transaction is committed, and not before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.engine import Connection

from coldsend.delivery.attempt import Claim
from coldsend.delivery.view import OpenTask, View
from coldsend.domain import outcome as outcomes
from coldsend.domain.gates import Gate, ServiceFacts, service_gates
from coldsend.domain.outcome import PROVIDER_RETRY, RowOutcome
from coldsend.domain.replies import provider_of
from coldsend.domain.suppression import keys_for
from coldsend.pacing import services as health
from coldsend.pacing.choose import Offer, allocate
from coldsend.stores import ledger, quota, suppressions


@dataclass(frozen=True, slots=True)
class Claimer:
    """worker_id: who claims. pepper: key of hashed suppressions. probe_minutes: between two probes."""

    worker_id: int
    pepper: bytes
    probe_minutes: float

    def claim(
        self,
        connection: Connection,
        wants: Mapping[int, int],
        view: View,
        buckets: Sequence[int],
        token: int,
        now: datetime,
    ) -> Claimed:
        """Claim up to ``wants`` (service id -> rows) for this worker. Row order: task by task, due first."""
        offers = {sid: Offer(view.services[sid], want) for sid, want in wants.items() if want > 0}
        claimed = Claimed()
        for task in view.tasks:
            able = [offers[sid] for sid in sorted(task.services & offers.keys()) if offers[sid].room > 0]
            if able:
                self._claim_from_task(connection, task, able, buckets, token, now, claimed)
        rows = ledger.claimed(connection, claimed.row_ids, token)
        campaigns = {task.id: task.campaign_id for task in view.tasks}
        claims = [Claim(row, token, campaigns[row.task_id], now) for row in rows]
        claims = self._decline(connection, claims, view, now, claimed)
        claimed.claims = self._reserve(connection, claims, view, now)
        return claimed

    def _claim_from_task(
        self,
        connection: Connection,
        task: OpenTask,
        able: list[Offer],
        buckets: Sequence[int],
        token: int,
        now: datetime,
        claimed: Claimed,
    ) -> None:
        ids = [offer.service_id for offer in able]
        limit = sum(offer.room for offer in able)
        rows = ledger.candidates(connection, task.id, buckets, ids, now, limit)
        if len(rows) < limit and len(buckets) < ledger.BUCKETS:
            # Our own buckets run dry: help the others with theirs.
            others = [bucket for bucket in range(ledger.BUCKETS) if bucket not in set(buckets)]
            rows += ledger.candidates(connection, task.id, others, ids, now, limit - len(rows))
        by_id = {offer.service_id: offer for offer in able}
        for service_id, row_ids in allocate(rows, able).items():
            facts = by_id[service_id].facts
            probe = health.may_probe(facts.service, now)
            if probe and not health.begin_probe(
                connection, service_id, now, probe_minutes=self.probe_minutes
            ):
                continue
            ledger.intend(
                connection,
                row_ids=row_ids,
                task_id=task.id,
                service_id=service_id,
                token=token,
                now=now,
                owner=self.worker_id if facts.service.throttled else None,
                probe=probe,
            )
            claimed.row_ids.extend(row_ids)

    def _decline(
        self, connection: Connection, claims: list[Claim], view: View, now: datetime, claimed: Claimed
    ) -> list[Claim]:
        """Take out rows that must not be sent: consent, removed contacts, paused providers."""
        refused: list[RowOutcome] = []
        kept: list[Claim] = []
        reasons = self._suppressed(connection, claims)
        for claim in claims:
            row = claim.row
            paused = _provider_pause(view.services[row.service_id], row.email_domain, now)
            if row.id in reasons:
                detail = f"suppressed: {reasons[row.id]}"
                refused.append(outcomes.skipped(claim.attempt, now, "suppressed", detail))
            elif row.contact_removed:
                refused.append(
                    outcomes.skipped(claim.attempt, now, "contact_removed", "the contact was removed")
                )
            elif paused is not None:
                refused.append(outcomes.postponed(claim.attempt, now, paused, "provider_paused"))
            else:
                kept.append(claim)
        if refused:
            ledger.record(connection, refused)
        return kept

    def _suppressed(self, connection: Connection, claims: Sequence[Claim]) -> dict[int, str]:
        """row id -> why its address gets nothing; one query per campaign."""
        found: dict[int, str] = {}
        by_campaign: dict[int, list[Claim]] = {}
        for claim in claims:
            by_campaign.setdefault(claim.campaign_id, []).append(claim)
        for campaign_id, mine in by_campaign.items():
            keys = {
                claim.row.id: keys_for(claim.row.email_key, claim.row.email_domain, self.pepper)
                for claim in mine
            }
            wanted = sorted({key for of_row in keys.values() for key in of_row})
            hits = suppressions.matching(connection, wanted, campaign_id)
            if hits:
                for row_id, of_row in keys.items():
                    reason = next((hits[key] for key in of_row if key in hits), None)
                    if reason is not None:
                        found[row_id] = reason
        return found

    def _reserve(self, connection: Connection, claims: list[Claim], view: View, now: datetime) -> list[Claim]:
        """Reserve quota, last of all so that its row is locked briefly; put back what it does not cover."""
        by_service: dict[int, list[Claim]] = {}
        for claim in claims:
            by_service.setdefault(claim.row.service_id, []).append(claim)
        kept: list[Claim] = []
        for service_id, mine in sorted(by_service.items()):
            service = view.services[service_id].service
            day = service.quota_day(now)
            granted = quota.reserve(connection, service_id, day, len(mine), service.daily_quota)
            ledger.put_back(connection, [claim.row.id for claim in mine[granted:]], mine[0].token)
            kept += mine[:granted]
        return kept


@dataclass(slots=True)
class Claimed:
    """row_ids: every row an intent was tried for. claims: those that may be sent after the commit."""

    row_ids: list[int] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)


def _provider_pause(facts: ServiceFacts, domain: str, now: datetime) -> datetime | None:
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


def sendable(facts: ServiceFacts, now: datetime) -> bool:
    """Whether rows may be asked for this service: its gates are open (the lane keeps the throttle), or it is
    frozen and due for a probe."""
    if health.may_probe(facts.service, now):
        return facts.quota_left > 0
    return all(blocked.gate == Gate.THROTTLE for blocked in service_gates(facts, now))
