"""users, contacts and their tags, suppressions, and who may send through which service."""

from __future__ import annotations

from sqlalchemy import Column, Index, String, Text, UniqueConstraint

from coldsend.database.tables.base import created_at, reference, row_id, table, updated_at
from coldsend.database.types import UtcDateTime, big_id, binary_text, choice, json_value
from coldsend.domain.states import Role, StopReason, SuppressionReason, SuppressionScope

users = table(
    "users",
    row_id(),
    Column("username", String(255), nullable=False, unique=True),
    Column("role", String(50), nullable=False, index=True, default=Role.OPERATOR.value),
    created_at(),
)

contacts = table(
    "contacts",
    row_id(),
    Column("email", binary_text(255), nullable=False, unique=True),
    # One address, one key: lower case, NFC, domain as A-label. Decides who is who.
    Column("email_key", binary_text(320), nullable=False, unique=True),
    Column("email_domain", binary_text(255), nullable=False),  # the A-label domain of email_key
    Column("nickname", String(255)),
    Column("tags", json_value()),  # as the reference has it; queries use contact_tags
    Column("fields", json_value()),  # custom fields, {"company": "Acme"}: strings only
    Column("time_zone", String(64)),
    Column("source", String(255)),  # where the address came from (GDPR Art. 14)
    Column("lawful_basis", String(50)),  # consent, legitimate_interest, contract ..
    Column("deleted_at", UtcDateTime()),
    created_at(),
    updated_at(),
    Column("away_until", UtcDateTime()),  # by an automatic reply: nothing is sent before
    Column("erased_at", UtcDateTime(), index=True),  # since then only the row's id is left of a person
    Index("ix_contacts_email_domain", "email_domain"),
)

contact_tags = table(
    "contact_tags",
    Column("tag", binary_text(100), primary_key=True),
    Column("contact_id", big_id(), primary_key=True, autoincrement=False),
    Index("ix_contact_tags_contact_id", "contact_id"),
)

suppressions = table(
    "suppressions",
    row_id(),
    # "a:" + email_key, "d:" + domain, or "h:" + keyed hash of the email_key of an erased person
    Column("suppression_key", binary_text(330), nullable=False),
    Column("campaign_id", big_id(), nullable=False, default=0, server_default="0"),  # 0: all campaigns
    Column("scope", choice("suppression_scope", [s.value for s in SuppressionScope]), nullable=False),
    Column("value", binary_text(320)),  # the address or domain in clear; NULL once erased
    Column("reason", choice("suppression_reason", [r.value for r in SuppressionReason]), nullable=False),
    Column("source", String(255)),  # cli, import:FILE, unsubscribe page, reply 550 ..
    Column("detail", Text()),
    created_at(),
    # customers, competitors ..: a list that is replaced as a whole; "": on none, and kept whatever lists say
    Column("list_name", binary_text(100), nullable=False, default="", server_default="", index=True),
    UniqueConstraint("suppression_key", "campaign_id", "list_name"),
)

# Whose sequence has ended before its last message, in one campaign; consent is in suppressions.
sequence_stops = table(
    "sequence_stops",
    row_id(),
    Column("campaign_id", big_id(), nullable=False),
    Column("stop_key", binary_text(330), nullable=False),  # "a:" + email_key, or "d:" + domain
    Column("value", binary_text(320)),  # the address or domain in clear; NULL once erased
    Column("reason", choice("stop_reason", [r.value for r in StopReason]), nullable=False),
    Column("task_contact_id", big_id()),  # whose reply or bounce it was
    Column("source", String(255)),
    created_at(),
    UniqueConstraint("campaign_id", "stop_key"),
)

user_sender_service_access = table(
    "user_sender_service_access",
    row_id(),
    reference("user_id", "users.id"),
    reference("sender_service_id", "sender_services.id"),
    created_at(),
    UniqueConstraint("user_id", "sender_service_id"),
)
