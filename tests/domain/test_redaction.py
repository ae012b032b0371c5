"""Taking one person's address out of texts, and nobody else's."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldsend.domain.address import parse
from coldsend.domain.redaction import SUBSTITUTE, Redactor, plain_facts

BOB = Redactor([parse("Bob.Smith@Acme.com")])
JOSE = Redactor([parse("José@bücher.example")])


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "550 5.1.1 <{}>: user unknown",
        "to {}.",
        "({}),",
        "{};x@y.com",
        "https://x.example/?mail={}&a=1",
        '{{"e":"{}"}}',
        "a\\n{}",
        "über {} über",
    ],
)
@pytest.mark.parametrize("written", ["bob.smith@acme.com", "BOB.Smith@ACME.COM", "Bob.Smith@Acme.com"])
def test_an_address_is_taken_out_in_any_case_and_place(text: str, written: str) -> None:
    assert BOB.without(text.format(written)) == text.format(SUBSTITUTE)
    octets = text.format(written).encode()
    assert BOB.without(octets) == text.format(SUBSTITUTE).encode()


@pytest.mark.parametrize(
    "text",
    [
        "bob.smith%40acme.com",
        "email%3Dbob.smith%40acme.com",
        "=3Dbob.smith@acme.com",
        "bob.smith=40acme.com",
        "bob.smith=acme.com",
    ],
)
def test_an_address_is_found_in_links_and_encodings(text: str) -> None:
    assert "smith" not in BOB.without(text)


@pytest.mark.parametrize(
    "text",
    [
        "jimbob.smith@acme.com",
        "x.bob.smith@acme.com",
        "bob.smith@acme.com.au",
        "bob.smith@acme.community",
        "bob.smith@acme.com-x.example",
        "smith@acme.com",
        "bobxsmith@acme.com",
        "acme.com",
        "",
    ],
)
def test_other_peoples_addresses_stay(text: str) -> None:
    assert BOB.without(text) == text
    assert not BOB.finds(text)
    assert BOB.without(text.encode()) == text.encode()


def test_an_international_address_is_found_in_both_of_its_forms() -> None:
    for text in ("josé@bücher.example", "JOSÉ@BÜCHER.example", "josé@xn--bcher-kva.example"):
        assert JOSE.without(f"<{text}>") == f"<{SUBSTITUTE}>"
    assert JOSE.without("jose@bücher.example") == "jose@bücher.example"


def test_what_is_sought_stands_in_every_text_that_names_an_address() -> None:
    """Also where a database does not know the capitals of a letter."""
    assert BOB.sought == [
        "bob.smith%40acme.com",
        "bob.smith=40acme.com",
        "bob.smith=acme.com",
        "bob.smith@acme.com",
    ]
    assert "用户@例子.公司" in Redactor([parse("用户@例子.公司")]).sought
    for text in ("JOSÉ@BÜCHER.EXAMPLE", "josé%40bücher.example"):
        assert JOSE.finds(text)
        assert any(part in text.lower() for part in JOSE.sought)
        assert any(part in "".join(c.lower() if c.isascii() else c for c in text) for part in JOSE.sought)


def test_documents_are_searched_whole_and_their_shape_stays() -> None:
    rule = {"any": [{"email": ["bob.smith@acme.com", "ann@x.com"]}, {"tag": "vip"}], "n": 3, "none": None}
    assert BOB.without(rule) == {
        "any": [{"email": [SUBSTITUTE, "ann@x.com"]}, {"tag": "vip"}],
        "n": 3,
        "none": None,
    }
    assert parse(SUBSTITUTE).email == SUBSTITUTE, "a rule must hold with it"


def test_of_an_event_only_plain_facts_are_kept() -> None:
    details = {
        "code": 550,
        "hard": True,
        "rule": "recipient_unknown",
        "status": "5.1.1",
        "source": "inbox:replies",
        "diagnostic": "550 <bob.smith@acme.com> unknown",
        "ip": "192.0.2.1",
        "actor": "Bob Smith, Acme",
    }
    assert plain_facts(details) == {
        "code": 550,
        "hard": True,
        "rule": "recipient_unknown",
        "status": "5.1.1",
        "source": "inbox:replies",
    }
    assert plain_facts({"diagnostic": "x"}) is None
    assert plain_facts(None) is None


local = st.from_regex(r"[a-z0-9]{1,8}(\.[a-z0-9]{1,8})?", fullmatch=True)
domain = st.from_regex(r"[a-z]{1,8}\.(com|example|co\.uk)", fullmatch=True)


@pytest.mark.costly
@settings(max_examples=150, deadline=None)
@given(local, domain, st.text(max_size=30), st.text(max_size=30))
def test_nothing_of_an_address_is_left_and_nothing_else_is_lost(
    name: str, host: str, before: str, after: str
) -> None:
    """Around the address stands anything, apart from it by a space."""
    email = f"{name}@{host}"
    redactor = Redactor([parse(email)])
    made = redactor.without(f"{before} {email} {after}")
    assert made == f"{redactor.without(before)} {SUBSTITUTE} {redactor.without(after)}"
    assert redactor.without(made) == made
