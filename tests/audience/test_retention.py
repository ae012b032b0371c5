"""What has been kept long enough goes, and nothing else; reports count as before."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from coldsend.analytics.reports import documents
from coldsend.analytics.rollup import RollUp
from coldsend.audience import erasing, retention
from coldsend.audience.retention import Dropped, Keeper
from coldsend.config.settings import RetentionSettings
from coldsend.daemon.jobs import Jobs
from coldsend.database.engine import Database
from coldsend.database.tables import (
    event_counts,
    event_log,
    inbox_messages,
    task_contacts,
    unmatched_events,
    webhook_payloads,
)
from coldsend.stores import campaigns as campaigns_store
from tests.audience.people import EMAIL, NOW, PEPPER, People
from tests.planning.world import SETTINGS, World

RULES = RetentionSettings(events_days=100, messages_days=200, payloads_days=30)


class Kept:
    """Things of a given age, a number of days."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.world = World(database)
        self._number = 0

    def event(self, days: float) -> int:
        return self.world.insert(event_log, type="open", ts=_ago(days), details={"ip": "192.0.2.1"})

    def message(self, days: float) -> int:
        self._number += 1
        return self.world.insert(
            inbox_messages,
            mailbox_id=1,
            uid_validity=1,
            uid=self._number,
            digest=f"{self._number:064}",
            kind="reply",
            received_at=_ago(days),
            created_at=_ago(days),
            text="words",
            raw=b"words",
        )

    def payload(self, days: float) -> int:
        self._number += 1
        values = {"provider": "ses", "digest": f"{self._number:064}", "body": b"words"}
        return self.world.insert(webhook_payloads, received_at=_ago(days), **values)

    def unmatched(self, days: float) -> int:
        return self.world.insert(unmatched_events, source="web", received_at=_ago(days))

    def ids(self, table: sa.Table) -> list[int]:
        with self.database.read() as connection:
            return list(connection.execute(sa.select(table.c.id).order_by(table.c.id)).scalars())

    def run(self, rules: RetentionSettings = RULES) -> Dropped:
        self.roll_up()
        return Keeper(self.database, rules).run(NOW)

    def roll_up(self) -> None:
        RollUp(self.database, grace=0).run(NOW)


def _ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


@pytest.fixture
def kept(database: Database) -> Kept:
    return Kept(database)


def test_each_kind_goes_when_its_own_time_is_over(kept: Kept) -> None:
    events = [kept.event(days) for days in (101, 100.1, 99.9, 1)]
    messages = [kept.message(days) for days in (201, 199, 31, 29)]
    payloads = [kept.payload(days) for days in (31, 29)]
    unmatched = [kept.unmatched(days) for days in (101, 99)]
    dropped = kept.run()
    assert dropped == Dropped(events=2, unmatched=1, messages=1, payloads=1, raw=2, late=0)
    assert kept.ids(event_log) == events[2:]
    assert kept.ids(inbox_messages) == messages[1:]
    assert kept.ids(webhook_payloads) == payloads[1:]
    assert kept.ids(unmatched_events) == unmatched[1:]
    shown = [kept.world.row(inbox_messages, each) for each in messages[1:]]
    assert [row["raw"] for row in shown] == [None, None, b"words"]
    assert {row["text"] for row in shown} == {"words"}
    assert not kept.run(), "nothing is left to do"


def test_without_rules_everything_is_kept(kept: Kept) -> None:
    kept.event(5000)
    message = kept.message(5000)
    kept.payload(5000)
    kept.unmatched(5000)
    assert not kept.run(RetentionSettings(events_days=0, messages_days=0, payloads_days=0))
    assert kept.world.row(inbox_messages, message)["raw"] == b"words"
    assert all(kept.ids(table) for table in (event_log, webhook_payloads, unmatched_events))


def test_long_tables_go_in_small_transactions_and_one_run_ends(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    old = [kept.event(150) for _ in range(8)]
    young = [kept.event(1) for _ in range(5)]
    for _ in range(7):
        kept.message(40)
    monkeypatch.setattr(retention, "SECONDS", -1.0)
    assert not kept.run(), "its time was over before it began"
    assert kept.ids(event_log) == old + young
    monkeypatch.undo()
    monkeypatch.setattr(retention, "BATCH", 3)
    dropped = kept.run()
    assert (dropped.events, dropped.raw) == (8, 7)
    assert kept.ids(event_log) == young


def test_events_that_were_heard_of_late_keep_no_other_from_going(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 4)
    mixed = [kept.event(days) for days in (150, 1, 150, 1, 1, 1, 150, 1, 1, 1, 150, 1)]
    assert kept.run().events == 4
    assert len(kept.ids(event_log)) == len(mixed) - 4


def test_it_stops_when_it_is_told_to(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    for _ in range(6):
        kept.event(150)
    kept.roll_up()
    answers = iter([False, False])
    dropped = Keeper(kept.database, RULES, lambda: next(answers, True)).run(NOW)
    assert dropped.events == 4


def test_messages_are_not_looked_at_again_and_again(kept: Kept) -> None:
    keeper = Keeper(kept.database, RULES)
    kept.message(50)
    assert keeper.run(NOW).raw == 1
    later = kept.message(20)
    assert not keeper.run(NOW)
    assert keeper.run(NOW + timedelta(days=11)).raw == 1
    assert kept.world.row(inbox_messages, later)["raw"] is None


@pytest.mark.costly
def test_reports_count_as_before(kept: Kept) -> None:
    world = kept.world
    task = world.task(world.campaign("spring", "active"), status="finished")
    world.rows(task, "opened", 3, sent_at=_ago(300), opened_at=_ago(299))
    (row,) = world.rows(task, "replied", 1, sent_at=_ago(300), replied_at=_ago(298))
    contact = world.row(task_contacts, row)["contact_id"]
    world.insert(event_log, task_id=task, contact_id=contact, type="reply", ts=_ago(298))

    def report() -> object:
        with kept.database.read() as connection:
            return documents.campaign_report(connection, campaigns_store.find(connection, "spring"), NOW)

    before = report()
    assert kept.run().events == 1
    assert report() == before


def test_events_stay_until_they_are_in_the_roll_ups(kept: Kept) -> None:
    counted = kept.event(150)
    kept.roll_up()
    later = kept.event(150)
    assert Keeper(kept.database, RULES).run(NOW).events == 1
    assert kept.ids(event_log) == [later] != [counted]


@pytest.mark.costly
def test_whose_first_event_was_deleted_is_no_new_recipient(kept: Kept) -> None:
    world = kept.world
    task = world.task(world.campaign("spring", "active"), status="finished")
    (row,) = world.rows(task, "opened", 1, sent_at=_ago(150), opened_at=_ago(149))
    contact = world.row(task_contacts, row)["contact_id"]
    human = {"task_id": task, "contact_id": contact, "type": "open", "details": {"actor": "human"}}
    world.insert(event_log, ts=_ago(149), **human)
    assert kept.run().events == 1
    world.insert(event_log, ts=_ago(1), **human)
    kept.roll_up()
    with kept.database.read() as connection:
        columns = (event_counts.c.events, event_counts.c.recipients, event_counts.c.firsts)
        found = connection.execute(sa.select(*map(sa.func.sum, columns))).one()
    assert tuple(map(int, found)) == (2, 1, 1)


@pytest.mark.costly
def test_what_came_in_about_erased_people_is_cleared(database: Database) -> None:
    people = People(database)
    erasing.erase(database, EMAIL, PEPPER, NOW - timedelta(days=2), people.world.admin)
    late = people._message(9, people.bob, EMAIL, "words of bob")
    assert Keeper(database, RetentionSettings()).run(NOW).late == 1
    assert people.world.row(inbox_messages, late)["text"] is None


def test_the_leading_scheduler_does_it(kept: Kept, tmp_path: Path) -> None:
    settings = replace(SETTINGS, state_dir=tmp_path, retention=RULES)
    one, two = (Jobs(settings, kept.database, lambda: False) for _ in range(2))
    one.register()
    two.register()
    kept.event(100_000 / 24)
    kept.roll_up()
    two.keep_or_delete()
    assert kept.ids(event_log)
    one.keep_or_delete()
    assert kept.ids(event_log) == []
    assert "retention" in [name for name, _seconds, _job in one.table()]
    one.sign_off()
    two.sign_off()
