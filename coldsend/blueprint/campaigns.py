"""``[campaigns.NAME]``: when recipients are written to, and how the tasks of a campaign go together.

A file says nothing of whether a campaign runs: `campaign start` starts it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import RowMapping

from coldsend.blueprint.keys import Key, checked, flag, moment, text, texts, whole
from coldsend.blueprint.kind import Entry, Kind, Names, Portrait, Settled, Stage
from coldsend.domain.access import require_owner
from coldsend.domain.contact import checked_time_zone
from coldsend.domain.states import CampaignStatus
from coldsend.domain.window import SendWindow
from coldsend.errors import NotFound, WrongState
from coldsend.pacing.calendar import checked_holidays
from coldsend.planning import campaigns as use
from coldsend.stores import campaigns
from coldsend.stores.lookup import checked_name

# Key -> column, where they differ.
COLUMNS = {"start_at": "start_time"}


def _per_day(given: Any) -> int:
    if (number := whole(given)) < 1:
        raise ValueError(f"must be at least 1, not {number}")
    return number


class Campaigns(Kind):
    noun = "campaign"
    section = "campaigns"
    keys = (
        Key(
            "start_at",
            "time",
            "earliest time of the first message, such as `2027-03-01T09:00:00+01:00`; without a zone UTC",
            moment("start time"),
            clears=True,
        ),
        Key(
            "time_zone",
            "text",
            "of recipients whose own is not known, and of its days; an IANA name",
            checked(text, checked_time_zone),
            clears=True,
        ),
        Key(
            "send_window",
            "list of texts",
            'hours in the recipient\'s own time, such as `["mon-fri 09:00-17:00"]`',
            checked(texts, lambda entries: tuple(SendWindow.parse(entries).entries)),
            clears=True,
        ),
        Key(
            "holidays",
            "list of texts",
            'on which nothing is sent: `"recipient"` for those of each recipient\'s country, or countries '
            'such as `"DE"`, `"US-CA"`',
            checked(texts, lambda entries: tuple(checked_holidays(entries)) or None),
            clears=True,
        ),
        Key("spread", "true or false", "over the window instead of at its opening", flag),
        Key("stop_on_reply", "true or false", "a reply ends the sequence for whoever replies", flag),
        Key(
            "stop_domain_on_reply",
            "true or false",
            "and for everybody at the same domain, unless it is a free-mail one",
            flag,
        ),
        Key(
            "followups_first", "true or false", "follow-ups before first messages where quota is short", flag
        ),
        Key(
            "new_per_day",
            "whole number",
            "recipients of first messages in a day at most",
            _per_day,
            clears=True,
        ),
    )

    def checked_name(self, name: str) -> str:
        return checked_name(name, self.noun)

    def find(self, stage: Stage, names: Names) -> RowMapping | None:
        try:
            row = campaigns.find(stage.connection, names[0])
        except NotFound:
            return None
        require_owner(stage.actor, row["created_by"], f"campaign {row['name']!r}")
        return row

    def portrait(self, stage: Stage, row: RowMapping) -> Portrait:
        stored = {key.name: row[COLUMNS.get(key.name, key.name)] for key in self.keys}
        for name in ("send_window", "holidays"):
            stored[name] = None if stored[name] is None else tuple(stored[name])
        return stored

    def all(self, stage: Stage) -> list[tuple[Names, RowMapping]]:
        rows = campaigns.listed(stage.connection, None if stage.actor.is_admin else stage.actor.id)
        return [((row["name"],), row) for row in sorted(rows, key=lambda row: str(row["name"]))]

    def create(self, stage: Stage, entry: Entry) -> Settled:
        made = use.add(stage.connection, stage.actor, entry.names[0], entry.values.get("start_at"), stage.now)
        _write(stage, made.id, entry.values)
        return Settled()

    def change(self, stage: Stage, row: RowMapping, entry: Entry, values: Portrait) -> Settled:
        if "start_at" in values and row["status"] != CampaignStatus.DRAFT:
            raise WrongState(
                f"campaign {row['name']!r} is {row['status']}: its start can only be changed in draft",
                hint="set plan_time of tasks that have not begun instead",
            )
        _write(stage, row["id"], values)
        if row["status"] == CampaignStatus.ACTIVE:
            return Settled(notes=("it is active: this holds at once, also for recipients that wait",))
        return Settled()


def _write(stage: Stage, campaign_id: int, values: Portrait) -> None:
    columns = {COLUMNS.get(target, target): value for target, value in values.items()}
    for name in ("send_window", "holidays"):
        if columns.get(name) is not None:
            columns[name] = list(columns[name])
    if columns:
        campaigns.change(stage.connection, campaign_id, columns, stage.now)
