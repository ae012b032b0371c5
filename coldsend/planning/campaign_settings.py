"""What a campaign says of time and pace, and of how its tasks follow each other; changed while it runs, too.

Nothing is moved at once: recipients that wait are looked at again when their turn comes, and put off where a
new window is closed then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from shlex import quote
from typing import Any

from sqlalchemy.engine import RowMapping

from coldsend.database.engine import Connection, Database
from coldsend.domain.access import Actor, require_owner
from coldsend.domain.contact import checked_time_zone
from coldsend.domain.states import CAMPAIGN_OPEN, CampaignStatus, CountKind
from coldsend.domain.window import SendWindow
from coldsend.errors import ChangedMeanwhile, InvalidInput, WrongState
from coldsend.pacing.calendar import Calendar, checked_holidays
from coldsend.pacing.quota import period_of
from coldsend.planning import followups
from coldsend.stores import campaigns, send_counts

MOST_A_DAY = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an operator said; None: nothing. "" (in lists as the only entry) takes a setting away.

    send_window, holidays: entries as domain/window.py and pacing/calendar.py read them. new_per_day: text.
    """

    start_time: datetime | None = None
    time_zone: str | None = None
    send_window: Sequence[str] | None = None
    holidays: Sequence[str] | None = None
    spread: bool | None = None
    stop_on_reply: bool | None = None
    stop_domain_on_reply: bool | None = None
    followups_first: bool | None = None
    new_per_day: str | None = None


def columns(wanted: Wanted) -> dict[str, Any]:
    """The columns of ``campaigns`` for what was said, checked; InvalidInput where it makes no sense."""
    values: dict[str, Any] = {}
    if wanted.start_time is not None:
        values["start_time"] = wanted.start_time
    if wanted.time_zone is not None:
        values["time_zone"] = checked_time_zone(wanted.time_zone) or None
    if wanted.send_window is not None:
        entries = _entries(wanted.send_window)
        values["send_window"] = SendWindow.parse(entries).entries if entries else None
    if wanted.holidays is not None:
        values["holidays"] = checked_holidays(_entries(wanted.holidays)) or None
    for name in ("spread", "stop_on_reply", "stop_domain_on_reply", "followups_first"):
        if getattr(wanted, name) is not None:
            values[name] = getattr(wanted, name)
    if wanted.new_per_day is not None:
        values["new_per_day"] = _per_day(wanted.new_per_day)
    return values


def update(
    database: Database, actor: Actor, given: str, values: Mapping[str, Any], now: datetime
) -> RowMapping:
    """Change columns that :func:`columns` checked; the campaign's row after it."""

    def work(connection: Connection) -> RowMapping:
        row = campaigns.find(connection, given)
        require_owner(actor, row["created_by"], f"campaign {row['name']!r}")
        change(connection, row, values, now)
        return campaigns.find(connection, row["id"])

    return database.run(work)


def change(connection: Connection, row: RowMapping, values: Mapping[str, Any], now: datetime) -> None:
    """Write settings of a campaign that has not ended; its start only while it is in draft.

    WrongState where it is too late for them.
    """
    status = CampaignStatus(row["status"])
    if status not in CAMPAIGN_OPEN:
        raise WrongState(
            f"campaign {row['name']!r} is {status}: its settings hold for nobody any more",
            hint="create another one: coldsend campaign create NAME",
        )
    if "start_time" in values and status != CampaignStatus.DRAFT:
        raise WrongState(
            f"campaign {row['name']!r} is {status}: its start can only be changed in draft",
            hint="tasks have a time of their own: coldsend task create .. --plan-time",
        )
    if not campaigns.touch(connection, row["id"], [status], now):
        raise ChangedMeanwhile(
            f"campaign {row['name']!r} was changed by somebody else at the same moment",
            hint=f"look at it: coldsend campaign show {quote(row['name'])}",
        )
    campaigns.change(connection, row["id"], dict(values), now)
    if any(values.get(name) and not row[name] for name in ("stop_on_reply", "stop_domain_on_reply")):
        followups.stop_who_replied(connection, row["id"], now)
    before, after = Calendar.of(row), Calendar.of({**row, **values})
    today, renamed = period_of(before.day_of(now)), period_of(after.day_of(now))
    if today != renamed:
        # Who was written to this very day must not be allowed once more because it has another date now.
        send_counts.carry_over(connection, CountKind.CAMPAIGN_NEW, row["id"], today, renamed)


def _entries(given: Sequence[str]) -> list[str]:
    return [entry for entry in given if entry.strip()]


def _per_day(text: str) -> int | None:
    if not text.strip():
        return None
    if not text.strip().isdecimal() or not 1 <= int(text) <= MOST_A_DAY:
        raise InvalidInput(
            f"new recipients a day: must be a whole number from 1 to {MOST_A_DAY}, not {text!r}",
            hint="no limit is '': --new-per-day ''",
        )
    return int(text)
