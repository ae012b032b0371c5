"""Rows of ``sequence_stops``, and the waiting rows of send lists that a stop ends or lets go on.

Keys are those of suppressions (domain/suppression.py): ``a:`` + email_key, ``d:`` + domain.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database import bulk, dialect
from coldsend.database.tables import campaigns, contacts, sequence_stops, task_contacts, tasks
from coldsend.domain import sequence
from coldsend.domain.feedback import OUT
from coldsend.domain.states import RowReason, RowStatus, StopReason
from coldsend.stores.ledger import chunks

s = sequence_stops.c
rows = task_contacts.c

_by_contact = dialect.force_index(task_contacts, "ix_task_contacts_contact_id")
_status = sa.cast(rows.status, sa.String(32))  # of no index: by that of the status SQLite walks whole lists

# From weak to strong: who bounced or was stopped by hand is not let on by a reply.
STRENGTH = (StopReason.REPLIED, StopReason.BOUNCED, StopReason.MANUAL)


class Stop(NamedTuple):
    """One stop. value: address or domain in clear. row_id: whose reply or bounce it was."""

    campaign_id: int
    key: str
    value: str
    reason: StopReason
    row_id: int | None = None
    source: str | None = None


class Steps(NamedTuple):
    """The tasks of a campaign that has follow-ups: those ``for_replies`` ask for one."""

    stop_on_reply: bool
    stop_domain_on_reply: bool
    others: tuple[int, ...]
    for_replies: tuple[int, ...]


def add(connection: Connection, wanted: Iterable[Stop], now: datetime) -> list[Stop]:
    """Add stops; those that are new, or stronger than what was there. A weaker one changes nothing."""
    changed: list[Stop] = []
    for stop in sorted(set(wanted), key=lambda one: (one.campaign_id, one.key)):
        values = {
            "campaign_id": stop.campaign_id,
            "stop_key": stop.key,
            "value": stop.value,
            "reason": stop.reason.value,
            "task_contact_id": stop.row_id,
            "source": stop.source,
        }
        insert = dialect.insert_ignore(sequence_stops, connection.dialect.name)
        if connection.execute(insert.values(**values, created_at=now)).rowcount == 1:
            changed.append(stop)
            continue
        weaker = [reason.value for reason in STRENGTH[: STRENGTH.index(stop.reason)]]
        update = sa.update(sequence_stops).where(
            s.campaign_id == stop.campaign_id, s.stop_key == stop.key, s.reason.in_(weaker)
        )
        if weaker and connection.execute(update.values(values)).rowcount == 1:
            changed.append(stop)
    return changed


def add_all(connection: Connection, wanted: Iterable[Stop], now: datetime) -> None:
    """Add many stops at once, of each key the strongest; keys that are there stay as they are."""
    strongest: dict[tuple[int, str], Stop] = {}
    for stop in wanted:
        held = strongest.setdefault((stop.campaign_id, stop.key), stop)
        if STRENGTH.index(stop.reason) > STRENGTH.index(held.reason):
            strongest[stop.campaign_id, stop.key] = stop
    columns = ("campaign_id", "stop_key", "value", "reason", "task_contact_id", "source", "created_at")
    values = ((*stop[:3], stop.reason.value, *stop[4:], now) for _key, stop in sorted(strongest.items()))
    bulk.insert_many(connection, sequence_stops, columns, values, ignore=True)


def remove(connection: Connection, campaign_id: int, key: str) -> StopReason | None:
    """Lift a stop; its reason, None where there is none."""
    here = (s.campaign_id == campaign_id, s.stop_key == key)
    reason = connection.execute(sa.select(s.reason).where(*here).with_for_update()).scalar()
    if reason is None:
        return None
    connection.execute(sa.delete(sequence_stops).where(*here))
    return StopReason(reason)


def listed(connection: Connection, campaign_id: int, limit: int) -> list[RowMapping]:
    """The newest stops of a campaign, the newest last, with the task whose message it was about."""
    query = (
        sa.select(s.id, s.stop_key, s.value, s.reason, s.source, s.created_at, tasks.c.name.label("task"))
        .select_from(
            sequence_stops.outerjoin(task_contacts, rows.id == s.task_contact_id).outerjoin(
                tasks, tasks.c.id == rows.task_id
            )
        )
        .where(s.campaign_id == campaign_id)
        .order_by(s.id.desc())
        .limit(limit)
    )
    return list(connection.execute(query).mappings())[::-1]


def in_force(connection: Connection, campaign_ids: Collection[int]) -> set[int]:
    """Which of these campaigns have any stop."""
    return {
        campaign_id
        for campaign_id in sorted(campaign_ids)
        if connection.execute(sa.select(s.id).where(s.campaign_id == campaign_id).limit(1)).first()
    }


def matching(connection: Connection, campaign_id: int, keys: Sequence[str]) -> dict[str, StopReason]:
    """Which of these keys are stopped in a campaign, and why."""
    found: dict[str, StopReason] = {}
    for some in chunks(keys):
        query = sa.select(s.stop_key, s.reason).where(
            s.campaign_id == campaign_id, bulk.among(s.stop_key, some)
        )
        found |= {key: StopReason(reason) for key, reason in connection.execute(query)}
    return found


def of_keys(connection: Connection, campaign_id: int, keys: Sequence[str]) -> list[RowMapping]:
    """The stops of these keys in a campaign, the oldest first."""
    query = sa.select(sequence_stops).where(s.campaign_id == campaign_id, s.stop_key.in_(keys))
    return list(connection.execute(query.order_by(s.id)).mappings())


def reason_of(campaign_id: int, prefix: str, column: ColumnElement[str]) -> sa.ScalarSelect[Any]:
    """For a statement over ``contacts``: why the key of this column is stopped in a campaign, or NULL."""
    return (
        sa.select(sa.type_coerce(s.reason, sa.String))
        .where(s.campaign_id == campaign_id, s.stop_key == sa.literal(prefix) + column)
        .correlate_except(sequence_stops)
        .scalar_subquery()
    )


def sequences(connection: Connection, campaign_ids: Collection[int]) -> dict[int, Steps]:
    """Those of these campaigns that have a follow-up."""
    wanted = sorted(campaign_ids)
    c, t = campaigns.c, tasks.c
    query = (
        sa.select(c.id, c.stop_on_reply, c.stop_domain_on_reply, t.id, t.follows_task_id, t.follows_condition)
        .join_from(campaigns, tasks)
        .where(c.id.in_(wanted))
        .order_by(c.id, t.id)
    )
    found: dict[int, list[Any]] = {}
    for row in connection.execute(query):
        found.setdefault(row[0], []).append(row)
    made = {}
    for campaign_id, mine in found.items():
        if all(row[4] is None for row in mine):
            continue
        for_replies = tuple(
            row[3] for row in mine if sequence.wants_reply(sequence.read_conditions(row[5] or ()))
        )
        others = tuple(row[3] for row in mine if row[3] not in for_replies)
        made[campaign_id] = Steps(bool(mine[0][1]), bool(mine[0][2]), others, for_replies)
    return made


def skip_waiting(
    connection: Connection,
    task_ids: Sequence[int],
    key: str,
    reason: RowReason,
    *,
    contact_id: int | None,
    limit: int | None = None,
) -> int:
    """Skip the pending rows of an address or domain in these tasks, at most ``limit``; how many there were.

    contact_id: of the address, where it is known; else it is looked up by ``key``. Of domains those below are
    left to the intent, which asks for each row anew.
    """
    waits = _status == RowStatus.PENDING.value
    found = _rows_of(connection, task_ids, key, contact_id, waits, limit=limit)
    changed = 0
    for ids in chunks(found):
        update = sa.update(task_contacts).where(
            bulk.among(rows.id, ids), rows.status == RowStatus.PENDING.value
        )
        changed += connection.execute(
            update.values(status=RowStatus.SKIPPED.value, reason=reason.value)
        ).rowcount
    return changed


def stopped_rows(connection: Connection, task_ids: Sequence[int], key: str) -> list[RowMapping]:
    """Rows in these tasks that a stop has ended, with addresses: of an address, or of a domain and all below
    it, which a stop ends at the intent."""
    found = _rows_of(connection, task_ids, key, None, _was_stopped(), below=True)
    query = (
        sa.select(rows.id, rows.task_id, contacts.c.email_key, contacts.c.email_domain)
        .join_from(task_contacts, contacts, contacts.c.id == rows.contact_id)
        .order_by(rows.id)
    )
    return [
        row
        for ids in chunks(found)
        for row in connection.execute(query.where(bulk.among(rows.id, ids))).mappings()
    ]


def _was_stopped() -> ColumnElement[bool]:
    reasons = sorted(reason.value for reason in sequence.ROW_REASONS)
    return sa.and_(_status == RowStatus.SKIPPED.value, rows.reason.in_(reasons))


def revive(connection: Connection, row_ids: Sequence[int]) -> int:
    """Make rows pending again that a stop has ended, due when they were; how many did."""
    changed = 0
    for ids in chunks(row_ids):
        update = sa.update(task_contacts).where(bulk.among(rows.id, ids), _was_stopped())
        values = {
            "status": RowStatus.PENDING.value,
            "reason": None,
            "error_message": None,
            # One that was stopped at its intent names a service; only follow-ups keep theirs.
            "sender_service_id": sa.case((rows.follows_id.is_not(None), rows.sender_service_id)),
        }
        changed += connection.execute(update.values(values)).rowcount
    return changed


def _rows_of(
    connection: Connection,
    task_ids: Sequence[int],
    key: str,
    contact_id: int | None,
    where: ColumnElement[bool],
    *,
    below: bool = False,
    limit: int | None = None,
) -> list[int]:
    """Ids of the rows of an address or domain; found first and changed after, for MariaDB walks all of a
    send list in an UPDATE that asks another table. below: also of the domains below, which has no index."""
    whose = contacts.c.email_key if key.startswith("a:") else contacts.c.email_domain
    who = whose == key[2:]
    if below and key.startswith("d:"):
        who = sa.or_(who, whose.endswith(f".{key[2:]}", autoescape=True))
    theirs = sa.select(contacts.c.id).where(who)
    mine = rows.contact_id == contact_id if contact_id is not None else rows.contact_id.in_(theirs)
    query = _by_contact(sa.select(rows.id).where(mine, rows.task_id.in_(task_ids), where).limit(limit))
    # Not ordered in SQL: MariaDB would walk the primary key of other tasks.
    return sorted(connection.execute(query).scalars()) if task_ids else []


def came_back(connection: Connection, task_ids: Sequence[int]) -> list[RowMapping]:
    """Rows of these tasks whose recipient replied, or whose message bounced, with their addresses."""
    query = (
        sa.select(
            rows.id,
            rows.replied_at,
            rows.bounced_at,
            contacts.c.email_key,
            contacts.c.email_domain,
            contacts.c.email,
            contacts.c.erased_at,
        )
        .join_from(task_contacts, contacts, contacts.c.id == rows.contact_id)
        .where(
            rows.task_id.in_(task_ids),
            rows.status.in_([status.value for status in OUT]),
            sa.or_(rows.replied_at.is_not(None), rows.bounced_at.is_not(None)),
        )
    )
    return list(connection.execute(query).mappings()) if task_ids else []


def forget(connection: Connection, email_key: str) -> int:
    """Delete the stops of an address, of all campaigns; how many there were."""
    return connection.execute(sa.delete(sequence_stops).where(s.stop_key == f"a:{email_key}")).rowcount


def of_address(connection: Connection, email_key: str) -> list[Mapping[str, Any]]:
    """The stops of an address, with the names of their campaigns; the oldest first."""
    query = (
        sa.select(campaigns.c.name.label("campaign"), s.value, s.reason, s.source, s.created_at)
        .join_from(sequence_stops, campaigns, campaigns.c.id == s.campaign_id)
        .where(s.stop_key == f"a:{email_key}")
        .order_by(s.id)
    )
    return [dict(row) for row in connection.execute(query).mappings()]
