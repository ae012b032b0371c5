"""DKIM keys: selectors, records, and which keys sign for a service."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.domain import dkim
from coldsend.domain.dkim import Algorithm, DkimKey, KeyStatus
from coldsend.domain.service import Service
from coldsend.errors import InvalidInput

NOON = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
SERVICE = Service(1, "main", "smtp", "anna@example.com")


def key(selector: str = "cs1", domain: str = "example.com", **values: Any) -> DkimKey:
    made = DkimKey(
        id=1,
        domain=domain,
        selector=selector,
        algorithm=Algorithm.RSA,
        bits=2048,
        public_key="x" * 392,
        status=KeyStatus.ACTIVE,
        created_at=NOON,
        activated_at=NOON,
        retired_at=None,
        sealed={"data": "sesame"},
    )
    return replace(made, **values)


def selectors(service: Service, *keys: DkimKey) -> list[str]:
    return [key.selector for key in dkim.keys_for(service, keys)]


def test_a_service_signs_with_the_keys_of_its_from_domain_rsa_first() -> None:
    ed25519 = key("e", algorithm=Algorithm.ED25519)
    assert selectors(SERVICE, ed25519, key("r"), key("o", "other.example")) == ["r", "e"]


def test_a_domain_below_signs_with_the_key_above_it_unless_it_has_its_own() -> None:
    below = replace(SERVICE, from_email="anna@mail.example.com")
    assert selectors(below, key("above")) == ["above"]
    assert selectors(below, key("above"), key("own", "mail.example.com")) == ["own"]
    assert selectors(replace(SERVICE, from_email="anna@badexample.com"), key("above")) == []
    assert selectors(SERVICE, key("own", "mail.example.com")) == []


def test_of_two_keys_of_one_type_the_one_activated_last_signs() -> None:
    later = key("new", id=1, activated_at=NOON + timedelta(days=1))
    assert selectors(SERVICE, later, key("old", id=2)) == ["new"]


def test_nothing_is_signed_where_the_other_side_signs() -> None:
    assert selectors(replace(SERVICE, type="jiguang"), key()) == []
    assert selectors(replace(SERVICE, settings={"dkim": "server"}), key()) == []


def test_an_idn_domain_is_found_by_its_ascii_form() -> None:
    assert selectors(
        replace(SERVICE, from_email="a@bücher.example"), key(domain="xn--bcher-kva.example")
    ) == ["cs1"]


def test_a_long_record_is_split_for_zone_files_and_whole_for_web_forms() -> None:
    made = key()
    assert made.record == "v=DKIM1; k=rsa; p=" + "x" * 392
    assert [len(piece) for piece in made.record_strings] == [255, 155]
    assert "".join(made.record_strings) == made.record
    assert made.zone_entry.startswith('cs1._domainkey.example.com. IN TXT ( "v=DKIM1; ')


def test_a_key_does_not_show_its_private_half() -> None:
    assert "sesame" not in repr(key())


@pytest.mark.parametrize("text", ["", "a b", "-a", "a-", "a..b", ".a", "a/b", "ä", "a" * 64, 'a"b', "a_b"])
def test_what_cannot_be_a_selector_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be a selector"):
        dkim.checked_selector(text)


@pytest.mark.costly
@given(st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,28}[a-zA-Z0-9])?(\.[a-zA-Z0-9]{1,30})?", fullmatch=True))
def test_selectors_are_taken_in_lower_case(text: str) -> None:
    assert dkim.checked_selector(f" {text} ") == text.lower()


def test_a_selector_made_from_the_date_is_free() -> None:
    assert dkim.default_selector(Algorithm.RSA, NOON, []) == "cs20270301"
    assert dkim.default_selector(Algorithm.ED25519, NOON, ["cs20270301"]) == "cs20270301e"
    assert dkim.default_selector(Algorithm.RSA, NOON, ["cs20270301", "cs20270301-2"]) == "cs20270301-3"
