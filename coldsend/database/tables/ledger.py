"""The send list, the event log, and the processes that work on them."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, SmallInteger, String, Text, UniqueConstraint

from coldsend.database.tables.base import reference, row_id, table
from coldsend.database.types import CurrentTimestamp, UtcDateTime, ascii_key, big_id, choice, json_value
from coldsend.domain.states import EventType, RowStatus

task_contacts = table(
    "task_contacts",
    row_id(),
    reference("task_id", "tasks.id", index=False),  # the unique key below serves it
    reference("contact_id", "contacts.id"),
    Column(
        "status",
        choice("row_status", [s.value for s in RowStatus]),
        nullable=False,
        server_default="pending",
    ),
    reference("selected_template_id", "templates.id", nullable=True),
    Column("scheduled_send_at", UtcDateTime()),  # due time; windows and retries move it
    Column("sent_at", UtcDateTime()),  # when the server accepted it
    Column("error_message", Text()),
    Column(
        "event_tracking_uid", ascii_key(255), unique=True
    ),  # "t<task>c<contact>"; links carry signed tokens
    # added by the design
    Column("reason", String(100)),  # stable code behind status: suppressed, cancelled, missing_variable ..
    Column("bucket", SmallInteger(), nullable=False, server_default="0"),  # contact_id % 61
    Column("attempt", Integer(), nullable=False, server_default="0"),  # intents so far
    Column("retries", Integer(), nullable=False, server_default="0"),  # failures that count towards giving up
    Column("first_attempt_at", UtcDateTime()),
    Column("attempt_at", UtcDateTime()),
    Column("claim_token", big_id()),  # worker id * 2**32 + its batch number
    # Set at the intent. On a pending row: this service only (greylisted, follow-up); NULL: any of the task's.
    # No foreign key: it would lock the service's row in every batch.
    Column("sender_service_id", big_id()),
    Column("message_id", ascii_key(255)),
    Column("delivered_at", UtcDateTime()),
    Column("opened_at", UtcDateTime()),
    Column("clicked_at", UtcDateTime()),
    Column("replied_at", UtcDateTime()),
    Column("bounced_at", UtcDateTime()),
    Column("unsubscribed_at", UtcDateTime()),
    Column("complained_at", UtcDateTime()),
    Column("follows_id", big_id()),  # the row whose message this one follows up
    Column("subject", String(998)),  # as it was sent: what a follow-up answers with "Re:"
    Column("reply_category", ascii_key(50)),
    UniqueConstraint("task_id", "contact_id"),
    # The lease walks exactly this index; ORDER BY id would let MariaDB walk the primary key instead.
    Index("ix_task_contacts_lease", "task_id", "status", "bucket", "scheduled_send_at"),
)

# No foreign keys: an event outlives what it speaks of, and each key would lock a parent row per event.
event_log = table(
    "event_log",
    row_id(),
    Column("task_id", big_id()),
    Column("contact_id", big_id()),
    Column("sender_service_id", big_id()),
    Column("event_tracking_uid", ascii_key(255)),
    Column("type", choice("event_type", [t.value for t in EventType]), nullable=False),
    Column("ts", UtcDateTime(), nullable=False, server_default=CurrentTimestamp()),
    Column("details", json_value()),
    Column("dedup_key", ascii_key(128), unique=True),  # NULL for what the ledger itself guards
    Index("ix_event_log_task_contact", "task_id", "contact_id"),
    Index("ix_event_log_type_task_ts", "type", "task_id", "ts", "contact_id"),
)

# What came back and could not be matched to a recipient: kept, never lost.
unmatched_events = table(
    "unmatched_events",
    row_id(),
    Column("source", String(50), nullable=False),
    Column("received_at", UtcDateTime(), nullable=False, index=True),
    Column("dedup_key", ascii_key(128), unique=True),
    Column("details", json_value()),
)

workers = table(
    "workers",
    row_id(),
    Column("kind", choice("worker_kind", ["scheduler", "sender"]), nullable=False),
    Column("host", String(255), nullable=False),
    Column("host_id", ascii_key(64), nullable=False),  # of the state directory: who can see its journal
    Column("pid", Integer(), nullable=False),
    Column("started_at", UtcDateTime(), nullable=False),
    Column("heartbeat_at", UtcDateTime(), nullable=False),
    Column("lease_until", UtcDateTime(), nullable=False),
    Column("stopped_at", UtcDateTime()),  # it has no row in `sending` any more
    Column("details", json_value()),
    Index("ix_workers_stopped_at", "stopped_at"),
)

# Named leases: the scheduler that leads.
leases = table(
    "leases",
    Column("name", String(64), primary_key=True),
    Column("worker_id", big_id()),
    Column("expires_at", UtcDateTime(), nullable=False),
)
