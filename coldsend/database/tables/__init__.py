"""All tables, by noun. ``metadata`` is what the migrations in ``schema/`` are held against."""

from coldsend.database.tables.back import inbox_messages, mailboxes, webhook_payloads
from coldsend.database.tables.base import metadata
from coldsend.database.tables.campaigns import (
    campaigns,
    email_variables,
    task_services,
    tasks,
    template_set_items,
    template_sets,
    templates,
)
from coldsend.database.tables.counted import cursors, event_counts, event_domains, event_links
from coldsend.database.tables.ledger import (
    event_log,
    leases,
    task_contacts,
    unmatched_events,
    workers,
)
from coldsend.database.tables.people import (
    contact_tags,
    contacts,
    sequence_stops,
    suppressions,
    user_sender_service_access,
    users,
)
from coldsend.database.tables.services import (
    dkim_keys,
    provider_pauses,
    send_counts,
    sender_leases,
    sender_quota,
    sender_services,
    signing_keys,
)
from coldsend.database.tables.watch import alert_deliveries, alerts, audit_log

__all__ = [
    "alert_deliveries",
    "alerts",
    "audit_log",
    "campaigns",
    "contact_tags",
    "contacts",
    "cursors",
    "dkim_keys",
    "email_variables",
    "event_counts",
    "event_domains",
    "event_links",
    "event_log",
    "inbox_messages",
    "leases",
    "mailboxes",
    "metadata",
    "provider_pauses",
    "send_counts",
    "sender_leases",
    "sender_quota",
    "sender_services",
    "sequence_stops",
    "signing_keys",
    "suppressions",
    "task_contacts",
    "task_services",
    "tasks",
    "template_set_items",
    "template_sets",
    "templates",
    "unmatched_events",
    "user_sender_service_access",
    "users",
    "webhook_payloads",
    "workers",
]
