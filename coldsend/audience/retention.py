"""How long what is known about people is kept: ``[retention]``, in small transactions.

Events and messages go when their time is over; rows of send lists stay with their times, which is what
reports count. What came in about people after they were erased loses its words here, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from functools import partial

from coldsend import clock, logbook
from coldsend.audience import erasing
from coldsend.config.settings import RetentionSettings
from coldsend.database.engine import Database
from coldsend.stores import retention

BATCH = 1000
SECONDS = 60.0  # one run works no longer: the next one goes on
LATE = timedelta(days=90)  # after an erasure answers and bounces may still come in for so long


@dataclass(slots=True)
class Dropped:
    """How many of each kind were deleted; raw: messages whose octets were forgotten; late: see erasing."""

    events: int = 0
    unmatched: int = 0
    messages: int = 0
    payloads: int = 0
    audit: int = 0
    alerts: int = 0
    raw: int = 0
    late: int = 0

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) for field in fields(self))


class Keeper:
    """Applies the rules again and again. Remembers up to where messages have been looked at."""

    def __init__(
        self, database: Database, rules: RetentionSettings, should_stop: Callable[[], bool] = lambda: False
    ) -> None:
        self._database = database
        self._rules = rules
        self._should_stop = should_stop
        self._cleared_to = 0

    def run(self, now: datetime) -> Dropped:
        """Delete what is old enough, for a minute at most; the rest is left for the next run."""
        ends = clock.monotonic() + SECONDS
        dropped = Dropped()
        if self._rules.events_days:
            dropped.events = self._drop_events(now - timedelta(days=self._rules.events_days), ends)
        for kind, days, drop in (
            ("unmatched", self._rules.events_days, retention.drop_unmatched),
            ("messages", self._rules.messages_days, retention.drop_messages),
            ("payloads", self._rules.payloads_days, retention.drop_payloads),
            ("audit", self._rules.audit_days, retention.drop_audit),
            ("alerts", self._rules.audit_days, retention.drop_alerts),
        ):
            if not days:
                continue
            work = partial(drop, before=now - timedelta(days=days), limit=BATCH)
            while not self._over(ends) and (count := self._database.run(work)):
                setattr(dropped, kind, getattr(dropped, kind) + count)
        if self._rules.payloads_days:
            dropped.raw = self._forget_raw(now - timedelta(days=self._rules.payloads_days), ends)
        if not self._over(ends):
            dropped.late = erasing.clear_late(self._database, now - LATE)
        if dropped:
            counts = {field.name: getattr(dropped, field.name) for field in fields(dropped)}
            logbook.retention_applied(**counts)
        return dropped

    def _drop_events(self, before: datetime, ends: float) -> int:
        """From the oldest on, until a batch has none that is old enough."""
        deleted = after = 0
        while not self._over(ends):
            work = partial(retention.drop_events, after=after, before=before, limit=BATCH)
            count, after = self._database.run(work)
            if not count:
                break
            deleted += count
        return deleted

    def _forget_raw(self, before: datetime, ends: float) -> int:
        """Messages as they came, text and all: of each the rest stays until its own time is over."""
        forgotten = 0
        while not self._over(ends):
            work = partial(retention.clear_raw, after=self._cleared_to, before=before, limit=BATCH)
            count, after = self._database.run(work)
            if after == self._cleared_to:
                break
            forgotten, self._cleared_to = forgotten + count, after
        return forgotten

    def _over(self, ends: float) -> bool:
        return self._should_stop() or clock.monotonic() > ends
