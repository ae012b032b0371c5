"""The migrations: from nothing, back to nothing, interrupted, twice at once, and into foreign databases."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import event

from coldsend.database import migrate, revision
from coldsend.database.differences import differences
from coldsend.database.engine import Database
from coldsend.database.tables import metadata
from coldsend.errors import Refused, SchemaOutdated, Unreachable
from tests.planning.world import World

pytestmark = pytest.mark.costly


def tables_of(database: Database) -> set[str]:
    return set(sa.inspect(database.engine).get_table_names())


class PowerCut(BaseException):
    """What a test raises in the middle of an upgrade."""


@pytest.fixture
def cut_after(empty_database: Database) -> Iterator[list[int]]:
    """Put a number in: that many DDL statements succeed, the next one is a power cut."""
    left: list[int] = []

    def before(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if left and statement.lstrip().upper().startswith("CREATE"):
            if left[0] == 0:
                raise PowerCut
            left[0] -= 1

    event.listen(empty_database.engine, "before_cursor_execute", before)
    yield left
    event.remove(empty_database.engine, "before_cursor_execute", before)


def test_upgrade_from_nothing_makes_the_schema_of_the_metadata(empty_database: Database) -> None:
    assert revision.status(empty_database).state == "empty"
    migrate.upgrade(empty_database)
    assert revision.status(empty_database).state == "current"
    assert tables_of(empty_database) == set(metadata.tables) | {"alembic_version"}
    with empty_database.read() as connection:
        assert differences(connection) == []


def test_upgrading_again_changes_nothing(empty_database: Database) -> None:
    migrate.upgrade(empty_database)
    with empty_database.begin() as connection:
        connection.execute(sa.text("INSERT INTO users (username, role) VALUES ('anna', 'admin')"))
    migrate.upgrade(empty_database)
    with empty_database.read() as connection:
        assert connection.execute(sa.text("SELECT username FROM users")).scalars().all() == ["anna"]


def test_downgrade_leaves_nothing_and_the_way_up_is_open(empty_database: Database) -> None:
    migrate.upgrade(empty_database)
    migrate.downgrade(empty_database, "base")
    assert tables_of(empty_database) <= {"alembic_version", "sqlite_sequence"}
    assert revision.status(empty_database).state == "empty"
    migrate.upgrade(empty_database)
    assert revision.status(empty_database).state == "current"


def test_alembic_itself_finds_nothing_to_generate(empty_database: Database) -> None:
    migrate.upgrade(empty_database)
    with empty_database.schema_change() as connection:
        command.check(migrate.config(connection))


@pytest.mark.parametrize("statements", [1, 2, 3, 12, 30])
def test_an_interrupted_upgrade_is_finished_by_running_it_again(
    empty_database: Database, cut_after: list[int], statements: int
) -> None:
    cut_after.append(statements)
    with pytest.raises(PowerCut):
        migrate.upgrade(empty_database)
    cut_after.clear()
    with pytest.raises(SchemaOutdated):
        revision.require_current(empty_database)
    migrate.upgrade(empty_database)
    revision.require_current(empty_database)
    with empty_database.read() as connection:
        assert differences(connection) == []


def test_an_interrupted_upgrade_leaves_nothing_on_sqlite(empty_sqlite_url: str) -> None:
    database = Database(empty_sqlite_url)

    def before(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "CREATE TABLE workers" in statement or "EXISTS workers" in statement:
            raise PowerCut

    event.listen(database.engine, "before_cursor_execute", before)
    with pytest.raises(PowerCut):
        migrate.upgrade(database)
    assert tables_of(database) == set()
    database.dispose()


def test_two_upgrades_at_once_do_not_disturb_each_other(empty_database: Database) -> None:
    url = empty_database.url.render_as_string(hide_password=False)
    failures: list[BaseException] = []
    together = threading.Barrier(2)

    def work() -> None:
        mine = Database(url)
        try:
            together.wait()
            migrate.upgrade(mine)
        except BaseException as error:
            failures.append(error)
        finally:
            mine.dispose()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with empty_database.read() as connection:
        assert differences(connection) == []


def test_a_database_of_something_else_is_left_alone(empty_database: Database) -> None:
    with empty_database.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE users (login VARCHAR(20))")
    with pytest.raises(Refused, match="users; nothing was changed"):
        migrate.upgrade(empty_database)
    assert tables_of(empty_database) == {"users"}


def test_a_used_table_is_not_taken_for_the_rest_of_an_interrupted_upgrade(empty_database: Database) -> None:
    with empty_database.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.exec_driver_sql("CREATE TABLE contacts (email VARCHAR(20))")
        connection.exec_driver_sql("INSERT INTO contacts VALUES ('a@b')")
    with pytest.raises(Refused, match="contacts"):
        migrate.upgrade(empty_database)


def test_a_database_of_a_newer_coldsend_is_left_alone(empty_database: Database) -> None:
    migrate.upgrade(empty_database)
    with empty_database.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    assert revision.status(empty_database).state == "newer"
    with pytest.raises(SchemaOutdated, match="9999") as caught:
        migrate.upgrade(empty_database)
    assert "install that version" in caught.value.hint


def test_looking_at_a_sqlite_file_that_does_not_exist_does_not_create_it(
    empty_sqlite_url: str, tmp_path: object
) -> None:
    database = Database(empty_sqlite_url)
    assert revision.status(database).state == "empty"
    assert not migrate.sqlite_file(database.url).exists()  # type: ignore[union-attr]


def test_rows_that_lost_their_parent_stop_a_schema_change_on_sqlite(empty_sqlite_url: str) -> None:
    database = Database(empty_sqlite_url)
    migrate.upgrade(database)
    orphan = "INSERT INTO campaigns (name, status, created_by) VALUES ('x', 'draft', 99)"
    refused = pytest.raises(Unreachable, match="campaigns refers to a row of users")
    with refused, database.schema_change() as connection:
        connection.exec_driver_sql(orphan)
    with database.begin() as connection, pytest.raises(sa.exc.IntegrityError):
        connection.exec_driver_sql(orphan)  # foreign keys are on again
    database.dispose()


def _everything(database: Database) -> dict[str, list[dict[str, object]]]:
    """All rows of the tables that version 0002 has, by name."""
    with database.read() as connection:
        return {
            name: [
                dict(row)
                for row in connection.exec_driver_sql(f"SELECT * FROM {name} ORDER BY id").mappings()
            ]
            for name in ("users", "campaigns", "sender_services", "tasks", "contacts", "task_contacts")
        }


def test_a_database_of_the_version_before_is_brought_up_and_back_with_all_it_holds(
    empty_database: Database,
) -> None:
    migrate.upgrade(empty_database)
    world = World(empty_database)
    world.service()
    world.rows(world.task(world.campaign("spring", "active"), "intro", "sending"), "sent", 3)
    migrate.downgrade(empty_database, "0002")
    before = _everything(empty_database)
    assert [len(rows) for rows in before.values()] == [1, 1, 1, 1, 3, 3]
    migrate.upgrade(empty_database)
    with empty_database.read() as connection:
        assert differences(connection) == []
    after = _everything(empty_database)
    assert {
        name: [{column: row[column] for column in before[name][0]} for row in rows]
        for name, rows in after.items()
    } == before
    migrate.downgrade(empty_database, "0002")
    assert _everything(empty_database) == before


def test_suppressions_keep_while_their_unique_key_is_replaced_and_back(empty_database: Database) -> None:
    migrate.upgrade(empty_database)
    migrate.downgrade(empty_database, "0002")
    with empty_database.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO suppressions (suppression_key, scope, value, reason) "
                "VALUES ('a:bob@x.com', 'address', 'bob@x.com', 'complaint')"
            )
        )
    migrate.upgrade(empty_database)
    told = sa.text("SELECT suppression_key, reason, list_name FROM suppressions")
    with empty_database.begin() as connection:
        assert connection.execute(told).all() == [("a:bob@x.com", "complaint", "")]
        connection.execute(
            sa.text(
                "INSERT INTO suppressions (suppression_key, scope, reason, list_name) "
                "VALUES ('a:bob@x.com', 'address', 'import', 'customers')"
            )
        )
    with empty_database.read() as connection:
        assert differences(connection) == []
    migrate.downgrade(empty_database, "0002")
    migrate.upgrade(empty_database)
    with empty_database.read() as connection:
        assert connection.execute(told).all() == [("a:bob@x.com", "complaint", "")]


def test_the_files_of_the_chain_are_named_as_alembic_walks_it() -> None:
    script = ScriptDirectory.from_config(migrate.config())
    walked = [entry.revision for entry in script.walk_revisions()]
    assert revision.known_revisions() == walked[::-1]
