"""Alerts: what operators are told of by themselves, in which words, and when again. Pure.

A *condition* is something that holds right now (a service is frozen). An *alert* is the row that begins when
a condition is first seen and is over when it is seen no more. A *notice* is one message about it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

SUBJECT_LIMIT = 255


class AlertKind(StrEnum):
    SERVICE_FROZEN = "service_frozen"
    BREAKER = "breaker"  # the engine paused a campaign or task, or could not plan one
    CAMPAIGN_DONE = "campaign_done"
    UNKNOWN_ROWS = "unknown_rows"
    DAEMON_SILENT = "daemon_silent"
    MAILBOX_FAILING = "mailbox_failing"


class AlertEvent(StrEnum):
    """What a notice tells."""

    RAISED = "raised"
    CLEARED = "cleared"


class DeliveryStatus(StrEnum):
    PENDING = "pending"
    DONE = "done"
    GIVEN_UP = "given_up"


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that holds now.

    thing: what it is about, by its id ("service:17"): one alert at a time for each kind and thing. subject:
    the same by its name. title, over: a few words while it holds, and when it does so no more. message: a
    sentence with the reason. hint: the way out. once: told once, and over at once. facts: for programs.
    """

    kind: AlertKind
    thing: str
    subject: str
    title: str
    message: str
    over: str = ""
    hint: str = ""
    once: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What ``alerts.open_key`` holds while it lasts."""
        return f"{self.kind}:{self.thing}"

    @property
    def shown_subject(self) -> str:
        return self.subject[:SUBJECT_LIMIT]

    @property
    def details(self) -> dict[str, Any]:
        """What the alert's row keeps besides subject and message."""
        return {"title": self.title, "over": self.over, "hint": self.hint, **self.facts}


@dataclass(frozen=True, slots=True)
class Notice:
    """One message about an alert. facts: ids and names, for programs."""

    alert_id: int
    event: AlertEvent
    kind: AlertKind
    subject: str
    title: str
    message: str
    hint: str
    raised_at: datetime
    cleared_at: datetime | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The ``data`` of a webhook; docs/alerts.md describes it. Times in ISO 8601, UTC."""
        return {
            "id": self.alert_id,
            "kind": self.kind.value,
            "subject": self.subject,
            "title": self.title,
            "message": self.message,
            "hint": self.hint,
            "raised_at": stamp(self.raised_at),
            "cleared_at": stamp(self.cleared_at) if self.cleared_at else None,
            "facts": dict(self.facts),
        }


def notice_of(row: Mapping[str, Any], event: AlertEvent) -> Notice:
    """The notice about a row of ``alerts``."""
    details = dict(row["details"] or {})
    title, over = str(details.pop("title", row["subject"])), str(details.pop("over", ""))
    cleared = event is AlertEvent.CLEARED
    return Notice(
        alert_id=row["id"],
        event=event,
        kind=AlertKind(row["kind"]),
        subject=row["subject"],
        title=(over or f"over: {title}") if cleared else title,
        message=row["message"],
        hint="" if cleared else str(details.pop("hint", "")),
        raised_at=row["raised_at"],
        cleared_at=row["cleared_at"] if cleared else None,
        facts={name: value for name, value in details.items() if name != "hint"},
    )


def headline(notices: Sequence[Notice]) -> str:
    """One line for all of them: a subject, a chat message's title."""
    if len(notices) == 1:
        return notices[0].title
    raised = sum(notice.event is AlertEvent.RAISED for notice in notices)
    over = len(notices) - raised
    parts = [f"{raised} alert{'s' if raised != 1 else ''}"] if raised else []
    return ", ".join([*parts, f"{over} over"] if over else parts)


def text(notices: Sequence[Notice]) -> str:
    """What people read, in plain text."""
    return "\n".join(map(_paragraph, notices))


def _paragraph(notice: Notice) -> str:
    since = f"{notice.raised_at:%Y-%m-%d %H:%M} UTC"
    lines = [notice.title, f"  {notice.message}"]
    if notice.cleared_at is not None:
        lines += [f"  from {since} to {notice.cleared_at:%Y-%m-%d %H:%M} UTC"]
    else:
        lines += [f"  since {since}", *([f"  {notice.hint}"] if notice.hint else [])]
    return "\n".join(lines) + "\n"


def stamp(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


# Waits between the attempts of one delivery; after the last it is given up, a day and a half after the first.
WAITS = tuple(timedelta(seconds=seconds) for seconds in (10, 60, 300, 1800, 7200, 18_000, 36_000, 72_000))


def next_attempt(attempts: int, now: datetime) -> datetime | None:
    """When to try again after so many attempts that failed; None: not any more."""
    return now + WAITS[attempts - 1] if attempts <= len(WAITS) else None


def message_id(deliveries: Sequence[tuple[int, datetime]]) -> str:
    """The name of one message, the same for each of its attempts: ids of deliveries, when their alerts began.

    Times are in it because a database that is made anew counts from 1 again.
    """
    told = ",".join(f"{number}@{stamp(raised_at)}" for number, raised_at in deliveries)
    return f"msg_{hashlib.blake2b(told.encode(), digest_size=15, person=b'coldsend-alert').hexdigest()}"
