"""What comes back: mailboxes, messages and payloads found there; absences; named suppression lists.

Revision: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from coldsend.database import steps, types
from coldsend.database.tables.base import metadata

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
WITHOUT_LISTS = ("uq_suppressions_suppression_key_campaign_id", "suppression_key", "campaign_id")
WITH_LISTS = (
    "uq_suppressions_suppression_key_campaign_id_list_name",
    "suppression_key",
    "campaign_id",
    "list_name",
)
KINDS = ["bounce", "complaint", "auto_reply", "reply", "other"]


def upgrade() -> None:
    steps.add_column("contacts", sa.Column("away_until", types.UtcDateTime(), nullable=True))
    steps.add_column("campaigns", sa.Column("resumed_at", types.UtcDateTime(), nullable=True))
    steps.add_column("sender_services", sa.Column("webhook_secret", types.json_value(), nullable=True))
    steps.add_column("contacts", sa.Column("erased_at", types.UtcDateTime(), nullable=True))
    steps.create_index("ix_contacts_erased_at", "contacts", ["erased_at"])
    steps.add_column(
        "suppressions",
        sa.Column("list_name", types.binary_text(100), nullable=False, server_default=""),
    )
    # One address or domain may stand on several lists, and on none besides.
    steps.replace_unique(_suppressions(WITHOUT_LISTS), WITHOUT_LISTS, WITH_LISTS)
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
    # What stands on lists only has no place in the older form.
    op.execute(sa.text("DELETE FROM suppressions WHERE list_name <> ''"))
    steps.drop_index("ix_suppressions_list_name", "suppressions")
    steps.replace_unique(_suppressions(WITH_LISTS), WITH_LISTS, WITHOUT_LISTS)
    steps.drop_column("suppressions", "list_name")
    steps.drop_column("sender_services", "webhook_secret")
    steps.drop_column("campaigns", "resumed_at")
    steps.drop_index("ix_contacts_erased_at", "contacts")
    steps.drop_column("contacts", "erased_at")
    steps.drop_column("contacts", "away_until")


def _suppressions(unique: tuple[str, ...]) -> sa.Table:
    """The table between the two forms: SQLite changes a unique key by making the table anew."""
    return sa.Table(
        "suppressions",
        sa.MetaData(naming_convention=metadata.naming_convention),
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
        sa.Column("list_name", types.binary_text(100), nullable=False, server_default=""),
        sa.UniqueConstraint(*unique[1:], name=unique[0]),
        **TABLE,
    )
