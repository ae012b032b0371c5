"""Every table, column, default, enum value and key of the user's schema document (MVP v1.0).

The tables below are written from the document by hand; nothing here is derived from coldsend's own tables.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.database.engine import Database

# table -> column -> "TYPE" or "TYPE = default", as the document has them.
COLUMNS: dict[str, dict[str, str]] = {
    "users": {"id": "BIGINT", "username": "VARCHAR(255)", "role": "VARCHAR(50)"},
    "campaigns": {
        "id": "BIGINT",
        "name": "VARCHAR(255)",
        "start_time": "DATETIME",
        "status": "ENUM = draft",
        "created_by": "BIGINT",
        "created_at": "TIMESTAMP = CURRENT_TIMESTAMP",
        "updated_at": "TIMESTAMP = CURRENT_TIMESTAMP",
    },
    "tasks": {
        "id": "BIGINT",
        "campaign_id": "BIGINT",
        "name": "VARCHAR(255)",
        "plan_time": "DATETIME",
        "status": "ENUM = draft",
        "recipient_rule": "JSON",
        "template_set_id": "BIGINT",
        "actual_start_time": "DATETIME = NULL",
        "actual_end_time": "DATETIME = NULL",
        "summary_stats": "JSON = NULL",
        "created_by": "BIGINT",
        "created_at": "TIMESTAMP = CURRENT_TIMESTAMP",
        "updated_at": "TIMESTAMP = CURRENT_TIMESTAMP",
    },
    "templates": {
        "id": "BIGINT",
        "name": "VARCHAR(255)",
        "subject": "VARCHAR(500)",
        "body": "TEXT",
        "created_by": "BIGINT",
        "created_at": "TIMESTAMP = CURRENT_TIMESTAMP",
        "updated_at": "TIMESTAMP = CURRENT_TIMESTAMP",
    },
    "template_sets": {
        "id": "BIGINT",
        "name": "VARCHAR(255)",
        "created_by": "BIGINT",
        "created_at": "TIMESTAMP = CURRENT_TIMESTAMP",
        "updated_at": "TIMESTAMP = CURRENT_TIMESTAMP",
    },
    "template_set_items": {
        "id": "BIGINT",
        "template_set_id": "BIGINT",
        "template_id": "BIGINT",
        "order": "INT = 0",
        "created_at": "TIMESTAMP = CURRENT_TIMESTAMP",
    },
    "contacts": {
        "id": "BIGINT",
        "email": "VARCHAR(255)",
        "nickname": "VARCHAR(255) = NULL",
        "tags": "JSON = NULL",
        "created_at": "TIMESTAMP = CURRENT_TIMESTAMP",
        "updated_at": "TIMESTAMP = CURRENT_TIMESTAMP",
    },
    "sender_services": {
        "id": "BIGINT",
        "name": "VARCHAR(255)",
        "type": "VARCHAR(50) = jiguang",
        "credentials": "JSON",
        "daily_quota": "INT = 0",
        "used_today": "INT = 0",
        "throttle_sec": "DECIMAL(10,3) = 1",  # INT in the document; fractions of a second by design
        "health_status": "ENUM = active",
        "last_error_at": "DATETIME = NULL",
        "consecutive_errors": "INT = 0",
        "created_at": "TIMESTAMP = CURRENT_TIMESTAMP",
        "updated_at": "TIMESTAMP = CURRENT_TIMESTAMP",
    },
    "task_contacts": {
        "id": "BIGINT",
        "task_id": "BIGINT",
        "contact_id": "BIGINT",
        "status": "ENUM = pending",
        "selected_template_id": "BIGINT = NULL",
        "scheduled_send_at": "DATETIME = NULL",
        "sent_at": "DATETIME = NULL",
        "error_message": "TEXT = NULL",
        "event_tracking_uid": "VARCHAR(255) = NULL",
    },
    "event_log": {
        "id": "BIGINT",
        "task_id": "BIGINT",
        "contact_id": "BIGINT",
        "sender_service_id": "BIGINT = NULL",
        "event_tracking_uid": "VARCHAR(255) = NULL",
        "type": "ENUM",
        "ts": "DATETIME = CURRENT_TIMESTAMP",
        "details": "JSON = NULL",
    },
    "email_variables": {
        "id": "BIGINT",
        "variable_key": "VARCHAR(100)",
        "display_name": "VARCHAR(255)",
        "source_type": "ENUM",
        "source_details": "JSON = NULL",
        "description": "TEXT = NULL",
        "created_by": "BIGINT",
        "created_at": "TIMESTAMP = CURRENT_TIMESTAMP",
        "updated_at": "TIMESTAMP = CURRENT_TIMESTAMP",
    },
    "user_sender_service_access": {
        "id": "BIGINT",
        "user_id": "BIGINT",
        "sender_service_id": "BIGINT",
        "created_at": "TIMESTAMP = CURRENT_TIMESTAMP",
    },
}

# Values of the document, then those that the design adds.
ENUMS: dict[tuple[str, str], tuple[set[str], set[str]]] = {
    ("campaigns", "status"): ({"draft", "active", "paused", "completed", "cancelled"}, set()),
    ("tasks", "status"): (
        {"draft", "scheduled", "sending", "finished", "paused", "failed"},
        {"cancelled"},
    ),
    ("sender_services", "health_status"): ({"active", "frozen"}, set()),
    ("task_contacts", "status"): (
        {"pending", "sent", "failed_to_send", "delivered", "bounced", "opened", "clicked", "unsubscribed"},
        {"sending", "unknown", "skipped", "replied", "complained"},
    ),
    ("event_log", "type"): (
        {
            "send_api_try",
            "send_api_success",
            "send_api_fail",
            "delivered",
            "open",
            "click",
            "reply",
            "unsubscribe",
            "bounce",
        },
        {"complaint"},
    ),
    ("email_variables", "source_type"): ({"CONTACT_FIELD", "CONTACT_TAG", "SYSTEM"}, set()),
}

UNIQUE: dict[str, set[tuple[str, ...]]] = {
    "users": {("username",)},
    "template_set_items": {("template_set_id", "template_id")},
    "contacts": {("email",)},
    "task_contacts": {("event_tracking_uid",), ("task_id", "contact_id")},
    "email_variables": {("variable_key",)},
    "user_sender_service_access": {("user_id", "sender_service_id")},
}

# event_log's foreign keys are left out by design: an event outlives what it speaks of.
FOREIGN_KEYS: dict[str, dict[str, str]] = {
    "campaigns": {"created_by": "users"},
    "tasks": {"campaign_id": "campaigns", "template_set_id": "template_sets", "created_by": "users"},
    "templates": {"created_by": "users"},
    "template_sets": {"created_by": "users"},
    "template_set_items": {"template_set_id": "template_sets", "template_id": "templates"},
    "task_contacts": {"task_id": "tasks", "contact_id": "contacts", "selected_template_id": "templates"},
    "email_variables": {"created_by": "users"},
    "user_sender_service_access": {"user_id": "users", "sender_service_id": "sender_services"},
}

# Columns that the document indexes, other than keys; some index begins with each. Not here: event_log and
# task_contacts.status, where the design keeps only the composite indexes that a query walks.
INDEXED: dict[str, set[str]] = {
    "users": {"role"},
    "campaigns": {"start_time", "status", "created_by"},
    "tasks": {"campaign_id", "plan_time", "status", "template_set_id", "created_by"},
    "templates": {"name", "created_by"},
    "template_sets": {"name", "created_by"},
    "template_set_items": {"template_set_id", "template_id"},
    "sender_services": {"health_status"},
    "task_contacts": {"task_id", "contact_id", "selected_template_id"},
    "email_variables": {"created_by"},
    "user_sender_service_access": {"user_id", "sender_service_id"},
}

ON_SQLITE = {"BIGINT": "INTEGER", "INT": "INTEGER", "TIMESTAMP": "DATETIME", "ENUM": "VARCHAR(32)"}
ON_MARIADB = {"INT": "INTEGER", "TIMESTAMP": "DATETIME", "JSON": "LONGTEXT"}


def plain_type(kind: Any, dialect: sa.Dialect) -> str:
    """A reflected type as the document would write it; times must keep microseconds on MariaDB."""
    text = kind.compile(dialect=dialect)
    text = re.sub(r" (CHARACTER SET|COLLATE) \w+", "", text).replace(", ", ",").replace("NUMERIC", "DECIMAL")
    if dialect.name != "sqlite":
        text = text.replace("DATETIME(6)", "DATETIME") if "DATETIME" in text else text
        text = re.sub(r"^(BIGINT|INTEGER)\(\d+\)", r"\1", text)
        text = "ENUM" if text.startswith("ENUM") else text
    return "TEXT" if text == "MEDIUMTEXT" else text


@pytest.mark.parametrize("table", COLUMNS)
def test_columns_and_their_defaults_are_those_of_the_document(database: Database, table: str) -> None:
    inspector = sa.inspect(database.engine)
    live = {column["name"]: column for column in inspector.get_columns(table)}
    names = ON_SQLITE if database.dialect_name == "sqlite" else ON_MARIADB
    for name, described in COLUMNS[table].items():
        kind, _, default = described.partition(" = ")
        assert plain_type(live[name]["type"], database.engine.dialect) == names.get(kind, kind), name
        is_now = str(live[name]["default"] or "NULL").strip("'").replace("current_", "CURRENT_")
        assert is_now.upper().startswith((default or "NULL").upper()), name
        if default == "NULL":
            assert live[name]["nullable"], name


@pytest.mark.parametrize(("table", "column"), ENUMS)
def test_enum_values_are_those_of_the_document_and_the_design(
    database: Database, table: str, column: str
) -> None:
    inspector = sa.inspect(database.engine)
    document, added = ENUMS[table, column]
    kind = next(c["type"] for c in inspector.get_columns(table) if c["name"] == column)
    if isinstance(kind, sa.Enum):
        values = set(kind.enums)
    else:
        checks = [c["sqltext"] for c in inspector.get_check_constraints(table)]
        values = set(re.findall(r"'(\w+)'", next(text for text in checks if text.startswith(column))))
    assert values == document | added


@pytest.mark.parametrize("table", UNIQUE)
def test_unique_keys_of_the_document_are_there(database: Database, table: str) -> None:
    keys = sa.inspect(database.engine).get_unique_constraints(table)
    assert UNIQUE[table] <= {tuple(key["column_names"]) for key in keys}


@pytest.mark.parametrize("table", FOREIGN_KEYS)
def test_foreign_keys_of_the_document_are_there(database: Database, table: str) -> None:
    keys = sa.inspect(database.engine).get_foreign_keys(table)
    assert FOREIGN_KEYS[table] == {
        key["constrained_columns"][0]: key["referred_table"]
        for key in keys
        if key["constrained_columns"][0] in FOREIGN_KEYS[table]
    }


def test_event_log_has_no_foreign_keys(database: Database) -> None:
    assert sa.inspect(database.engine).get_foreign_keys("event_log") == []


@pytest.mark.parametrize("table", INDEXED)
def test_columns_that_the_document_indexes_lead_an_index(database: Database, table: str) -> None:
    inspector = sa.inspect(database.engine)
    leading = {index["column_names"][0] for index in inspector.get_indexes(table)}
    leading |= {key["column_names"][0] for key in inspector.get_unique_constraints(table)}
    assert INDEXED[table] <= leading


def test_items_of_a_set_are_read_in_order_over_one_index(database: Database) -> None:
    indexes = sa.inspect(database.engine).get_indexes("template_set_items")
    assert ["template_set_id", "order"] in [index["column_names"] for index in indexes]


def test_an_unknown_enum_value_is_refused_by_the_database(database: Database) -> None:
    with database.engine.connect() as connection:
        with pytest.raises(sa.exc.DBAPIError):
            connection.exec_driver_sql(
                "INSERT INTO workers (kind, host, host_id, pid, started_at, heartbeat_at, "
                "lease_until) VALUES ('juggler', 'h', 'i', 1, '2030-01-01', '2030-01-01', '2030-01-01')"
            )
        connection.rollback()


def test_updated_at_follows_changes_made_by_hand_on_servers(mariadb_url: str) -> None:
    database = Database(mariadb_url)
    try:
        columns = sa.inspect(database.engine).get_columns("tasks")
    finally:
        database.dispose()
    default = next(str(c["default"]) for c in columns if c["name"] == "updated_at")
    assert "on update current_timestamp(6)" in default.lower()
