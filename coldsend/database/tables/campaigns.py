"""campaigns, tasks, templates, template sets and template variables."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    false,
    true,
)

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
    # When recipients are written to, in their own time: see domain/window.py.
    Column("time_zone", String(64)),  # of recipients whose own is not known, and of its days; NULL: UTC
    Column("send_window", json_value()),  # ["mon-fri 09:00-17:00"]; NULL: at any time
    Column("holidays", json_value()),  # ["recipient"] or countries, ["DE", "US-CA"]; NULL: none are kept
    Column(
        "spread", Boolean(), nullable=False, server_default=false()
    ),  # over the window, not at its opening
    # How its tasks follow each other: see domain/sequence.py.
    Column("stop_on_reply", Boolean(), nullable=False, server_default=true()),
    Column("stop_domain_on_reply", Boolean(), nullable=False, server_default=true()),
    Column("followups_first", Boolean(), nullable=False, server_default=true()),
    Column("new_per_day", Integer()),  # recipients of first messages in a day; NULL: no limit of its own
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
    # A follow-up: its recipients are those the other task was sent to, so many days later.
    Column("follows_task_id", big_id(), index=True),
    Column("follows_days", Integer(), nullable=False, server_default="0"),
    Column("follows_business_days", Boolean(), nullable=False, server_default=false()),
    Column("follows_condition", json_value()),  # ["no click", "opened"]: all must hold; NULL: none
    Column("enrolled_to", UtcDateTime()),  # messages accepted up to here have their follow-ups
    Column("experiment", json_value()),  # see domain/experiment.py; NULL: none
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
    Column("weight", Integer(), nullable=False, server_default="1"),  # turns it takes in a round
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
