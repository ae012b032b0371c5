"""What `db check` and `doctor` find in a database."""

from __future__ import annotations

import dataclasses

import pytest

from coldsend.database import administration, checks, migrate
from coldsend.database.engine import Database
from coldsend.domain.finding import Finding
from tests.conftest import database_on, run_name

pytestmark = pytest.mark.costly


def found(database: Database) -> list[tuple[str, str, str]]:
    return [(f.severity, f.subject, f.message) for f in checks.findings(database)]


def change(database: Database, *statements: str) -> None:
    """Alter the schema by hand, as somebody might."""
    with database.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Put settings in: they cover what the server has."""
    covered: dict[str, str] = {}
    real = administration.settings
    monkeypatch.setattr(administration, "settings", lambda connection: {**real(connection), **covered})
    return covered


def test_a_freshly_migrated_database_is_without_errors(database: Database) -> None:
    assert [
        entry for entry in found(database) if entry[0] == "error" and "innodb_flush" not in entry[1]
    ] == []


def test_a_missing_column_is_found(altered: Database) -> None:
    change(altered, "ALTER TABLE contacts DROP COLUMN lawful_basis")
    assert ("error", "contacts.lawful_basis", "the column is missing") in found(altered)


def test_a_missing_table_is_found(altered: Database) -> None:
    change(altered, "DROP TABLE provider_pauses")
    assert ("error", "provider_pauses", "the table is missing") in found(altered)


def test_a_missing_index_is_found(altered: Database) -> None:
    on = "" if altered.dialect_name == "sqlite" else " ON event_log"
    change(altered, f"DROP INDEX ix_event_log_task_contact{on}")
    message = "the index ix_event_log_task_contact over task_id, contact_id is missing"
    assert ("error", "event_log", message) in found(altered)


def test_an_index_over_other_columns_is_found(altered: Database) -> None:
    on = "" if altered.dialect_name == "sqlite" else " ON event_log"
    change(
        altered,
        f"DROP INDEX ix_event_log_task_contact{on}",
        "CREATE INDEX ix_event_log_task_contact ON event_log (contact_id, task_id)",
    )
    message = "index ix_event_log_task_contact: should be task_id, contact_id, is contact_id, task_id"
    assert ("error", "event_log", message) in found(altered)


def test_an_index_that_somebody_added_is_only_a_warning(altered: Database) -> None:
    change(altered, "CREATE INDEX ix_mine ON contacts (nickname)")
    assert ("warning", "contacts", "an index ix_mine that coldsend does not know") in found(altered)


def test_a_unique_key_that_somebody_added_is_an_error(altered: Database) -> None:
    change(altered, "CREATE UNIQUE INDEX uq_mine ON contacts (nickname)")
    assert ("error", "contacts", "a unique key over nickname that coldsend does not know") in found(altered)


def test_a_column_that_somebody_added_is_a_warning_or_an_error_where_it_must_be_filled(
    altered: Database,
) -> None:
    change(altered, "ALTER TABLE users ADD COLUMN phone VARCHAR(20)")
    assert ("warning", "users.phone", "a column that coldsend does not know") in found(altered)
    if altered.dialect_name != "sqlite":  # SQLite refuses to add such a column
        change(altered, "ALTER TABLE users ADD COLUMN badge INTEGER NOT NULL")
        assert ("error", "users.badge") in [entry[:2] for entry in found(altered)]


def test_a_table_that_somebody_added_is_a_warning(altered: Database) -> None:
    change(altered, "CREATE TABLE mine (x INTEGER)")
    assert ("warning", "mine", "a table that coldsend does not know") in found(altered)


# What somebody did by hand, where it is found, and as what.
BY_HAND = [
    (
        "ALTER TABLE templates MODIFY body TEXT NOT NULL",
        "templates.body",
        "type: should be mediumtext, is text",
    ),
    (
        "ALTER TABLE users MODIFY username VARCHAR(100) NOT NULL",
        "users.username",
        "type: should be varchar(255), is varchar(100)",
    ),
    (
        "ALTER TABLE workers MODIFY host VARCHAR(255)",
        "workers.host",
        "NULL allowed: should be False, is True",
    ),
    (
        "ALTER TABLE sender_services MODIFY type VARCHAR(50) NOT NULL DEFAULT 'smtp'",
        "sender_services.type",
        "default: should be jiguang, is smtp",
    ),
    (
        "ALTER TABLE campaigns MODIFY created_at DATETIME(0) NOT NULL DEFAULT CURRENT_TIMESTAMP",
        "campaigns.created_at",
        "type: should be datetime(6), is datetime",
    ),
    (
        "ALTER TABLE contact_tags MODIFY tag VARCHAR(100) COLLATE utf8mb4_unicode_ci NOT NULL",
        "contact_tags.tag",
        "collation: should be utf8mb4_bin, is utf8mb4_unicode_ci",
    ),
    (
        "ALTER TABLE workers MODIFY kind ENUM('sender') NOT NULL",
        "workers.kind",
        "type: should be enum('scheduler','sender'), is enum('sender')",
    ),
    (
        "ALTER TABLE leases ENGINE=MyISAM",
        "leases",
        "the storage engine is MyISAM, not InnoDB: nothing it holds is durable",
    ),
    (
        "ALTER TABLE campaigns DROP FOREIGN KEY fk_campaigns_created_by",
        "campaigns",
        "the foreign key created_by to users (id) is missing",
    ),
    (
        "ALTER TABLE leases DROP PRIMARY KEY",
        "leases",
        "primary key: should be name, is ",
    ),
]


@pytest.fixture(scope="module")
def found_on_a_spoiled_server(mariadb_server: str) -> list[tuple[str, str, str]]:
    """What is found after all of that was done to one database."""
    with database_on(mariadb_server, f"{run_name()}_spoiled") as url:
        database = Database(url)
        migrate.upgrade(database)
        change(database, *(statement for statement, _subject, _message in BY_HAND))
        result = found(database)
        database.dispose()
    return result


@pytest.mark.servers
@pytest.mark.parametrize(("statement", "subject", "message"), BY_HAND)
def test_what_was_changed_on_a_server_is_found(
    found_on_a_spoiled_server: list[tuple[str, str, str]], statement: str, subject: str, message: str
) -> None:
    assert ("error", subject, message) in found_on_a_spoiled_server, statement


@pytest.mark.servers
def test_nothing_else_is_found_on_that_server(found_on_a_spoiled_server: list[tuple[str, str, str]]) -> None:
    subjects = {subject for _severity, subject, _message in found_on_a_spoiled_server}
    assert subjects <= {subject for _statement, subject, _message in BY_HAND} | {
        "innodb_flush_log_at_trx_commit"
    }


def test_an_enum_that_allows_other_values_is_found_on_sqlite(empty_sqlite_url: str) -> None:
    database = Database(empty_sqlite_url)
    migrate.upgrade(database)
    change(
        database,
        "PRAGMA writable_schema=ON",
        "UPDATE sqlite_master SET sql = replace(sql, '''scheduler'', ', '') WHERE name = 'workers'",
        "PRAGMA writable_schema=OFF",
    )
    database.dispose()
    assert ("error", "workers.kind", "values: should be scheduler, sender, is sender") in found(database)
    database.dispose()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("innodb_flush_log_at_trx_commit", "2"),
        ("innodb_flush_log_at_trx_commit", "0"),
        ("transaction_isolation", "repeatable-read"),
        ("character_set_connection", "latin1"),
        ("sql_mode", "no_engine_substitution"),
        ("time_zone", "system"),
        ("synchronous", "1"),
        ("journal_mode", "delete"),
        ("foreign_keys", "0"),
    ],
)
def test_a_setting_that_breaks_a_promise_is_an_error(
    sqlite_url: str, settings: dict[str, str], setting: str, value: str
) -> None:
    settings[setting] = value
    database = Database(sqlite_url)
    [finding] = checks.findings(database)
    database.dispose()
    assert (finding.severity, finding.subject) == ("error", setting)
    assert repr(value) in finding.message
    assert finding.hint


def test_a_binary_log_that_is_not_synced_is_a_warning(sqlite_url: str, settings: dict[str, str]) -> None:
    settings.update(log_bin="on", sync_binlog="0")
    database = Database(sqlite_url)
    [finding] = checks.findings(database)
    database.dispose()
    assert (finding.severity, finding.subject) == ("warning", "sync_binlog")


def test_every_setting_that_is_checked_exists_on_some_database(database: Database) -> None:
    with database.read() as connection:
        now = administration.settings(connection)
    sqlite = {"synchronous", "journal_mode", "foreign_keys"}
    checked = {rule.setting for rule in checks.RULES}
    assert checked & set(now) == (sqlite if database.dialect_name == "sqlite" else checked - sqlite)


def test_a_session_is_durable_utc_and_strict_whatever_the_server_says(mariadb_url: str) -> None:
    database = Database(mariadb_url)
    with database.read() as connection:
        subjects = {finding.subject for finding in checks.settings(connection)}
    database.dispose()
    assert subjects <= {"innodb_flush_log_at_trx_commit"}  # the server's own: tests turn it down


def test_an_old_server_is_an_error(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(administration, "product", lambda _connection: ("MariaDB", (10, 5, 29)))
    database = Database(sqlite_url)
    [finding] = checks.findings(database)
    database.dispose()
    assert finding == Finding(
        "error", "version", "MariaDB 10.5.29 is too old", "coldsend needs MariaDB 10.6 or later"
    )


def test_a_database_out_of_reach_is_one_finding() -> None:
    [finding] = checks.findings(Database("mysql://u:secret@127.0.0.1:9/x", connect_timeout=1))
    assert (finding.severity, finding.subject) == ("error", "database")
    assert "secret" not in str(dataclasses.asdict(finding))


def test_errors_come_before_warnings(altered: Database) -> None:
    change(altered, "CREATE TABLE mine (x INTEGER)", "DROP TABLE provider_pauses")
    severities = [finding.severity for finding in checks.findings(altered)]
    assert severities == sorted(severities)
    assert set(severities) == {"error", "warning"}


@pytest.fixture
def altered(empty_database: Database) -> Database:
    """A migrated database that the test may spoil."""
    migrate.upgrade(empty_database)
    return empty_database
