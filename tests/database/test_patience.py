"""How long a transaction is repeated, and how long SQLite waits for a lock."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.database import dialect
from coldsend.database import engine as module
from coldsend.database.engine import Database, parse_url
from coldsend.database.tables import signing_keys
from coldsend.errors import ChangedMeanwhile, InvalidInput, Unreachable


@pytest.fixture
def locked(sqlite_url: str) -> Iterator[Database]:
    """A database that another process holds for writing."""
    holder = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    database = Database(f"{sqlite_url}?timeout=0.05")
    yield database
    database.dispose()
    holder.close()


def nothing(_connection: Connection) -> None:
    raise AssertionError("it must not get this far")


@pytest.mark.parametrize(("patience", "tries"), [(0.0, 1), (60.0, module.RETRIES)])
def test_it_is_repeated_until_patience_or_tries_run_out(
    locked: Database, monkeypatch: pytest.MonkeyPatch, patience: float, tries: int
) -> None:
    monkeypatch.setattr(module, "PATIENCE", patience)
    monkeypatch.setattr(module.random, "uniform", lambda *_: 0.0)
    began: list[float] = []
    begin = locked.engine.begin
    monkeypatch.setattr(locked.engine, "begin", lambda: began.append(time.monotonic()) or begin())
    with pytest.raises(Unreachable, match="database is locked"):
        locked.run(nothing)
    assert len(began) == tries


@pytest.mark.parametrize(("others", "tries"), [(1, 2), (module.LOOKS - 1, module.LOOKS), (99, module.LOOKS)])
def test_a_change_by_others_at_the_same_moment_is_looked_at_again(
    database: Database, others: int, tries: int
) -> None:
    looks: list[int] = []

    def work(connection: Connection) -> str:
        looks.append(len(looks))
        connection.execute(sa.insert(signing_keys).values(purpose="test", secret={}))
        if len(looks) <= others:
            raise ChangedMeanwhile("it was changed")
        return "done"

    if others < module.LOOKS:
        assert database.run(work) == "done"
    else:
        with pytest.raises(ChangedMeanwhile):
            database.run(work)
    assert len(looks) == tries, "and what an earlier look has written is undone: its key is unique"


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)  # SQLite has one writer at a time
def test_what_somebody_else_makes_between_the_look_and_the_insert_is_found_by_the_next_look(
    database: Database,
) -> None:
    looks: list[int] = []

    def work(connection: Connection) -> str:
        looks.append(len(looks))
        query = sa.select(signing_keys.c.id).where(signing_keys.c.purpose == "test")
        if connection.execute(query).scalar() is not None:
            return "taken"
        if len(looks) == 1:
            with database.begin() as another:
                another.execute(sa.insert(signing_keys).values(purpose="test", secret={}))
        connection.execute(sa.insert(signing_keys).values(purpose="test", secret={}))
        return "made"

    assert database.run(work) == "taken"
    assert len(looks) == 2


def test_the_url_says_how_long_a_lock_is_waited_for(locked: Database) -> None:
    began = time.monotonic()
    with pytest.raises(Unreachable), locked.begin():
        pass
    assert time.monotonic() - began < 25, "without it: thirty seconds"


@pytest.mark.parametrize("timeout", ["soon", "-1", "1e3"])
def test_a_timeout_that_is_no_number_is_refused(timeout: str) -> None:
    with pytest.raises(InvalidInput, match="timeout"):
        parse_url(f"sqlite:///x.db?timeout={timeout}")


def test_who_is_stopped_in_the_middle_of_a_transaction_loses_its_locks(
    mariadb_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialect, "IDLE_SECONDS", 3)  # nobody else is so slow
    hung, other = Database(mariadb_url), Database(mariadb_url)
    change = sa.update(signing_keys).values(secret={"changed": True})
    with hung.begin() as connection:
        connection.execute(sa.insert(signing_keys).values(purpose="test", secret={}))

    def change_and_hang() -> None:
        with hung.begin() as connection:
            connection.execute(change)
            other.run(lambda waiting: waiting.execute(change))  # it gets the lock, and commits
            connection.execute(change)

    with pytest.raises(Unreachable):
        change_and_hang()
    with other.read() as connection:
        assert connection.execute(sa.select(signing_keys.c.secret)).scalars().all() == [{"changed": True}]
    hung.dispose()
    other.dispose()
