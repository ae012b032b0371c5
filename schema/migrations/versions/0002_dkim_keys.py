"""Keys that messages are signed with (DKIM).

Revision: 0002
"""

from __future__ import annotations

import sqlalchemy as sa

from coldsend.database import steps, types

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    steps.create_table(
        "dkim_keys",
        sa.Column("id", types.big_id(), primary_key=True, autoincrement=True),
        sa.Column("domain", types.binary_text(255), nullable=False),
        sa.Column("selector", types.binary_text(63), nullable=False),
        sa.Column("algorithm", types.choice("dkim_algorithm", ["rsa", "ed25519"]), nullable=False),
        sa.Column("bits", sa.Integer(), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("private_key", types.json_value(), nullable=False),
        sa.Column(
            "status",
            types.choice("dkim_key_status", ["new", "active", "retired"]),
            nullable=False,
            server_default="new",
        ),
        sa.Column("created_at", types.UtcDateTime(), nullable=False, server_default=types.CurrentTimestamp()),
        sa.Column("activated_at", types.UtcDateTime(), nullable=True),
        sa.Column("retired_at", types.UtcDateTime(), nullable=True),
        sa.UniqueConstraint("domain", "selector", name="uq_dkim_keys_domain_selector"),
        mysql_engine="InnoDB",
        mysql_default_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    steps.drop_table("dkim_keys")
