"""One half of a turn: choose rows, write their intents, check consent and quota, all in one transaction.

What comes out may be sent once that transaction is committed, and not before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.engine import Connection

from coldsend import clock
from coldsend.delivery.attempt import Claim
from coldsend.delivery.decline import decline
from coldsend.delivery.sift import Sifted, sift
from coldsend.delivery.view import OpenTask, View
from coldsend.domain.gates import Gate, ServiceFacts, service_gates
from coldsend.domain.states import HealthStatus
from coldsend.pacing import limits
from coldsend.pacing import services as health
from coldsend.pacing.choose import Offer, allocate
from coldsend.stores import ledger

# Each open task costs a query or two to learn that nothing of it is due: a hundred a second are enough.
ASK_EACH = 0.01  # seconds, times the open tasks, before a task that had nothing due is asked again
LONGEST_DRY = 2.0
# Where many rows wait for a service that is shut, all of them are walked to learn that nothing is there for
# the others: that may take a tenth of the time.
REST_AFTER, LONGEST_REST = 10.0, 10.0  # times what the asking took; seconds

# Where rows are due that must wait: how many more are looked at together, and at most in one turn.
LOOK = 500
MOST_PASSED = 2000


@dataclass(frozen=True, slots=True)
class Claimer:
    """worker_id: who claims. pepper: key of hashed suppressions. probe_minutes: between two probes.

    dry: task id -> (until when it is not asked again, for which services) of tasks that had nothing due.
    served: task id -> token of the last batch that took rows of it.
    """

    worker_id: int
    pepper: bytes
    probe_minutes: float
    dry: dict[int, tuple[float, frozenset[int]]] = field(default_factory=dict)
    served: dict[int, int] = field(default_factory=dict)

    def claim(
        self,
        connection: Connection,
        wants: Mapping[int, int],
        view: View,
        buckets: Sequence[int],
        token: int,
        now: datetime,
    ) -> Claimed:
        """Claim up to ``wants`` (service id -> rows) for this worker."""
        offers = {sid: Offer(view.services[sid], want) for sid, want in wants.items() if want > 0}
        claimed = Claimed(
            token, now, {task.campaign_id: task.new_left for task in view.tasks if not task.follows}
        )
        self._forget_all_but({task.id for task in view.tasks})
        for task in self._in_turn(view.tasks):
            able = [offers[sid] for sid in sorted(task.services & offers.keys())]
            able = [offer for offer in able if offer.room_for(follows=task.goes_first) > 0]
            if not able or self._is_dry(task, able) or claimed.room(task, able) <= 0:
                continue
            asked, taken = clock.monotonic(), len(claimed.row_ids)
            found = self._claim_from_task(connection, task, able, view, buckets, claimed)
            if len(claimed.row_ids) > taken:
                self.served[task.id] = token
            if not found:
                moment = clock.monotonic()
                rest = min(LONGEST_DRY, ASK_EACH * len(view.tasks))
                rest = max(rest, min(LONGEST_REST, REST_AFTER * (moment - asked)))
                self.dry[task.id] = (moment + rest, frozenset(o.service_id for o in able))
        rows = ledger.claimed(connection, claimed.row_ids, token)
        campaigns = {task.id: task.campaign_id for task in view.tasks}
        claims = [Claim(row, token, campaigns[row.task_id], now) for row in rows]
        claims, _refused = decline(connection, claims, view, now, self.pepper)
        claimed.claims = self._reserve(connection, claims, view)
        # The row that was to be a probe may not go out after all.
        for service_id in {row.service_id for row in rows} - {one.row.service_id for one in claimed.claims}:
            if view.services[service_id].service.health_status == HealthStatus.FROZEN:
                self._probe_again(connection, service_id, now)
        return claimed

    def _in_turn(self, tasks: Sequence[OpenTask]) -> list[OpenTask]:
        """Whoever was served longest ago first, so that none waits for another's end, however little each
        batch takes; follow-ups with precedence before all others."""
        return sorted(tasks, key=lambda task: (not task.goes_first, self.served.get(task.id, 0)))

    def _forget_all_but(self, task_ids: Collection[int]) -> None:
        for known in (self.dry, self.served):
            for task_id in known.keys() - set(task_ids):
                del known[task_id]

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
        claimed: Claimed,
    ) -> int:
        """Write intents for due rows of one task; returns how many rows were due and fitted."""
        found = looked_past = 0
        while able and looked_past <= MOST_PASSED:
            room = claimed.room(task, able)
            if room <= 0:
                break
            # Rows that were left to other services are due still, and stand before the others.
            limit = room + (looked_past + LOOK if looked_past else 0)
            ids = [offer.service_id for offer in able]
            rows = ledger.candidates(connection, task.id, buckets, ids, claimed.now, limit)
            if len(rows) < limit and len(buckets) < ledger.BUCKETS:
                # Our own buckets run dry: help the others with theirs.
                others = [bucket for bucket in range(ledger.BUCKETS) if bucket not in set(buckets)]
                rows += ledger.candidates(connection, task.id, others, ids, claimed.now, limit - len(rows))
            sifted = sift(connection, task, rows, able, view, claimed.now)
            self._intend(connection, task, sifted, able, claimed)
            found += len(rows)
            looked_past += sifted.passed
            if len(rows) < limit or (not sifted.passed and claimed.room(task, able) == room):
                break
            # Rows that keep a service which has no room left may stand before rows that others could take.
            able = [offer for offer in able if offer.room_for(follows=task.goes_first) > 0]
        return found

    def _intend(
        self, connection: Connection, task: OpenTask, sifted: Sifted, able: list[Offer], claimed: Claimed
    ) -> None:
        by_id = {offer.service_id: offer for offer in able}
        rows = sifted.rows[: claimed.room(task, able)]
        given = allocate(rows, able, sifted.barred, follows=task.goes_first)
        for service_id, row_ids in given.items():
            claimed.taken(task, len(row_ids))
            facts = by_id[service_id].facts
            probe = health.may_probe(facts.service, claimed.now)
            if probe and not health.begin_probe(
                connection, service_id, claimed.now, probe_minutes=self.probe_minutes
            ):
                continue
            intended = ledger.intend(
                connection,
                row_ids=row_ids,
                task_id=task.id,
                service_id=service_id,
                token=claimed.token,
                now=claimed.now,
                owner=self.worker_id if facts.service.throttled else None,
                probe=probe,
            )
            if probe and not intended:
                self._probe_again(connection, service_id, claimed.now)
            claimed.row_ids.extend(row_ids)

    def _probe_again(self, connection: Connection, service_id: int, now: datetime) -> None:
        """The row that was to be the probe is none: the next one may be."""
        health.probe_again(connection, service_id, now, now, probe_minutes=self.probe_minutes)

    def _reserve(self, connection: Connection, claims: list[Claim], view: View) -> list[Claim]:
        """Reserve all limits, last of all so that their rows are locked briefly; put back what they do not
        cover."""
        tasks = {task.id: task for task in view.tasks}
        units = [unit_of(claim, tasks[claim.row.task_id], view) for claim in claims]
        granted = limits.reserve(connection, units, view.services, view.new_today)
        refused = [claim for claim in claims if claim.row.id not in granted]
        if refused:
            ledger.put_back(connection, [claim.row.id for claim in refused], refused[0].token)
        return [claim for claim in claims if claim.row.id in granted]


def unit_of(claim: Claim, task: OpenTask, view: View) -> limits.Unit:
    """What a claim takes of the limits."""
    limited = not task.follows and task.campaign_id in view.new_today
    return limits.Unit(
        claim.row.id,
        claim.row.service_id,
        claim.attempt_at,
        claim.row.email_domain,
        task.goes_first,
        task.campaign_id if limited else None,
    )


@dataclass(slots=True)
class Claimed:
    """row_ids: every row an intent was tried for. claims: those that may be sent after the commit.

    new_left: campaign id -> first messages it may still send today; None: not limited.
    """

    token: int
    now: datetime
    new_left: dict[int, int | None] = field(default_factory=dict)
    row_ids: list[int] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)

    def room(self, task: OpenTask, offers: Sequence[Offer]) -> int:
        """How many rows of a task these services can take now."""
        room = sum(max(0, offer.room_for(follows=task.goes_first)) for offer in offers)
        left = None if task.follows else self.new_left[task.campaign_id]
        return room if left is None else min(room, left)

    def taken(self, task: OpenTask, count: int) -> None:
        """Intents were written for so many rows of a task."""
        left = None if task.follows else self.new_left[task.campaign_id]
        if left is not None:
            self.new_left[task.campaign_id] = left - count


def sendable(facts: ServiceFacts, now: datetime) -> bool:
    """Whether rows may be asked for this service: its gates are open (the lane keeps the throttle), or it is
    frozen and due for a probe."""
    if health.may_probe(facts.service, now):
        return facts.quota_left > 0
    return all(blocked.gate == Gate.THROTTLE for blocked in service_gates(facts, now))
