"""The event log, counted a stretch of ids at a time.

An event counts with its task, its hour, its type and nature (domain/happening.py), and the template and
service of its recipient. It is its recipient's first where the log has none of the same kind under a lower
id. Of events that were deleted by age the send list's times tell that there was one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.database import bulk
from coldsend.database.expressions import hour_number, json_text
from coldsend.database.tables import contacts, event_log, task_contacts, templates
from coldsend.domain.happening import HARD_RULES, REFUSING_RULES, SOFT_RULES, Nature
from coldsend.domain.states import EventType
from coldsend.stores.rollups import Cell, dropped_before

AT_ONCE = 50_000  # events that one statement counts

# Of these no index is of use: an optimiser that may choose has been seen to read all clicks, or all events of
# a task, instead of the few thousand ids that are asked for.
unindexed_id = event_log.c.id + 0
unindexed_task = event_log.c.task_id + 0
unindexed_type = sa.cast(event_log.c.type, sa.String(32))
# As a limit: makes the database work a part of a statement out once, not wherever it is used.
_ALL = 2**62
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NATURED = (EventType.OPEN, EventType.CLICK, EventType.BOUNCE, EventType.SEND_API_FAIL)
_TRUE = ("1", "true")
# The send list's time of the first event of a type; of opens and clicks only people's have one.
_FIRST_TIMES = {
    EventType.SEND_API_TRY: "first_attempt_at",
    EventType.SEND_API_SUCCESS: "sent_at",
    EventType.DELIVERED: "delivered_at",
    EventType.OPEN: "opened_at",
    EventType.CLICK: "clicked_at",
    EventType.REPLY: "replied_at",
    EventType.UNSUBSCRIBE: "unsubscribed_at",
    EventType.BOUNCE: "bounced_at",
    EventType.COMPLAINT: "complained_at",
}


class Click(NamedTuple):
    """One click: which event it is, whose, on what; template_id is 0 where it is not known."""

    id: int
    task_id: int
    contact_id: int
    template_id: int
    nature: str
    url: str


def newest(connection: Connection) -> int:
    """The highest id of an event that this connection sees; 0 without any."""
    return int(connection.execute(sa.select(sa.func.max(event_log.c.id))).scalar() or 0)


def end_of_block(connection: Connection, after: int, upto: int, size: int) -> int:
    """The id of the last of the next ``size`` events, at most ``upto``."""
    statement = sa.select(event_log.c.id).where(event_log.c.id > after, event_log.c.id <= upto)
    last = connection.execute(statement.order_by(event_log.c.id).offset(size - 1).limit(1)).scalar()
    return upto if last is None else int(last)


def how_many(connection: Connection, after: int, upto: int) -> int:
    """Events that this connection sees with an id in between."""
    statement = sa.select(sa.func.count()).select_from(event_log)
    return int(connection.execute(statement.where(*_between(after, upto))).scalar_one())


def ids(connection: Connection, after: int, upto: int) -> set[int]:
    """Their ids."""
    return set(connection.execute(sa.select(event_log.c.id).where(*_between(after, upto))).scalars())


def cells(
    connection: Connection,
    after: int,
    upto: int,
    task_ids: Collection[int] | None = None,
    *,
    by_domain: bool = False,
) -> list[Cell]:
    """Events with an id in between, counted; of these tasks. by_domain: told apart by domain, too."""
    seen = _with_firsts(_happened(after, upto, task_ids))
    e = seen.c
    row = task_contacts.alias("row")
    keys = [
        e.task_id,
        hour_number(e.ts).label("hour"),
        e.type,
        e.nature,
        sa.func.coalesce(row.c.selected_template_id, 0).label("template_id"),
        sa.func.coalesce(e.sender_service_id, 0).label("service_id"),
    ]
    source = seen.outerjoin(row, sa.and_(row.c.task_id == e.task_id, row.c.contact_id == e.contact_id))
    if by_domain:
        keys.append(sa.func.coalesce(contacts.c.email_domain, "").label("domain"))
        source = source.outerjoin(contacts, contacts.c.id == e.contact_id)
    first, first_of_nature = _firsts(seen, row, dropped_before(connection))
    statement = (
        sa.select(
            *keys,
            sa.func.count().label("events"),
            sa.func.sum(sa.case((first_of_nature, 1), else_=0)).label("recipients"),
            sa.func.sum(sa.case((first, 1), else_=0)).label("firsts"),
        )
        .select_from(source)
        .group_by(*(sa.literal_column(str(place)) for place in range(1, len(keys) + 1)))
    )
    return [_cell(found, by_domain=by_domain) for found in connection.execute(statement)]


def blocks(connection: Connection, after: int) -> Iterator[tuple[int, int]]:
    """The stretches of ids from there to the newest event, each short enough for one statement."""
    last = newest(connection)
    while after < last:
        upto = end_of_block(connection, after, last, AT_ONCE)
        yield after, upto
        after = upto


def _cell(found: Any, *, by_domain: bool) -> Cell:
    task_id, hour, kind, nature, template_id, service_id, *rest = found
    domain = rest.pop(0) if by_domain else ""
    begins = _EPOCH + timedelta(hours=int(hour))
    return Cell(task_id, begins, kind, nature, template_id, service_id, domain, *map(int, rest))


def _between(after: int, upto: int) -> list[sa.ColumnElement[bool]]:
    return [event_log.c.id > after, event_log.c.id <= upto]


def _happened(after: int, upto: int, task_ids: Collection[int] | None) -> sa.Subquery:
    """Events about somebody, with their nature."""
    log = event_log.c
    kind = sa.type_coerce(log.type, sa.String).label("type")
    columns = [log.id, log.task_id, log.contact_id, log.sender_service_id, kind, log.ts]
    found = sa.select(*columns, _nature(event_log.c).label("nature"))
    return found.where(*_about_somebody(after, upto, task_ids)).limit(_ALL).subquery("happened")


def _with_firsts(happened: sa.Subquery) -> sa.Subquery:
    """The same, each with ``first``: whether it is its recipient's first of its type."""
    first = sa.case((_earlier(happened, same_nature=False), 0), else_=1).label("first")
    return sa.select(*happened.c, first).limit(_ALL).subquery("seen")


def _nature(event: Any) -> sa.ColumnElement[str]:
    """The nature of an event, as domain/happening.py has it."""

    def said(name: str) -> sa.ColumnElement[str]:
        return sa.func.coalesce(sa.cast(json_text(event.details, f"$.{name}"), sa.String(100)), "")

    actor, rule, hard = said("actor"), said("rule"), said("hard")
    visit = sa.case((actor.in_([Nature.MACHINE.value, Nature.OWN.value]), actor), else_=Nature.HUMAN.value)
    bounce = sa.case(
        (rule.in_(sorted(SOFT_RULES)), Nature.SOFT.value),
        (hard.in_(_TRUE), Nature.HARD.value),
        (hard != "", Nature.SOFT.value),
        (sa.and_(rule.in_(sorted(HARD_RULES)), said("status").not_like("4%")), Nature.HARD.value),
        else_=Nature.SOFT.value,
    )
    failure = sa.case(
        (said("retry_at") != "", Nature.RETRIED.value),
        (said("reason").in_(sorted(HARD_RULES)), Nature.HARD.value),
        (said("reason").in_(sorted(REFUSING_RULES)), Nature.SOFT.value),
        else_=Nature.NONE.value,
    )
    kind = sa.type_coerce(event.type, sa.String)
    return sa.case(
        (kind.in_([EventType.OPEN.value, EventType.CLICK.value]), visit),
        (kind == EventType.BOUNCE.value, bounce),
        (kind == EventType.SEND_API_FAIL.value, failure),
        else_=Nature.NONE.value,
    )


def _firsts(
    seen: sa.Subquery, row: sa.FromClause, dropped: datetime | None
) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    """Whether an event is its recipient's first of its type; and of its type and nature."""
    e = seen.c
    natured = e.type.in_([kind.value for kind in _NATURED])
    first = e.first == 1
    of_nature = sa.case(
        (first, sa.true()), (natured, sa.not_(_earlier(seen, same_nature=True))), else_=sa.false()
    )
    if dropped is None:
        return first, of_nature
    times = [(e.type == kind.value, row.c[column]) for kind, column in _FIRST_TIMES.items()]
    known = sa.func.coalesce(sa.case(*times, else_=sa.null()) < dropped, sa.false())
    # Of machines' visits and of the two kinds of bounces the send list has no times.
    of_people = e.nature.in_([Nature.NONE.value, Nature.HUMAN.value])
    visited = e.type.in_([EventType.OPEN.value, EventType.CLICK.value])
    gone = sa.and_(known, sa.or_(sa.not_(visited), of_people))
    return sa.and_(first, sa.not_(gone)), sa.and_(of_nature, sa.not_(sa.and_(known, of_people)))


def _earlier(happened: sa.Subquery, *, same_nature: bool) -> sa.ColumnElement[bool]:
    earlier = event_log.alias("earlier")
    e = happened.c
    where = [
        earlier.c.task_id == e.task_id,
        earlier.c.contact_id == e.contact_id,
        sa.type_coerce(earlier.c.type, sa.String) == e.type,
        earlier.c.id < e.id,
    ]
    if same_nature:
        where.append(_nature(earlier.c) == e.nature)
    return sa.exists(sa.select(sa.literal(1)).select_from(earlier).where(*where).correlate(happened))


def clicks(
    connection: Connection, after: int, upto: int, task_ids: Collection[int] | None = None
) -> list[Click]:
    """Clicks with an id in between whose link is known, the oldest id first; of these tasks."""
    found = _clicks(connection, event_log, _of_clicks(after, upto, task_ids))
    return sorted(found)  # not by the database, which would walk the ids of the whole log for it


def clicks_before(
    connection: Connection, after: int, upto: int, task_ids: Collection[int] | None = None
) -> list[Click]:
    """Clicks up to ``after`` of the recipients who click in between, in no order."""
    log = event_log.c
    there = sa.select(log.task_id, log.contact_id).where(*_of_clicks(after, upto, task_ids))
    people = there.distinct().limit(_ALL).subquery("people")
    mine = sa.and_(log.task_id == people.c.task_id, log.contact_id == people.c.contact_id)
    where = [unindexed_id <= after, unindexed_type == EventType.CLICK.value]
    return _clicks(connection, people.join(event_log, mine), where)


def _of_clicks(after: int, upto: int, task_ids: Collection[int] | None) -> list[sa.ColumnElement[bool]]:
    return [*_about_somebody(after, upto, task_ids), unindexed_type == EventType.CLICK.value]


def _about_somebody(after: int, upto: int, task_ids: Collection[int] | None) -> list[sa.ColumnElement[bool]]:
    where = [*_between(after, upto), unindexed_task.is_not(None), event_log.c.contact_id.is_not(None)]
    return where if task_ids is None else [*where, bulk.among(unindexed_task, sorted(task_ids))]


def _clicks(
    connection: Connection,
    source: Any,
    where: list[sa.ColumnElement[bool]],
) -> list[Click]:
    log, row = event_log.c, task_contacts.c
    url = json_text(log.details, "$.url")
    same = sa.and_(row.task_id == log.task_id, row.contact_id == log.contact_id)
    template = sa.func.coalesce(row.selected_template_id, 0)
    statement = (
        sa.select(log.id, log.task_id, log.contact_id, template, _nature(log), url)
        .select_from(source.outerjoin(task_contacts, same))
        .where(*where, url.is_not(None))
    )
    return [Click(*found) for found in connection.execute(statement)]


def texts_of(connection: Connection, template_id: int) -> tuple[str | None, ...]:
    """The sources of a template, which its links stand in; none where it is gone."""
    statement = sa.select(templates.c.body, templates.c.text_body).where(templates.c.id == template_id)
    row = connection.execute(statement).first()
    return () if row is None else tuple(row)
