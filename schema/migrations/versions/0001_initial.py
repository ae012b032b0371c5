"""The twelve tables of the reference and what the design adds.

Revision: 0001
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from coldsend.database import steps, types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _options(*, row_ids: bool = False) -> dict[str, Any]:
    return {
        "mysql_engine": "InnoDB",
        "mysql_default_charset": "utf8mb4",
        "mysql_collate": "utf8mb4_bin",
        "sqlite_autoincrement": row_ids,
    }


def upgrade() -> None:
    steps.create_table(
        "contact_tags",
        sa.Column("tag", types.binary_text(100), primary_key=True, autoincrement=False),
        sa.Column("contact_id", types.big_id(), primary_key=True, autoincrement=False),
        **_options(),
    )
    steps.create_index("ix_contact_tags_contact_id", "contact_tags", ["contact_id"])
    steps.create_table(
        "contacts",
        sa.Column("id", types.big_id(), primary_key=True, autoincrement=True),
        sa.Column("email", types.binary_text(255), nullable=False),
        sa.Column("email_key", types.binary_text(320), nullable=False),
        sa.Column("email_domain", types.binary_text(255), nullable=False),
        sa.Column("nickname", sa.String(255), nullable=True),
        sa.Column("tags", types.json_value(), nullable=True),
        sa.Column("fields", types.json_value(), nullable=True),
        sa.Column("time_zone", sa.String(64), nullable=True),
        sa.Column("source", sa.String(255), nullable=True),
        sa.Column("lawful_basis", sa.String(50), nullable=True),
        sa.Column("deleted_at", types.UtcDateTime(), nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False, server_default=types.CurrentTimestamp()),
        sa.Column(
            "updated_at",
            types.UtcDateTime(),
            nullable=False,
            server_default=types.CurrentTimestamp(on_update=True),
        ),
        sa.UniqueConstraint("email", name="uq_contacts_email"),
        sa.UniqueConstraint("email_key", name="uq_contacts_email_key"),
        **_options(row_ids=True),
    )
    steps.create_index("ix_contacts_email_domain", "contacts", ["email_domain"])
    steps.create_table(
        "event_log",
        sa.Column("id", types.big_id(), primary_key=True, autoincrement=True),
        sa.Column("task_id", types.big_id(), nullable=True),
        sa.Column("contact_id", types.big_id(), nullable=True),
        sa.Column("sender_service_id", types.big_id(), nullable=True),
        sa.Column("event_tracking_uid", types.ascii_key(255), nullable=True),
        sa.Column(
            "type",
            types.choice(
                "event_type",
                [
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
                ],
            ),
            nullable=False,
        ),
        sa.Column("ts", types.UtcDateTime(), nullable=False, server_default=types.CurrentTimestamp()),
        sa.Column("details", types.json_value(), nullable=True),
        sa.Column("dedup_key", types.ascii_key(128), nullable=True),
        sa.UniqueConstraint("dedup_key", name="uq_event_log_dedup_key"),
        **_options(row_ids=True),
    )
    steps.create_index("ix_event_log_task_contact", "event_log", ["task_id", "contact_id"])
    steps.create_index("ix_event_log_type_task_ts", "event_log", ["type", "task_id", "ts", "contact_id"])
    steps.create_table(
        "leases",
        sa.Column("name", sa.String(64), primary_key=True, autoincrement=False),
        sa.Column("worker_id", types.big_id(), nullable=True),
        sa.Column("expires_at", types.UtcDateTime(), nullable=False),
        **_options(),
    )
    steps.create_table(
        "provider_pauses",
        sa.Column("sender_service_id", types.big_id(), primary_key=True, autoincrement=False),
        sa.Column("provider", sa.String(100), primary_key=True, autoincrement=False),
        sa.Column("paused_until", types.UtcDateTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("times", sa.Integer(), nullable=False, server_default="1"),
        **_options(),
    )
    steps.create_table(
        "sender_leases",
        sa.Column("sender_service_id", types.big_id(), primary_key=True, autoincrement=False),
        sa.Column("worker_id", types.big_id(), nullable=True),
        sa.Column("next_send_at", types.UtcDateTime(), nullable=True),
        **_options(),
    )
    steps.create_table(
        "sender_quota",
        sa.Column("sender_service_id", types.big_id(), primary_key=True, autoincrement=False),
        sa.Column("quota_day", sa.Date(), primary_key=True, autoincrement=False),
        sa.Column("used", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("closed_at", types.UtcDateTime(), nullable=True),
        **_options(),
    )
    steps.create_table(
        "sender_services",
        sa.Column("id", types.big_id(), primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("type", sa.String(50), nullable=False, server_default="jiguang"),
        sa.Column("credentials", types.json_value(), nullable=True),
        sa.Column("settings", types.json_value(), nullable=True),
        sa.Column("from_name", sa.String(255), nullable=True),
        sa.Column("from_email", types.binary_text(320), nullable=False),
        sa.Column("daily_quota", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("used_today", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("throttle_sec", sa.Numeric(10, 3, asdecimal=False), nullable=False, server_default="1"),
        sa.Column("time_zone", sa.String(64), nullable=False, server_default="UTC"),
        sa.Column(
            "health_status",
            types.choice("health_status", ["active", "frozen"]),
            nullable=False,
            server_default="active",
        ),
        sa.Column(
            "frozen_code",
            types.choice("freeze_code", ["credentials", "errors", "suspended", "manual"]),
            nullable=True,
        ),
        sa.Column("frozen_reason", sa.Text(), nullable=True),
        sa.Column("cool_down_until", types.UtcDateTime(), nullable=True),
        sa.Column("cool_down_reason", sa.String(255), nullable=True),
        sa.Column("last_error_at", types.UtcDateTime(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("consecutive_errors", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("max_consecutive_errors", sa.Integer(), nullable=False, server_default="5"),
        sa.Column("created_at", types.UtcDateTime(), nullable=False, server_default=types.CurrentTimestamp()),
        sa.Column(
            "updated_at",
            types.UtcDateTime(),
            nullable=False,
            server_default=types.CurrentTimestamp(on_update=True),
        ),
        sa.UniqueConstraint("name", name="uq_sender_services_name"),
        **_options(row_ids=True),
    )
    steps.create_index("ix_sender_services_health_status", "sender_services", ["health_status"])
    steps.create_table(
        "signing_keys",
        sa.Column("id", types.big_id(), primary_key=True, autoincrement=True),
        sa.Column("purpose", sa.String(32), nullable=False),
        sa.Column("secret", types.json_value(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False, server_default=types.CurrentTimestamp()),
        sa.UniqueConstraint("purpose", name="uq_signing_keys_purpose"),
        **_options(row_ids=True),
    )
    steps.create_table(
        "suppressions",
        sa.Column("id", types.big_id(), primary_key=True, autoincrement=True),
        sa.Column("suppression_key", types.binary_text(330), nullable=False),
        sa.Column("campaign_id", types.big_id(), nullable=False, server_default="0"),
        sa.Column(
            "scope", types.choice("suppression_scope", ["address", "domain", "hashed"]), nullable=False
        ),
        sa.Column("value", types.binary_text(320), nullable=True),
        sa.Column(
            "reason",
            types.choice(
                "suppression_reason",
                ["unsubscribe", "complaint", "hard_bounce", "manual", "import", "erased"],
            ),
            nullable=False,
        ),
        sa.Column("source", sa.String(255), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False, server_default=types.CurrentTimestamp()),
        sa.UniqueConstraint(
            "suppression_key", "campaign_id", name="uq_suppressions_suppression_key_campaign_id"
        ),
        **_options(row_ids=True),
    )
    steps.create_table(
        "unmatched_events",
        sa.Column("id", types.big_id(), primary_key=True, autoincrement=True),
        sa.Column("source", sa.String(50), nullable=False),
        sa.Column("received_at", types.UtcDateTime(), nullable=False),
        sa.Column("dedup_key", types.ascii_key(128), nullable=True),
        sa.Column("details", types.json_value(), nullable=True),
        sa.UniqueConstraint("dedup_key", name="uq_unmatched_events_dedup_key"),
        **_options(row_ids=True),
    )
    steps.create_index("ix_unmatched_events_received_at", "unmatched_events", ["received_at"])
    steps.create_table(
        "users",
        sa.Column("id", types.big_id(), primary_key=True, autoincrement=True),
        sa.Column("username", sa.String(255), nullable=False),
        sa.Column("role", sa.String(50), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False, server_default=types.CurrentTimestamp()),
        sa.UniqueConstraint("username", name="uq_users_username"),
        **_options(row_ids=True),
    )
    steps.create_index("ix_users_role", "users", ["role"])
    steps.create_table(
        "workers",
        sa.Column("id", types.big_id(), primary_key=True, autoincrement=True),
        sa.Column("kind", types.choice("worker_kind", ["scheduler", "sender"]), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("host_id", types.ascii_key(64), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", types.UtcDateTime(), nullable=False),
        sa.Column("heartbeat_at", types.UtcDateTime(), nullable=False),
        sa.Column("lease_until", types.UtcDateTime(), nullable=False),
        sa.Column("stopped_at", types.UtcDateTime(), nullable=True),
        sa.Column("details", types.json_value(), nullable=True),
        **_options(row_ids=True),
    )
    steps.create_index("ix_workers_stopped_at", "workers", ["stopped_at"])
    steps.create_table(
        "campaigns",
        sa.Column("id", types.big_id(), primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("start_time", types.UtcDateTime(), nullable=True),
        sa.Column(
            "status",
            types.choice("campaign_status", ["draft", "active", "paused", "completed", "cancelled"]),
            nullable=False,
            server_default="draft",
        ),
        sa.Column("status_reason", sa.Text(), nullable=True),
        sa.Column(
            "created_by",
            types.big_id(),
            sa.ForeignKey("users.id", name="fk_campaigns_created_by"),
            nullable=False,
        ),
        sa.Column("created_at", types.UtcDateTime(), nullable=False, server_default=types.CurrentTimestamp()),
        sa.Column(
            "updated_at",
            types.UtcDateTime(),
            nullable=False,
            server_default=types.CurrentTimestamp(on_update=True),
        ),
        sa.UniqueConstraint("name", name="uq_campaigns_name"),
        **_options(row_ids=True),
    )
    steps.create_index("ix_campaigns_created_by", "campaigns", ["created_by"])
    steps.create_index("ix_campaigns_start_time", "campaigns", ["start_time"])
    steps.create_index("ix_campaigns_status", "campaigns", ["status"])
    steps.create_table(
        "email_variables",
        sa.Column("id", types.big_id(), primary_key=True, autoincrement=True),
        sa.Column("variable_key", sa.String(100), nullable=False),
        sa.Column("display_name", sa.String(255), nullable=False),
        sa.Column(
            "source_type",
            types.choice("variable_source", ["CONTACT_FIELD", "CONTACT_TAG", "SYSTEM"]),
            nullable=False,
        ),
        sa.Column("source_details", types.json_value(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column(
            "created_by",
            types.big_id(),
            sa.ForeignKey("users.id", name="fk_email_variables_created_by"),
            nullable=False,
        ),
        sa.Column("created_at", types.UtcDateTime(), nullable=False, server_default=types.CurrentTimestamp()),
        sa.Column(
            "updated_at",
            types.UtcDateTime(),
            nullable=False,
            server_default=types.CurrentTimestamp(on_update=True),
        ),
        sa.UniqueConstraint("variable_key", name="uq_email_variables_variable_key"),
        **_options(row_ids=True),
    )
    steps.create_index("ix_email_variables_created_by", "email_variables", ["created_by"])
    steps.create_table(
        "template_sets",
        sa.Column("id", types.big_id(), primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column(
            "created_by",
            types.big_id(),
            sa.ForeignKey("users.id", name="fk_template_sets_created_by"),
            nullable=False,
        ),
        sa.Column("created_at", types.UtcDateTime(), nullable=False, server_default=types.CurrentTimestamp()),
        sa.Column(
            "updated_at",
            types.UtcDateTime(),
            nullable=False,
            server_default=types.CurrentTimestamp(on_update=True),
        ),
        sa.UniqueConstraint("name", name="uq_template_sets_name"),
        **_options(row_ids=True),
    )
    steps.create_index("ix_template_sets_created_by", "template_sets", ["created_by"])
    steps.create_table(
        "templates",
        sa.Column("id", types.big_id(), primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("subject", sa.String(500), nullable=False),
        sa.Column("body", types.medium_text(), nullable=False),
        sa.Column("text_body", types.medium_text(), nullable=True),
        sa.Column(
            "created_by",
            types.big_id(),
            sa.ForeignKey("users.id", name="fk_templates_created_by"),
            nullable=False,
        ),
        sa.Column("created_at", types.UtcDateTime(), nullable=False, server_default=types.CurrentTimestamp()),
        sa.Column(
            "updated_at",
            types.UtcDateTime(),
            nullable=False,
            server_default=types.CurrentTimestamp(on_update=True),
        ),
        sa.UniqueConstraint("name", name="uq_templates_name"),
        **_options(row_ids=True),
    )
    steps.create_index("ix_templates_created_by", "templates", ["created_by"])
    steps.create_table(
        "user_sender_service_access",
        sa.Column("id", types.big_id(), primary_key=True, autoincrement=True),
        sa.Column(
            "user_id",
            types.big_id(),
            sa.ForeignKey("users.id", name="fk_user_sender_service_access_user_id"),
            nullable=False,
        ),
        sa.Column(
            "sender_service_id",
            types.big_id(),
            sa.ForeignKey("sender_services.id", name="fk_user_sender_service_access_sender_service_id"),
            nullable=False,
        ),
        sa.Column("created_at", types.UtcDateTime(), nullable=False, server_default=types.CurrentTimestamp()),
        sa.UniqueConstraint(
            "user_id", "sender_service_id", name="uq_user_sender_service_access_user_id_sender_service_id"
        ),
        **_options(row_ids=True),
    )
    steps.create_index(
        "ix_user_sender_service_access_sender_service_id", "user_sender_service_access", ["sender_service_id"]
    )
    steps.create_index("ix_user_sender_service_access_user_id", "user_sender_service_access", ["user_id"])
    steps.create_table(
        "tasks",
        sa.Column("id", types.big_id(), primary_key=True, autoincrement=True),
        sa.Column(
            "campaign_id",
            types.big_id(),
            sa.ForeignKey("campaigns.id", name="fk_tasks_campaign_id"),
            nullable=False,
        ),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("plan_time", types.UtcDateTime(), nullable=True),
        sa.Column(
            "status",
            types.choice(
                "task_status", ["draft", "scheduled", "sending", "finished", "paused", "failed", "cancelled"]
            ),
            nullable=False,
            server_default="draft",
        ),
        sa.Column("status_reason", sa.Text(), nullable=True),
        sa.Column("recipient_rule", types.json_value(), nullable=False),
        sa.Column(
            "template_set_id",
            types.big_id(),
            sa.ForeignKey("template_sets.id", name="fk_tasks_template_set_id"),
            nullable=False,
        ),
        sa.Column("actual_start_time", types.UtcDateTime(), nullable=True),
        sa.Column("actual_end_time", types.UtcDateTime(), nullable=True),
        sa.Column("summary_stats", types.json_value(), nullable=True),
        sa.Column("expand_cursor", types.big_id(), nullable=False, server_default="0"),
        sa.Column("expand_to", types.big_id(), nullable=True),
        sa.Column("expanded_at", types.UtcDateTime(), nullable=True),
        sa.Column("expanded_count", types.big_id(), nullable=False, server_default="0"),
        sa.Column("template_ids", types.json_value(), nullable=True),
        sa.Column(
            "created_by",
            types.big_id(),
            sa.ForeignKey("users.id", name="fk_tasks_created_by"),
            nullable=False,
        ),
        sa.Column("created_at", types.UtcDateTime(), nullable=False, server_default=types.CurrentTimestamp()),
        sa.Column(
            "updated_at",
            types.UtcDateTime(),
            nullable=False,
            server_default=types.CurrentTimestamp(on_update=True),
        ),
        sa.UniqueConstraint("campaign_id", "name", name="uq_tasks_campaign_id_name"),
        **_options(row_ids=True),
    )
    steps.create_index("ix_tasks_campaign_id", "tasks", ["campaign_id"])
    steps.create_index("ix_tasks_created_by", "tasks", ["created_by"])
    steps.create_index("ix_tasks_plan_time", "tasks", ["plan_time"])
    steps.create_index("ix_tasks_status", "tasks", ["status"])
    steps.create_index("ix_tasks_template_set_id", "tasks", ["template_set_id"])
    steps.create_table(
        "template_set_items",
        sa.Column("id", types.big_id(), primary_key=True, autoincrement=True),
        sa.Column(
            "template_set_id",
            types.big_id(),
            sa.ForeignKey("template_sets.id", name="fk_template_set_items_template_set_id"),
            nullable=False,
        ),
        sa.Column(
            "template_id",
            types.big_id(),
            sa.ForeignKey("templates.id", name="fk_template_set_items_template_id"),
            nullable=False,
        ),
        sa.Column("order", sa.Integer(), nullable=False, server_default="0", quote=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False, server_default=types.CurrentTimestamp()),
        sa.UniqueConstraint(
            "template_set_id", "template_id", name="uq_template_set_items_template_set_id_template_id"
        ),
        **_options(row_ids=True),
    )
    steps.create_index("ix_template_set_items_template_id", "template_set_items", ["template_id"])
    steps.create_index("ix_template_set_items_template_set_id", "template_set_items", ["template_set_id"])
    steps.create_index(
        "ix_template_set_items_template_set_id_order", "template_set_items", ["template_set_id", "order"]
    )
    steps.create_table(
        "task_contacts",
        sa.Column("id", types.big_id(), primary_key=True, autoincrement=True),
        sa.Column(
            "task_id",
            types.big_id(),
            sa.ForeignKey("tasks.id", name="fk_task_contacts_task_id"),
            nullable=False,
        ),
        sa.Column(
            "contact_id",
            types.big_id(),
            sa.ForeignKey("contacts.id", name="fk_task_contacts_contact_id"),
            nullable=False,
        ),
        sa.Column(
            "status",
            types.choice(
                "row_status",
                [
                    "pending",
                    "sending",
                    "sent",
                    "failed_to_send",
                    "unknown",
                    "skipped",
                    "delivered",
                    "bounced",
                    "opened",
                    "clicked",
                    "replied",
                    "unsubscribed",
                    "complained",
                ],
            ),
            nullable=False,
            server_default="pending",
        ),
        sa.Column(
            "selected_template_id",
            types.big_id(),
            sa.ForeignKey("templates.id", name="fk_task_contacts_selected_template_id"),
            nullable=True,
        ),
        sa.Column("scheduled_send_at", types.UtcDateTime(), nullable=True),
        sa.Column("sent_at", types.UtcDateTime(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("event_tracking_uid", types.ascii_key(255), nullable=True),
        sa.Column("reason", sa.String(100), nullable=True),
        sa.Column("bucket", sa.SmallInteger(), nullable=False, server_default="0"),
        sa.Column("attempt", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("retries", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("first_attempt_at", types.UtcDateTime(), nullable=True),
        sa.Column("attempt_at", types.UtcDateTime(), nullable=True),
        sa.Column("claim_token", types.big_id(), nullable=True),
        sa.Column("sender_service_id", types.big_id(), nullable=True),
        sa.Column("message_id", types.ascii_key(255), nullable=True),
        sa.Column("delivered_at", types.UtcDateTime(), nullable=True),
        sa.Column("opened_at", types.UtcDateTime(), nullable=True),
        sa.Column("clicked_at", types.UtcDateTime(), nullable=True),
        sa.Column("replied_at", types.UtcDateTime(), nullable=True),
        sa.Column("bounced_at", types.UtcDateTime(), nullable=True),
        sa.Column("unsubscribed_at", types.UtcDateTime(), nullable=True),
        sa.Column("complained_at", types.UtcDateTime(), nullable=True),
        sa.UniqueConstraint("event_tracking_uid", name="uq_task_contacts_event_tracking_uid"),
        sa.UniqueConstraint("task_id", "contact_id", name="uq_task_contacts_task_id_contact_id"),
        **_options(row_ids=True),
    )
    steps.create_index("ix_task_contacts_contact_id", "task_contacts", ["contact_id"])
    steps.create_index(
        "ix_task_contacts_lease", "task_contacts", ["task_id", "status", "bucket", "scheduled_send_at"]
    )
    steps.create_index("ix_task_contacts_selected_template_id", "task_contacts", ["selected_template_id"])
    steps.create_table(
        "task_services",
        sa.Column(
            "task_id",
            types.big_id(),
            sa.ForeignKey("tasks.id", name="fk_task_services_task_id"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column(
            "sender_service_id",
            types.big_id(),
            sa.ForeignKey("sender_services.id", name="fk_task_services_sender_service_id"),
            primary_key=True,
            autoincrement=False,
        ),
        **_options(),
    )


def downgrade() -> None:
    steps.drop_table("task_services")
    steps.drop_table("task_contacts")
    steps.drop_table("template_set_items")
    steps.drop_table("tasks")
    steps.drop_table("user_sender_service_access")
    steps.drop_table("templates")
    steps.drop_table("template_sets")
    steps.drop_table("email_variables")
    steps.drop_table("campaigns")
    steps.drop_table("workers")
    steps.drop_table("users")
    steps.drop_table("unmatched_events")
    steps.drop_table("suppressions")
    steps.drop_table("signing_keys")
    steps.drop_table("sender_services")
    steps.drop_table("sender_quota")
    steps.drop_table("sender_leases")
    steps.drop_table("provider_pauses")
    steps.drop_table("leases")
    steps.drop_table("event_log")
    steps.drop_table("contacts")
    steps.drop_table("contact_tags")
