"""Everything in the database that is sealed with the key ring: credentials, webhook secrets, signing and DKIM
keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.config.secrets import (
    KeyRing,
    dkim_key_owner,
    mailbox_owner,
    service_owner,
    signing_key_owner,
    webhook_owner,
)
from coldsend.database.tables import dkim_keys, mailboxes, sender_services, signing_keys


@dataclass(frozen=True, slots=True)
class Sealed:
    """One sealed value: the row and column it stands in, its owner, and what is shown of it."""

    column: sa.Column[Any]
    row_id: int
    owner: str
    subject: str  # "service 'gmail-1'"
    value: dict[str, Any]


def values(connection: Connection, *, locked: bool = False) -> Iterator[Sealed]:
    """All sealed values; ``locked``: their rows stay as they are until the transaction ends."""
    services = sa.select(
        sender_services.c.id,
        sender_services.c.name,
        sender_services.c.credentials,
        sender_services.c.webhook_secret,
    )
    purposes = sa.select(signing_keys.c.id, signing_keys.c.purpose, signing_keys.c.secret)
    of_domains = sa.select(
        dkim_keys.c.id, dkim_keys.c.domain, dkim_keys.c.selector, dkim_keys.c.private_key
    ).order_by(dkim_keys.c.id)
    of_mailboxes = sa.select(mailboxes.c.id, mailboxes.c.name, mailboxes.c.credentials)
    if locked:
        services, purposes = services.with_for_update(), purposes.with_for_update()
        of_domains, of_mailboxes = of_domains.with_for_update(), of_mailboxes.with_for_update()
    for row_id, name, value, webhook in connection.execute(services.order_by(sender_services.c.id)):
        if value:
            yield Sealed(
                sender_services.c.credentials, row_id, service_owner(row_id), f"service {name!r}", value
            )
        if webhook:
            yield Sealed(
                sender_services.c.webhook_secret,
                row_id,
                webhook_owner(row_id),
                f"webhooks of service {name!r}",
                webhook,
            )
    for row_id, name, value in connection.execute(of_mailboxes.order_by(mailboxes.c.id)):
        if value:
            yield Sealed(mailboxes.c.credentials, row_id, mailbox_owner(row_id), f"mailbox {name!r}", value)
    for row_id, purpose, value in connection.execute(purposes.order_by(signing_keys.c.id)):
        owner = signing_key_owner(purpose)
        yield Sealed(signing_keys.c.secret, row_id, owner, f"signing key {purpose!r}", value)
    for row_id, domain, selector, value in connection.execute(of_domains):
        owner = dkim_key_owner(domain, selector)
        yield Sealed(dkim_keys.c.private_key, row_id, owner, f"DKIM key {domain}/{selector}", value)


def key_ids(connection: Connection) -> dict[str, int]:
    """How many values each key has sealed."""
    counts: dict[str, int] = {}
    for sealed in values(connection):
        key_id = str(sealed.value.get("kid"))
        counts[key_id] = counts.get(key_id, 0) + 1
    return counts


def reseal(connection: Connection, keys: KeyRing) -> int:
    """Seal everything with the first key that is not; how many. Refused where one value does not open."""
    changed = 0
    for sealed in list(values(connection, locked=True)):
        if keys.is_current(sealed.value):
            continue
        fresh = keys.seal(keys.open(sealed.value, sealed.owner), sealed.owner)
        table = sealed.column.table
        connection.execute(
            sa.update(table).where(table.c.id == sealed.row_id).values({sealed.column.name: fresh})
        )
        changed += 1
    return changed
