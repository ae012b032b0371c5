"""What may be stored about a contact."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldsend.domain import contact
from coldsend.domain.address import parse
from coldsend.domain.contact import (
    ContactData,
    checked_field_name,
    checked_tag,
    checked_time_zone,
    checked_value,
    field_name_from,
    merged,
    split_tags,
)
from coldsend.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a\r\nBcc: x@y.com", "carriage return"),
        ("a\nb", "line break"),
        ("ends with one\n", "line break"),
        ("a\x00b", "NUL"),
        ("a\tb", "tab"),
        ("a\x1bb", "U\\+001B"),
        ("a\x85b", "U\\+0085"),
        ("a\u2028b", "U\\+2028"),
        ("a\udce9b", "0xe9"),
        ("a\ufffdb", "lost"),
        ("=?utf-8?q?a=0D=0ABcc=3A_x?=", "encoded-word"),
        ("hello =?UTF-8?B?YQ0KQmNjOiB4?= you", "encoded-word"),
        ("=?utf-8*en?Q?=0a?=", "encoded-word"),
        ("=?utf-7?q?a+AA0ACg-?=", "encoded-word"),
        ("=?utf-16?b?//4NAAoA?=", "encoded-word"),
        ("=?nonsense?q?a?=", "encoded-word"),
        ("x" * 1001, "1001"),
    ],
)
def test_a_value_that_could_break_a_header_is_refused(text: str, what: str) -> None:
    with pytest.raises(InvalidInput, match=what):
        checked_value(text, "company")
    assert contact.SUSPICIOUS.search(text) or len(text) > 1000


@pytest.mark.parametrize(
    "text", ["Bob", "=1+1", "a =? b", "=?utf-8?q?J=C3=B6rg?=", "שלום", "👩‍👩‍👧", "x" * 1000, "a=0D=0Ab"]
)
def test_harmless_values_are_stored_as_they_are(text: str) -> None:
    assert checked_value(text, "company") == text


def test_values_are_stripped() -> None:
    assert checked_value(" \tBob\u00a0 ", "nickname") == "Bob"


@pytest.mark.costly
@given(st.text(max_size=40))
@settings(max_examples=500, deadline=None)
def test_a_value_is_refused_or_safe_in_a_header(text: str) -> None:
    try:
        value = checked_value(text, "company")
    except InvalidInput:
        return
    assert not set(value) & set("\r\n\x00\u2028\u2029\x0b\x0c\x1c\x1d\x1e\x85")
    assert checked_value(value, "company") == value
    assert checked_value(value, "company", suspicious=False) == value
    value.encode()


@pytest.mark.parametrize("text", ["", "  ", "a,b", "x" * 101, "a\nb", "a\u200bb"])
def test_unfit_tags_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        checked_tag(text)


def test_tags_in_one_text_are_separated_by_commas() -> None:
    assert split_tags(" vip, city:Paris ,,vip,VIP;x") == ("vip", "city:Paris", "VIP;x")
    with pytest.raises(InvalidInput, match="101 tags"):
        split_tags(",".join(map(str, range(101))))


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("First name", "first_name"),
        ("Company", "company"),
        (" E-Mail (work) ", "e_mail_work"),
        ("2nd phone", "field_2nd_phone"),
        ("公司", "公司"),
        ("__class__", "class"),
        ("№", "no"),
        ("--", ""),
        ("x" * 80, "x" * 64),
    ],
)
def test_headers_become_field_names(header: str, name: str) -> None:
    assert field_name_from(header) == name


@pytest.mark.costly
@given(st.text(max_size=80))
@settings(max_examples=500, deadline=None)
def test_a_field_name_from_a_header_is_one(header: str) -> None:
    name = field_name_from(header)
    if name and name not in contact.RESERVED:
        assert checked_field_name(name) == name
        assert name.isidentifier()
        assert not name.startswith("_")


@pytest.mark.parametrize("name", ["First", "a b", "1a", "_x", "email", "tags", "", "x" * 65])
def test_unfit_field_names_are_refused_with_a_way_out(name: str) -> None:
    with pytest.raises(InvalidInput) as error:
        checked_field_name(name)
    assert error.value.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [("berlin", "Europe/Berlin"), ("europe/berlin", "Europe/Berlin"), ("Mars", "Europe/Berlin")],
)
def test_an_unknown_time_zone_is_refused_and_a_near_one_named(text: str, hint: str) -> None:
    with pytest.raises(InvalidInput) as error:
        checked_time_zone(text)
    assert hint in error.value.hint


KNOWN = {
    "nickname": "Bob",
    "tags": ["vip"],
    "fields": {"company": "Acme"},
    "time_zone": None,
    "source": "fair",
    "lawful_basis": None,
    "deleted_at": None,
}


def test_merging_adds_tags_and_lets_given_values_win() -> None:
    given = ContactData(
        parse("bob@acme.com"), nickname="Rob", tags=("de", "vip"), fields={"size": "9"}, time_zone="UTC"
    )
    assert merged(KNOWN, given) == {
        "nickname": "Rob",
        "tags": ["vip", "de"],
        "fields": {"company": "Acme", "size": "9"},
        "time_zone": "UTC",
    }


def test_merging_what_is_known_changes_nothing() -> None:
    given = ContactData(parse("bob@acme.com"), nickname="Bob", tags=("vip",), fields={"company": "Acme"})
    assert merged(KNOWN, given) == {}
    assert merged(KNOWN, ContactData(parse("bob@acme.com"))) == {}
