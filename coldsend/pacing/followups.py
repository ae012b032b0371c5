"""Follow-ups before new recipients: what of a day's quota follow-ups still need.

A follow-up waits for the service that carried the message before it, so each service is looked at by itself:
the pending follow-ups that are due until its quota day ends. Of those that were released from a service that
does not send again, the services they may go out through keep a part each, by what is left of their day.
Counting them reads an index range as long as
their number, so it is done every ten seconds, more rarely where it takes long (nothing is claimed meanwhile),
and when a quota day begins; what is sent until then is counted twice, to the disadvantage of first messages
only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from coldsend import clock
from coldsend.database.engine import Connection
from coldsend.domain.gates import ServiceFacts
from coldsend.domain.states import HealthStatus
from coldsend.stores import waiting

COUNT_EACH = 10.0  # seconds
SELDOM = 20  # times as long as counting took, until the next time


@dataclass(slots=True)
class FollowupsDue:
    """Counts, remembered for a while. One belongs to one worker."""

    _again_at: float = float("-inf")  # on the steady clock
    _tasks: Mapping[int, Collection[int]] = field(default_factory=dict)
    _ends: Mapping[int, datetime] = field(default_factory=dict)  # service id -> of its quota day
    _found: dict[int, int] = field(default_factory=dict)

    def by_service(
        self,
        connection: Connection,
        tasks: Mapping[int, Collection[int]],
        services: Mapping[int, ServiceFacts],
    ) -> dict[int, int]:
        """service id -> follow-ups that are due until its quota day ends; 0 is left out.

        tasks: task id -> services it may use. What waits for another one goes out through none, however long.
        """
        if not tasks:
            return {}
        began = clock.monotonic()
        ends = {sid: facts.next_quota_day for sid, facts in services.items() if facts.next_quota_day}
        if began >= self._again_at or (tasks, ends) != (self._tasks, self._ends):
            self._tasks, self._ends = tasks, ends
            self._found = _count(connection, tasks, ends, services)
            ended = clock.monotonic()
            self._again_at = ended + max(COUNT_EACH, SELDOM * (ended - began))
        return self._found


def parts(count: int, room: Mapping[int, int]) -> dict[int, int]:
    """What each service keeps of so many messages that any of them may carry: by its room, rounded up."""
    whole = sum(room.values())
    return {one: -(-count * mine // whole) for one, mine in room.items() if mine > 0}


def _count(
    connection: Connection,
    tasks: Mapping[int, Collection[int]],
    ends: Mapping[int, datetime],
    services: Mapping[int, ServiceFacts],
) -> dict[int, int]:
    by_end: dict[datetime, list[int]] = {}
    for service_id, end in ends.items():
        by_end.setdefault(end, []).append(service_id)
    found: Counter[int] = Counter()
    for end, service_ids in by_end.items():
        due = waiting.due_by_service(connection, sorted(tasks), service_ids, end)
        for (task_id, keeps), count in due.items():
            if keeps is None:
                mine = parts(count, _room(services, tasks[task_id]))
                found.update({one: mine[one] for one in service_ids if one in mine})
            elif keeps in tasks[task_id]:
                found[keeps] += count
    return found


def _room(services: Mapping[int, ServiceFacts], wanted: Collection[int]) -> dict[int, int]:
    """service id -> what is left of its day, of those that are not frozen."""
    return {
        one: services[one].quota_left
        for one in wanted
        if one in services and services[one].service.health_status == HealthStatus.ACTIVE
    }
