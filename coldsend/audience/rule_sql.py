"""Recipient rules as SQL over ``contacts``, led by an index wherever the rule allows.

A rule's *lead* is a set of its conditions of which every match fulfils at least one, all of them answered
by an index: for ``tag:a and country = DE`` it is ``tag:a``, for ``tag:a or tag:b`` it is both, for
``not tag:a`` there is none. The lead becomes ``contacts.id IN (index entries)``, which both databases walk
first; everything else is asked of the contacts that it yields, one index lookup each. Without a lead the
contacts themselves are walked. No part of a condition is ever NULL, so that ``not`` means not.

Where several conditions could lead, :meth:`RuleQuery.lead_between` asks the database which is the sparsest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Select
from sqlalchemy.engine import Connection

from coldsend.audience.rule_json import TaskResolver
from coldsend.database.expressions import exact_text, is_member, json_text, number_in
from coldsend.database.tables import contact_tags, contacts, event_log, task_contacts
from coldsend.domain import address
from coldsend.domain.rule import (
    BUILT_IN_FIELDS,
    All,
    AnyOf,
    Domain,
    Email,
    Event,
    Everyone,
    Field,
    Leaf,
    Not,
    Rule,
    Sent,
    Tag,
    leaves,
    normal_form,
)

LOOK = 2000  # index entries that tell how dense a condition is

Condition = ColumnElement[bool]
Lead = tuple[Leaf, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """Contact ids greater than ``after``, up to and with ``upto``."""

    after: int
    upto: int

    def holds(self, contact_id: ColumnElement[int]) -> Condition:
        return sa.and_(contact_id > self.after, contact_id <= self.upto)


def condition(rule: Rule, resolve_task: TaskResolver, now: datetime) -> Condition:
    """The rule as a condition on ``contacts``, true for exactly its recipients that are not removed.

    The errors of ``resolve_task`` pass through where a task the rule names is not there.
    """
    query = RuleQuery(rule, resolve_task, now)
    return query.condition(query.likely_lead())


class RuleQuery:
    """A rule bound to the ids of its tasks and to a moment, ready to be asked of the database."""

    def __init__(self, rule: Rule, resolve_task: TaskResolver, now: datetime) -> None:
        self._rule = normal_form(rule)
        self._now = now
        named = {leaf.task for leaf in leaves(rule) if isinstance(leaf, Event | Sent) and leaf.task}
        self._task_ids = {task: resolve_task(task) for task in sorted(named)}

    def condition(self, lead: Lead, span: Span | None = None) -> Condition:
        """Which contacts match, led by ``lead`` (of this rule; empty: none), within ``span`` if given."""
        led = self._led(lead, span)
        rest = self._rest(lead, span)
        return rest if led is None else sa.and_(contacts.c.id.in_(sa.select(led.c.contact_id)), rest)

    def recipients(self, lead: Lead, span: Span | None = None) -> Select[int]:
        """The ids of those contacts as a SELECT from ``contacts`` that may be added to.

        Faster than :meth:`condition`: the databases join a lead with less ado than they search through it.
        """
        led = self._led(lead, span)
        source = contacts if led is None else led.join(contacts, contacts.c.id == led.c.contact_id)
        return sa.select(contacts.c.id).select_from(source).where(self._rest(lead, span))

    def likely_lead(self) -> Lead:
        """The lead as far as it can be told without a look at the data."""
        return _lead(self._rule, _likely_worth)[1]

    def lead_between(self, connection: Connection, span: Span, size: int) -> tuple[int, Lead]:
        """The lead that is sparsest where ``span`` begins, and the contact id it gets to in ``size`` entries.

        Within (span.after, that id] the lead has at most ``size`` entries (one per condition in it, where
        they are more). Costs about ``size`` index entries, however large the tables are.
        """
        look = min(size, LOOK)
        known: dict[Leaf, int] = {}

        def reach(leaf: Leaf) -> int:
            if leaf not in known:
                known[leaf] = self._reach(connection, leaf, span, look)
            return known[leaf]

        lead = _lead(self._rule, reach)[1]
        walked: Lead = lead or (Everyone(),)
        share = max(1, size // len(walked))
        return min(self._reach(connection, leaf, span, share) for leaf in walked), lead

    def _reach(self, connection: Connection, leaf: Leaf, span: Span, size: int) -> int:
        """The contact id up to which a condition has ``size`` contacts of ``span``, or the span's end."""
        members = self._once_each(leaf, span)
        nth = members.order_by(members.selected_columns[0]).limit(1).offset(size - 1)
        row = connection.execute(nth).first()
        return row[0] if row else span.upto

    def _led(self, lead: Lead, span: Span | None) -> sa.Subquery | None:
        """The ids that the lead yields, each once; None where the contacts themselves are walked."""
        if not lead or _is_of_contact(lead):
            return None
        if len(lead) == 1:
            return self._once_each(lead[0], span).subquery("led")
        return sa.union(*(self._members(leaf, span) for leaf in lead)).subquery("led")

    def _rest(self, lead: Lead, span: Span | None) -> Condition:
        """What the contacts that the lead yields must fulfil besides."""
        wanted: list[Condition] = [contacts.c.deleted_at.is_(None)]
        if span and (not lead or _is_of_contact(lead)):
            wanted.append(span.holds(contacts.c.id))
        if _is_of_contact(lead):
            wanted.append(self._fulfils(lead[0], span))
        parts = self._rule.parts if isinstance(self._rule, All) else (self._rule,)
        return sa.and_(*wanted, *(self._fulfils(part, span) for part in parts if not _follows(part, lead)))

    def _fulfils(self, rule: Rule, span: Span | None) -> Condition:
        match rule:
            case All(parts):
                return sa.and_(*(self._fulfils(part, span) for part in parts))
            case AnyOf(parts):
                return sa.or_(*(self._fulfils(part, span) for part in parts))
            case Not(part):
                return sa.not_(self._fulfils(part, span))
            case Everyone():
                return sa.true()
            case Field():
                return _field(rule)
            case Email() | Domain():
                return _of_contact(rule, contacts)
            case _:
                # Where the database gathers the whole set beforehand, the span keeps it small.
                members = self._members(rule, span)
                of_this_one = members.selected_columns[0] == contacts.c.id
                exists = members.where(of_this_one).correlate(contacts).exists()
                return is_member(exists, contacts.c.id.in_(members))

    def _once_each(self, leaf: Leaf, span: Span | None) -> Select[int]:
        """Like :meth:`_members`, each contact once, and from the index that knows the condition best."""
        members = self._members(leaf, span)
        if not isinstance(leaf, Event):
            return members
        # "+ 0" hides that another index has the contacts of a task in order, among all its other events.
        unordered = (members.selected_columns[0] + 0).label("contact_id")
        return members.with_only_columns(unordered).distinct()

    def _members(self, leaf: Leaf, span: Span | None) -> Select[int]:
        """Ids of the contacts that fulfil a condition, from the index that holds them."""
        column: ColumnElement[int]
        match leaf:
            case Tag(tag):
                held = contact_tags.alias()
                column, where = held.c.contact_id, [held.c.tag == tag]
            case Sent(task):
                row = task_contacts.alias()
                column = row.c.contact_id
                where = [row.c.task_id == self._task_ids[task], row.c.sent_at.is_not(None)]
            case Event(kind, named, within_days):
                event = event_log.alias()
                column, where = event.c.contact_id, [event.c.type == kind.value]
                if named is not None:
                    where.append(event.c.task_id == self._task_ids[named])
                if within_days is not None:
                    where.append(event.c.ts >= self._now - timedelta(days=within_days))
            case Email() | Domain():
                contact = contacts.alias()
                column, where = contact.c.id, [_of_contact(leaf, contact)]
            case Everyone():
                contact = contacts.alias()
                column, where = contact.c.id, []
            case Field():
                raise TypeError(f"no index holds {leaf}")
        within = [span.holds(column)] if span else []
        return sa.select(column.label("contact_id")).where(*where, *within).correlate(None)


def _lead(rule: Rule, worth: Callable[[Leaf], int]) -> tuple[int, Lead]:
    """The lead of most worth in a rule in normal form: its worth, and its conditions (empty: none).

    Of parts that all must hold the best one leads; of alternatives all must, and the poorest decides.
    """
    match rule:
        case All(parts):
            return max((_lead(part, worth) for part in parts), key=lambda found: (bool(found[1]), found[0]))
        case AnyOf(parts):
            found = [_lead(part, worth) for part in parts]
            if not all(lead for _, lead in found):
                return 0, ()
            every = [leaf for _, lead in found for leaf in lead]
            return min(value for value, _ in found), tuple(dict.fromkeys(every))
        case Tag() | Email() | Domain() | Event() | Sent():
            return worth(rule), (rule,)
        case _:
            return 0, ()


def _likely_worth(leaf: Leaf) -> int:
    """A few addresses are fewer than a domain's, those fewer than who did something or has a tag."""
    return {Email: 3, Domain: 2}.get(type(leaf), 1)


def _is_of_contact(lead: Lead) -> bool:
    """Whether the lead is one condition on an indexed column of the contact's own row."""
    return len(lead) == 1 and isinstance(lead[0], Email | Domain)


def _follows(part: Rule, lead: Lead) -> bool:
    """Whether a part of the rule holds for whatever the lead yields."""
    alternatives = part.parts if isinstance(part, AnyOf) else (part,)
    return bool(lead) and all(leaf in alternatives for leaf in lead)


def _of_contact(leaf: Email | Domain, table: sa.FromClause) -> Condition:
    if isinstance(leaf, Domain):
        return table.c.email_domain == address.parse_domain(leaf.domain)
    return table.c.email_key.in_(sorted({address.parse(one).key for one in leaf.addresses}))


def _field(leaf: Field) -> Condition:
    built_in = leaf.name in BUILT_IN_FIELDS
    raw: ColumnElement[str] = (
        contacts.c[leaf.name] if built_in else json_text(contacts.c.fields, f'$."{leaf.name}"')
    )
    text = sa.func.nullif(exact_text(raw), "")
    value = leaf.value
    if leaf.op == "set":
        return text.is_not(None) if value else text.is_(None)
    if leaf.op == "contains":
        return _never_null(sa.func.instr(text, value) > 0)
    if isinstance(value, tuple):
        return sa.or_(*_listed(raw, text, value))
    operand: ColumnElement[str] | ColumnElement[float] = text if isinstance(value, str) else number_in(raw)
    match leaf.op:
        case "gt":
            return _never_null(operand > value)
        case "lt":
            return _never_null(operand < value)
        case "ne":
            return sa.not_(_never_null(operand == value))
        case _:
            return _never_null(operand == value)


def _listed(
    raw: ColumnElement[str], text: ColumnElement[str], values: tuple[str | float, ...]
) -> list[Condition]:
    texts = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if not isinstance(value, str)]
    found = [_never_null(text.in_(texts))] if texts else []
    return [*found, _never_null(number_in(raw).in_(numbers))] if numbers else found


def _never_null(comparison: Condition) -> Condition:
    return sa.func.coalesce(comparison, sa.false(), type_=sa.Boolean())
