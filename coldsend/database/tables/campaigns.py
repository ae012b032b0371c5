"""campaigns, tasks, templates, template sets and template variables."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Text, UniqueConstraint

from coldsend.database.tables.base import created_at, reference, row_id, table, updated_at
from coldsend.database.types import UtcDateTime, big_id, choice, json_value, medium_text
from coldsend.domain.states import CampaignStatus, TaskStatus, VariableSource

campaigns = table(
    "campaigns",
    row_id(),
    Column("name", String(255), nullable=False, unique=True),
    Column("start_time", UtcDateTime(), index=True),  # NULL: as soon as it is started
    Column(
        "status",
        choice("campaign_status", [s.value for s in CampaignStatus]),
        nullable=False,
        server_default="draft",
        index=True,
    ),
    Column("status_reason", Text()),
    reference("created_by", "users.id"),
    created_at(),
    updated_at(),
    Column("resumed_at", UtcDateTime()),  # the breaker counts from here
)

tasks = table(
    "tasks",
    row_id(),
    reference("campaign_id", "campaigns.id"),
    Column("name", String(255), nullable=False),
    Column("plan_time", UtcDateTime(), index=True),  # NULL: with its campaign
    Column(
        "status",
        choice("task_status", [s.value for s in TaskStatus]),
        nullable=False,
        server_default="draft",
        index=True,
    ),
    Column("status_reason", Text()),
    Column("recipient_rule", json_value(), nullable=False),
    reference("template_set_id", "template_sets.id"),
    Column("actual_start_time", UtcDateTime()),
    Column("actual_end_time", UtcDateTime()),
    Column("summary_stats", json_value()),
    # Expansion walks contacts by id from expand_cursor to expand_to, chunk by chunk; expanded_at closes it.
    Column("expand_cursor", big_id(), nullable=False, server_default="0"),
    Column("expand_to", big_id()),
    Column("expanded_at", UtcDateTime()),
    Column(
        "expanded_count", big_id(), nullable=False, server_default="0"
    ),  # rows so far: rotation goes on from it
    Column("template_ids", json_value()),  # rotation as it was at the first expansion, in order
    reference("created_by", "users.id"),
    created_at(),
    updated_at(),
    UniqueConstraint("campaign_id", "name"),
)

task_services = table(
    "task_services",
    Column("task_id", big_id(), ForeignKey("tasks.id"), primary_key=True, autoincrement=False),
    Column(
        "sender_service_id", big_id(), ForeignKey("sender_services.id"), primary_key=True, autoincrement=False
    ),
)

templates = table(
    "templates",
    row_id(),
    Column("name", String(255), nullable=False, unique=True),
    Column("subject", String(500), nullable=False),
    Column("body", medium_text(), nullable=False),  # HTML
    Column("text_body", medium_text()),  # NULL: derived from the HTML
    reference("created_by", "users.id"),
    created_at(),
    updated_at(),
)

template_sets = table(
    "template_sets",
    row_id(),
    Column("name", String(255), nullable=False, unique=True),
    reference("created_by", "users.id"),
    created_at(),
    updated_at(),
)

template_set_items = table(
    "template_set_items",
    row_id(),
    reference("template_set_id", "template_sets.id"),
    reference("template_id", "templates.id"),
    Column("order", Integer(), nullable=False, server_default="0", quote=True),
    created_at(),
    UniqueConstraint("template_set_id", "template_id"),
    Index("ix_template_set_items_template_set_id_order", "template_set_id", "order"),
)

email_variables = table(
    "email_variables",
    row_id(),
    Column("variable_key", String(100), nullable=False, unique=True),
    Column("display_name", String(255), nullable=False),
    Column("source_type", choice("variable_source", [s.value for s in VariableSource]), nullable=False),
    Column("source_details", json_value()),
    Column("description", Text()),
    reference("created_by", "users.id"),
    created_at(),
    updated_at(),
)
