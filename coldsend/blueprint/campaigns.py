"""``[campaigns.NAME]``: when recipients are written to, and how the tasks of a campaign go together.

A file says nothing of whether a campaign runs: `campaign start` starts it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import RowMapping

from coldsend.blueprint.keys import Key, flag, moment, text, texts, whole
from coldsend.blueprint.kind import Entry, Kind, Names, Portrait, Settled, Stage
from coldsend.domain.access import require_owner
from coldsend.domain.states import CampaignStatus
from coldsend.errors import InvalidInput, NotFound
from coldsend.planning import campaign_settings
from coldsend.planning import campaigns as use
from coldsend.planning.campaign_settings import Wanted
from coldsend.stores import campaigns
from coldsend.stores.lookup import checked_name

# Key -> column, where they differ.
COLUMNS = {"start_at": "start_time"}
LISTS = ("send_window", "holidays")


def _setting(name: str, before: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Reads what `campaign update` makes of a value, with its checks."""

    def read(given: Any) -> Any:
        value = campaign_settings.columns(Wanted(**{name: before(given)}))[name]
        return tuple(value) if isinstance(value, list) else value

    return read


def _per_day(given: Any) -> Any:
    try:
        return _setting("new_per_day", lambda number: str(whole(number)))(given)
    except InvalidInput as error:
        raise InvalidInput(error.message, hint='no limit is ""') from error


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
            _setting("time_zone", text),
            clears=True,
        ),
        Key(
            "send_window",
            "list of texts",
            'hours in the recipient\'s own time, such as `["mon-fri 09:00-17:00"]`',
            _setting("send_window", texts),
            clears=True,
        ),
        Key(
            "holidays",
            "list of texts",
            'on which nothing is sent: `"recipient"` for those of each recipient\'s country, or countries '
            'such as `"DE"`, `"US-CA"`',
            _setting("holidays", texts),
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
        for name in LISTS:
            stored[name] = None if stored[name] is None else tuple(stored[name])
        return stored

    def all(self, stage: Stage) -> list[tuple[Names, RowMapping]]:
        rows = campaigns.listed(stage.connection, None if stage.actor.is_admin else stage.actor.id)
        return [((row["name"],), row) for row in sorted(rows, key=lambda row: str(row["name"]))]

    def create(self, stage: Stage, entry: Entry) -> Settled:
        values = _columns(entry.values)
        start_time = values.pop("start_time", None)
        use.add(stage.connection, stage.actor, entry.names[0], start_time, stage.now, values)
        return Settled()

    def change(self, stage: Stage, row: RowMapping, entry: Entry, values: Portrait) -> Settled:
        campaign_settings.change(stage.connection, row, _columns(values), stage.now)
        if row["status"] == CampaignStatus.ACTIVE:
            return Settled(notes=("it is active: this holds at once, also for recipients that wait",))
        return Settled()


def _columns(values: Portrait) -> dict[str, Any]:
    found = {COLUMNS.get(target, target): value for target, value in values.items()}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
