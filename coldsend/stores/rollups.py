"""Roll-ups of the event log: what was counted, and up to where. What counts is in counting.py."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from coldsend.database import bulk
from coldsend.database.dialect import insert_ignore
from coldsend.database.tables import contacts, cursors, event_counts, event_domains, event_links
from coldsend.domain.happening import Nature
from coldsend.domain.states import EventType

COUNTED = "events"  # cursor: up to which id events are in the roll-ups
DROPPED = "events_dropped"  # cursor: before which moment events may have been deleted
ERASURES = "domains_forgotten"  # cursor: how often that was done
ERASED_DOMAIN = "erased.invalid"


class Cell(NamedTuple):
    """Events that are alike. recipients: for whom it was the first of its type and nature; firsts: of its
    type. hour: when it begins. hour, domain: None and "" where cells are not told apart by them."""

    task_id: int
    hour: datetime | None
    type: str
    nature: str
    template_id: int
    service_id: int
    domain: str
    events: int
    recipients: int
    firsts: int


class Link(NamedTuple):
    """Clicks on one link of one template, as it is shown."""

    task_id: int
    template_id: int
    digest: str
    nature: str
    url: str
    clicks: int
    recipients: int


def position(connection: Connection) -> int:
    """Up to which id events are in the roll-ups."""
    found = connection.execute(sa.select(cursors.c.position).where(cursors.c.name == COUNTED)).scalar()
    return int(found or 0)


def locked_position(connection: Connection) -> int:
    """The same; whoever counts, or asks this, waits for the end of this transaction."""
    _ensure(connection, COUNTED)
    statement = sa.select(cursors.c.position).where(cursors.c.name == COUNTED).with_for_update()
    return int(connection.execute(statement).scalar_one())


def advance(connection: Connection, before: int, upto: int, now: datetime) -> bool:
    """Move the position on, where it is still ``before``; what is in between must be added with it."""
    _ensure(connection, COUNTED)
    moved = sa.update(cursors).where(cursors.c.name == COUNTED, cursors.c.position == before)
    return connection.execute(moved.values(position=upto, moved_at=now)).rowcount == 1


def erasures(connection: Connection) -> int:
    """How often a domain was forgotten: what was counted before must not be added after it."""
    found = connection.execute(sa.select(cursors.c.position).where(cursors.c.name == ERASURES)).scalar()
    return int(found or 0)


def _ensure(connection: Connection, name: str) -> None:
    if connection.execute(sa.select(cursors.c.name).where(cursors.c.name == name)).first() is None:
        row = {"name": name, "position": 0}
        connection.execute(insert_ignore(cursors, connection.dialect.name).values(row))


def dropped_before(connection: Connection) -> datetime | None:
    """Before which moment events may have been deleted; None: never was one."""
    return connection.execute(sa.select(cursors.c.moved_at).where(cursors.c.name == DROPPED)).scalar()


def note_dropped(connection: Connection, before: datetime) -> None:
    """Events that are older are deleted in this transaction."""
    known = dropped_before(connection)
    if known is None:
        row = {"name": DROPPED, "position": 0, "moved_at": before}
        connection.execute(insert_ignore(cursors, connection.dialect.name).values(row))
    later = sa.update(cursors).where(cursors.c.name == DROPPED, cursors.c.moved_at < before)
    connection.execute(later.values(moved_at=before))


def add(connection: Connection, found: Sequence[Cell], links: Sequence[Link]) -> None:
    """Add what was counted, cells told apart by domain, to the roll-ups."""
    counts = ("events", "recipients", "firsts")
    by_hour: dict[tuple[Any, ...], list[int]] = {}
    by_domain: dict[tuple[Any, ...], list[int]] = {}
    for cell in found:
        numbers = (cell.events, cell.recipients, cell.firsts)
        at = (cell.task_id, cell.hour, cell.type, cell.nature, cell.template_id, cell.service_id)
        _add_to(by_hour, at, numbers)
        if cell.type != EventType.SEND_API_TRY.value:  # each has its result, which is what reports show
            _add_to(by_domain, (cell.task_id, cell.domain, cell.type, cell.nature), numbers)
    # In the order of the keys: each is a place next to the last one.
    _insert(connection, event_counts, counts, ((*key, *sums) for key, sums in sorted(by_hour.items())))
    _insert(connection, event_domains, counts, ((*key, *sums) for key, sums in sorted(by_domain.items())))
    _insert(connection, event_links, ("clicks", "recipients"), sorted(links))


def _insert(
    connection: Connection, table: sa.Table, adding: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Rows with a value for each of the table's columns, in their order."""
    names = [column.name for column in table.columns]
    bulk.insert_many(connection, table, names, rows, adding=adding)


def _add_to(sums: dict[tuple[Any, ...], list[int]], key: tuple[Any, ...], numbers: Sequence[int]) -> None:
    known = sums.setdefault(key, [0] * len(numbers))
    for place, number in enumerate(numbers):
        known[place] += number


def forget_domain(connection: Connection, domain: str) -> bool:
    """Count what was of a domain as of nobody's, unless a contact is left there; whether that was done."""
    locked_position(connection)  # whoever adds what it counted before waits, and sees that it is out of date
    _ensure(connection, ERASURES)
    again = sa.update(cursors).where(cursors.c.name == ERASURES)
    connection.execute(again.values(position=cursors.c.position + 1))
    if connection.execute(sa.select(contacts.c.id).where(contacts.c.email_domain == domain).limit(1)).first():
        return False
    mine = event_domains.c.domain == domain
    columns = [column for column in event_domains.columns if column.name != "domain"]
    names = ("domain", *(column.name for column in columns))
    rows = [(ERASED_DOMAIN, *found) for found in connection.execute(sa.select(*columns).where(mine))]
    bulk.insert_many(connection, event_domains, names, rows, adding=("events", "recipients", "firsts"))
    connection.execute(sa.delete(event_domains).where(mine))
    return True


def counted(connection: Connection, task_ids: Collection[int]) -> list[Cell]:
    """What the roll-ups say of these tasks, not told apart by domain."""
    c = event_counts.c
    columns = (c.task_id, c.hour, _plain(c.type), _plain(c.nature), c.template_id, c.sender_service_id)
    statement = sa.select(*columns, sa.literal(""), c.events, c.recipients, c.firsts)
    mine = statement.where(bulk.among(c.task_id, sorted(task_ids)))
    return [Cell(*found) for found in connection.execute(mine)]


def largest_domains(connection: Connection, task_ids: Collection[int], count: int) -> list[str]:
    """The domains that most messages of these tasks were accepted for, or refused, by the roll-ups."""
    c = event_domains.c
    answered = sa.or_(
        c.type == EventType.SEND_API_SUCCESS.value,
        sa.and_(
            c.type == EventType.SEND_API_FAIL.value, c.nature.in_([Nature.HARD.value, Nature.SOFT.value])
        ),
    )
    statement = sa.select(c.domain).where(bulk.among(c.task_id, sorted(task_ids)), answered)
    most = sa.func.sum(c.recipients).desc()
    statement = statement.group_by(c.domain).order_by(most, c.domain).limit(count)
    return list(connection.execute(statement).scalars())


def of_domains(
    connection: Connection,
    task_ids: Collection[int],
    names: Collection[str],
    beginnings: Collection[str] = (),
    *,
    by_task: bool = False,
) -> list[Cell]:
    """What the roll-ups say of domains with these names, or that begin with one of these words and a dot."""
    c = event_domains.c
    named = [bulk.among(c.domain, sorted(names))] if names else []
    named += [c.domain.like(f"{word}.%") for word in sorted(beginnings)]
    keys = (c.task_id if by_task else sa.literal(0), c.domain, _plain(c.type), _plain(c.nature))
    sums = [sa.func.sum(column) for column in (c.events, c.recipients, c.firsts)]
    statement = sa.select(*keys, *sums).where(bulk.among(c.task_id, sorted(task_ids)), sa.or_(*named))
    statement = statement.group_by(*([c.task_id] if by_task else []), c.domain, c.type, c.nature)
    return [
        Cell(task_id, None, kind, nature, 0, 0, domain, *map(int, numbers))
        for task_id, domain, kind, nature, *numbers in connection.execute(statement)
    ]


def links(connection: Connection, task_ids: Collection[int]) -> list[Link]:
    """What the roll-ups say of the links in these tasks' messages."""
    c = event_links.c
    columns = (c.task_id, c.template_id, c.digest, _plain(c.nature), c.url, c.clicks, c.recipients)
    statement = sa.select(*columns).where(bulk.among(c.task_id, sorted(task_ids)))
    return [Link(*found) for found in connection.execute(statement)]


def _plain(column: sa.Column[str]) -> sa.ColumnElement[str]:
    return sa.type_coerce(column, sa.String)
