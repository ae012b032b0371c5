"""What operators are told, and what they did: alerts with their deliveries, and the audit log."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, String, Text

from coldsend.database.tables.base import row_id, table
from coldsend.database.types import UtcDateTime, ascii_key, big_id, choice, json_value
from coldsend.domain.alert import AlertKind, DeliveryStatus

alerts = table(
    "alerts",
    row_id(),
    Column("kind", choice("alert_kind", [k.value for k in AlertKind]), nullable=False),
    Column("subject", String(255), nullable=False),  # what it is about: service:gmail-1, campaign:spring
    Column("message", Text(), nullable=False),
    Column("details", json_value()),
    Column("raised_at", UtcDateTime(), nullable=False, index=True),
    Column("cleared_at", UtcDateTime()),
    # "<kind>:<subject>" while it lasts, NULL afterwards: one at a time of each.
    Column("open_key", String(320), unique=True),
)

alert_deliveries = table(
    "alert_deliveries",
    row_id(),
    Column("alert_id", big_id(), nullable=False, index=True),
    Column("event", choice("alert_event", ["raised", "cleared"]), nullable=False),
    Column("target", String(255), nullable=False),  # email:a@b, webhook:NAME, chat:NAME
    Column(
        "status",
        choice("delivery_status", [s.value for s in DeliveryStatus]),
        nullable=False,
        server_default="pending",
    ),
    Column("attempts", Integer(), nullable=False, server_default="0"),
    Column("next_at", UtcDateTime()),
    Column("last_error", Text()),
    Column("done_at", UtcDateTime()),
    Index("ix_alert_deliveries_status_next_at", "status", "next_at"),
)

audit_log = table(
    "audit_log",
    row_id(),
    Column("at", UtcDateTime(), nullable=False, index=True),
    Column("user_id", big_id()),
    Column("username", String(255)),
    Column("os_user", String(255)),
    Column("host", String(255)),
    Column("command", String(100), nullable=False),  # campaign start
    Column("arguments", json_value()),  # as given; never secrets
    Column("exit_code", Integer(), nullable=False),
    Column("error", ascii_key(100)),  # its code, where it was refused
)
