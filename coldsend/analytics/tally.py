"""Counting send lists: a :class:`Tally` of one task, several added up, and the summary of an ended task.

``by_status`` shows the furthest state of each recipient. What happened on the way is counted from the time
columns: a recipient who opened and then unsubscribed counts as both. "Accepted" is what a server said to
us; only providers that report deliveries fill ``delivered``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from coldsend.database.engine import Connection
from coldsend.domain.states import ROW_SENT, RowStatus
from coldsend.stores import reports

SHORTEST_SPAN = 5.0  # seconds; over less than this a rate is a guess


@dataclass
class Tally:
    """Recipients counted from several sides; names are those of templates and services.

    by_template counts every expanded row; by_service those a server accepted from it. replies: by what they
    want. kept: pending rows that wait for one service, by it. later: pending rows that are due only in the
    future, the first of them at ``next_due_at``.
    """

    by_status: Counter[str] = field(default_factory=Counter)
    by_template: Counter[str] = field(default_factory=Counter)
    by_service: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    feedback: Counter[str] = field(default_factory=Counter)
    replies: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    later: int = 0
    next_due_at: datetime | None = None
    first_sent_at: datetime | None = None
    last_sent_at: datetime | None = None

    @property
    def recipients(self) -> int:
        return self.by_status.total()

    @property
    def accepted(self) -> int:
        return sum(count for status, count in self.by_status.items() if status in ROW_SENT)

    @property
    def pending(self) -> int:
        return self.by_status[RowStatus.PENDING.value]

    @property
    def sent_per_minute(self) -> float | None:
        """Accepted messages a minute between the first and the last; None where that span says little."""
        if self.first_sent_at is None or self.last_sent_at is None or self.accepted < 2:
            return None
        seconds = (self.last_sent_at - self.first_sent_at).total_seconds()
        return round(self.accepted * 60 / seconds, 1) if seconds >= SHORTEST_SPAN else None

    def add(self, other: Tally) -> None:
        """Add another task's counts to these."""
        for name in ("by_status", "by_template", "by_service", "reasons", "feedback", "replies", "kept"):
            getattr(self, name).update(getattr(other, name))
        self.later += other.later
        self.next_due_at = _earliest(self.next_due_at, other.next_due_at)
        self.first_sent_at = _earliest(self.first_sent_at, other.first_sent_at)
        self.last_sent_at = _latest(self.last_sent_at, other.last_sent_at)

    def as_json(self) -> dict[str, Any]:
        return {
            "recipients": self.recipients,
            "by_status": reports.in_order(self.by_status),
            "by_template": dict(sorted(self.by_template.items())),
            "by_service": dict(sorted(self.by_service.items())),
            "reasons": [
                {"status": status, "reason": reason, "count": count}
                for (status, reason), count in sorted(
                    self.reasons.items(), key=lambda item: (-item[1], item[0])
                )
            ],
            "replies": dict(self.replies.most_common()),
            "feedback": {name: self.feedback[name] for name in ("accepted", *reports.FEEDBACK)},
            "first_sent_at": self.first_sent_at,
            "last_sent_at": self.last_sent_at,
            "sent_per_minute": self.sent_per_minute,
        }


@dataclass(frozen=True, slots=True)
class Names:
    """Names of templates and services by id."""

    templates: dict[int, str]
    services: dict[int, str]


def names(connection: Connection) -> Names:
    return Names(reports.template_names(connection), reports.service_names(connection))


def of_task(
    connection: Connection,
    task_id: int,
    now: datetime,
    known: Names,
    *,
    service_id: int | None = None,
    template_id: int | None = None,
) -> Tally:
    """The counts of one task, all from one pass over its rows; only one service's, or one template's."""
    tally = Tally()
    for group in reports.breakdown(connection, task_id, now, service_id=service_id, template_id=template_id):
        count, status = group["rows"], group["status"]
        tally.by_status[status] += count
        if group["reason"] is not None:
            tally.reasons[status, group["reason"]] += count
        if group["selected_template_id"] is not None:
            tally.by_template[known.templates[group["selected_template_id"]]] += count
        if status in ROW_SENT:
            tally.feedback["accepted"] += count
            if group["sender_service_id"] is not None:
                tally.by_service[known.services[group["sender_service_id"]]] += count
        for name in reports.FEEDBACK:
            tally.feedback[name] += group[name]
        if group["reply_category"] is not None:
            tally.replies[group["reply_category"]] += count
        if status == RowStatus.PENDING:
            if group["sender_service_id"] is not None:
                tally.kept[known.services[group["sender_service_id"]]] += count
            tally.later += group["later"]
            tally.next_due_at = _earliest(tally.next_due_at, group["next_due_at"])
        tally.first_sent_at = _earliest(tally.first_sent_at, group["first_sent_at"])
        tally.last_sent_at = _latest(tally.last_sent_at, group["last_sent_at"])
    return tally


def summary(connection: Connection, task_id: int) -> dict[str, Any]:
    """What ``tasks.summary_stats`` keeps of a task when it ends: recipients, and how they stood then."""
    by_status = reports.counts_by_status(connection, [task_id])[task_id]
    accepted = sum(count for status, count in by_status.items() if status in ROW_SENT)
    return {"recipients": sum(by_status.values()), "accepted": accepted, "by_status": by_status}


def _earliest(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((moment for moment in (one, other) if moment is not None), default=None)


def _latest(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((moment for moment in (one, other) if moment is not None), default=None)
