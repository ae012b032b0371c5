"""The readable form of recipient rules."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coldsend.audience import rule
from coldsend.domain.rule import All, AnyOf, Field, Not, Tag
from coldsend.errors import InvalidInput, NotFound
from tests.audience.rules import rules

VIP = {"tag": "vip"}
DE = {"field": "country", "op": "eq", "value": "DE"}


def read(text: str) -> Any:
    return rule.to_json(rule.read(text))


def refused(text: str, resolve: rule.TaskResolver | None = None) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        rule.read(text, resolve)
    return caught.value


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ("everyone", {"everyone": True}),
        ("tag:vip", VIP),
        ("tag: vip", VIP),
        ('tag:"two words"', {"tag": "two words"}),
        ("tag:city:berlin", {"tag": "city:berlin"}),
        ("tag:2027", {"tag": "2027"}),
        ("domain:acme.example", {"domain": "acme.example"}),
        ('email:a@b.example,"c@d.example"', {"email": ["a@b.example", "c@d.example"]}),
        ("sent:spring/intro", {"sent": "spring/intro"}),
        ("opened", {"event": "open"}),
        ("opened:intro", {"event": "open", "task": "intro"}),
        ("clicked:'a b/c' within 7 days", {"event": "click", "task": "a b/c", "within_days": 7}),
        ("replied within 1 day", {"event": "reply", "within_days": 1}),
        ("bounced within 1.5 days", {"event": "bounce", "within_days": 1.5}),
        ("unsubscribed", {"event": "unsubscribe"}),
        ("complained", {"event": "complaint"}),
        ("delivered", {"event": "delivered"}),
        ("country = DE", DE),
        ('country="DE"', DE),
        ("country != DE", {**DE, "op": "ne"}),
        ("age > 30", {"field": "age", "op": "gt", "value": 30}),
        ("age<-1.5", {"field": "age", "op": "lt", "value": -1.5}),
        ('age = "30"', {"field": "age", "op": "eq", "value": "30"}),
        ("zip = 01234", {"field": "zip", "op": "eq", "value": "01234"}),
        ("since > 2027-01-02", {"field": "since", "op": "gt", "value": "2027-01-02"}),
        ("name contains 30", {"field": "name", "op": "contains", "value": "30"}),
        (r'name contains "a\"\\b"', {"field": "name", "op": "contains", "value": 'a"\\b'}),
        ("zip in (007, 12, 'x y')", {"field": "zip", "op": "in", "value": ["007", 12, "x y"]}),
        ("has(company)", {"field": "company", "op": "set", "value": True}),
        ("lacks(company)", {"field": "company", "op": "set", "value": False}),
        ("opened = yes", {"field": "opened", "op": "eq", "value": "yes"}),
        ('"in" in (a)', {"field": "in", "op": "in", "value": ["a"]}),
        ("TAG:vip AND NOT Opened", {"all": [VIP, {"not": {"event": "open"}}]}),
        ("tag:vip or country=DE and opened", {"any": [VIP, {"all": [DE, {"event": "open"}]}]}),
        ("(tag:vip or country=DE) and opened", {"all": [{"any": [VIP, DE]}, {"event": "open"}]}),
        ("not (tag:vip or country=DE)", {"not": {"any": [VIP, DE]}}),
        ("not not tag:vip", {"not": {"not": VIP}}),
        ("tag:vip\n  and country = DE\n", {"all": [VIP, DE]}),
        ("\ufefftag:vip", VIP),
    ],
)
def test_the_readable_form_becomes_the_json_form(text: str, document: Any) -> None:
    assert read(text) == document


def test_the_example_of_the_design_is_read() -> None:
    assert read('tag:vip and not opened:intro and country = "DE"') == {
        "all": [VIP, {"not": {"event": "open", "task": "intro"}}, DE]
    }


def opened(random: rule.Rule) -> rule.Rule:
    """The rule with lists of one part replaced by the part, which is all the text can say."""
    match random:
        case All(parts) | AnyOf(parts):
            inner = tuple(opened(part) for part in parts)
            return inner[0] if len(inner) == 1 else type(random)(inner)
        case Not(part):
            return Not(opened(part))
        case _:
            return random


@pytest.mark.costly
@given(rules)
@example(Field("and", "eq", "or"))
@example(Field("Within", "in", ("NOT", "1e5", 1e-7, 10**15)))
@example(Tag("a,b"))
def test_a_rule_written_as_text_reads_back(random: rule.Rule) -> None:
    assert rule.read(rule.to_text(random)) == opened(random)


_WORDS = "tag: vip and or not ( ) opened within 7 days country = ' \\ in , has email: a@b.example ! > : é"
_pieces = st.sampled_from([*_WORDS.split(" "), '"', "\n", "\x00"])


@pytest.mark.costly
@given(st.lists(_pieces, max_size=12).map(" ".join) | st.text(max_size=30))
def test_any_text_is_a_rule_or_refused(text: str) -> None:
    try:
        read_rule = rule.read(text)
    except InvalidInput:
        return
    assert rule.read(rule.to_text(read_rule)) == read_rule


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("tag vip", 5, "expected one of ="),
        ("tag:vip and", 12, "the rule ends"),
        ("tag:vip country", 9, "expected 'and', 'or' or the end"),
        ("tagg:vip", 1, "'tagg:' is unknown"),
        ("country == DE", 9, "not '=='"),
        ("country >= 3", 9, "not '>='"),
        ("(tag:vip", 9, "')' for the '(' at column 1"),
        ("tag:vip)", 8, "not ')'"),
        ('tag:"vip', 5, "never closed"),
        ("country = and", 11, "in quotes"),
        ("country in DE", 12, "'('"),
        ("country in (DE", 15, "',' or ')'"),
        ("opened within 7", 16, "'days'"),
        ("opened within x days", 15, "must be a number"),
        ("tag:vip and email:a@b.example,nobody", 31, "not an e-mail address"),
        ("tag:vip and domain:-", 20, "is not a domain"),
        ("and tag:vip", 1, "expected a condition"),
        ("= DE", 1, "expected a condition"),
        ("not " * 60 + "tag:vip", 201, "nested too deep"),
        ("(" * 60, 51, "nested too deep"),
        ("not " * 30 + "tag:vip", 81, "nested too deep"),
    ],
)
def test_what_is_wrong_is_told_with_its_column(text: str, column: int, said: str) -> None:
    message = refused(text).message
    assert f"at column {column}:" in message
    assert said in message


def test_a_caret_stands_under_the_place_also_in_long_lines() -> None:
    text = " or ".join(f"tag:t{n:03}" for n in range(50)) + " or domain:- or tag:x"
    first, shown, caret = refused(text).message.split("\n")
    assert f"column {text.index('-') + 1}:" in first
    assert shown[caret.index("^")] == "-"
    assert len(shown) < 100


def test_the_line_is_told_where_there_are_several() -> None:
    message = refused("tag:vip\nand tagg:x\n").message
    assert "at line 2, column 5" in message
    assert "  and tagg:x\n      ^" in message


def test_a_colon_that_was_forgotten_is_named() -> None:
    assert "tag:NAME" in refused("tag vip").hint


def test_a_misspelt_prefix_gets_a_suggestion() -> None:
    assert "did you mean opened:?" in refused("opend:intro").hint


def test_an_empty_rule_is_refused_and_everyone_is_named() -> None:
    assert "everyone" in refused(" \n").hint


def test_an_unknown_task_is_pointed_at() -> None:
    def resolve(name: str) -> int:
        raise NotFound(f"campaign {name!r} does not exist")

    message = refused("tag:vip and opened:spring/intro", resolve).message
    assert "at column 20: campaign 'spring/intro' does not exist" in message
