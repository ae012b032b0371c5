"""Recipient rules: who a task is for. The tree, what each part means, and its JSON form.

    {"everyone": true}                                   every contact; must be said, never left out
    {"all": [rule, ..]}  {"any": [rule, ..]}  {"not": rule}
    {"tag": "vip"}                                       carries exactly this tag
    {"email": ["a@acme.com", ..]}                        is one of these addresses, in any of their forms
    {"domain": "acme.com"}                               has an address at this domain, not at a subdomain
    {"field": "country", "op": "eq", "value": "DE"}      see below
    {"event": "open", "task": "spring/intro", "within_days": 7}     task and within_days may be left out
    {"sent": "spring/intro"}                             a server accepted that task's mail for them

Removed contacts match nothing. Events are those of the event log: ``within_days`` counts back from the
moment the rule is evaluated. ``sent`` does not hold for rows that wait, failed, or whose outcome is unknown.

A field is one of the columns in BUILT_IN_FIELDS, else a custom field of that name. Its value is text; a
field that is missing or empty is *absent*. Text is compared exactly, case included, by code points.
    eq, in     text: the same text. A number: the text is a number of that value. Absent: false.
    ne         not eq, so true where the field is absent.
    contains   the value occurs in the text.
    gt, lt     text: sorts after or before it (ISO dates do what is expected). A number: the text is a number
               and greater or less. Absent, or not a number: false.
    set        true: the field is present; false: it is absent.
A number in text is ``-?digits[.digits]`` with nothing around it, compared as a 64-bit float.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from coldsend.domain.states import EventType

BUILT_IN_FIELDS = ("email", "nickname", "time_zone", "source", "lawful_basis")
FIELD_OPERATORS = ("eq", "ne", "in", "contains", "gt", "lt", "set")
EVENTS = (
    EventType.OPEN,
    EventType.CLICK,
    EventType.REPLY,
    EventType.BOUNCE,
    EventType.UNSUBSCRIBE,
    EventType.COMPLAINT,
    EventType.DELIVERED,
)

MAX_DEPTH = 20  # of all, any and not around one another
MAX_CONDITIONS = 100  # in one rule
MAX_VALUES = 2000  # addresses and listed values in one rule: for more, tag the contacts


@dataclass(frozen=True, slots=True)
class All:
    parts: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Rule


@dataclass(frozen=True, slots=True)
class Everyone:
    pass


@dataclass(frozen=True, slots=True)
class Tag:
    tag: str


@dataclass(frozen=True, slots=True)
class Email:
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Domain:
    domain: str


@dataclass(frozen=True, slots=True)
class Field:
    """value: text or number; for ``in`` a tuple of them, for ``set`` a bool."""

    name: str
    op: str
    value: str | float | bool | tuple[str | float, ...]


@dataclass(frozen=True, slots=True)
class Event:
    type: EventType
    task: str | None = None
    within_days: float | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    task: str


Leaf: TypeAlias = Everyone | Tag | Email | Domain | Field | Event | Sent
Rule: TypeAlias = All | AnyOf | Not | Leaf


def to_json(rule: Rule) -> dict[str, Any]:
    """The rule as the JSON document it was read from."""
    match rule:
        case All(parts):
            return {"all": [to_json(part) for part in parts]}
        case AnyOf(parts):
            return {"any": [to_json(part) for part in parts]}
        case Not(part):
            return {"not": to_json(part)}
        case Everyone():
            return {"everyone": True}
        case Tag(tag):
            return {"tag": tag}
        case Email(addresses):
            return {"email": list(addresses)}
        case Domain(domain):
            return {"domain": domain}
        case Field(name, op, value):
            return {"field": name, "op": op, "value": list(value) if isinstance(value, tuple) else value}
        case Event(kind, task, within_days):
            optional = {"task": task, "within_days": within_days}
            return {"event": kind.value, **{key: at for key, at in optional.items() if at is not None}}
        case Sent(task):
            return {"sent": task}


def leaves(rule: Rule) -> Iterator[Leaf]:
    """The conditions of a rule, in order."""
    match rule:
        case All(parts) | AnyOf(parts):
            for part in parts:
                yield from leaves(part)
        case Not(part):
            yield from leaves(part)
        case _:
            yield rule


def normal_form(rule: Rule) -> Rule:
    """The same rule with ``not`` only around conditions, and lists within lists of their kind opened.

    So that a condition hidden under ``not not`` or in a nested list can still lead to an index.
    """
    return _normal(rule, negated=False)


def _normal(rule: Rule, *, negated: bool) -> Rule:
    match rule:
        case Not(part):
            return _normal(part, negated=not negated)
        case All(parts) | AnyOf(parts):
            kind = All if isinstance(rule, All) != negated else AnyOf
            opened: list[Rule] = []
            for part in parts:
                inner = _normal(part, negated=negated)
                if isinstance(inner, All | AnyOf) and type(inner) is kind:
                    opened.extend(inner.parts)
                else:
                    opened.append(inner)
            return opened[0] if len(opened) == 1 else kind(tuple(opened))
        case _:
            return Not(rule) if negated else rule
