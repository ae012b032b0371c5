"""What the database holds about one person, by table: their own rows, and where others' rows mention them.

Every column that holds text is either searched (:data:`SEARCHED`) or says nothing about recipients
(:data:`NOT_ABOUT_RECIPIENTS`); a test compares both with the tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database.expressions import lower_text
from coldsend.database.tables import (
    alert_deliveries,
    alerts,
    audit_log,
    campaigns,
    contact_tags,
    contacts,
    event_log,
    inbox_messages,
    mailboxes,
    provider_pauses,
    sender_services,
    suppressions,
    task_contacts,
    tasks,
    templates,
    unmatched_events,
    webhook_payloads,
    workers,
)
from coldsend.domain.redaction import plain_facts
from coldsend.domain.states import RowStatus
from coldsend.stores.inbox_messages import WORDS
from coldsend.stores.lookup import record

WINDOW = 20_000  # ids that one look at a large table covers

# Table -> its columns that may hold words of recipients or of mail servers. In the order of the search.
SEARCHED: Mapping[sa.Table, tuple[str, ...]] = {
    contacts: ("nickname", "tags", "fields", "source", "lawful_basis"),
    suppressions: ("source", "detail"),
    campaigns: ("status_reason",),
    tasks: ("status_reason", "recipient_rule", "summary_stats"),
    sender_services: ("frozen_reason", "cool_down_reason", "last_error"),
    provider_pauses: ("reason",),
    mailboxes: ("last_error",),
    workers: ("details",),
    task_contacts: ("error_message", "subject"),
    event_log: ("details", "dedup_key"),
    unmatched_events: ("source", "dedup_key", "details"),
    inbox_messages: ("message_id", "from_email", "subject", "text", "raw", "details"),
    webhook_payloads: ("body", "error"),
    alerts: ("message", "details"),
    alert_deliveries: ("last_error",),
    audit_log: ("arguments",),
}

# Names, settings, keys and texts of operators, and what coldsend makes of ids.
NOT_ABOUT_RECIPIENTS = frozenset(
    {
        "contact_tags.tag",  # always equal to contacts.tags
        "contacts.email",  # these three are looked up, not searched
        "contacts.email_domain",
        "contacts.email_key",
        "contacts.time_zone",
        "suppressions.suppression_key",  # these two, too
        "suppressions.value",
        "suppressions.list_name",
        "sequence_stops.stop_key",  # these two are looked up as well
        "sequence_stops.value",
        "sequence_stops.source",
        "campaigns.name",
        "campaigns.time_zone",
        "campaigns.send_window",
        "campaigns.holidays",
        "tasks.name",
        "tasks.experiment",
        "tasks.template_ids",
        "tasks.follows_condition",
        "task_contacts.event_tracking_uid",
        "task_contacts.message_id",
        "task_contacts.reason",
        "task_contacts.reply_category",  # cleared with the person's own rows
        "event_log.event_tracking_uid",
        "cursors.name",
        "event_domains.domain",  # counted as nobody's when nobody is left there: stores/rollups.py
        "event_links.digest",
        "event_links.url",  # what templates have of it: domain/links.py
        "inbox_messages.category",
        "inbox_messages.digest",
        "webhook_payloads.content_type",
        "webhook_payloads.digest",
        "webhook_payloads.provider",
        "mailboxes.credentials",
        "mailboxes.error_code",
        "mailboxes.name",
        "mailboxes.settings",
        "provider_pauses.provider",
        "sender_services.credentials",
        "sender_services.from_email",
        "sender_services.from_name",
        "sender_services.name",
        "send_counts.key",
        "sender_services.ramp",
        "sender_services.settings",
        "sender_services.time_zone",
        "sender_services.type",
        "sender_services.webhook_secret",
        "alerts.subject",
        "alerts.open_key",
        "alert_deliveries.target",
        "audit_log.username",
        "audit_log.os_user",
        "audit_log.host",
        "audit_log.command",
        "audit_log.error",
        "workers.host",
        "workers.host_id",
    }
)
OPERATORS_TABLES = frozenset(
    {"users", "templates", "template_sets", "email_variables", "leases", "signing_keys", "dkim_keys"}
)


def known(connection: Connection, email_key: str, *, lock: bool = False) -> RowMapping | None:
    """The whole row of the contact with this key, removed or not."""
    statement = sa.select(contacts).where(contacts.c.email_key == email_key)
    return connection.execute(statement.with_for_update() if lock else statement).mappings().first()


def has_sending(connection: Connection, contact_id: int) -> bool:
    """Whether a message to a contact is under way. Locks its rows: an intent being made is waited for."""
    statement = sa.select(task_contacts.c.status).where(task_contacts.c.contact_id == contact_id)
    statuses = connection.execute(statement.with_for_update()).scalars().all()
    return RowStatus.SENDING.value in statuses


def sends(connection: Connection, contact_id: int) -> list[dict[str, Any]]:
    """Every row of a send list about a contact, with the names of what it refers to; by id."""
    rows = task_contacts.c
    statement = (
        sa.select(
            (campaigns.c.name + "/" + tasks.c.name).label("task"),
            sender_services.c.name.label("service"),
            templates.c.name.label("template"),
            templates.c.subject.label("template_subject"),
            *(rows[name] for name in _SENDS),
        )
        .select_from(task_contacts)
        .join(tasks, tasks.c.id == rows.task_id)
        .join(campaigns, campaigns.c.id == tasks.c.campaign_id)
        .outerjoin(sender_services, sender_services.c.id == rows.sender_service_id)
        .outerjoin(templates, templates.c.id == rows.selected_template_id)
        .where(rows.contact_id == contact_id)
        .order_by(rows.id)
    )
    return [record(row) for row in connection.execute(statement).mappings()]


_SENDS = (
    "status",
    "reason",
    "error_message",
    "message_id",
    "subject",
    "reply_category",
    "scheduled_send_at",
    "first_attempt_at",
    "attempt_at",
    "sent_at",
    "delivered_at",
    "opened_at",
    "clicked_at",
    "replied_at",
    "bounced_at",
    "unsubscribed_at",
    "complained_at",
)


def events(connection: Connection, contact_id: int) -> list[RowMapping]:
    """All events of a contact, the oldest first; event_log is asked by task, it has no index on contacts."""
    mine = sa.select(task_contacts.c.task_id).where(task_contacts.c.contact_id == contact_id)
    task_ids = sorted(set(connection.execute(mine).scalars()))
    of_task = sa.or_(event_log.c.task_id.in_(task_ids), event_log.c.task_id.is_(None))
    statement = sa.select(event_log).where(of_task, event_log.c.contact_id == contact_id)
    return list(connection.execute(statement.order_by(event_log.c.ts, event_log.c.id)).mappings())


def messages(connection: Connection, contact_id: int) -> list[RowMapping]:
    """Messages in mailboxes that were from a contact, or about mail to it; the oldest first."""
    statement = sa.select(inbox_messages).where(inbox_messages.c.contact_id == contact_id)
    return list(connection.execute(statement.order_by(inbox_messages.c.id)).mappings())


def message(connection: Connection, message_id: int) -> RowMapping:
    """One message of a mailbox, whole."""
    statement = sa.select(inbox_messages).where(inbox_messages.c.id == message_id)
    return connection.execute(statement).mappings().one()


def mentions(
    connection: Connection, table: sa.Table, sought: Sequence[str], after: int, upto: int
) -> list[RowMapping]:
    """Rows with an id above ``after`` up to ``upto`` that may mention an address: candidates, not proofs.

    sought: what to look for, in lower case. The rows have their key, the table's searched columns, and
    ``contact_id`` where it has one.
    """
    columns = [table.c[name] for name in SEARCHED[table]]
    found = [sa.func.instr(lower_text(column), part) > 0 for column in columns for part in sought]
    keys = [column for column in table.columns if column.primary_key or column.name == "contact_id"]
    statement = sa.select(*keys, *columns).where(sa.or_(*found))
    if "id" in table.c:
        statement = statement.where(table.c.id > after, table.c.id <= upto).order_by(table.c.id)
    return list(connection.execute(statement).mappings())


def windows(connection: Connection, table: sa.Table) -> Iterator[tuple[int, int]]:
    """(after, up to) for every stretch of a table's ids, as it is now; one where it has no ids."""
    if "id" not in table.c:
        yield 0, 0
        return
    first, last = connection.execute(sa.select(sa.func.min(table.c.id), sa.func.max(table.c.id))).one()
    if last is not None:
        for after in range(first - 1, last, WINDOW):
            yield after, min(after + WINDOW, last)


def rewrite(connection: Connection, table: sa.Table, row: RowMapping, values: Mapping[str, Any]) -> None:
    """Set columns of one row that :func:`mentions` found."""
    here = [column == row[column.name] for column in table.primary_key]
    if "updated_at" in table.c:
        values = {**values, "updated_at": table.c.updated_at}  # nobody has worked on it
    connection.execute(sa.update(table).where(*here).values(dict(values)))


def clear_messages(connection: Connection, where: sa.ColumnElement[bool]) -> int:
    """Leave of messages only that they came, when, and of what kind; returns how many had more."""
    something = sa.or_(*(inbox_messages.c[name].is_not(None) for name in WORDS))
    statement = sa.update(inbox_messages).where(where, something)
    return connection.execute(statement.values(dict.fromkeys(WORDS, sa.null()))).rowcount


def clear(connection: Connection, contact_id: int) -> dict[str, int]:
    """Take the words out of a contact's rows, events and messages; what happened and when stays.

    Returns how many had any: {"rows", "events", "messages"}. Running it again changes nothing.
    """
    words = [task_contacts.c[name] for name in ("error_message", "subject", "reply_category")]
    texts = sa.update(task_contacts).where(
        task_contacts.c.contact_id == contact_id, sa.or_(*(column.is_not(None) for column in words))
    )
    rows = connection.execute(texts.values(dict.fromkeys(words, sa.null()))).rowcount
    changed = 0
    for event in events(connection, contact_id):
        kept = plain_facts(event["details"])
        told = "@" in (event["dedup_key"] or "")
        if kept != event["details"] or told:
            values = {"details": kept} | ({"dedup_key": None} if told else {})
            connection.execute(sa.update(event_log).where(event_log.c.id == event["id"]).values(values))
            changed += 1
    # A message about a row is about its contact: that column has an index.
    about = inbox_messages.c.contact_id == contact_id
    return {"rows": rows, "events": changed, "messages": clear_messages(connection, about)}


def anonymise(connection: Connection, contact_id: int, now: datetime) -> None:
    """Leave of a contact its id, and when it was known and erased: what refers to it still counts."""
    nobody = f"erased:{contact_id}"  # no address, so that none is ever taken for it
    connection.execute(sa.delete(contact_tags).where(contact_tags.c.contact_id == contact_id))
    connection.execute(
        sa.update(contacts)
        .where(contacts.c.id == contact_id)
        .values(
            email=nobody,
            email_key=nobody,
            email_domain="erased.invalid",
            nickname=None,
            tags=None,
            fields=None,
            time_zone=None,
            source=None,
            lawful_basis=None,
            away_until=None,
            deleted_at=sa.func.coalesce(contacts.c.deleted_at, now),
            erased_at=now,
            updated_at=now,
        )
    )


def erased_since(connection: Connection, since: datetime) -> list[int]:
    """Ids of contacts that were erased since then."""
    statement = sa.select(contacts.c.id).where(contacts.c.erased_at >= since).order_by(contacts.c.id)
    return list(connection.execute(statement).scalars())
