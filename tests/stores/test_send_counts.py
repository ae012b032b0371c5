"""Counts of limits besides the daily quota: what they grant, also to many at once."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from coldsend.database.engine import Connection, Database
from coldsend.domain.states import CountKind
from coldsend.stores import send_counts

HOUR = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
DOMAIN = CountKind.SERVICE_DOMAIN


def reserve(
    connection: Connection, wanted: dict[str, int], limit: int = 10, owner: int = 1
) -> dict[str, int]:
    return send_counts.reserve(connection, DOMAIN, owner, HOUR, wanted, limit)


def test_each_key_grants_what_is_asked_for_until_its_limit(database: Database) -> None:
    with database.begin() as connection:
        assert reserve(connection, {"a.example": 4, "b.example": 12}) == {"a.example": 4, "b.example": 10}
        assert reserve(connection, {"a.example": 7, "c.example": 0}) == {"a.example": 6, "c.example": 0}
        used = send_counts.used(connection, DOMAIN, 1, HOUR, ["a.example", "b.example", "c.example"])
        assert used == {"a.example": 10, "b.example": 10, "c.example": 0}


def test_a_limit_of_zero_and_one_lowered_grant_nothing_and_change_nothing(database: Database) -> None:
    with database.begin() as connection:
        assert reserve(connection, {"a": 1}, limit=0) == {"a": 0}
        reserve(connection, {"a": 8})
        assert reserve(connection, {"a": 1}, limit=5) == {"a": 0}
        assert send_counts.used(connection, DOMAIN, 1, HOUR, ["a"]) == {"a": 8}


def test_kinds_owners_and_periods_are_counted_apart(database: Database) -> None:
    with database.begin() as connection:
        reserve(connection, {"": 3})
        reserve(connection, {"": 4}, owner=2)
        send_counts.reserve(connection, DOMAIN, 1, HOUR + timedelta(hours=1), {"": 5}, 10)
        send_counts.reserve(connection, CountKind.SERVICE_HOUR, 1, HOUR, {"": 6}, 10)
        assert send_counts.used_by(connection, DOMAIN, [(1, HOUR), (2, HOUR), (3, HOUR)]) == {
            1: 3,
            2: 4,
            3: 0,
        }
        assert send_counts.used_by(connection, CountKind.SERVICE_HOUR, [(1, HOUR)]) == {1: 6}


def test_what_is_given_back_can_be_taken_again_and_never_leads_below_zero(database: Database) -> None:
    with database.begin() as connection:
        reserve(connection, {"a": 10, "b": 2})
        send_counts.refund(connection, DOMAIN, 1, HOUR, {"a": 3, "b": 5, "c": 1})
        assert reserve(connection, {"a": 9, "b": 10, "c": 10}) == {"a": 3, "b": 10, "c": 10}


def test_domains_that_differ_in_an_accent_or_in_case_are_counted_apart(database: Database) -> None:
    with database.begin() as connection:
        reserve(connection, {"a.example": 1, "á.example": 2, "A.example": 3})
        keys = ["a.example", "á.example", "A.example"]
        assert send_counts.used(connection, DOMAIN, 1, HOUR, keys) == dict(zip(keys, [1, 2, 3], strict=True))


def test_another_period_takes_over_what_was_used_and_only_what_is_more(database: Database) -> None:
    to = HOUR + timedelta(days=1)
    with database.begin() as connection:
        reserve(connection, {"a": 4, "b": 2})
        send_counts.reserve(connection, DOMAIN, 1, to, {"b": 5}, 10)
        send_counts.carry_over(connection, DOMAIN, 1, HOUR, to)
        assert send_counts.used(connection, DOMAIN, 1, to, ["a", "b"]) == {"a": 4, "b": 5}


def test_old_counts_are_deleted_a_part_at_a_time_and_later_ones_stay(database: Database) -> None:
    with database.begin() as connection:
        reserve(connection, {"a": 1, "b": 1, "c": 1})
        send_counts.reserve(connection, DOMAIN, 1, HOUR + timedelta(hours=1), {"a": 1}, 10)
        send_counts.reserve(connection, DOMAIN, 1, HOUR - timedelta(hours=1), {"a": 1}, 10)
        before = HOUR + timedelta(hours=1)
        assert [send_counts.remove_before(connection, before) for _ in range(3)] == [1, 3, 0]
        assert send_counts.used_by(connection, DOMAIN, [(1, before)]) == {1: 0}
        assert send_counts.used(connection, DOMAIN, 1, before, ["a"]) == {"a": 1}


@pytest.mark.costly
def test_many_workers_at_once_get_exactly_the_limit(database: Database) -> None:
    granted: list[int] = []
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        for _ in range(10):
            taken = database.run(lambda connection: reserve(connection, {"x": 2, "y": 3}, limit=35))
            granted.append(taken["x"])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 35
    with database.read() as connection:
        assert send_counts.used(connection, DOMAIN, 1, HOUR, ["x", "y"]) == {"x": 35, "y": 35}
