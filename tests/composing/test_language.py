"""What templates may say, what a missing value does, and that no template can exhaust a worker."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldsend.composing.compose import CannotCompose, composer
from coldsend.composing.source import Variable
from coldsend.domain.states import VariableSource
from coldsend.errors import InvalidInput
from tests.composing.samples import NOW, PLAIN_SITE, SERVICE, made, message, part, recipient, template


def rendered(expression: str, **values: object) -> str:
    """What an expression gives in the text part."""
    composed = message(template(text=f"[{expression}]"), recipient(**values))  # type: ignore[arg-type]
    return part(composed, "plain").split("]\n")[0].removeprefix("[")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("{{ contact.nickname }}", "Bob"),
        ("{{ contact['nickname'] }}", "Bob"),
        ("{{ contact.email }}", "bob@acme.example"),
        ("{{ contact.company | upper }}", "ACME & SON"),
        ("{{ contact.company | truncate(6, true, '..', 0) }}", "Acme.."),
        ("{{ contact.tags | join(', ') }}", "vip, city:Bonn"),
        ("{{ contact.tags[1] }}", "city:Bonn"),
        ("{{ 'yes' if tag('vip') else 'no' }}", "yes"),
        ("{{ 'yes' if 'vip' in contact.tags else 'no' }}", "yes"),
        ("{{ tag_value('city:') }}", "Bonn"),
        ("{{ sender.name ~ ' of ' ~ sender.domain }}", "Robin Field of sender.example"),
        ("{{ postal_address }}", "1 Test Street, Testville"),
        ("{{ date }} {{ year }}", "2027-03-01 2027"),
        ("{{ date | date_format('%-d. %B %Y') }}", "1. March 2027"),
        ("{% for t in contact.tags %}{{ loop.index }}{{ t }};{% endfor %}", "1vip;2city:Bonn;"),
        ("{% for t in ['a', 'b'] %}{{ t }}{% endfor %}", "ab"),
        ("{% set who = contact.nickname %}{{ who }}{{ who }}", "BobBob"),
        ("{% if contact.country == 'DE' %}de{% elif contact.country %}other{% endif %}", "other"),
        ("{% filter upper %}x{{ contact.nickname }}{% endfilter %}", "XBOB"),
    ],
)
def test_the_language_says(expression: str, expected: str) -> None:
    values = {"company": "Acme & Son", "country": "FR"}
    tags = ("vip", "city:Bonn")
    assert rendered(expression, nickname="Bob", tags=tags, fields=values) == expected


def test_the_date_is_that_of_the_recipient() -> None:
    assert rendered("{{ date }}", time_zone="Asia/Tokyo") == "2027-03-02"
    assert rendered("{{ date }}", time_zone="Not/AZone") == "2027-03-01"


@pytest.mark.parametrize("absent", [None, "", "  "])
@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("{{ contact.nickname | default('there') }}", "there"),
        ("{{ contact.nickname | d('there') | upper }}", "THERE"),
        ("{{ contact.nickname or 'there' }}", "there"),
        ("{{ contact.nickname if contact.nickname else 'there' }}", "there"),
        ("{% if contact.nickname %}Bob{% else %}there{% endif %}", "there"),
        ("{% if contact.nickname is defined %}Bob{% else %}there{% endif %}", "there"),
        ("{% if not contact.nickname %}there{% endif %}", "there"),
        ("{% if contact.nickname == 'Bob' %}Bob{% else %}there{% endif %}", "there"),
        ("{% if contact.nickname != 'Bob' %}there{% endif %}", "there"),
        ("{% if contact.nickname in ['Bob', 'Ann'] %}Bob{% else %}there{% endif %}", "there"),
        ("{% if 'B' in contact.nickname %}Bob{% else %}there{% endif %}", "there"),
        ("{{ contact.nickname | default(contact.company) }}", "Acme"),
    ],
)
def test_a_missing_value_may_be_tested_and_replaced(
    expression: str, expected: str, absent: str | None
) -> None:
    assert rendered(expression, nickname=absent, fields={"company": "Acme"}) == expected


@pytest.mark.parametrize("absent", [None, "", " \t"])
@pytest.mark.parametrize(
    "expression",
    [
        "{{ contact.nickname }}",
        "{{ contact.nickname | upper }}",
        "{{ contact.nickname | lower }}",
        "{{ contact.nickname | title }}",
        "{{ contact.nickname | capitalize }}",
        "{{ contact.nickname | trim }}",
        "{{ contact.nickname | truncate(3) }}",
        "{{ contact.nickname | urlencode }}",
        "{{ contact.nickname | length }}",
        "{{ contact.nickname | first }}",
        "{{ contact.nickname | last }}",
        "{{ contact.nickname | e }}",
        "{{ contact.nickname | date_format('%Y') }}",
        "{{ contact.tags | join(', ') }}",
        "{{ 'x' ~ contact.nickname }}",
        "{{ contact.company | default(contact.nickname) }}",
        "{% for t in contact.tags %}{{ t }}{% endfor %}",
        "{% set x = contact.nickname %}{{ x }}",
        "{% filter upper %}{{ contact.nickname }}{% endfilter %}",
        "{{ contact.tags[3] }}",
        "{{ tag_value('city:') }}",
        "{% if contact.nickname < 'x' %}{% endif %}",
    ],
)
def test_printing_a_missing_value_stops_the_recipient(expression: str, absent: str | None) -> None:
    for source in (template(text=f"\n{expression}"), template(f"<p>\n{expression}</p>", text="x")):
        with pytest.raises(CannotCompose) as caught:
            message(source, recipient(nickname=absent))
        assert caught.value.reason == "missing_variable"
        assert "line 2" in caught.value.detail
        assert "'intro'" in caught.value.detail


def test_the_missing_variable_is_named() -> None:
    with pytest.raises(CannotCompose, match=r"contact\.company is missing: template 'intro', subject line 1"):
        message(template(subject="{{ contact.company }}"))


def test_defined_variables_win_over_built_in_ones() -> None:
    variables = [
        Variable("contact.nickname", VariableSource.CONTACT_FIELD, {"field": "first"}),
        Variable("city", VariableSource.CONTACT_TAG, {"prefix": "city:"}),
        Variable("vip", VariableSource.CONTACT_TAG, {"tag": "vip"}),
        Variable("today", VariableSource.SYSTEM, {"name": "date"}),
        Variable("our.name", VariableSource.SYSTEM, {"name": "sender.name"}),
    ]
    source = template(
        text="{{ contact.nickname }} {{ city }} {% if vip %}V{% endif %} {{ today }} {{ our.name }}"
    )
    to = recipient(nickname="Bob", tags=("city:Bonn", "city:Ulm", "vip"), fields={"first": "Robert"})
    text = part(message(source, to, variables=variables), "plain")
    assert text.startswith("Robert Bonn V 2027-03-01 Robin Field")


@pytest.mark.parametrize(
    "expression",
    [
        "{{ name }}",
        "{{ sender.password }}",
        "{{ contact }}",
        "{{ _open }}",
        "{{ contact.nickname | frobnicate }}",
        "{{ contact.nickname is mapping }}",
        "{{ none }}",
        "{{ 2 * 3 }}",
        "{{ 'a' * 1000000000 }}",
        "{{ 2 ** 99999999 }}",
        "{{ '%999999999d' % 1 }}",
        "{{ ''.__class__ }}",
        "{{ contact.nickname.__class__ }}",
        "{{ contact.nickname.upper() }}",
        "{{ contact.nickname.format }}",
        "{{ range(9) }}",
        "{{ cycler('a') }}",
        "{{ lipsum() }}",
        "{{ self }}",
        "{{ contact.tags }}",
        "{% set x = contact.tags %}",
        "{{ contact[contact.nickname] }}",
        "{{ contact.nickname[1:2] }}",
        "{{ [1, 2] }}",
        "{{ {'a': 1} }}",
        "{% set contact = 'x' %}",
        "{% set tag = 'x' %}",
        "{% set x %}a{% endset %}",
        "{% set x = ['a'] %}",
        "{% set x = namespace(a=1) %}",
        "{% for x in range(10) %}{% endfor %}",
        "{% for x in contact.nickname %}{% endfor %}",
        "{% for x in contact.tags recursive %}{% endfor %}",
        "{% for a in ['x'] %}{% for b in ['x'] %}{% for c in ['x'] %}{% endfor %}{% endfor %}{% endfor %}",
        "{% filter upper %}{% for a in contact.tags %}{{ a }}{% endfor %}{% endfilter %}",
        "{% macro m() %}{{ m() }}{% endmacro %}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% extends 'x' %}",
        "{% block b %}{% endblock %}",
        "{% with %}{% endwith %}",
        "{% autoescape false %}{{ contact.nickname }}{% endautoescape %}",
        "{{ contact.nickname | safe }}",
        "{% raw %}{{ left }}{% endraw %}",
        "{{ '{{ x }}' }}",
        "{{ tag() }}",
        "{{ tag(name='x') }}",
        "[[first_name]]",
        "*|FNAME|*",
        "%%name%%",
        "{% if %}",
        "{% endif %}",
        "{{ contact.nickname",
        "{# open",
    ],
)
def test_anything_outside_the_language_is_refused_with_its_line(expression: str) -> None:
    with pytest.raises(InvalidInput, match=r"text body line 2|text body: "):
        made(template(text=f"\n{expression}"))
    with pytest.raises(InvalidInput, match=r"body line 2|body: "):
        made(template(f"<p>\n{expression}</p>", text="x"))


BOMBS = [
    "".join(["{% set a = contact.nickname %}", *(["{% set a = a ~ a %}"] * 60), "{{ a }}"]),
    "{% for a in ["
    + "1," * 100
    + "] %}{% for b in ["
    + "1," * 100
    + "] %}"
    + "x" * 1000
    + "{% endfor %}{% endfor %}",
    "{{ contact.nickname }}" * 10_000,
]


@pytest.mark.slow
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_poison_template_neither_hangs_nor_eats_memory(bomb: str) -> None:
    began = time.process_time()
    with pytest.raises(CannotCompose) as caught:
        message(template(text=bomb), recipient(nickname="x" * 1000))
    assert time.process_time() - began < 60, "it takes two seconds; what is not stopped, for ever"
    assert caught.value.reason == "template_error"


@pytest.mark.costly
@pytest.mark.parametrize(
    "nested",
    [
        "{% if contact.a %}" * 150 + "{% endif %}" * 150,
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{{ " + "not " * 5000 + "contact.a }}",
    ],
)
def test_deep_nesting_is_refused_not_a_crash(nested: str) -> None:
    with pytest.raises(InvalidInput):
        made(template(text=nested))


CODE = (
    "{{ ",
    " }}",
    "{% ",
    " %}",
    "{#",
    "#}",
    "if ",
    "endif",
    "for x in ",
    "set a = ",
    "| upper",
    "raw",
    "endraw",
)
NAMES = ("contact.tags", "contact.nickname", "filter upper", "endfilter", "<p>", "</p>", "<a href='", "\n")
PIECES = st.sampled_from([*CODE, *NAMES, *"x()'\"[]~-="])


@pytest.mark.costly
@settings(max_examples=300)
@given(st.lists(PIECES, max_size=14).map("".join), st.booleans())
def test_no_template_ends_in_a_traceback(source: str, html: bool) -> None:
    made_of = template(source, text="x") if html else template(text=source)
    with contextlib.suppress(InvalidInput, CannotCompose):
        composer(made_of, [], SERVICE, PLAIN_SITE).compose(recipient(nickname="B", tags=("t",)), NOW)
