"""Follow-ups before new recipients: what of a day's quota follow-ups still need.

A follow-up waits for the service that carried the message before it, so each service is looked at by itself:
the pending follow-ups that are due until its quota day ends. Counting them reads an index range as long as
their number, so it is done at most every ten seconds; what is sent meanwhile is counted twice until then,
to the disadvantage of first messages only.
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
    _found: dict[int, int] = field(default_factory=dict)

    def by_service(
        self, connection: Connection, task_ids: Sequence[int], services: Mapping[int, ServiceFacts]
    ) -> dict[int, int]:
        """service id -> follow-ups of these tasks that are due until its quota day ends; 0 is left out."""
        if not task_ids:
            return {}
        moment = clock.monotonic()
        if moment - self._counted_at >= COUNT_EACH or list(self._tasks) != list(task_ids):
            self._counted_at, self._tasks = moment, list(task_ids)
            self._found = _count(connection, task_ids, services)
        return self._found


def _count(
    connection: Connection, task_ids: Sequence[int], services: Mapping[int, ServiceFacts]
) -> dict[int, int]:
    by_end: dict[datetime, list[int]] = {}
    for service_id, facts in services.items():
        if facts.next_quota_day is not None:
            by_end.setdefault(facts.next_quota_day, []).append(service_id)
    found: dict[int, int] = {}
    for ends, service_ids in by_end.items():
        found |= waiting.due_by_service(connection, task_ids, service_ids, ends)
    return found
