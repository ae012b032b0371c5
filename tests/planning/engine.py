"""The engine without processes and servers: everything is really planned, claimed and recorded, at a clock
that jumps from each moment at which something can happen to the next.

What goes out is noted by the day and service: the oracle that forecasts are compared with.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from coldsend import clock
from coldsend.database.tables import campaigns, sender_leases, task_contacts, tasks
from coldsend.delivery import view as views
from coldsend.delivery.attempt import Claim, Result
from coldsend.delivery.claim import Claimer, sendable
from coldsend.delivery.record import Recorder
from coldsend.delivery.turn import Turns
from coldsend.domain import outcome as outcomes
from coldsend.domain.answers import Answer, Phase
from coldsend.domain.gates import ServiceFacts
from coldsend.domain.replies import ACCEPTED
from coldsend.pacing.quota import hour_of, next_quota_day_start
from coldsend.planning import lifecycle
from coldsend.stores import leases
from tests.planning.world import World

MINUTE = timedelta(minutes=1)
ACCEPTS = Answer(Phase.FINAL, 250, "2.0.0", "ok")


class Engine:
    """sent: (when, service id, task id) of each message, in order.

    one_by_one: each turn takes one message, as where many steps and services compete for little; else as many
    as the quotas leave.
    """

    def __init__(
        self, world: World, monkeypatch: pytest.MonkeyPatch, now: datetime, *, one_by_one: bool = False
    ) -> None:
        self.world = world
        self.database = world.database
        self.now = now
        self.sent: list[tuple[datetime, int, int]] = []
        monkeypatch.setattr(clock, "now", lambda: self.now)
        monkeypatch.setattr(clock, "monotonic", self._seconds)
        worker = world.process("sender")
        self._turns = Turns(self.database, worker, Claimer(worker, b"p" * 32, 30), Recorder(worker, 30), 3)
        self._worker = worker
        self._answered: list[Result] = []
        self.one_by_one = one_by_one

    def run(self, until: datetime) -> None:
        """Go on until then, or until nothing more can happen."""
        while self.now < until:
            self._plan()
            while self._send():
                pass
            following = self._next()
            if following is None:
                return
            self.now = following

    def by_day(self, zone: str = "UTC") -> dict[date, dict[int, int]]:
        """day -> service id -> messages."""
        counted: dict[date, Counter[int]] = {}
        for at, service_id, _task in self.sent:
            counted.setdefault(at.astimezone(ZoneInfo(zone)).date(), Counter())[service_id] += 1
        return {day: dict(sorted(services.items())) for day, services in counted.items()}

    def _plan(self) -> None:
        lifecycle.activate_due(self.database, self.now)
        lifecycle.expand_due(self.database, self.now)
        lifecycle.skip_cancelled(self.database, self.now)
        lifecycle.finish_ended(self.database, self.now)

    def _seconds(self) -> float:
        return self.now.timestamp()

    def _send(self) -> bool:
        """A turn of a worker, which also writes the answers to the turn before; whether it did anything."""
        with self.database.read() as connection:
            view = views.read(connection, self.now)
        self._own_throttled(view)
        answered, self._answered = self._answered, []
        unwritten = {result.claim.row.service_id for result in answered}
        wants = {sid: self._want(facts) for sid, facts in view.services.items()}
        wants = {
            sid: want
            for sid, want in wants.items()
            if want and not (sid in unwritten and view.services[sid].service.throttled)
        }
        if self.one_by_one:
            claims = self._take_one(answered, wants, view)
        else:
            claims = self._turns.take(answered, wants, view).claims
        self._answered = [self._accepted(claim) for claim in claims]
        return bool(answered or self._answered)

    def _take_one(
        self, answered: list[Result], wants: Mapping[int, int], view: views.View
    ) -> Sequence[Claim]:
        """One message, through the service with the largest share left that has any to send."""
        ordered = sorted(wants, key=lambda sid: (-view.services[sid].share_left, sid))
        for service_id in ordered:
            claims = self._turns.take(answered, {service_id: 1}, view).claims
            if claims:
                return claims
            answered = []
        if answered:
            self._turns.take(answered, {}, view)
        return ()

    def _own_throttled(self, view: views.View) -> None:
        for service_id, facts in view.services.items():
            if facts.service.throttled:
                with self.database.begin() as connection:
                    leases.take_sender(connection, service_id, self._worker, self.now, 0.0)

    def _want(self, facts: ServiceFacts) -> int:
        if not sendable(facts, self.now):
            return 0
        if not facts.service.throttled:
            return 1000
        return int(facts.next_send_at is None or facts.next_send_at <= self.now)

    def _accepted(self, claim: Claim) -> Result:
        self.sent.append((self.now, claim.row.service_id, claim.row.task_id))
        done = outcomes.accepted(claim.attempt, ACCEPTS, self.now, f"<{claim.row.id}@sender.example>")
        return Result(claim, done, ACCEPTS, ACCEPTED)

    def _next(self) -> datetime | None:
        """The next moment at which something may be sent or planned."""
        with self.database.read() as connection:
            waiting = connection.execute(
                sa.select(task_contacts.c.scheduled_send_at)
                .where(task_contacts.c.status == "pending")
                .order_by(task_contacts.c.scheduled_send_at)
                .distinct()
            ).scalars()
            dues = list(waiting)
            found = [due for due in dues if due > self.now][:1]
            if any(due <= self.now for due in dues):
                found += connection.execute(sa.select(sender_leases.c.next_send_at)).scalars().all()
                found += self._periods(views.read(connection, self.now))
            found += connection.execute(
                sa.select(campaigns.c.start_time).where(campaigns.c.status == "active")
            ).scalars()
            found += connection.execute(sa.select(tasks.c.plan_time)).scalars()
            open_lists = sa.select(tasks.c.id).where(
                tasks.c.status == "sending", tasks.c.expanded_at.is_(None)
            )
            later = [moment for moment in found if moment is not None and moment > self.now]
            # Follow-ups are enrolled a minute after what they follow has been sent.
            fresh = self.sent and self.now - self.sent[-1][0] < 2 * MINUTE
            if (fresh or not later) and connection.execute(open_lists).first():
                later.append(self.now + MINUTE)
        return min(later, default=None)

    def _periods(self, view: views.View) -> list[datetime]:
        """When limits begin anew."""
        found = []
        for facts in view.services.values():
            found.append(next_quota_day_start(facts.service, self.now))
            if facts.service.hourly_quota is not None:
                found.append(hour_of(self.now) + timedelta(hours=1))
        found += [task.calendar.next_day(self.now) for task in view.tasks]
        return found
