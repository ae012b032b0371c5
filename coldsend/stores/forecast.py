"""What a forecast counts: recipients by group, never one by one, however many there are.

A group is a task's recipients with the same time zone, country, service to keep, minute they are due, and (as
far as that matters) domain and place in the day. Each function is one statement over the rows of one task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Select
from sqlalchemy.engine import Connection, RowMapping

from coldsend.database.dialect import force_index
from coldsend.database.expressions import json_text
from coldsend.database.tables import contacts, suppressions, task_contacts
from coldsend.domain import sequence
from coldsend.domain.gates import Gate
from coldsend.domain.sequence import What
from coldsend.domain.states import ROW_SENT, RowStatus, StopReason
from coldsend.domain.window import SHARE_MODULUS, SHARE_STEP
from coldsend.stores import sequence_stops
from coldsend.stores.suppressions import domain_suppressed, suppressed_condition

rows = task_contacts.c
_MOST_OF = 5  # with less than a fifth of a list waiting, only those are looked at
_NOTHING: ColumnElement[Any] = sa.null()
_LEVELS = 3  # domains above a recipient's own that are looked at

Condition = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Grouping:
    """What tells groups apart. places: time zone and country. parts: of the day, where messages are spread
    over it, else 1. domains: those with a limit that they may reach. roughly: times to ten minutes, and the
    recipients at such a domain all together, as if they were where the campaign is.
    """

    places: bool = True
    parts: int = 1
    domains: tuple[str, ...] = ()
    roughly: bool = False


class Group(NamedTuple):
    """number: of recipients. at: when they are due, or were sent to, to the minute; None: not known yet.

    service: the one they keep, or went out through. part: of the day, from 0. gone: the gate that will end
    them, "" where none will.
    """

    time_zone: str | None
    country: str | None
    domain: str
    part: int
    service: int | None
    at: datetime | None
    gone: str
    number: int


def waiting(
    connection: Connection, task: RowMapping, by: Grouping, unmet: Condition | None = None
) -> list[Group]:
    """Pending recipients of a task. unmet: see :func:`unmet`."""
    due = sa.case(
        (contacts.c.away_until > rows.scheduled_send_at, contacts.c.away_until), else_=rows.scheduled_send_at
    )
    keys = [*_place(by), rows.sender_service_id, _minute(due, by), _gone(connection, task, unmet)]
    pending = rows.status == RowStatus.PENDING.value
    few = sa.select(sa.func.count()).select_from(task_contacts).where(rows.task_id == task["id"], pending)
    hinted = force_index(task_contacts, "ix_task_contacts_lease")
    if connection.execute(hinted(few)).scalar_one() * _MOST_OF < task["expanded_count"]:
        return _groups(connection, hinted(_counted(keys).where(rows.task_id == task["id"], pending)))
    # In the order of the contacts, which the index on the status does not have: four times as fast.
    hidden = sa.func.coalesce(rows.status, "") == RowStatus.PENDING.value
    return _groups(connection, _counted(keys).where(rows.task_id == task["id"], hidden))


def matching(connection: Connection, recipients: Select[int], task: RowMapping, by: Grouping) -> list[Group]:
    """Contacts of a SELECT (``RuleQuery.recipients``) that are not on the task's list yet."""
    keys = [*_place(by), _NOTHING, _NOTHING, _gone(connection, task)]
    counted = recipients.with_only_columns(*_labelled(keys), sa.func.count())
    if task["expanded_count"]:
        row = task_contacts.alias("listed")
        listed = sa.select(row.c.id).where(row.c.task_id == task["id"], row.c.contact_id == contacts.c.id)
        counted = counted.where(~listed.correlate(contacts).exists())
    return _groups(connection, counted.group_by(*_names(keys)))


def unfollowed(
    connection: Connection, task: RowMapping, rule: Condition, by: Grouping, unmet: Condition | None = None
) -> list[Group]:
    """Who was sent the message that ``task`` follows, and is not in its list yet. rule: on ``contacts``."""
    row = task_contacts.alias("taken_in")
    taken_in = sa.select(row.c.id).where(row.c.task_id == task["id"], row.c.contact_id == rows.contact_id)
    keys = [*_place(by), rows.sender_service_id, _minute(rows.sent_at, by), _gone(connection, task, unmet)]
    mine = _counted(keys).where(
        rows.task_id == task["follows_task_id"],
        rows.status.in_([status.value for status in ROW_SENT]),
        rows.sent_at.is_not(None),
        ~taken_in.correlate(task_contacts).exists(),
        rule,
    )
    return _groups(connection, mine)


def in_hand(connection: Connection, task_id: int, by: Grouping) -> list[Group]:
    """Recipients whose message is being sent right now."""
    keys = [*_place(by), rows.sender_service_id, _minute(rows.attempt_at, by), sa.literal("")]
    mine = _counted(keys).where(rows.task_id == task_id, rows.status == RowStatus.SENDING.value)
    return _groups(connection, mine)


def unmet(chain: Sequence[int], conditions: Sequence[sequence.Condition]) -> Condition | None:
    """Whether any of a follow-up's conditions does not hold now; None where there is none.

    chain: the tasks before it. A condition of a statement over ``task_contacts``; of single rows
    ``domain/sequence.py`` decides the same.
    """
    found = [sa.not_(_holds(chain, condition)) for condition in conditions]
    return sa.or_(*found) if found else None


def _holds(chain: Sequence[int], condition: sequence.Condition) -> Condition:
    row = task_contacts.alias("before")
    opened = sa.or_(row.c.opened_at.is_not(None), row.c.clicked_at.is_not(None))
    asked: dict[What, Condition] = {
        What.OPENED: opened,
        What.NO_OPEN: opened,
        What.CLICKED: row.c.clicked_at.is_not(None),
        What.NO_CLICK: row.c.clicked_at.is_not(None),
        What.REPLIED: row.c.replied_at.is_not(None),
        What.NO_REPLY: row.c.replied_at.is_not(None),
    }
    wanted = asked[condition.what]
    if condition.category is not None:
        wanted = sa.and_(wanted, row.c.reply_category == condition.category.value)
    of_chain = sa.select(row.c.id).where(
        row.c.task_id.in_(chain), row.c.contact_id == rows.contact_id, wanted
    )
    is_so = of_chain.correlate(task_contacts).exists()
    return sa.not_(is_so) if condition.what in (What.NO_OPEN, What.NO_CLICK, What.NO_REPLY) else is_so


def population(connection: Connection, task_id: int, condition: Condition | None = None) -> int:
    """Recipients of a task that have been sent to or may be, as far as a condition on ``contacts`` holds."""
    ended = [RowStatus.SKIPPED.value, RowStatus.FAILED_TO_SEND.value]
    counted = sa.select(sa.func.count()).select_from(task_contacts)
    if condition is not None:
        counted = counted.join(contacts, contacts.c.id == rows.contact_id).where(condition)
    return int(
        connection.execute(counted.where(rows.task_id == task_id, rows.status.not_in(ended))).scalar() or 0
    )


def ended(connection: Connection, task_ids: Sequence[int]) -> list[tuple[int, str, str | None, int]]:
    """(task id, status, reason, how many) of recipients who were not sent to and will not be, and of those
    whose message may have been delivered.
    """
    over = [RowStatus.SKIPPED.value, RowStatus.FAILED_TO_SEND.value, RowStatus.UNKNOWN.value]
    query = (
        sa.select(rows.task_id, rows.status, rows.reason, sa.func.count())
        .where(rows.task_id.in_(task_ids), rows.status.in_(over))
        .group_by(rows.task_id, rows.status, rows.reason)
    )
    return [(found[0], found[1], found[2], int(found[3])) for found in connection.execute(query)]


def common_domains(connection: Connection, more_than: int, most: int) -> list[str]:
    """Domains with more contacts than that, the largest first, at most ``most`` of them.

    Removed contacts count as well: without them the index of the domains would not be enough.
    """
    number = sa.func.count()
    query = (
        sa.select(contacts.c.email_domain)
        .group_by(contacts.c.email_domain)
        .having(number > more_than)
        .order_by(number.desc(), contacts.c.email_domain)
        .limit(most)
    )
    return list(connection.execute(query).scalars())


def _place(by: Grouping) -> list[ColumnElement[Any]]:
    zone: ColumnElement[Any] = contacts.c.time_zone if by.places else _NOTHING
    country: ColumnElement[Any] = _NOTHING
    if by.places:  # as long as names of countries are: groups by a text of any length are made on disk
        country = sa.cast(json_text(contacts.c.fields, "$.country"), sa.String(100))
    domain: ColumnElement[Any] = sa.literal("")
    if by.domains:
        domain = sa.case((contacts.c.email_domain.in_(by.domains), contacts.c.email_domain), else_="")
    part: ColumnElement[Any] = sa.literal(0)
    if by.parts > 1:
        share = contacts.c.id * SHARE_STEP % SHARE_MODULUS
        part = share * by.parts // SHARE_MODULUS
    if by.domains and by.roughly:
        limited = contacts.c.email_domain.in_(by.domains)
        zone, country = (sa.case((limited, sa.null()), else_=one) for one in (zone, country))
        part = sa.case((limited, by.parts // 2), else_=part)
    return [zone, country, domain, part]


def _minute(moment: ColumnElement[Any], by: Grouping) -> ColumnElement[str]:
    """A time as text to the minute, which both databases write alike: 2027-03-01 09:00."""
    text = sa.cast(moment, sa.String(26))
    if by.roughly:
        return sa.func.substr(text, 1, 15, type_=sa.String()) + sa.literal("0")
    return sa.func.substr(text, 1, 16, type_=sa.String())


def _gone(connection: Connection, task: RowMapping, unmet: Condition | None = None) -> ColumnElement[Any]:
    """What will end a recipient instead of a message, as delivery would find it. Who was erased is not known
    here: of them only a hash is kept."""
    campaign_id = task["campaign_id"]
    found: list[tuple[Any, Any]] = [(contacts.c.deleted_at.is_not(None), Gate.CONTACT_REMOVED.value)]
    if connection.execute(sa.select(suppressions.c.id).limit(1)).first():
        found.append((suppressed_condition(campaign_id), Gate.SUPPRESSED.value))
        found += [
            (sa.and_(there, domain_suppressed(domain, campaign_id)), Gate.SUPPRESSED.value)
            for there, domain in _domains_above()
        ]
    if sequence_stops.in_force(connection, [campaign_id]):
        # Who replied gets what is for those who did; of the others the condition does not hold.
        for_replies = sequence.wants_reply(sequence.read_conditions(task["follows_condition"] or ()))
        passes = StopReason.REPLIED.value if for_replies else ""
        stops = [("a:", contacts.c.email_key), ("d:", contacts.c.email_domain)]
        is_stopped = [sequence_stops.reason_of(campaign_id, *key) != passes for key in stops]
        is_stopped += [
            sa.and_(there, sequence_stops.reason_of(campaign_id, "d:", domain) != passes)
            for there, domain in _domains_above()
        ]
        found.append((sa.or_(*is_stopped), Gate.STOPPED.value))
    if unmet is not None:
        found.append((unmet, Gate.CONDITION.value))
    return sa.case(*found, else_="")


def _domains_above() -> list[tuple[Condition, ColumnElement[str]]]:
    """The domains above a contact's own, the nearest first, each with whether there is one: its stops and
    suppressions hold for those below it."""
    domain = contacts.c.email_domain
    found: list[tuple[Condition, ColumnElement[str]]] = []
    above: ColumnElement[str] = domain
    for level in range(1, _LEVELS + 1):
        above = sa.func.substr(above, sa.func.instr(above, ".") + 1, type_=sa.String())
        found.append((domain.like("%.%" + level * ".%"), above))
    return found


def _counted(keys: Sequence[ColumnElement[Any]]) -> Select[Any]:
    """Rows of send lists with their contacts, counted by these keys."""
    joined = task_contacts.join(contacts, contacts.c.id == rows.contact_id)
    return sa.select(*_labelled(keys), sa.func.count()).select_from(joined).group_by(*_names(keys))


def _labelled(keys: Sequence[ColumnElement[Any]]) -> list[sa.Label[Any]]:
    return [key.label(f"k{place}") for place, key in enumerate(keys)]


def _names(keys: Sequence[ColumnElement[Any]]) -> list[sa.TextClause]:
    return [sa.text(f"k{place}") for place in range(len(keys))]


def _groups(connection: Connection, counted: Select[Any]) -> list[Group]:
    found = []
    for zone, country, domain, part, service, at, gone, count in connection.execute(counted):
        moment = datetime.fromisoformat(at).replace(tzinfo=UTC) if at else None
        found.append(Group(zone, country, domain, int(part), service, moment, gone, int(count)))
    return found
