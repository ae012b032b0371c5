"""sender services, their quota days, leases and pauses."""

from __future__ import annotations

from sqlalchemy import Column, Date, Index, Integer, Numeric, String, Text, UniqueConstraint

from coldsend.database.tables.base import created_at, row_id, table, updated_at
from coldsend.database.types import UtcDateTime, big_id, binary_text, choice, json_value
from coldsend.domain.dkim import Algorithm, KeyStatus
from coldsend.domain.states import CountKind, FreezeCode, HealthStatus

sender_services = table(
    "sender_services",
    row_id(),
    Column("name", String(255), nullable=False, unique=True),
    Column("type", String(50), nullable=False, server_default="jiguang"),
    Column("credentials", json_value()),  # encrypted, bound to this row's id; see config/secrets.py
    # Not secret: {"host", "port", "tls", "connections", "url", ..}; each channel type documents its own.
    Column("settings", json_value()),
    Column("from_name", String(255)),
    Column("from_email", binary_text(320), nullable=False),
    Column("daily_quota", Integer(), nullable=False, server_default="0"),  # 0: nothing may be sent
    Column(
        "used_today", Integer(), nullable=False, server_default="0"
    ),  # a mirror; sender_quota is the truth
    Column("throttle_sec", Numeric(10, 3, asdecimal=False), nullable=False, server_default="1"),
    Column("time_zone", String(64), nullable=False, server_default="UTC"),  # of its quota day
    Column(
        "health_status",
        choice("health_status", [s.value for s in HealthStatus]),
        nullable=False,
        server_default="active",
        index=True,
    ),
    Column("frozen_code", choice("freeze_code", [c.value for c in FreezeCode])),
    Column("frozen_reason", Text()),
    Column("cool_down_until", UtcDateTime()),  # active: rests until then; frozen: may be probed then
    Column("cool_down_reason", String(255)),
    Column("last_error_at", UtcDateTime()),
    Column("last_error", Text()),
    Column("consecutive_errors", Integer(), nullable=False, server_default="0"),
    Column("max_consecutive_errors", Integer(), nullable=False, server_default="5"),
    created_at(),
    updated_at(),
    # Encrypted, bound to this row's id: what tells that a webhook comes from the provider.
    Column("webhook_secret", json_value()),
    # Of a new service: {"start": 20, "step": 10}; daily_quota is where it ends. NULL: all from the first day.
    Column("ramp", json_value()),
    Column("hourly_quota", Integer()),  # messages in an hour; NULL: no limit of its own
    Column("domain_quota", Integer()),  # messages to one recipient domain in a quota day
    Column("jitter_sec", Numeric(10, 3, asdecimal=False), nullable=False, server_default="0"),
    Column("spread_hours", Numeric(5, 2, asdecimal=False)),  # a day's messages go out over so many hours
)

sender_quota = table(
    "sender_quota",
    Column("sender_service_id", big_id(), primary_key=True, autoincrement=False),
    Column("quota_day", Date(), primary_key=True),  # in the service's time zone
    Column("used", Integer(), nullable=False, server_default="0"),
    Column("closed_at", UtcDateTime()),  # `quota reset` has closed this day's mirror
)

# What was reserved of other limits than the daily quota, each in its period.
send_counts = table(
    "send_counts",
    Column("kind", choice("count_kind", [k.value for k in CountKind]), primary_key=True),
    Column("owner_id", big_id(), primary_key=True, autoincrement=False),  # a service, or a campaign
    Column("period", UtcDateTime(), primary_key=True),  # when it began
    Column("key", binary_text(255), primary_key=True, quote=True),  # the recipient domain, else ""
    Column("used", Integer(), nullable=False, server_default="0"),
    Index("ix_send_counts_period", "period"),
)

# One row per service that is (or was) throttled: who may send through it, and from when. Ownership ends when
# its worker gives it up or is stopped (workers.stopped_at), not by a wall clock, which may jump.
sender_leases = table(
    "sender_leases",
    Column("sender_service_id", big_id(), primary_key=True, autoincrement=False),
    Column("worker_id", big_id()),
    Column("next_send_at", UtcDateTime()),
)

provider_pauses = table(
    "provider_pauses",
    Column("sender_service_id", big_id(), primary_key=True, autoincrement=False),
    Column("provider", String(100), primary_key=True),
    Column("paused_until", UtcDateTime()),  # NULL: until a person lifts it
    Column("reason", Text()),
    Column("times", Integer(), nullable=False, server_default="1"),
)

signing_keys = table(
    "signing_keys",
    row_id(),
    Column("purpose", String(32), nullable=False, unique=True),  # links, suppression
    Column("secret", json_value(), nullable=False),  # encrypted like credentials
    created_at(),
)

# Of domains, not of services: a service signs with the active keys of its From domain.
dkim_keys = table(
    "dkim_keys",
    row_id(),
    Column("domain", binary_text(255), nullable=False),  # in A-labels
    Column("selector", binary_text(63), nullable=False),
    Column("algorithm", choice("dkim_algorithm", [a.value for a in Algorithm]), nullable=False),
    Column("bits", Integer(), nullable=False),
    Column("public_key", Text(), nullable=False),  # the p= of its DNS record
    Column("private_key", json_value(), nullable=False),  # encrypted like credentials
    Column(
        "status",
        choice("dkim_key_status", [s.value for s in KeyStatus]),
        nullable=False,
        server_default="new",
    ),
    created_at(),
    Column("activated_at", UtcDateTime()),
    Column("retired_at", UtcDateTime()),
    UniqueConstraint("domain", "selector"),
)
