"""What recipient rules mean, said in plain Python, and random rules and people to hold the SQL against it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from coldsend.domain import rule
from coldsend.domain.rule import All, AnyOf, Domain, Email, Event, Everyone, Field, Leaf, Not, Rule, Sent, Tag
from coldsend.domain.states import EventType

NOW = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
TASKS = {"spring/intro": 1, "spring/second": 2}
EMAILS = ("ann@acme.example", "BOB@acme.example", "eve@mail.acme.example", "zoë@bücher.example")
KEYS = {
    "ann@acme.example": ("ann@acme.example", "acme.example"),
    "BOB@acme.example": ("bob@acme.example", "acme.example"),
    "eve@mail.acme.example": ("eve@mail.acme.example", "mail.acme.example"),
    "zoë@bücher.example": ("zoë@xn--bcher-kva.example", "xn--bcher-kva.example"),
}
A_LABELS = {"bücher.example": "xn--bcher-kva.example"}
TAG_NAMES = ("vip", "VIP", "city:berlin", "ü")
FIELD_NAMES = ("country", "age", "näme", "nickname", "source")
TEXTS = (
    "DE",
    "de",
    "DE ",
    "Dé",
    "30",
    "-1.5",
    "030",
    "1.",
    "+3",
    "3e2",
    "1.2.3",
    "2027-01-02",
    "\"\\%_'",
    "字",
    "😀",
)
NUMBERS = (30, -1.5, 0, 30.5, 300)


@dataclass(frozen=True)
class Person:
    """A contact with everything a rule can ask about. fields: built-in columns and custom fields alike."""

    email: str
    tags: frozenset[str]
    fields: dict[str, str]
    removed: bool
    events: tuple[tuple[EventType, str | None, datetime], ...]
    sent: frozenset[str]
    waiting: frozenset[str]  # on these tasks' lists, but not sent


def matches(given: Rule, person: Person, now: datetime) -> bool:
    """Whether a person is a recipient: what the compiled SQL must say, too."""
    return not person.removed and _holds(given, person, now)


def _holds(given: Rule, person: Person, now: datetime) -> bool:
    match given:
        case All(parts):
            return all(_holds(part, person, now) for part in parts)
        case AnyOf(parts):
            return any(_holds(part, person, now) for part in parts)
        case Not(part):
            return not _holds(part, person, now)
        case _:
            return _condition(given, person, now)


def _condition(leaf: Leaf, person: Person, now: datetime) -> bool:
    key, domain = KEYS[person.email]
    match leaf:
        case Everyone():
            return True
        case Tag(tag):
            return tag in person.tags
        case Email(addresses):
            return key in {KEYS[one][0] for one in addresses}
        case Domain(name):
            return domain == A_LABELS.get(name, name)
        case Sent(task):
            return task in person.sent
        case Event(kind, task, days):
            since = now - timedelta(days=days) if days is not None else datetime.min.replace(tzinfo=UTC)
            return any(
                kind == happened and task in {None, where} and at >= since
                for happened, where, at in person.events
            )
        case Field():
            return _field(leaf, person.fields.get(leaf.name) or None)


def _field(leaf: Field, text: str | None) -> bool:
    values = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
    if leaf.op == "set":
        return (text is not None) == leaf.value
    if leaf.op == "ne":
        return not _field(Field(leaf.name, "eq", leaf.value), text)
    if text is None:
        return False
    number = float(text) if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text) else None
    if leaf.op == "contains":
        return str(leaf.value) in text
    if leaf.op in {"eq", "in"}:
        return any(text == value if isinstance(value, str) else number == value for value in values)
    value = values[0]
    if isinstance(value, str):
        return text > value if leaf.op == "gt" else text < value
    return number is not None and (number > value if leaf.op == "gt" else number < value)


def days_ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


_moments = st.sampled_from([days_ago(0), days_ago(6.9), days_ago(7), days_ago(7.1), days_ago(400)])
_tasks = st.sampled_from(sorted(TASKS))
_kinds = st.sampled_from(rule.EVENTS[:3])
_operand = st.sampled_from(TEXTS) | st.sampled_from(NUMBERS)
_names = st.sampled_from(FIELD_NAMES)

people = st.builds(
    Person,
    email=st.sampled_from(EMAILS),
    tags=st.frozensets(st.sampled_from(TAG_NAMES)),
    fields=st.dictionaries(_names, st.sampled_from(("", *TEXTS))),
    removed=st.sampled_from([False, False, False, True]),
    events=st.lists(st.tuples(_kinds, st.none() | _tasks, _moments), max_size=3).map(tuple),
    sent=st.frozensets(_tasks, max_size=1),
    waiting=st.frozensets(_tasks, max_size=1),
)
crowds = st.lists(people, max_size=len(EMAILS), unique_by=lambda person: person.email)

fields = (
    st.builds(Field, _names, st.sampled_from(["eq", "ne", "gt", "lt"]), _operand)
    | st.builds(Field, _names, st.just("contains"), st.sampled_from([*TEXTS, "D", "0"]))
    | st.builds(Field, _names, st.just("in"), st.lists(_operand, min_size=1, max_size=3).map(tuple))
    | st.builds(Field, _names, st.just("set"), st.booleans())
)
conditions = (
    st.builds(Tag, st.sampled_from(TAG_NAMES))
    | st.builds(Email, st.lists(st.sampled_from(EMAILS), min_size=1, max_size=2).map(tuple))
    | st.builds(Domain, st.sampled_from(["acme.example", "mail.acme.example", "bücher.example"]))
    | st.builds(Event, _kinds, st.none() | _tasks, st.none() | st.just(7))
    | st.builds(Sent, _tasks)
    | fields
    | st.just(Everyone())
)


def _joined(inner: st.SearchStrategy[Rule]) -> st.SearchStrategy[Rule]:
    parts = st.lists(inner, min_size=1, max_size=3).map(tuple)
    return st.builds(All, parts) | st.builds(AnyOf, parts) | st.builds(Not, inner)


rules: st.SearchStrategy[Rule] = st.recursive(conditions, _joined, max_leaves=6)
