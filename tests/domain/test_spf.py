"""SPF records are taken apart as RFC 7208 has them."""

from __future__ import annotations

import contextlib
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldsend.domain import spf


def test_a_record_is_its_mechanisms_in_order() -> None:
    record = spf.parse(
        "v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 a mx:mail.a.org/28//64 A//60 ?include:_spf.b.org "
        "exists:%{i}.c.org exp=why.d.org -all"
    )
    assert [(term.result, term.name, term.value) for term in record.terms] == [
        ("pass", "ip4", ""),
        ("pass", "ip6", ""),
        ("pass", "a", ""),
        ("pass", "mx", "mail.a.org"),
        ("pass", "a", ""),
        ("neutral", "include", "_spf.b.org"),
        ("pass", "exists", "%{i}.c.org"),
        ("fail", "all", ""),
    ]
    assert record.terms[0].network == ip_network("192.0.2.0/24")
    assert (record.terms[3].prefix4, record.terms[3].prefix6) == (28, 64)
    assert (record.terms[4].prefix4, record.terms[4].prefix6) == (32, 60)


def test_a_redirect_is_kept_and_unknown_modifiers_are_passed_over() -> None:
    record = spf.parse("V=SPF1 redirect=_spf.a.org. ra=postmaster")
    assert (record.terms, record.redirect) == ((), "_spf.a.org")


@pytest.mark.parametrize(
    "word",
    [
        *(
            "ip4:192.0.2.300",
            "ip4:2001:db8::1",
            "ip6:192.0.2.1",
            "ip4",
            "include",
            "include:",
            "inclde:a.org",
        ),
        *("a/33", "all:x", "all/8", "include:a.org/24", "redirect=", "-"),
    ],
)
def test_what_receivers_take_for_broken_is_refused_and_named(word: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        spf.parse(f"v=spf1 {word} -all")
    assert repr(word) in str(refused.value)


def test_only_records_of_this_version_count() -> None:
    texts = ["v=spf1", "v=spf1 -all", "v=spf10 -all", "google-site-verification=x", "V=SPF1 mx"]
    assert spf.records_in(texts) == ["v=spf1", "v=spf1 -all", "V=SPF1 mx"]


@pytest.mark.costly
@settings(max_examples=300)
@given(st.text(alphabet="v=spf1 +-~?aimxnclude:/ip46.,%{}0123456789redit\té", max_size=60))
def test_anything_else_is_a_record_or_a_sentence(text: str) -> None:
    with contextlib.suppress(ValueError):
        spf.parse("v=spf1 " + text)
