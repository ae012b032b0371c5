"""Rows of ``mailboxes``: where to read, how far that has come, and who is reading."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database import dialect
from coldsend.database.tables import leases, mailboxes, sender_services
from coldsend.domain.mailbox import Mailbox, Trouble
from coldsend.errors import Refused
from coldsend.stores import lookup

m = mailboxes.c

# What a mailbox looks like when nothing is wrong with it.
WELL: dict[str, Any] = {"failed_at": None, "last_error": None, "error_code": None, "consecutive_errors": 0}
# What it looks like when nothing was read from it yet.
UNREAD: dict[str, Any] = {"uid_validity": None, "last_uid": None, "polled_at": None}


def find(connection: Connection, given: str | int) -> RowMapping:
    return lookup.by_name_or_id(connection, mailboxes, given, "mailbox")


def listed(connection: Connection) -> list[RowMapping]:
    """All mailboxes with the names of their services (``service``), the oldest first."""
    query = (
        sa.select(mailboxes, sender_services.c.name.label("service"))
        .select_from(mailboxes.outerjoin(sender_services, sender_services.c.id == m.sender_service_id))
        .order_by(m.id)
    )
    return list(connection.execute(query).mappings())


def as_mailbox(row: RowMapping) -> Mailbox:
    """The snapshot of a row; credentials are not part of it."""
    settings = row["settings"] or {}
    return Mailbox(
        id=row["id"],
        name=row["name"],
        host=settings.get("host", ""),
        port=settings.get("port", 0),
        tls=settings.get("tls", ""),
        username=settings.get("username", ""),
        folder=settings.get("folder", ""),
        service_id=row["sender_service_id"],
        enabled=row["enabled"],
        uid_validity=row["uid_validity"],
        last_uid=row["last_uid"],
        polled_at=row["polled_at"],
        failed_at=row["failed_at"],
        error_code=row["error_code"] or "",
        consecutive_errors=row["consecutive_errors"],
    )


def enabled(connection: Connection) -> list[Mailbox]:
    """The mailboxes that are read without being asked to."""
    query = sa.select(mailboxes).where(m.enabled).order_by(m.id)
    return [as_mailbox(row) for row in connection.execute(query).mappings()]


def add(connection: Connection, values: Mapping[str, Any], now: datetime) -> int:
    """Insert a mailbox; Refused where the name is taken. Returns its id."""
    if connection.execute(sa.select(m.id).where(m.name == values["name"])).first():
        raise Refused(
            f"mailbox {values['name']!r} exists already",
            hint=f"change it with: coldsend mailbox update {values['name']!r}",
        )
    statement = sa.insert(mailboxes).values(**values, created_at=now, updated_at=now)
    return lookup.inserted_id(connection.execute(statement))


def change(connection: Connection, mailbox_id: int, values: Mapping[str, Any], now: datetime) -> None:
    connection.execute(sa.update(mailboxes).where(m.id == mailbox_id).values(**values, updated_at=now))


def remove(connection: Connection, mailbox_id: int) -> None:
    """Delete the row; messages found in it stay."""
    connection.execute(sa.delete(mailboxes).where(m.id == mailbox_id))
    connection.execute(sa.delete(leases).where(leases.c.name == _lease(mailbox_id)))


def of_service(connection: Connection, service_id: int) -> list[str]:
    """Names of the mailboxes that belong to a service."""
    query = sa.select(m.name).where(m.sender_service_id == service_id).order_by(m.id)
    return list(connection.execute(query).scalars())


def begin_folder(
    connection: Connection, mailbox: Mailbox, uid_validity: int, last_uid: int, now: datetime
) -> bool:
    """Note from where a folder is read that is new or was made anew; False where somebody else has."""
    statement = (
        sa.update(mailboxes)
        .where(
            m.id == mailbox.id,
            m.uid_validity.is_not_distinct_from(mailbox.uid_validity),
            m.last_uid.is_not_distinct_from(mailbox.last_uid),
        )
        .values(uid_validity=uid_validity, last_uid=last_uid, updated_at=now)
    )
    return connection.execute(statement).rowcount == 1


def advance(
    connection: Connection, mailbox_id: int, uid_validity: int, before: int, last_uid: int, now: datetime
) -> bool:
    """Everything after ``before``, up to ``last_uid``, has been read; False where somebody else was at it."""
    statement = (
        sa.update(mailboxes)
        .where(m.id == mailbox_id, m.uid_validity == uid_validity, m.last_uid == before)
        .values(last_uid=last_uid, updated_at=now)
    )
    return connection.execute(statement).rowcount == 1


def succeeded(connection: Connection, mailbox_id: int, now: datetime) -> None:
    """It has been read to its end."""
    change(connection, mailbox_id, {**WELL, "polled_at": now}, now)


def failed(
    connection: Connection, mailbox_id: int, trouble: Trouble, text: str, now: datetime, *, first: bool
) -> int:
    """Count an error; returns how many there are of this kind in a row. first: it came after some success."""
    again = 1 if first else sa.case((m.error_code == trouble.value, m.consecutive_errors + 1), else_=1)
    statement = (
        sa.update(mailboxes)
        .where(m.id == mailbox_id)
        .values(
            consecutive_errors=again, failed_at=now, last_error=text, error_code=trouble.value, updated_at=now
        )
    )
    connection.execute(statement)
    return int(
        connection.execute(sa.select(m.consecutive_errors).where(m.id == mailbox_id)).scalar_one_or_none()
        or 0
    )


# Who reads: a lease of the mailbox. The moment it ends, to the microsecond, is the proof of who holds it.


def take_lease(
    connection: Connection, mailbox_id: int, now: datetime, seconds: float
) -> tuple[datetime, bool]:
    """(its end, whether it is ours now). It is taken when it is free or has run out."""
    name, until = _lease(mailbox_id), now + timedelta(seconds=seconds)
    insert = dialect.insert_ignore(leases, connection.dialect.name)
    connection.execute(insert.values(name=name, worker_id=None, expires_at=now))
    taken = connection.execute(
        sa.update(leases)
        .where(
            leases.c.name == name,
            # A clock that jumped back must not leave a lease for days.
            sa.or_(leases.c.expires_at <= now, leases.c.expires_at > now + timedelta(seconds=2 * seconds)),
        )
        .values(expires_at=until)
    )
    if taken.rowcount == 1:
        return until, True
    return connection.execute(sa.select(leases.c.expires_at).where(leases.c.name == name)).scalar_one(), False


def renew_lease(
    connection: Connection, mailbox_id: int, until: datetime, now: datetime, seconds: float
) -> datetime | None:
    """The new end of a lease that ends at ``until``; None where it is not ours any more."""
    later = max(now + timedelta(seconds=seconds), until)
    renewed = connection.execute(_held(mailbox_id, until).values(expires_at=later))
    return later if renewed.rowcount == 1 else None


def give_lease_back(connection: Connection, mailbox_id: int, until: datetime, now: datetime) -> None:
    connection.execute(_held(mailbox_id, until).values(expires_at=min(now, until)))


def _held(mailbox_id: int, until: datetime) -> sa.Update:
    return sa.update(leases).where(leases.c.name == _lease(mailbox_id), leases.c.expires_at == until)


def _lease(mailbox_id: int) -> str:
    return f"mailbox {mailbox_id}"
