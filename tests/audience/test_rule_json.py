"""The JSON form of recipient rules: what is accepted, and what is said about the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.audience import rule
from coldsend.domain.rule import All, Event, Field, Not, Sent, Tag, normal_form
from coldsend.domain.states import EventType
from coldsend.errors import InvalidInput, NotFound
from tests.audience.rules import NOW, Person, matches, people, rules


def refused(document: Any, resolve: rule.TaskResolver | None = None) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        rule.load(document, resolve)
    return caught.value


def test_every_form_is_read() -> None:
    document = {
        "all": [
            {"tag": "vip"},
            {"not": {"event": "open", "task": "spring/intro", "within_days": 7}},
            {"any": [{"field": "country", "op": "in", "value": ["DE", 3]}, {"sent": "spring/intro"}]},
            {"email": ["ann@acme.example"]},
            {"domain": "acme.example"},
            {"field": "age", "op": "gt", "value": 30},
            {"field": "company", "op": "set", "value": False},
            {"everyone": True},
        ]
    }
    read = rule.load(document)
    assert isinstance(read, All)
    assert read.parts[:2] == (Tag("vip"), Not(Event(EventType.OPEN, "spring/intro", 7)))
    assert read.parts[5:7] == (Field("age", "gt", 30), Field("company", "set", value=False))
    assert rule.to_json(read) == document


@pytest.mark.costly
@given(rules)
def test_a_rule_is_stored_as_it_was_given(random: rule.Rule) -> None:
    document = rule.to_json(random)
    assert rule.load(document) == random
    assert rule.to_json(rule.read(json.dumps(document))) == document


@pytest.mark.parametrize(
    ("document", "place", "said"),
    [
        ([], "recipient rule:", "must be an object"),
        ({}, "recipient rule:", "empty object"),
        ({"tagg": "x"}, "recipient rule:", "unknown key"),
        ({"tag": "x", "domain": "y"}, "recipient rule:", "both 'tag' and 'domain'"),
        ({"tag": "x", "op": "eq"}, "at op:", "unknown key of 'tag'"),
        ({"all": []}, "at all:", "empty list"),
        ({"any": {}}, "at any:", "must be a list"),
        ({"all": [{"tag": "x"}, {"not": {"tag": 5}}]}, "at all[1].not.tag:", "must be text, not 5"),
        ({"tag": " x"}, "at tag:", "spaces around"),
        ({"tag": "x" * 101}, "at tag:", "at most 100"),
        ({"tag": "a\r\nb"}, "at tag:", "control character"),
        ({"tag": "\ud800"}, "at tag:", "surrogate"),
        ({"everyone": False}, "at everyone:", "must be true"),
        ({"email": "a@b.example"}, "at email:", "must be a list"),
        ({"email": ["a@b.example", "nobody"]}, "at email[1]:", "not an e-mail address"),
        ({"domain": "no domain"}, "at domain:", "is not a domain"),
        ({"field": "country", "op": "eq"}, "recipient rule:", "lacks 'value'"),
        ({"field": "country", "op": "like", "value": "D"}, "at op:", '"like"'),
        ({"field": "country", "op": ["eq"], "value": "D"}, "at op:", "is no operator"),
        ({"field": "a b", "op": "eq", "value": "D"}, "at field:", "is no field name"),
        ({"field": "tags", "op": "eq", "value": "D"}, "at field:", "is not a field"),
        ({"field": "a", "op": "eq", "value": ""}, "at value:", "is empty"),
        ({"field": "a", "op": "eq", "value": True}, "at value:", "text or a number"),
        ({"field": "a", "op": "gt", "value": 1e300}, "at value:", "too large"),
        ({"field": "a", "op": "gt", "value": 10**400}, "at value:", "too large"),
        ({"field": "a", "op": "in", "value": []}, "at value:", "empty list"),
        ({"field": "a", "op": "in", "value": ["x", None]}, "at value[1]:", "text or a number"),
        ({"field": "a", "op": "contains", "value": 5}, "at value:", "must be text"),
        ({"field": "a", "op": "set", "value": "yes"}, "at value:", "true or false"),
        ({"event": "sent"}, "at event:", "is no event"),
        ({"event": "open", "within": 7}, "at within:", "unknown key of 'event'"),
        ({"event": "open", "within_days": 0}, "at within_days:", "more than 0"),
        ({"event": "open", "within_days": "7"}, "at within_days:", "must be a number"),
        ({"sent": 3}, "at sent:", "must be text"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(document: Any, place: str, said: str) -> None:
    error = refused(document)
    assert place in error.message
    assert said in error.message


def test_everyone_must_be_said_and_the_refusal_says_how() -> None:
    assert '{"everyone": true}' in refused({"all": []}).hint


def test_a_misspelt_key_gets_a_suggestion() -> None:
    assert "did you mean 'domain'?" in refused({"domian": "acme.example"}).hint


def test_an_unknown_task_is_refused_where_it_is_named() -> None:
    def resolve(name: str) -> int:
        raise NotFound(f"campaign 'spring' has no task {name!r}", hint="see: coldsend task list spring")

    error = refused({"all": [{"tag": "x"}, {"event": "open", "task": "intro"}]}, resolve)
    assert error.message == "recipient rule, at all[1].task: campaign 'spring' has no task 'intro'"
    assert error.hint == "see: coldsend task list spring"
    assert rule.load({"sent": "spring/intro"}, lambda _: 1) == Sent("spring/intro")


def nested(depth: int) -> Any:
    document: Any = {"tag": "x"}
    for _ in range(depth):
        document = {"not": document}
    return document


def test_rules_may_be_nested_twenty_deep_and_no_deeper() -> None:
    rule.load(nested(20))
    assert "nested too deep" in refused(nested(21)).message
    assert "nested too deep" in refused(nested(900)).message


def test_a_rule_has_at_most_a_hundred_conditions() -> None:
    rule.load({"any": [{"tag": f"t{n}"} for n in range(100)]})
    assert "at any[100]" in refused({"any": [{"tag": f"t{n}"} for n in range(101)]}).message


def test_a_rule_has_at_most_two_thousand_listed_values() -> None:
    half = {"field": "a", "op": "in", "value": [str(n) for n in range(1000)]}
    rule.load({"any": [half, half]})
    error = refused({"any": [half, half, {"email": ["a@b.example"]}]})
    assert "at any[2].email: makes 2001 listed values" in error.message
    assert "tag" in error.hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"tag": "x",}', "at line 1, column 1[23]"),
        ('{"tag": "x"} {"tag": "y"}', "not JSON"),
        ('{"tag": "x", "tag": "y"}', "twice"),
        ('{"field": "a", "op": "gt", "value": NaN}', "NaN"),
        ('{"not":' * 100_000, "nested too deep"),
        ("[" * 100_000, "nested too deep"),
        ("[1]", "must be an object"),
        ("{" + " " * 1_000_001, "at most 1000000"),
    ],
)
def test_broken_json_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        rule.read(text)


_json = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5) | st.just("vip"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["all", "any", "not", "tag", "email", "field", "op", "value", "event", "task", "x"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=10,
)


@pytest.mark.costly
@given(_json)
def test_any_json_is_a_rule_or_refused(document: Any) -> None:
    try:
        read = rule.load(document)
    except InvalidInput:
        return
    assert rule.to_json(read) == document


@pytest.mark.costly
@given(rules, people)
def test_the_normal_form_means_the_same(random: rule.Rule, person: Person) -> None:
    assert matches(normal_form(random), person, NOW) == matches(random, person, NOW)


@pytest.mark.costly
@given(rules)
def test_the_normal_form_has_not_only_around_conditions(random: rule.Rule) -> None:
    def check(node: Any) -> None:
        if isinstance(node, Not):
            assert not isinstance(node.part, (Not, *_LISTS))
        for part in getattr(node, "parts", ()):
            assert type(part) is not type(node)
            check(part)

    check(normal_form(random))


_LISTS = (All, type(rule.read("tag:a or tag:b")))
