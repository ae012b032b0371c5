"""Refusals count as bounces: the campaign breaker is asked after turns in which servers refused recipients.

It counts much of what a campaign has sent, so it is asked in a transaction of its own, and so seldom that it
takes two per cent of a sender's time at most. What waits is asked about later, never forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy.exc import DBAPIError

from coldsend import clock, logbook
from coldsend.database.engine import Database
from coldsend.errors import Unreachable
from coldsend.feedback import breaker

SELDOM = 50  # times as long as the last look took, until the next
LEAST_WAIT = 0.5


@dataclass(slots=True)
class Refusals:
    """Campaigns in which recipients were refused. Used from one thread at a time."""

    database: Database
    limits: breaker.Limits
    _waiting: set[int] = field(default_factory=set)
    _next: float = 0.0

    def look(self, campaigns: Iterable[int]) -> None:
        """Note these campaigns, and pause those of all noted ones that must stop. Raises nothing: the turn
        that comes before is committed, and its rows are in hand."""
        self._waiting.update(campaigns)
        began = clock.monotonic()
        if not self._waiting or began < self._next:
            return
        try:
            for campaign_id in sorted(self._waiting):
                self._check(campaign_id)
                self._waiting.discard(campaign_id)
        except (DBAPIError, Unreachable):
            pass  # the next turn meets the same, and tells it
        ended = clock.monotonic()
        self._next = ended + max(LEAST_WAIT, SELDOM * (ended - began))

    def _check(self, campaign_id: int) -> None:
        now = clock.now()
        with self.database.read() as connection:
            if breaker.tripped(connection, campaign_id, self.limits, now) is None:
                return
        # Looked at again: a person may have let it go on in between.
        reason = self.database.run(lambda c: breaker.check(c, campaign_id, self.limits, now))
        if reason is not None:
            logbook.paused_by_engine("campaign", campaign_id, reason)
