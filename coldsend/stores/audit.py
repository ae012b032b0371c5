"""Rows of ``audit_log``: who changed what, and with what result. Nothing changes or deletes them but
retention and the erasure of a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database.tables import audit_log

a = audit_log.c

ERASED = ["(erased)"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One command as it was called. user_id, username: who it acted as; None where that came to nothing.

    arguments: without secrets. exit_code, error: as the caller saw them.
    """

    at: datetime
    command: str
    arguments: Sequence[str]
    exit_code: int
    error: str | None = None
    user_id: int | None = None
    username: str | None = None
    os_user: str | None = None
    host: str | None = None


def add(connection: Connection, entry: Entry) -> None:
    connection.execute(sa.insert(audit_log).values(asdict(entry)))


def listed(
    connection: Connection,
    *,
    user_id: int | None = None,
    command: str | None = None,
    since: datetime | None = None,
    limit: int,
) -> list[RowMapping]:
    """The newest first. command: ``campaign`` for all its verbs, ``campaign start`` for one."""
    query = sa.select(audit_log).order_by(a.id.desc()).limit(limit)
    if user_id is not None:
        query = query.where(a.user_id == user_id)
    if command is not None:
        query = query.where(
            sa.or_(a.command == command, a.command.startswith(f"{command} ", autoescape=True))
        )
    if since is not None:
        query = query.where(a.at >= since)
    return list(connection.execute(query).mappings())


def forget_contact(connection: Connection, contact_id: int) -> int:
    """Blank the arguments of commands that named a contact by its id; how many did."""
    about = sa.select(a.id, a.arguments).where(a.command.startswith("contact "))
    named = [row.id for row in connection.execute(about) if str(contact_id) in (row.arguments or ())]
    if not named:
        return 0
    return connection.execute(sa.update(audit_log).where(a.id.in_(named)).values(arguments=ERASED)).rowcount
