"""E-mail addresses: validity, normal form, identity."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldsend.domain import address
from coldsend.domain.address import Address, parse, parse_domain
from coldsend.errors import InvalidInput


def outcome(function: object, text: str) -> Address | None:
    try:
        return function(text)  # type: ignore[operator, no-any-return]
    except InvalidInput:
        return None


ATOMS = st.text("abzABZ019_!#$%&'*+-/=?^`{|}~.@ \"<>\\\t\né", min_size=0, max_size=12)
LABELS = st.sampled_from(
    (
        *(
            "a",
            "Ab",
            "x-y",
            "-x",
            "x-",
            "xn--bcher-kva",
            "ab--cd",
            "1",
            "com",
            "COM",
            "c0m",
            "test",
            "invalid",
        ),
        *("localhost", "local", "onion", "arpa", "example", "bücher", "", "a" * 63, "a" * 64, "x_y", "1.2"),
    )
)
ADDRESS_LIKE = st.builds(
    lambda local, labels: f"{local}@{'.'.join(labels)}",
    st.one_of(ATOMS, st.sampled_from(["a" * 64, "a" * 65, "INFO", "a.b", ".a", "a.", "a..b", "=?a"])),
    st.lists(LABELS, min_size=0, max_size=5),
)


@pytest.mark.slow
@given(st.one_of(ADDRESS_LIKE, ATOMS, st.text(max_size=30)))
@settings(max_examples=1500, deadline=None)
def test_the_fast_path_says_what_the_library_says(text: str) -> None:
    assert outcome(parse, text) == outcome(address._parse_any, text.strip(" \t\u00a0"))


def test_the_fast_path_is_taken_for_plain_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(text: str) -> Address:
        raise AssertionError(f"{text} was left to the library")

    monkeypatch.setattr(address, "_parse_any", slow)
    for text in ("bob@acme.com", "First.Last+tag@mail-1.Example.CO.UK", "o'neil@x.test"):
        assert parse(text).key == text.lower()


@pytest.mark.parametrize(
    "text",
    [
        "bob@example.com",
        "bob@box.test",
        "bob@x.example",
        "bob@nowhere.invalid",
        "root@localhost",
        "root@LOCALHOST",
        "josé@example.com",
        "用户@例子.广告",
        "a@b.co",
        "x" * 64 + "@example.com",
    ],
)
def test_valid_addresses_are_accepted(text: str) -> None:
    assert parse(text).key


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "missing"),
        ("bob", "@-sign"),
        ("bob@", "something after"),
        ("@acme.com", "something before"),
        ("bob@gmail", "period"),
        ("a..b@acme.com", "two periods"),
        ("bob smith@acme.com", "SPACE"),
        ("Bob <bob@acme.com>", "display name"),
        ('"bob smith"@acme.com', "quoting"),
        ("bob@[127.0.0.1]", "bracketed"),
        ("bob@10.0.0.1", "top-level"),
        ("bob@printer.local", "special-use"),
        ("bob@hidden.onion", "special-use"),
        ("x" * 65 + "@example.com", "too long"),
        ("x@" + "a" * 300 + ".com", "characters"),
        ("bob@acme.com\nBcc: x@y.com", "invalid characters"),
        ("bob@acme.com\x00", "invalid characters"),
        ("=?utf-8?q?bob=0D=0A?=@acme.com", "encoded-word"),
        ("bob＠acme.com", "full-width"),
    ],
)
def test_refusals_name_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        parse(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Bob@Acme.COM", "bob@acme.com"),
        ("bob@BÜCHER.example", "bob@xn--bcher-kva.example"),
        ("bob@bücher.example", "BOB@XN--BCHER-KVA.EXAMPLE"),
        ("JOSÉ@example.com", "jose\u0301@example.com"),
        ("ΟΔΟΣ@example.com", "οδος@example.com"),
        ("INFO@example.com", "info@example.com"),
        ("  bob@acme.com ", "bob@acme.com"),
    ],
)
def test_forms_of_one_address_have_one_key(one: str, other: str) -> None:
    assert parse(one).key == parse(other).key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("josé@example.com", "jose@example.com"),
        ("b.ob@example.com", "bob@example.com"),
        ("bob+a@example.com", "bob@example.com"),
        ("bob@bücher.example", "bob@bucher.example"),
    ],
)
def test_different_addresses_have_different_keys(one: str, other: str) -> None:
    assert parse(one).key != parse(other).key


def test_what_is_stored_keeps_the_local_part_as_given_and_normalises_the_domain() -> None:
    assert parse("Bob.Smith@XN--BCHER-KVA.Example") == Address(
        "Bob.Smith@bücher.example", "bob.smith@xn--bcher-kva.example", "xn--bcher-kva.example"
    )


@pytest.mark.costly
@given(
    st.text(st.characters(categories=["L", "N", "M"]), min_size=1, max_size=20),
    st.sampled_from(["example.com", "bücher.example", "例子.广告"]),
)
@settings(max_examples=400, deadline=None)
def test_what_is_stored_is_the_same_address_and_fits_its_columns(local: str, domain: str) -> None:
    found = outcome(parse, f"{local}@{domain}")
    if found is None:
        return
    assert parse(found.email) == found
    assert parse(found.key).key == found.key
    assert len(found.email) <= 255
    assert len(found.key) <= 320
    assert found.key.endswith("@" + found.domain)
    assert found.domain.isascii()
    assert unicodedata.is_normalized("NFC", found.email)


@pytest.mark.costly
@given(st.text(st.characters(categories=["Ll", "Lu"]), min_size=1, max_size=20))
@settings(max_examples=400, deadline=None)
def test_case_never_makes_another_address(local: str) -> None:
    forms = {local, local.upper(), local.lower(), local.swapcase().casefold()}
    keys = {found.key for form in forms if (found := outcome(parse, f"{form}@example.com"))}
    # Characters without a stable case (dotless and dotted i) are the exception that Unicode makes itself.
    if not set(local) & set("ıİ") and local.upper().casefold() == local.casefold():
        assert len(keys) <= 1


def test_domains_are_read_in_every_form() -> None:
    assert parse_domain("@Acme.COM") == "acme.com"
    assert parse_domain("bücher.example") == "xn--bcher-kva.example"
    with pytest.raises(InvalidInput, match="is not a domain"):
        parse_domain("com")
    with pytest.raises(InvalidInput, match="is not a domain"):
        parse_domain("acme com")
