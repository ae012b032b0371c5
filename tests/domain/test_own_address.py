"""Addresses with a place for a token: what is one, and how it is filled."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.domain import address, own_address
from coldsend.errors import InvalidInput

TOKEN = "abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("bounce+{token}@sender.example", f"bounce+{TOKEN}@sender.example"),
        (" bounce+{token}@Sender.Example ", f"bounce+{TOKEN}@sender.example"),
        ("{token}@bounces.sender.example", f"{TOKEN}@bounces.sender.example"),
        ("b-{token}-x@bücher.example", f"b-{TOKEN}-x@xn--bcher-kva.example"),
        ("bounces@sender.example", "bounces@sender.example"),
        ("bounces@bücher.example", "bounces@xn--bcher-kva.example"),
    ],
)
def test_an_address_is_filled_with_a_token_where_it_has_a_place_for_one(text: str, filled: str) -> None:
    assert own_address.parse(text).filled(TOKEN) == filled
    assert own_address.parse(own_address.checked(text)).filled(TOKEN) == filled


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bounce+{token}", "before the @"),
        ("bounce@{token}.example", "before the @"),
        ("{token}+{token}@sender.example", "once"),
        ("bounce+{row}@sender.example", "only {token} is filled in"),
        ("bounce{token}@sender.example", "put a sign"),
        ("{token}bounce@sender.example", "put a sign"),
        ("rücklauf+{token}@sender.example", "ASCII"),
        ("x" * 50 + "+{token}@sender.example", "not an e-mail address"),
        ("bounce+{token}@sender", "not an e-mail address"),
        ("Bounces <bounce+{token}@sender.example>", "not an e-mail address"),
        ("bounce+{token}@sender.example\r\nBcc: x@y.example", "not an e-mail address"),
        ("", "missing"),
    ],
)
def test_what_is_no_such_address_is_refused_with_the_reason(text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        own_address.checked(text)
    assert words in refused.value.message


def test_a_token_can_be_asked_for() -> None:
    with pytest.raises(InvalidInput, match="nobody could tell"):
        own_address.checked("unsubscribe@sender.example", needs_token=True)
    own_address.checked("unsubscribe+{token}@sender.example", needs_token=True)


@pytest.mark.costly
@given(
    st.text(st.sampled_from("ab+-.{}tokn@é \r\n<>"))
    | st.just("{token}").flatmap(lambda t: st.text().map(t.__add__))
)
def test_what_is_accepted_is_one_address_with_any_token(text: str) -> None:
    try:
        filled = own_address.parse(text).filled(TOKEN)
    except InvalidInput:
        return
    assert address.parse(filled).email.isascii()
    assert (TOKEN in filled) == (own_address.PLACE in text)
