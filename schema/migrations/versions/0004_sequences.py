"""Sequences and the operator's day: follow-ups, send windows, ramps, experiments, roll-ups, alerts, audit.

Revision: 0004
"""

from __future__ import annotations

import sqlalchemy as sa

from coldsend.database import steps, types

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TABLE = {
    "mysql_engine": "InnoDB",
    "mysql_default_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}
WITH_IDS = {**TABLE, "sqlite_autoincrement": True}

EVENTS = [
    "send_api_try",
    "send_api_success",
    "send_api_fail",
    "delivered",
    "open",
    "click",
    "reply",
    "unsubscribe",
    "bounce",
    "complaint",
]
NATURES = ["", "human", "machine", "own", "hard", "soft", "retried"]
ALERTS = [
    "service_frozen",
    "breaker",
    "campaign_done",
    "unknown_rows",
    "daemon_silent",
    "mailbox_failing",
]


def _flag(name: str, *, default: bool) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.true() if default else sa.false())


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False, server_default="0")


def _key(name: str) -> sa.Column[int]:
    return sa.Column(name, types.big_id(), primary_key=True, autoincrement=False)


def _choice(name: str, constraint: str, values: list[str]) -> sa.Column[str]:
    return sa.Column(name, types.choice(constraint, values), primary_key=True)


def _id() -> sa.Column[int]:
    return sa.Column("id", types.big_id(), primary_key=True, autoincrement=True)


def _columns() -> list[tuple[str, sa.Column[object]]]:
    """Table and new column, in the order they come."""
    return [
        ("campaigns", sa.Column("time_zone", sa.String(64), nullable=True)),
        ("campaigns", sa.Column("send_window", types.json_value(), nullable=True)),
        ("campaigns", sa.Column("holidays", types.json_value(), nullable=True)),
        ("campaigns", _flag("spread", default=False)),
        ("campaigns", _flag("stop_on_reply", default=True)),
        ("campaigns", _flag("stop_domain_on_reply", default=True)),
        ("campaigns", _flag("followups_first", default=True)),
        ("campaigns", sa.Column("new_per_day", sa.Integer(), nullable=True)),
        ("tasks", sa.Column("follows_task_id", types.big_id(), nullable=True)),
        ("tasks", _count("follows_days")),
        ("tasks", _flag("follows_business_days", default=False)),
        ("tasks", sa.Column("follows_condition", types.json_value(), nullable=True)),
        ("tasks", sa.Column("enrolled_to", types.UtcDateTime(), nullable=True)),
        ("tasks", sa.Column("experiment", types.json_value(), nullable=True)),
        (
            "template_set_items",
            sa.Column("weight", sa.Integer(), nullable=False, server_default="1"),
        ),
        ("task_contacts", sa.Column("follows_id", types.big_id(), nullable=True)),
        ("task_contacts", sa.Column("subject", sa.String(998), nullable=True)),
        ("task_contacts", sa.Column("reply_category", types.ascii_key(50), nullable=True)),
        ("sender_services", sa.Column("ramp", types.json_value(), nullable=True)),
        ("sender_services", sa.Column("hourly_quota", sa.Integer(), nullable=True)),
        ("sender_services", sa.Column("domain_quota", sa.Integer(), nullable=True)),
        (
            "sender_services",
            sa.Column("jitter_sec", sa.Numeric(10, 3), nullable=False, server_default="0"),
        ),
        ("sender_services", sa.Column("spread_hours", sa.Numeric(5, 2), nullable=True)),
        ("inbox_messages", sa.Column("category", types.ascii_key(50), nullable=True)),
    ]


def upgrade() -> None:
    for table, column in _columns():
        steps.add_column(table, column)
    steps.create_index("ix_tasks_follows_task_id", "tasks", ["follows_task_id"])
    _sequences()
    _roll_ups()
    _watch()


def _sequences() -> None:
    steps.create_table(
        "sequence_stops",
        _id(),
        sa.Column("campaign_id", types.big_id(), nullable=False),
        sa.Column("stop_key", types.binary_text(330), nullable=False),
        sa.Column("value", types.binary_text(320), nullable=True),
        sa.Column("reason", types.choice("stop_reason", ["replied", "bounced", "manual"]), nullable=False),
        sa.Column("task_contact_id", types.big_id(), nullable=True),
        sa.Column("source", sa.String(255), nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False, server_default=types.CurrentTimestamp()),
        sa.UniqueConstraint("campaign_id", "stop_key", name="uq_sequence_stops_campaign_id_stop_key"),
        **WITH_IDS,
    )
    steps.create_table(
        "send_counts",
        sa.Column(
            "kind",
            types.choice("count_kind", ["service_hour", "service_domain", "campaign_new"]),
            primary_key=True,
        ),
        _key("owner_id"),
        sa.Column("period", types.UtcDateTime(), primary_key=True),
        sa.Column("key", types.binary_text(255), primary_key=True, quote=True),
        _count("used"),
        sa.PrimaryKeyConstraint("kind", "owner_id", "period", "key", name="pk_send_counts"),
        **TABLE,
    )
    steps.create_index("ix_send_counts_period", "send_counts", ["period"])


def _roll_ups() -> None:
    steps.create_table(
        "cursors",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("position", types.big_id(), nullable=False, server_default="0"),
        sa.Column("moved_at", types.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_cursors"),
        **TABLE,
    )
    steps.create_table(
        "event_counts",
        _key("task_id"),
        sa.Column("hour", types.UtcDateTime(), primary_key=True),
        _choice("type", "event_type", EVENTS),
        _choice("nature", "event_nature", NATURES),
        _key("template_id"),
        _key("sender_service_id"),
        _count("events"),
        _count("recipients"),
        _count("firsts"),
        sa.PrimaryKeyConstraint(
            "task_id",
            "hour",
            "type",
            "nature",
            "template_id",
            "sender_service_id",
            name="pk_event_counts",
        ),
        **TABLE,
    )
    steps.create_table(
        "event_domains",
        _key("task_id"),
        sa.Column("domain", types.binary_text(255), primary_key=True),
        _choice("type", "event_type", EVENTS),
        _choice("nature", "event_nature", NATURES),
        _count("events"),
        _count("recipients"),
        _count("firsts"),
        sa.PrimaryKeyConstraint("task_id", "domain", "type", "nature", name="pk_event_domains"),
        **TABLE,
    )
    steps.create_table(
        "event_links",
        _key("task_id"),
        _key("template_id"),
        sa.Column("digest", types.ascii_key(64), primary_key=True),
        _choice("nature", "event_nature", NATURES),
        sa.Column("url", sa.Text(), nullable=False),
        _count("clicks"),
        _count("recipients"),
        sa.PrimaryKeyConstraint("task_id", "template_id", "digest", "nature", name="pk_event_links"),
        **TABLE,
    )


def _watch() -> None:
    steps.create_table(
        "alerts",
        _id(),
        sa.Column("kind", types.choice("alert_kind", ALERTS), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("details", types.json_value(), nullable=True),
        sa.Column("raised_at", types.UtcDateTime(), nullable=False),
        sa.Column("cleared_at", types.UtcDateTime(), nullable=True),
        sa.Column("open_key", sa.String(320), nullable=True),
        sa.UniqueConstraint("open_key", name="uq_alerts_open_key"),
        **WITH_IDS,
    )
    steps.create_index("ix_alerts_raised_at", "alerts", ["raised_at"])
    steps.create_table(
        "alert_deliveries",
        _id(),
        sa.Column("alert_id", types.big_id(), nullable=False),
        sa.Column("event", types.choice("alert_event", ["raised", "cleared"]), nullable=False),
        sa.Column("target", sa.String(255), nullable=False),
        sa.Column(
            "status",
            types.choice("delivery_status", ["pending", "done", "given_up"]),
            nullable=False,
            server_default="pending",
        ),
        _count("attempts"),
        sa.Column("next_at", types.UtcDateTime(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("done_at", types.UtcDateTime(), nullable=True),
        **WITH_IDS,
    )
    steps.create_index("ix_alert_deliveries_alert_id", "alert_deliveries", ["alert_id"])
    steps.create_index("ix_alert_deliveries_status_next_at", "alert_deliveries", ["status", "next_at"])
    steps.create_table(
        "audit_log",
        _id(),
        sa.Column("at", types.UtcDateTime(), nullable=False),
        sa.Column("user_id", types.big_id(), nullable=True),
        sa.Column("username", sa.String(255), nullable=True),
        sa.Column("os_user", sa.String(255), nullable=True),
        sa.Column("host", sa.String(255), nullable=True),
        sa.Column("command", sa.String(100), nullable=False),
        sa.Column("arguments", types.json_value(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=False),
        sa.Column("error", types.ascii_key(100), nullable=True),
        **WITH_IDS,
    )
    steps.create_index("ix_audit_log_at", "audit_log", ["at"])


NEW = (
    "audit_log",
    "alert_deliveries",
    "alerts",
    "event_links",
    "event_domains",
    "event_counts",
    "cursors",
    "send_counts",
    "sequence_stops",
)


def downgrade() -> None:
    for name in NEW:
        steps.drop_table(name)
    steps.drop_index("ix_tasks_follows_task_id", "tasks")
    for table, column in reversed(_columns()):
        steps.drop_column(table, column.name)
