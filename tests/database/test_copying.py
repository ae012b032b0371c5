"""Databases copied whole: every kind of value, in one moment's state, ids going on, all or nothing."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa

from coldsend.database import copying, migrate, revision
from coldsend.database.engine import Connection, Database, read_only
from coldsend.database.tables import (
    contact_tags,
    contacts,
    inbox_messages,
    metadata,
    send_counts,
    sender_quota,
    sender_services,
    users,
)
from coldsend.domain.states import CountKind
from coldsend.errors import InvalidInput, Refused, SchemaOutdated, Unreachable, WrongState
from tests.planning.world import World

pytestmark = pytest.mark.costly

NOW = datetime(2027, 3, 1, 9, 0, 0, 123456, tzinfo=UTC)


def nothing(_connection: Connection) -> None:
    """Nothing to add at the end."""


def ignored(_rows: int) -> None:
    """Nobody looks at the progress."""


@pytest.fixture
def source(sqlite_url: str) -> Iterator[Database]:
    opened = Database(sqlite_url)
    yield opened
    opened.dispose()


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Database]:
    """A file that does not exist yet."""
    opened = Database(f"sqlite:///{tmp_path / 'target.db'}")
    yield opened
    opened.dispose()


@pytest.fixture
def mariadb_target(empty_mariadb_url: str) -> Iterator[Database]:
    opened = Database(empty_mariadb_url)
    yield opened
    opened.dispose()


@pytest.fixture(params=["sqlite-mariadb", "mariadb-sqlite"])
def pair(request: pytest.FixtureRequest) -> tuple[Database, Database]:
    """Where from and where to, once in each direction."""
    names = (
        ("source", "mariadb_target") if request.param == "sqlite-mariadb" else ("mariadb_source", "target")
    )
    first, second = (request.getfixturevalue(name) for name in names)
    return first, second


@pytest.fixture
def mariadb_source(mariadb_url: str) -> Iterator[Database]:
    opened = Database(mariadb_url)
    yield opened
    opened.dispose()


def fill(database: Database) -> World:
    """A row or more of what could be lost on the way."""
    world = World(database)
    world.insert(
        contacts,
        email="josé@exämple.de",
        email_key="josé@xn--exmple-cua.de",
        email_domain="xn--exmple-cua.de",
        nickname="José 😀 \\ ' \" % \n",
        tags=["vip", "city:Köln"],
        fields={"b": "2", "a": "é 100%", "empty": ""},
        away_until=datetime(2027, 5, 1, 23, 30, 0, 1, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        created_at=NOW,
        updated_at=NOW,
    )
    service = world.service(throttle_sec=0.125, credentials={"kid": "k", "data": "x" * 500})
    with database.begin() as connection:
        connection.execute(
            sa.insert(contact_tags), [{"tag": tag, "contact_id": 1} for tag in ("vip", "VIP", "city:Köln")]
        )
        connection.execute(
            sa.insert(sender_quota),
            [{"sender_service_id": service, "quota_day": date(2027, 3, 1), "used": 7}],
        )
        connection.execute(
            sa.insert(send_counts),
            [{"kind": kind, "owner_id": 1, "period": NOW, "key": "é", "used": 1} for kind in CountKind],
        )
        connection.execute(
            sa.insert(inbox_messages),
            [
                {
                    "mailbox_id": 1, "uid_validity": 2**32 - 1, "uid": number, "kind": "reply",
                    "received_at": NOW, "digest": f"{number:064x}", "raw": bytes(range(256)) * 40,
                    "text": "", "details": None, "created_at": NOW,
                }
                for number in range(copying.BATCH_LARGE_ROWS * 2 + 1)
            ],
        )  # fmt: skip
    return world


def contents(database: Database) -> dict[str, list[tuple[object, ...]]]:
    with database.read() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(sa.select(table))), key=repr)
            for table in metadata.sorted_tables
        }


def test_everything_arrives_as_it_was_and_ids_go_on(pair: tuple[Database, Database]) -> None:
    database, target = pair
    world = fill(database)
    last = world.user("gone").id
    with database.begin() as connection:
        connection.execute(sa.delete(users).where(users.c.id == last))
    seen: list[int] = []
    tables = copying.copy(database, target, seen.append, nothing)
    assert contents(target) == contents(database)
    assert revision.status(target).is_current
    rows = sum(tally.rows for tally in tables.values())
    assert rows == sum(map(len, contents(database).values()))
    assert sum(seen) == 2 * rows  # what a progress bar is made for
    assert World(target).user("next").id == last + 1  # also after a row that is gone


def test_one_moment_is_copied_whatever_happens_meanwhile(pair: tuple[Database, Database]) -> None:
    database, target = pair
    world = fill(database)
    before = contents(database)
    once: list[int] = []

    def somebody_works(_rows: int) -> None:
        if not once:
            once.append(1)
            world.service("added meanwhile")
            with database.begin() as connection:
                connection.execute(sa.delete(send_counts))
                connection.execute(sa.update(contacts).values(nickname="changed meanwhile"))

    copying.copy(database, target, somebody_works, nothing)
    assert contents(target) == before
    assert contents(database) != before


def test_a_copy_that_is_interrupted_leaves_what_nothing_works_with_and_begins_anew(
    source: Database, mariadb_target: Database
) -> None:
    fill(source)

    def power_cut(_connection: Connection) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copying.copy(source, mariadb_target, ignored, power_cut)
    assert revision.status(mariadb_target).state == revision.HALF_COPIED
    for use in (revision.require_current, migrate.upgrade):
        with pytest.raises(SchemaOutdated, match="holds a part of another one"):
            use(mariadb_target)
    with source.begin() as connection:
        connection.execute(sa.delete(contact_tags))
    copying.copy(source, mariadb_target, ignored, nothing)
    assert contents(mariadb_target) == contents(source)


@pytest.mark.parametrize("mark", ["half copied 0003", "half copied"])
def test_a_copy_that_another_version_began_is_not_gone_on_with(
    source: Database, target: Database, mark: str
) -> None:
    """Its tables may lack what this version's rows have."""
    migrate.upgrade(target)
    with target.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :mark"), {"mark": mark})
    for work in (lambda: copying.copy(source, target, ignored, nothing), lambda: migrate.upgrade(target)):
        with pytest.raises(SchemaOutdated, match=f"it is {mark}, this version needs") as refused:
            work()
        assert "then copy again" in refused.value.hint
    assert revision.status(target).revision == mark


def test_what_does_not_arrive_as_it_was_is_found(source: Database, mariadb_target: Database) -> None:
    """As where another process writes into the target, or a server changes values."""
    fill(source)
    rows = sum(map(len, contents(source).values()))
    seen = 0

    def meddle(handled: int) -> None:
        nonlocal seen
        before, seen = seen, seen + handled
        if before < rows <= seen:
            with mariadb_target.begin() as connection:
                connection.execute(sa.update(contacts).values(nickname="José"))

    with pytest.raises(Unreachable, match="1 tables differ; contacts"):
        copying.copy(source, mariadb_target, meddle, nothing)
    assert revision.status(mariadb_target).state == revision.HALF_COPIED


def test_a_database_that_init_has_made_is_as_good_as_an_empty_one(source: Database, target: Database) -> None:
    fill(source)
    migrate.upgrade(target)
    World(target)  # an admin
    copying.copy(source, target, ignored, nothing)
    assert contents(target) == contents(source)


def test_a_database_with_rows_in_it_is_left_alone(source: Database, target: Database) -> None:
    fill(source)
    migrate.upgrade(target)
    World(target).service("theirs")
    before = contents(target)
    with pytest.raises(WrongState, match="is not empty: it has rows in sender_services"):
        copying.copy(source, target, ignored, nothing)
    assert contents(target) == before
    assert revision.status(target).is_current


def test_a_database_is_not_copied_onto_itself_by_whatever_name(database_url: str) -> None:
    other_name = database_url.replace("127.0.0.1", "localhost").replace("sqlite:////", "sqlite:////../")
    assert other_name != database_url
    source, target = Database(database_url), Database(other_name)
    with source.begin() as connection:
        connection.execute(sa.insert(users).values(username="root", role="admin", created_at=NOW))
    with pytest.raises(WrongState, match="the very database"):
        copying.copy(source, target, ignored, nothing)
    revision.require_current(source)
    with source.read() as connection:
        assert connection.execute(sa.select(users.c.username)).scalars().all() == ["root"]
    source.dispose()
    target.dispose()


def test_a_value_that_does_not_fit_names_its_column(source: Database, mariadb_target: Database) -> None:
    """SQLite does not hold texts to the length of their column."""
    World(source).service(name="x" * 300)
    with pytest.raises(InvalidInput, match="'name'") as refused:
        copying.copy(source, mariadb_target, ignored, nothing)
    assert "begins anew" in refused.value.hint


def test_another_schema_is_not_copied(source: Database, target: Database) -> None:
    migrate.upgrade(target, "0001")
    with pytest.raises(SchemaOutdated, match="is at revision 0001"):
        copying.copy(source, target, ignored, nothing)
    migrate.downgrade(source, "0001")
    with pytest.raises(SchemaOutdated, match="is at revision 0001"):
        copying.copy(source, target, ignored, nothing)


def test_tables_of_something_else_are_left_alone(source: Database, target: Database) -> None:
    with target.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE users (name TEXT)")
    with pytest.raises(Refused, match="tables that coldsend did not make"):
        copying.copy(source, target, ignored, nothing)


def test_a_digest_is_of_the_rows_not_of_their_order_or_spelling(source: Database) -> None:
    world = World(source)

    def digest() -> str:
        with source.read() as connection:
            return copying.tallies(connection, ignored)["sender_services"].digest

    first = world.service("a", settings={"x": 1, "y": [2]}, throttle_sec=0.1254)
    one = digest()
    with source.begin() as connection:
        connection.exec_driver_sql(
            'UPDATE sender_services SET settings = \'{ "y":[2],"x" : 1}\', throttle_sec = 0.125'
        )
    assert digest() == one
    world.change(sender_services, first, daily_quota=101)
    assert digest() != one


def test_a_file_that_is_only_read_is_not_touched(sqlite_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "what a # name? 100%"
    folder.mkdir()
    file = folder / "a.db"
    shutil.copy(sqlite_url.removeprefix("sqlite:///"), file)
    with contextlib.closing(sqlite3.connect(file)) as raw:
        raw.execute("PRAGMA journal_mode=DELETE")
    changed = file.stat().st_mtime_ns
    database = Database(read_only(file))
    assert revision.status(database).is_current
    with pytest.raises(sa.exc.DBAPIError), database.engine.begin() as connection:
        connection.execute(sa.delete(users))
    database.dispose()
    assert [path.name for path in folder.iterdir()] == ["a.db"]
    assert file.stat().st_mtime_ns == changed
