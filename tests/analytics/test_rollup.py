"""Roll-ups say what counting the event log by hand says, whenever they are interrupted and whoever writes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.analytics import rollup
from coldsend.analytics.reports import happenings
from coldsend.analytics.rollup import RollUp
from coldsend.database import bulk, views
from coldsend.database.engine import Connection, Database
from coldsend.database.tables import contacts, cursors, event_counts, event_domains, event_links, event_log
from coldsend.stores import rollups
from tests.analytics.log import Log
from tests.planning.world import NOW

pytestmark = pytest.mark.costly

COUNTS = ("task_id", "hour", "type", "nature", "template_id", "sender_service_id")
DOMAINS = ("task_id", "domain", "type", "nature")
LINKS = ("task_id", "template_id", "nature", "url")


class Steady:
    """A steady clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def log(database: Database) -> Log:
    return Log(database)


def stored(database: Database, table: sa.Table, keys: tuple[str, ...], *numbers: str) -> dict[Any, list[int]]:
    with database.read() as connection:
        rows = connection.execute(sa.select(table)).mappings().all()
    return {tuple(row[key] for key in keys): [row[number] for number in numbers] for row in rows}


def assert_as_by_hand(log: Log) -> None:
    hand, numbers = log.by_hand(), ("events", "recipients", "firsts")
    assert stored(log.database, event_counts, COUNTS, *numbers) == hand.counts
    assert stored(log.database, event_domains, DOMAINS, *numbers) == hand.domains
    assert stored(log.database, event_links, LINKS, "clicks", "recipients") == hand.links


def position(database: Database) -> int:
    with database.read() as connection:
        return rollups.position(connection)


def test_roll_ups_are_what_counting_by_hand_gives(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollup, "BLOCK", 70)
    job = RollUp(log.database, grace=0)
    log.add(400)
    assert job.run(NOW, seconds=60) == 400
    log.add(150)
    assert job.run(NOW, seconds=60) == 150
    assert job.run(NOW) == 0
    assert_as_by_hand(log)


def test_events_about_nobody_are_passed_over(log: Log) -> None:
    log.world.insert(event_log, type="open", ts=NOW)
    log.add(20)
    log.world.insert(event_log, type="open", ts=NOW, task_id=log.tasks[0])
    RollUp(log.database, grace=0).run(NOW)
    assert_as_by_hand(log)
    assert position(log.database) == 22


def test_a_block_that_is_killed_before_its_commit_counts_once(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.add(60)
    job = RollUp(log.database, grace=0)
    with monkeypatch.context() as patched:
        patched.setattr(bulk, "insert_many", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            job.run(NOW)
    assert position(log.database) == 0
    assert job.run(NOW) == 60
    assert_as_by_hand(log)


def test_two_that_count_at_once_count_each_block_once(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.add(60)
    one, two = RollUp(log.database, grace=0), RollUp(log.database, grace=0)
    closed = one._closed

    def other_first(after: int, upto: int) -> int:
        if after == 0:
            assert two.run(NOW) == 60
        return closed(after, upto)

    monkeypatch.setattr(one, "_closed", other_first)
    assert one.run(NOW) == 0
    assert_as_by_hand(log)


def test_a_domain_that_is_forgotten_while_a_block_is_counted_does_not_come_back(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.add(200)
    domain = "bob.example"
    count = rollup.of_links

    def forget(connection: Connection, after: int, upto: int) -> list[rollups.Link]:
        monkeypatch.undo()
        with log.database.begin() as other:
            gone = sa.update(contacts).where(contacts.c.email_domain == domain)
            other.execute(gone.values(email_domain=rollups.ERASED_DOMAIN))
            assert rollups.forget_domain(other, domain)
        return count(connection, after, upto)

    monkeypatch.setattr(rollup, "of_links", forget)
    assert RollUp(log.database, grace=0).run(NOW, seconds=60) == 200
    assert_as_by_hand(log)
    assert domain not in {key[1] for key in stored(log.database, event_domains, DOMAINS)}


def test_it_stops_when_its_time_is_over_or_it_is_told_to(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollup, "BLOCK", 10)
    log.add(50)
    assert RollUp(log.database, grace=0).run(NOW, seconds=-1) == 10
    assert RollUp(log.database, lambda: True, grace=0).run(NOW) == 0


def test_no_block_is_closed_while_a_transaction_below_is_open(mariadb_url: str) -> None:
    database = Database(mariadb_url)
    log = Log(database)
    steady = Steady()
    job = RollUp(database, grace=5, steady=steady)
    log.add(10)
    with database.engine.connect() as slow:
        slow.execute(sa.insert(event_log), log.some(10))  # the ids 11 to 20
        log.add(10)
        assert job.run(NOW) == 0
        steady.now += 4.9
        assert job.run(NOW) == 0, "statements that were given ids may not have written their rows yet"
        steady.now += 0.1
        assert job.run(NOW) == 10
        assert position(database) == 10
        steady.now += 3600
        assert job.run(NOW) == 0
        slow.commit()
    assert job.run(NOW) == 20
    assert_as_by_hand(log)
    database.dispose()


def test_what_is_rolled_back_holds_nothing_up_for_longer(mariadb_url: str) -> None:
    database = Database(mariadb_url)
    log = Log(database)
    job = RollUp(database, grace=0)
    with database.engine.connect() as slow:
        slow.execute(sa.insert(event_log), log.some(10))
        log.add(10)
        assert job.run(NOW) == 0
        slow.rollback()
    assert job.run(NOW) == 10
    assert_as_by_hand(log)
    database.dispose()


def test_nothing_is_counted_that_is_not_old_enough(mariadb_url: str) -> None:
    database = Database(mariadb_url)
    log = Log(database)
    steady = Steady()
    job = RollUp(database, steady=steady)
    log.add(5)
    assert job.run(NOW) == 0
    steady.now += rollup.GRACE
    log.add(5)
    assert job.run(NOW) == 5, "what was there at the first look, and no more"
    database.dispose()


def test_where_one_writes_at_a_time_nothing_is_waited_for(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    log = Log(database)
    log.add(5)
    assert RollUp(database).run(NOW) == 5
    database.dispose()


def test_a_block_that_is_counted_while_a_report_reads_changes_nothing_in_it(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.add(80)
    read = rollups.counted

    def later(connection: Connection, task_ids: Collection[int]) -> list[rollups.Cell]:
        assert RollUp(log.database, grace=0).run(NOW, seconds=60) == 80
        return read(connection, task_ids)

    monkeypatch.setattr(rollups, "counted", later)
    with views.snapshot(log.database) as connection:
        cells = happenings.of_tasks(connection, log.tasks)
    assert sum(cell.events for cell in cells) == 80


def test_the_position_moves_by_compare_and_set(database: Database) -> None:
    with database.begin() as connection:
        assert rollups.advance(connection, 0, 10, NOW)
        assert not rollups.advance(connection, 0, 20, NOW)
        assert rollups.advance(connection, 10, 20, NOW)
        moved = connection.execute(sa.select(cursors.c.moved_at)).scalar_one()
    assert (position(database), moved) == (20, NOW)
