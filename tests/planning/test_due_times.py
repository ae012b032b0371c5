"""When the rows of a new send list are due: the database says what the calendar says of each contact."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.database.engine import Database
from coldsend.database.tables import contacts, task_contacts
from coldsend.pacing.calendar import Calendar, Whereabouts
from coldsend.planning.expand import expand_task
from coldsend.stores import due_times
from tests.planning.world import World

MIDNIGHT = datetime(2027, 12, 24, 0, 30, 15, 250, tzinfo=UTC)  # a Friday before Christmas
PLACES: list[tuple[str | None, dict[str, str] | None]] = [
    (None, None),
    ("Europe/Berlin", None),
    ("Asia/Kolkata", {"country": "Germany"}),
    (None, {"country": "Germany"}),
    (None, {"country": "de"}),
    (None, {"country": "United States", "city": "Boston"}),
    ("Pacific/Auckland", {"city": "Napier"}),
    ("Mars/Olympus", {"country": "Atlantis"}),
    (None, {"country": ""}),
    (None, {"country": 'O\'Brien \\ "land"'}),
]
OFFICE = ["mon-fri 09:00-12:00", "mon-fri 13:00-17:30"]


class Stage(World):
    def people(self, count: int = 30) -> list[int]:
        made = self.contacts(count)
        for number, contact in enumerate(made):
            zone, fields = PLACES[number % len(PLACES)]
            self.change(contacts, contact, time_zone=zone, fields=fields)
        return made

    def expanded(self, now: datetime = MIDNIGHT, **settings: Any) -> dict[int, datetime]:
        """contact id -> due time, and what the calendar says to compare it with."""
        self.settings = {
            "time_zone": None,
            "send_window": None,
            "holidays": None,
            "spread": False,
            **settings,
        }
        campaign = self.campaign(status="active", **settings)
        task = self.task(campaign, status="sending")
        expand_task(self.database, task, now)
        query = sa.select(task_contacts.c.contact_id, task_contacts.c.scheduled_send_at)
        with self.database.read() as connection:
            return {
                row[0]: row[1] for row in connection.execute(query.where(task_contacts.c.task_id == task))
            }

    def said(self, now: datetime = MIDNIGHT) -> dict[int, datetime]:
        calendar = Calendar.of(self.settings)
        query = sa.select(contacts.c.id, contacts.c.time_zone, contacts.c.fields)
        with self.database.read() as connection:
            return {row[0]: calendar.first(now, Whereabouts.of(*row)) for row in connection.execute(query)}


@pytest.fixture
def stage(database: Database) -> Stage:
    return Stage(database)


@pytest.mark.parametrize(
    "settings",
    [
        {"send_window": OFFICE},
        {"send_window": OFFICE, "holidays": ["recipient"], "time_zone": "America/New_York"},
        {"send_window": OFFICE, "spread": True},
        {"send_window": ["mon-sun 22:00-02:00"], "spread": True, "holidays": ["DE"]},
        {"spread": True},
    ],
    ids=["window", "holidays", "spread", "night", "spread-over-the-day"],
)
def test_every_row_is_due_when_the_calendar_says(stage: Stage, settings: dict[str, Any]) -> None:
    stage.people()
    due = stage.expanded(**settings)
    assert due == stage.said()
    assert len(set(due.values())) >= (20 if settings.get("spread") else 3)


def test_without_settings_everybody_is_due_at_once(stage: Stage) -> None:
    stage.people(10)
    assert set(stage.expanded().values()) == {MIDNIGHT}


@pytest.mark.costly
def test_a_start_long_ago_does_not_lie_in_a_window_that_is_over(stage: Stage) -> None:
    stage.people(10)
    friday_noon = datetime(2027, 12, 24, 12, 0, tzinfo=UTC)
    due = stage.expanded(friday_noon, send_window=OFFICE, spread=True, start_time=MIDNIGHT)
    assert due == stage.said(friday_noon)
    assert min(due.values()) >= friday_noon


def test_who_writes_countries_in_more_ways_than_there_are_branches_gets_the_campaigns_zone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due_times, "MOST_PLACES", 1)
    made = stage.contacts(3)
    for contact, zone in zip(made, ["Asia/Tokyo", "Asia/Tokyo", "Europe/Berlin"], strict=True):
        stage.change(contacts, contact, time_zone=zone)
    due = stage.expanded(send_window=OFFICE)
    assert due[made[0]] == due[made[1]] == stage.said()[made[0]]
    assert due[made[2]] == datetime(2027, 12, 24, 9, 0, tzinfo=UTC)
