"""Follow-ups before new recipients: what of a day's quota follow-ups still need.

A follow-up waits for the service that carried the message before it, so each service is looked at by itself:
the pending follow-ups that are due until its quota day ends. Counting them reads an index range as long as
their number, so it is done at most every ten seconds, and when a quota day begins; what is sent meanwhile is
counted twice until then, to the disadvantage of first messages only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from coldsend import clock
from coldsend.database.engine import Connection
from coldsend.domain.gates import ServiceFacts
from coldsend.stores import waiting

COUNT_EACH = 10.0  # seconds


@dataclass(slots=True)
class FollowupsDue:
    """Counts, remembered for a while. One belongs to one worker."""

    _counted_at: float = float("-inf")  # on the steady clock
    _tasks: Sequence[int] = ()
    _ends: Mapping[int, datetime] = field(default_factory=dict)  # service id -> of its quota day
    _found: dict[int, int] = field(default_factory=dict)

    def by_service(
        self, connection: Connection, task_ids: Sequence[int], services: Mapping[int, ServiceFacts]
    ) -> dict[int, int]:
        """service id -> follow-ups of these tasks that are due until its quota day ends; 0 is left out."""
        if not task_ids:
            return {}
        moment = clock.monotonic()
        ends = {sid: facts.next_quota_day for sid, facts in services.items() if facts.next_quota_day}
        asked = (list(task_ids), ends)
        if moment - self._counted_at >= COUNT_EACH or asked != (self._tasks, self._ends):
            self._counted_at = moment
            self._tasks, self._ends = asked
            self._found = _count(connection, task_ids, ends)
        return self._found


def _count(connection: Connection, task_ids: Sequence[int], ends: Mapping[int, datetime]) -> dict[int, int]:
    by_end: dict[datetime, list[int]] = {}
    for service_id, end in ends.items():
        by_end.setdefault(end, []).append(service_id)
    found: dict[int, int] = {}
    for end, service_ids in by_end.items():
        found |= waiting.due_by_service(connection, task_ids, service_ids, end)
    return found
