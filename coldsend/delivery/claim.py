"""One half of a turn: choose rows, write their intents, check consent and quota, all in one transaction.

What comes out may be sent once that transaction is committed, and not before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.engine import Connection

from coldsend import clock
from coldsend.delivery.attempt import Claim
from coldsend.delivery.decline import decline, provider_pause
from coldsend.delivery.view import OpenTask, View
from coldsend.domain.gates import Gate, ServiceFacts, service_gates
from coldsend.domain.replies import provider_of
from coldsend.domain.states import HealthStatus
from coldsend.pacing import services as health
from coldsend.pacing.choose import Offer, allocate
from coldsend.stores import ledger, quota

# Each open task costs a query or two to learn that nothing of it is due: a hundred a second are enough.
ASK_EACH = 0.01  # seconds, times the open tasks, before a task that had nothing due is asked again
LONGEST_DRY = 2.0


@dataclass(frozen=True, slots=True)
class Claimer:
    """worker_id: who claims. pepper: key of hashed suppressions. probe_minutes: between two probes.

    dry: task id -> (until when it is not asked again, for which services) of tasks that had nothing due.
    """

    worker_id: int
    pepper: bytes
    probe_minutes: float
    dry: dict[int, tuple[float, frozenset[int]]] = field(default_factory=dict)

    def claim(
        self,
        connection: Connection,
        wants: Mapping[int, int],
        view: View,
        buckets: Sequence[int],
        token: int,
        now: datetime,
    ) -> Claimed:
        """Claim up to ``wants`` (service id -> rows) for this worker.

        Each batch begins with another task, so that a long one does not keep others waiting for its end.
        """
        offers = {sid: Offer(view.services[sid], want) for sid, want in wants.items() if want > 0}
        claimed = Claimed()
        for task_id in self.dry.keys() - {task.id for task in view.tasks}:
            del self.dry[task_id]
        first = token % max(1, len(view.tasks))
        for task in [*view.tasks[first:], *view.tasks[:first]]:
            able = [offers[sid] for sid in sorted(task.services & offers.keys()) if offers[sid].room > 0]
            if not able or self._is_dry(task, able):
                continue
            if not self._claim_from_task(connection, task, able, view, buckets, token, now, claimed):
                rest = min(LONGEST_DRY, ASK_EACH * len(view.tasks))
                self.dry[task.id] = (clock.monotonic() + rest, frozenset(o.service_id for o in able))
        rows = ledger.claimed(connection, claimed.row_ids, token)
        campaigns = {task.id: task.campaign_id for task in view.tasks}
        claims = [Claim(row, token, campaigns[row.task_id], now) for row in rows]
        claims, refused = decline(connection, claims, view, now, self.pepper)
        for service_id in {outcome.service_id for outcome in refused}:
            if view.services[service_id].service.health_status == HealthStatus.FROZEN:
                self._probe_again(connection, service_id, now)
        claimed.claims = self._reserve(connection, claims, view, now)
        return claimed

    def _is_dry(self, task: OpenTask, able: Sequence[Offer]) -> bool:
        until, services = self.dry.get(task.id, (0.0, frozenset()))
        if clock.monotonic() < until and all(offer.service_id in services for offer in able):
            return True
        self.dry.pop(task.id, None)
        return False

    def _claim_from_task(
        self,
        connection: Connection,
        task: OpenTask,
        able: list[Offer],
        view: View,
        buckets: Sequence[int],
        token: int,
        now: datetime,
        claimed: Claimed,
    ) -> int:
        """Write intents for due rows of one task; returns how many rows were due and fitted."""
        found = 0
        while able:
            limit = sum(offer.room for offer in able)
            ids = [offer.service_id for offer in able]
            rows = ledger.candidates(connection, task.id, buckets, ids, now, limit)
            if len(rows) < limit and len(buckets) < ledger.BUCKETS:
                # Our own buckets run dry: help the others with theirs.
                others = [bucket for bucket in range(ledger.BUCKETS) if bucket not in set(buckets)]
                rows += ledger.candidates(connection, task.id, others, ids, now, limit - len(rows))
            self._intend(connection, task, rows, able, view, token, now, claimed)
            found += len(rows)
            if len(rows) < limit or sum(offer.room for offer in able) == limit:
                break
            # Rows that keep a service which has no room left may stand before rows that others could take.
            able = [offer for offer in able if offer.room > 0]
        return found

    def _intend(
        self,
        connection: Connection,
        task: OpenTask,
        rows: Sequence[tuple[int, int | None]],
        able: list[Offer],
        view: View,
        token: int,
        now: datetime,
        claimed: Claimed,
    ) -> None:
        by_id = {offer.service_id: offer for offer in able}
        rows, barred = _barred(connection, task, rows, able, view, now)
        for service_id, row_ids in allocate(rows, able, barred).items():
            facts = by_id[service_id].facts
            probe = health.may_probe(facts.service, now)
            if probe and not health.begin_probe(
                connection, service_id, now, probe_minutes=self.probe_minutes
            ):
                continue
            intended = ledger.intend(
                connection,
                row_ids=row_ids,
                task_id=task.id,
                service_id=service_id,
                token=token,
                now=now,
                owner=self.worker_id if facts.service.throttled else None,
                probe=probe,
            )
            if probe and not intended:
                self._probe_again(connection, service_id, now)
            claimed.row_ids.extend(row_ids)

    def _probe_again(self, connection: Connection, service_id: int, now: datetime) -> None:
        """The row that was to be the probe is none: the next one may be."""
        health.probe_again(connection, service_id, now, now, probe_minutes=self.probe_minutes)

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


def _barred(
    connection: Connection,
    task: OpenTask,
    rows: Sequence[tuple[int, int | None]],
    able: Sequence[Offer],
    view: View,
    now: datetime,
) -> tuple[Sequence[tuple[int, int | None]], dict[int, frozenset[int]]]:
    """The rows to allocate, and for which services not: those that rest for the row's provider.

    A row that another of the task's services may carry, one that has no room this moment, is left to it.
    """
    resting = [offer.facts for offer in able if offer.facts.paused_providers]
    if not resting:
        return rows, {}
    domains = ledger.domains(connection, [row_id for row_id, keeps in rows if keeps is None])
    barred = {
        row_id: frozenset(f.service.id for f in resting if provider_pause(f, domain, now) is not None)
        for row_id, domain in domains.items()
    }
    hungry = {offer.service_id for offer in able}
    others = [view.services[sid] for sid in task.services - hungry if sid in view.services]
    left = {
        row_id
        for row_id, services in barred.items()
        if services == hungry and any(_may_carry(facts, domains[row_id], now) for facts in others)
    }
    return [row for row in rows if row[0] not in left], barred


def _may_carry(facts: ServiceFacts, domain: str, now: datetime) -> bool:
    """Whether a service is open to a domain's provider, once its throttle lets it."""
    gates = service_gates(facts, now, provider_of(domain))
    return all(blocked.gate == Gate.THROTTLE for blocked in gates)


def sendable(facts: ServiceFacts, now: datetime) -> bool:
    """Whether rows may be asked for this service: its gates are open (the lane keeps the throttle), or it is
    frozen and due for a probe."""
    if health.may_probe(facts.service, now):
        return facts.quota_left > 0
    return all(blocked.gate == Gate.THROTTLE for blocked in service_gates(facts, now))
