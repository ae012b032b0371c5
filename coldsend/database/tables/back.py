"""What came back, as it came: mailboxes that are read, messages found there, payloads of webhooks."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Text, true

from coldsend.database.tables.base import created_at, reference, row_id, table, updated_at
from coldsend.database.types import (
    UtcDateTime,
    ascii_key,
    big_id,
    binary_text,
    choice,
    json_value,
    medium_blob,
    medium_text,
)
from coldsend.domain.inbox import MessageKind

mailboxes = table(
    "mailboxes",
    row_id(),
    Column("name", String(255), nullable=False, unique=True),
    # Bounces and replies found here are about messages of this service; NULL: of any.
    reference("sender_service_id", "sender_services.id", nullable=True),
    Column("settings", json_value()),  # {"host", "port", "tls", "username", "auth", "folder"}: not secret
    Column("credentials", json_value()),  # encrypted, bound to this row's id
    Column("enabled", Boolean(), nullable=False, server_default=true()),
    Column("uid_validity", BigInteger()),  # of the folder; another one means that all its UIDs are new
    Column("last_uid", BigInteger()),  # everything up to here has been read and stored
    Column("polled_at", UtcDateTime()),
    Column("failed_at", UtcDateTime()),
    Column("last_error", Text()),
    Column("error_code", String(50)),  # what kind of error that was: tells when the next try may be
    Column("consecutive_errors", Integer(), nullable=False, server_default="0"),
    created_at(),
    updated_at(),
)

# Messages that were about mail of ours, and no others: what else lies in a mailbox is nobody's business.
inbox_messages = table(
    "inbox_messages",
    row_id(),
    Column("mailbox_id", big_id(), nullable=False),
    Column("uid_validity", BigInteger(), nullable=False),
    Column("uid", BigInteger(), nullable=False),
    Column("kind", choice("message_kind", [k.value for k in MessageKind]), nullable=False),
    Column("received_at", UtcDateTime(), nullable=False),  # by the mailbox's server
    Column("task_contact_id", big_id()),  # the row of the send list it is about, where that is known
    Column("contact_id", big_id()),
    # SHA-256 of what is the same in all copies of a message: a folder made anew brings none twice.
    Column("digest", ascii_key(64), nullable=False, unique=True),
    Column("message_id", String(998)),
    Column("from_email", binary_text(320)),
    Column("subject", Text()),
    Column("text", medium_text()),  # of replies: what was written anew, quotes and signature taken off
    Column("raw", medium_blob()),  # as it came; NULL once its time is over
    Column("details", json_value()),
    created_at(),
    Column("category", ascii_key(50)),  # of replies: see domain/reply_category.py
    Index("ix_inbox_messages_contact_id", "contact_id", "received_at"),
    Index("ix_inbox_messages_created_at", "created_at"),
)

webhook_payloads = table(
    "webhook_payloads",
    row_id(),
    Column("provider", String(50), nullable=False),
    Column("received_at", UtcDateTime(), nullable=False, index=True),
    Column("digest", ascii_key(64), nullable=False, unique=True),  # SHA-256 of provider and body
    Column("content_type", String(255)),
    Column("body", medium_blob()),  # as it came; NULL once its time is over
    Column("events", Integer(), nullable=False, server_default="0"),  # how many it told of
    Column("error", Text()),  # why it could not be read, if so
)
