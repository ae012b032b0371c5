"""What comes back: mailboxes, messages and payloads found there; absences; named suppression lists.

Revision: 0003
"""

from __future__ import annotations

import sqlalchemy as sa

from coldsend.database import steps, types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLE = {
    "mysql_engine": "InnoDB",
    "mysql_default_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "sqlite_autoincrement": True,
}
KINDS = ["bounce", "complaint", "auto_reply", "reply", "other"]


def upgrade() -> None:
    steps.add_column("contacts", sa.Column("away_until", types.UtcDateTime(), nullable=True))
    steps.add_column("campaigns", sa.Column("resumed_at", types.UtcDateTime(), nullable=True))
    steps.add_column("suppressions", sa.Column("list_name", types.binary_text(100), nullable=True))
    steps.create_index("ix_suppressions_list_name", "suppressions", ["list_name"])
    steps.create_table(
        "mailboxes",
        sa.Column("id", types.big_id(), primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("sender_service_id", types.big_id(), nullable=True),
        sa.Column("settings", types.json_value(), nullable=True),
        sa.Column("credentials", types.json_value(), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("uid_validity", sa.BigInteger(), nullable=True),
        sa.Column("last_uid", sa.BigInteger(), nullable=True),
        sa.Column("polled_at", types.UtcDateTime(), nullable=True),
        sa.Column("failed_at", types.UtcDateTime(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("error_code", sa.String(50), nullable=True),
        sa.Column("consecutive_errors", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("created_at", types.UtcDateTime(), nullable=False, server_default=types.CurrentTimestamp()),
        sa.Column(
            "updated_at",
            types.UtcDateTime(),
            nullable=False,
            server_default=types.CurrentTimestamp(on_update=True),
        ),
        sa.ForeignKeyConstraint(
            ["sender_service_id"], ["sender_services.id"], name="fk_mailboxes_sender_service_id"
        ),
        sa.UniqueConstraint("name", name="uq_mailboxes_name"),
        **TABLE,
    )
    steps.create_index("ix_mailboxes_sender_service_id", "mailboxes", ["sender_service_id"])
    steps.create_table(
        "inbox_messages",
        sa.Column("id", types.big_id(), primary_key=True, autoincrement=True),
        sa.Column("mailbox_id", types.big_id(), nullable=False),
        sa.Column("uid_validity", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.BigInteger(), nullable=False),
        sa.Column("kind", types.choice("message_kind", KINDS), nullable=False),
        sa.Column("received_at", types.UtcDateTime(), nullable=False),
        sa.Column("task_contact_id", types.big_id(), nullable=True),
        sa.Column("contact_id", types.big_id(), nullable=True),
        sa.Column("digest", types.ascii_key(64), nullable=False),
        sa.Column("message_id", sa.String(998), nullable=True),
        sa.Column("from_email", types.binary_text(320), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("text", types.medium_text(), nullable=True),
        sa.Column("raw", types.medium_blob(), nullable=True),
        sa.Column("details", types.json_value(), nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False, server_default=types.CurrentTimestamp()),
        sa.UniqueConstraint("digest", name="uq_inbox_messages_digest"),
        sa.UniqueConstraint(
            "mailbox_id", "uid_validity", "uid", name="uq_inbox_messages_mailbox_id_uid_validity_uid"
        ),
        **TABLE,
    )
    steps.create_index("ix_inbox_messages_contact_id", "inbox_messages", ["contact_id", "received_at"])
    steps.create_index("ix_inbox_messages_created_at", "inbox_messages", ["created_at"])
    steps.create_table(
        "webhook_payloads",
        sa.Column("id", types.big_id(), primary_key=True, autoincrement=True),
        sa.Column("provider", sa.String(50), nullable=False),
        sa.Column("received_at", types.UtcDateTime(), nullable=False),
        sa.Column("digest", types.ascii_key(64), nullable=False),
        sa.Column("content_type", sa.String(255), nullable=True),
        sa.Column("body", types.medium_blob(), nullable=True),
        sa.Column("events", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("error", sa.Text(), nullable=True),
        sa.UniqueConstraint("digest", name="uq_webhook_payloads_digest"),
        **TABLE,
    )
    steps.create_index("ix_webhook_payloads_received_at", "webhook_payloads", ["received_at"])


def downgrade() -> None:
    for name in ("webhook_payloads", "inbox_messages", "mailboxes"):
        steps.drop_table(name)
    steps.drop_index("ix_suppressions_list_name", "suppressions")
    steps.drop_column("suppressions", "list_name")
    steps.drop_column("campaigns", "resumed_at")
    steps.drop_column("contacts", "away_until")
