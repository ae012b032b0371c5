"""sender_quota: what a day grants, also to many workers at once."""

from __future__ import annotations

import multiprocessing
from datetime import date

import pytest

from coldsend.database.engine import Database
from coldsend.stores import quota
from tests.stores.rows import add_service

DAY = date(2027, 3, 1)


def test_a_day_grants_what_is_asked_for_until_its_limit(database: Database) -> None:
    service_id = add_service(database)
    with database.begin() as connection:
        granted = [quota.reserve(connection, service_id, DAY, 4, 10) for _ in range(4)]
        assert granted == [4, 4, 2, 0]
        assert quota.used(connection, service_id, DAY) == 10


def test_a_quota_of_zero_grants_nothing(database: Database) -> None:
    service_id = add_service(database)
    with database.begin() as connection:
        assert quota.reserve(connection, service_id, DAY, 5, 0) == 0
        assert not quota.ever_used(connection, service_id)


@pytest.mark.parametrize("n", [0, -3])
def test_asking_for_nothing_takes_nothing(database: Database, n: int) -> None:
    service_id = add_service(database)
    with database.begin() as connection:
        assert quota.reserve(connection, service_id, DAY, n, 10) == 0
        assert quota.used(connection, service_id, DAY) == 0


def test_a_limit_lowered_below_what_is_used_grants_nothing_and_changes_nothing(database: Database) -> None:
    service_id = add_service(database)
    with database.begin() as connection:
        quota.reserve(connection, service_id, DAY, 8, 10)
        assert quota.reserve(connection, service_id, DAY, 1, 5) == 0
        assert quota.used(connection, service_id, DAY) == 8


def test_days_and_services_are_counted_apart(database: Database) -> None:
    one, two = add_service(database, "one"), add_service(database, "two")
    other_day = date(2027, 3, 2)
    with database.begin() as connection:
        quota.reserve(connection, one, DAY, 3, 10)
        quota.reserve(connection, one, other_day, 1, 10)
        quota.reserve(connection, two, DAY, 7, 10)
        assert quota.used_on(connection, [(one, DAY), (two, DAY)]) == {one: 3, two: 7}
        assert quota.used_on(connection, [(one, other_day), (two, other_day)]) == {one: 1, two: 0}


def test_a_refund_can_be_sent_again(database: Database) -> None:
    service_id = add_service(database)
    with database.begin() as connection:
        quota.reserve(connection, service_id, DAY, 10, 10)
        quota.refund(connection, service_id, DAY, 3)
        assert quota.reserve(connection, service_id, DAY, 10, 10) == 3


def test_a_refund_never_leads_below_zero(database: Database) -> None:
    service_id = add_service(database)
    with database.begin() as connection:
        quota.reserve(connection, service_id, DAY, 2, 10)
        quota.refund(connection, service_id, DAY, 5)
        quota.refund(connection, service_id, date(2027, 3, 2), 5)
        assert quota.used(connection, service_id, DAY) == 0


def test_a_rolled_back_reservation_is_as_if_it_had_not_been(database: Database) -> None:
    service_id = add_service(database)
    with database.engine.connect() as connection:
        assert quota.reserve(connection, service_id, DAY, 5, 10) == 5
        connection.rollback()
    with database.read() as connection:
        assert quota.used(connection, service_id, DAY) == 0


def _reserve_all(url: str, service_id: int, limit: int, n: int) -> int:
    """Reserve batch by batch until nothing is left; one worker of several."""
    database = Database(url)
    total = 0
    while granted := database.run(lambda c: quota.reserve(c, service_id, DAY, n, limit)):
        assert 0 < granted <= n
        total += granted
    database.dispose()
    return total


@pytest.mark.slow
def test_processes_that_reserve_at_once_get_the_limit_together_and_no_more(
    database: Database, database_url: str
) -> None:
    service_id = add_service(database)
    limit = 211
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        sizes = [1, 3, 7, 10]
        totals = pool.starmap(
            _reserve_all, [(database_url, service_id, limit, n) for n in sizes], chunksize=1
        )
    assert sum(totals) == limit
    with database.read() as connection:
        assert quota.used(connection, service_id, DAY) == limit
