"""The SQL of recipient rules says what tests/audience/rules.py says in Python, on both databases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from coldsend.audience import rule
from coldsend.audience.rule_sql import RuleQuery, Span, condition
from coldsend.database.engine import Connection, Database
from coldsend.database.tables import contact_tags, contacts, event_log, task_contacts
from coldsend.domain.rule import BUILT_IN_FIELDS
from coldsend.domain.states import EventType
from coldsend.errors import NotFound
from tests.audience.rules import KEYS, NOW, TASKS, Person, crowds, days_ago, matches, rules
from tests.planning.world import World

pytestmark = pytest.mark.slow

on_a_database = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def stage(database: Database) -> Database:
    """A database with the tasks that random rules name."""
    world = World(database)
    campaign = world.campaign("spring")
    made = {f"spring/{name}": world.task(campaign, name) for name in ("intro", "second")}
    assert made == TASKS
    return database


@contextmanager
def with_crowd(database: Database, crowd: Sequence[Person]) -> Iterator[Connection]:
    """A transaction in which these people are the contacts (ids from 1 in their order); undone at the end."""
    with database.engine.connect() as connection, connection.begin() as transaction:
        for number, person in enumerate(crowd, start=1):
            _insert(connection, number, person)
        yield connection
        transaction.rollback()


def _insert(connection: Connection, contact: int, person: Person) -> None:
    key, domain = KEYS[person.email]
    columns = {name: text for name, text in person.fields.items() if name in BUILT_IN_FIELDS}
    custom = {name: text for name, text in person.fields.items() if name not in BUILT_IN_FIELDS}
    row = {"id": contact, "email": person.email, "email_key": key, "email_domain": domain, **columns}
    removed = NOW if person.removed else None
    connection.execute(sa.insert(contacts).values(fields=custom or None, deleted_at=removed, **row))
    for tag in person.tags:
        connection.execute(sa.insert(contact_tags).values(tag=tag, contact_id=contact))
    for kind, task, at in person.events:
        where = TASKS[task] if task else None
        event = {"type": kind.value, "task_id": where, "contact_id": contact, "ts": at}
        connection.execute(sa.insert(event_log).values(event))
    for task in person.sent | person.waiting:
        is_sent = task in person.sent
        state = {"status": "sent" if is_sent else "pending", "sent_at": NOW if is_sent else None}
        listed = {"task_id": TASKS[task], "contact_id": contact, **state}
        connection.execute(sa.insert(task_contacts).values(listed))


def ids_where(connection: Connection, wanted: sa.ColumnElement[bool]) -> list[int]:
    return list(connection.execute(sa.select(contacts.c.id).where(wanted).order_by(contacts.c.id)).scalars())


def recipients(connection: Connection, given_rule: rule.Rule) -> list[int]:
    return ids_where(connection, condition(given_rule, TASKS.__getitem__, NOW))


def one(**values: object) -> list[Person]:
    """A crowd of one person, ann@acme.example, who has nothing but what is given."""
    nothing: dict[str, object] = {
        "tags": frozenset(),
        "fields": {},
        "removed": False,
        "events": (),
        "sent": frozenset(),
        "waiting": frozenset(),
    }
    return [Person("ann@acme.example", **{**nothing, **values})]  # type: ignore[arg-type]


@given(crowds, st.lists(rules, min_size=1, max_size=6))
@example(one(fields={"age": "12\n"}), [rule.read("age > 1"), rule.read("age = 12")])
@example(one(tags=frozenset({"vip"})), [rule.read("(tag:vip and tag:ü) or sent:spring/intro")])
@on_a_database
def test_a_rule_selects_whom_it_means(
    stage: Database, crowd: list[Person], random_rules: list[rule.Rule]
) -> None:
    with with_crowd(stage, crowd) as connection:
        for random in random_rules:
            meant = [n for n, person in enumerate(crowd, start=1) if matches(random, person, NOW)]
            assert recipients(connection, random) == meant, rule.to_text(random)


@given(crowds, st.lists(rules, min_size=1, max_size=3), st.integers(1, 2))
@on_a_database
def test_windows_one_after_the_other_select_the_same(
    stage: Database, crowd: list[Person], random_rules: list[rule.Rule], size: int
) -> None:
    with with_crowd(stage, crowd) as connection:
        for random in random_rules:
            query = RuleQuery(random, TASKS.__getitem__, NOW)
            after, upto, found = 0, len(crowd), []
            while after < upto:
                to, lead = query.lead_between(connection, Span(after, upto), size)
                assert after < to <= upto
                window = Span(after, to)
                matched = ids_where(connection, query.condition(lead, window))
                assert sorted(connection.execute(query.recipients(lead, window)).scalars()) == matched
                found += matched
                after = to
            assert found == recipients(connection, random), rule.to_text(random)


@pytest.mark.parametrize(
    ("text", "fields", "selected"),
    [
        ("country = DE", {"country": "DE"}, True),
        ("country = de", {"country": "DE"}, False),
        ("country = 'DE '", {"country": "DE"}, False),
        ("country = DE", {}, False),
        ("country != DE", {}, True),
        ("country != DE", {"country": ""}, True),
        ("has(country)", {"country": ""}, False),
        ("lacks(country)", {}, True),
        ("country in (AT, DE)", {"country": "DE"}, True),
        ("note contains '50%'", {"note": "50% off"}, True),
        ("note contains '5_%'", {"note": "50% off"}, False),
        (r"note contains '\\'", {"note": "a\\b"}, True),
        ("age > 9", {"age": "10"}, True),
        ("age > '9'", {"age": "10"}, False),
        ("age > 9", {"age": "ten"}, False),
        ("not age > 9", {"age": "ten"}, True),
        ("age = 10", {"age": "10.0"}, True),
        ("age = '10'", {"age": "10.0"}, False),
        ("since < 2027-02-01", {"since": "2027-01-31"}, True),
        ("nickname = Ann", {"nickname": "Ann"}, True),
        ("email contains acme", {}, True),
    ],
)
def test_fields_are_compared_as_documented(
    stage: Database, text: str, fields: dict[str, str], selected: bool
) -> None:
    with with_crowd(stage, one(fields=fields)) as connection:
        assert recipients(connection, rule.read(text)) == ([1] if selected else [])


def test_a_field_name_cannot_break_out_of_its_path(stage: Database) -> None:
    with pytest.raises(rule.InvalidInput):
        rule.load({"field": 'a" or 1=1 --', "op": "set", "value": True})
    with with_crowd(stage, one(fields={"country": "x' OR '1'='1"})) as connection:
        assert recipients(
            connection, rule.load({"field": "country", "op": "eq", "value": "x' OR '1'='1"})
        ) == [1]


def test_an_address_is_found_in_any_of_its_forms(stage: Database) -> None:
    with with_crowd(
        stage, [replace(one()[0], email=email) for email in ("zoë@bücher.example", "BOB@acme.example")]
    ) as connection:
        assert recipients(connection, rule.read('email:"ZOË@BÜCHER.example"')) == [1]
        assert recipients(connection, rule.read("email:bob@ACME.example")) == [2]
        assert recipients(connection, rule.read("domain:xn--bcher-kva.example")) == [1]


def test_a_domain_does_not_stand_for_its_subdomains(stage: Database) -> None:
    with with_crowd(stage, [replace(one()[0], email="eve@mail.acme.example")]) as connection:
        assert recipients(connection, rule.read("domain:acme.example")) == []


def test_within_days_counts_to_the_microsecond(stage: Database) -> None:
    moment = days_ago(7)
    just_before = moment - timedelta(microseconds=1)
    opened = one(events=((EventType.OPEN, None, moment),))
    too_early = replace(one(events=((EventType.OPEN, None, just_before),))[0], email="BOB@acme.example")
    with with_crowd(stage, [*opened, too_early]) as connection:
        assert recipients(connection, rule.read("opened within 7 days")) == [1]


def test_a_hundred_conditions_of_each_kind_are_one_statement(stage: Database) -> None:
    kinds = ["tag:t{0}", "not tag:t{0}", "sent:spring/intro", "not opened:spring/intro", "f{0} != x"]
    with with_crowd(stage, one()) as connection:
        for kind in kinds:
            parts = [kind.format(n) for n in range(100)]
            for joint in (" and ", " or "):
                expected = matches(rule.read(joint.join(parts)), one()[0], NOW)
                assert recipients(connection, rule.read(joint.join(parts))) == ([1] if expected else [])


def test_two_thousand_addresses_are_one_statement(stage: Database) -> None:
    text = "email:" + ",".join(f"p{n}@acme.example" for n in range(1999)) + ",ann@acme.example"
    with with_crowd(stage, one()) as connection:
        assert recipients(connection, rule.read(text)) == [1]


def test_a_task_that_is_gone_is_named(stage: Database) -> None:
    with stage.read() as connection, pytest.raises(NotFound, match="'gone'"):
        condition(rule.read("sent:spring/gone"), rule.task_resolver(connection), NOW)


def test_a_task_without_a_slash_is_one_of_the_same_campaign(stage: Database) -> None:
    with stage.read() as connection:
        assert rule.task_resolver(connection, 1)("second") == TASKS["spring/second"]
        assert rule.task_resolver(connection)("spring/intro") == TASKS["spring/intro"]
        assert rule.task_resolver(connection, 1)("2") == 2
        with pytest.raises(rule.InvalidInput, match="does not name a task"):
            rule.task_resolver(connection)("intro")
