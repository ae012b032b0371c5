"""Tokens: what is issued can be read, and nothing else."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.composing.tokens import MAX_ROW_ID, STRIDE, URL_LENGTH, Kind, Tokens, folded

TOKENS = Tokens(b"a secret of thirty-two bytes....")
ROWS = st.integers(0, MAX_ROW_ID)
PLAIN_KINDS = [kind for kind in Kind if kind is not Kind.CLICK]
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@pytest.mark.costly
@given(st.sampled_from(PLAIN_KINDS), ROWS)
def test_a_token_gives_back_kind_and_row(kind: Kind, row: int) -> None:
    token = TOKENS.issue(kind, row)
    assert len(token) == 22
    assert TOKENS.read(token) == (kind, row)


@given(st.sampled_from(PLAIN_KINDS), ROWS)
def test_a_folded_token_survives_a_change_of_case(kind: Kind, row: int) -> None:
    token = TOKENS.issue_folded(kind, row)
    assert len(token) == 26
    assert token == token.lower()
    assert TOKENS.read(token) == TOKENS.read(token.upper()) == (kind, row)


@pytest.mark.costly
@given(ROWS, st.text())
def test_a_click_token_is_good_for_its_target_only(row: int, url: str) -> None:
    token = TOKENS.issue(Kind.CLICK, row, url)
    assert TOKENS.read_click(token, url) == row
    assert TOKENS.read_click(token, url + "x") is None
    assert TOKENS.read(token) is None


@pytest.mark.parametrize("kind", PLAIN_KINDS)
def test_a_plain_token_is_no_click_token(kind: Kind) -> None:
    assert TOKENS.read_click(TOKENS.issue(kind, 5), "") is None


@pytest.mark.parametrize("kind", list(Kind))
def test_every_flipped_bit_is_noticed(kind: Kind) -> None:
    token = TOKENS.issue(kind, 123456, "https://example.com")
    block = base64.urlsafe_b64decode(token + "==")
    for bit in range(128):
        altered = (int.from_bytes(block, "big") ^ (1 << bit)).to_bytes(16, "big")
        forged = base64.urlsafe_b64encode(altered).decode().rstrip("=")
        assert TOKENS.read(forged) is None
        assert TOKENS.read_click(forged, "https://example.com") is None


@pytest.mark.parametrize("kind", list(Kind))
def test_every_other_character_is_noticed(kind: Kind) -> None:
    token = TOKENS.issue(kind, 99, "u")
    for place, character in ((p, c) for p in range(22) for c in ALPHABET if c != token[p]):
        forged = token[:place] + character + token[place + 1 :]
        assert TOKENS.read(forged) is None
        assert TOKENS.read_click(forged, "u") is None


def test_the_spare_bits_of_a_folded_token_must_be_zero() -> None:
    token = TOKENS.issue_folded(Kind.MESSAGE_ID, 5)
    others = [token[:-1] + character for character in "abcdefghijklmnopqrstuvwxyz234567"]
    assert [other for other in others if TOKENS.read(other)] == [token]


def test_another_secret_reads_nothing() -> None:
    other = Tokens(b"b" * 32)
    assert other.read(TOKENS.issue(Kind.OPEN, 1)) is None
    assert other.read_click(TOKENS.issue(Kind.CLICK, 1, "u"), "u") is None


@pytest.mark.costly
@given(st.text(max_size=40) | st.text(ALPHABET, min_size=22, max_size=22))
def test_anything_else_reads_as_nothing(text: str) -> None:
    assert TOKENS.read(text) is None
    assert TOKENS.read_click(text, "https://example.com") is None


@pytest.mark.costly
@given(
    st.lists(st.tuples(st.sampled_from(Kind), st.text(max_size=9)), max_size=6),
    st.lists(st.sampled_from([Kind.ADDRESS, Kind.UNSUBSCRIBE]), max_size=2),
    ROWS,
)
def test_the_tokens_of_a_message_equal_those_issued_one_by_one(
    links: list[tuple[Kind, str]], in_addresses: list[Kind], row: int
) -> None:
    text, (own, *others) = TOKENS.of_rows(links, in_addresses)(row)
    one_by_one = [TOKENS.issue(kind, row, target) for kind, target in links]
    assert [text[at : at + URL_LENGTH] for at in range(0, len(links) * STRIDE, STRIDE)] == one_by_one
    assert own == TOKENS.issue_folded(Kind.MESSAGE_ID, row)
    assert others == [TOKENS.issue_folded(kind, row) for kind in in_addresses]


@given(st.sampled_from([Kind.ADDRESS, Kind.UNSUBSCRIBE]), ROWS)
def test_an_address_tells_its_row_whatever_forwarders_make_of_it(kind: Kind, row: int) -> None:
    token = TOKENS.issue_folded(kind, row)
    for written in (
        f"bounce+{token}@sender.example",
        f"Bounce+{token.upper()}@SENDER.example",
        f"{token}@bounces.sender.example",
        f"a-{token}-z@sender.example",
        f"prvs=1234abcdef=bounce+{token}@sender.example",
        f"SRS0=HHH=TT=sender.example=bounce+{token}@forwarder.example",
        f"bounce+{token}=sender.example@list.example",
    ):
        assert TOKENS.read_address(written) == (kind, row)


@given(ROWS)
def test_an_address_with_another_kind_of_token_tells_nothing(row: int) -> None:
    # A Message-ID looks like an address, and the token of a link is shorter.
    assert TOKENS.read_address(f"{TOKENS.issue_folded(Kind.MESSAGE_ID, row)}@sender.example") is None
    assert TOKENS.read_address(f"{TOKENS.issue_folded(Kind.OPEN, row)}@sender.example") is None
    assert TOKENS.read_address(f"x+{TOKENS.issue(Kind.ADDRESS, row)}@sender.example") is None
    assert TOKENS.read_address(f"x@{TOKENS.issue_folded(Kind.ADDRESS, row)}.example") is None


@pytest.mark.costly
@given(st.text(max_size=60) | st.text("abcdefgh234+=.@", min_size=26, max_size=70))
def test_other_addresses_tell_nothing(text: str) -> None:
    assert TOKENS.read_address(text) is None


@given(st.binary(min_size=16, max_size=16))
def test_a_folded_block_is_base32(block: bytes) -> None:
    assert folded(block) == base64.b32encode(block).decode().rstrip("=").lower()


def test_tokens_of_neighbouring_rows_have_nothing_in_common() -> None:
    # Enciphered, not encoded: nobody can count how many were sent.
    first, second = (base64.urlsafe_b64decode(TOKENS.issue(Kind.OPEN, row) + "==") for row in (1, 2))
    same = sum(a == b for a, b in zip(first, second, strict=True))
    assert same < 4


def enciphered(kind: int, check: bytes) -> str:
    """A token as only the owner of the secret could make it."""
    block = TOKENS._encipher(bytes((kind,)) + (5).to_bytes(7, "big") + check)
    return base64.urlsafe_b64encode(block).decode().rstrip("=")


@pytest.mark.parametrize("kind", [0, 2, 7, 255])
def test_a_kind_that_cannot_stand_alone_is_refused(kind: int) -> None:
    assert TOKENS.read(enciphered(kind, bytes(8))) is None
    assert TOKENS.read(enciphered(Kind.OPEN, bytes(8))) == (Kind.OPEN, 5)


def test_only_a_click_token_is_read_as_a_click() -> None:
    check = TOKENS._check("https://example.com")
    assert TOKENS.read_click(enciphered(Kind.CLICK, check), "https://example.com") == 5
    assert TOKENS.read_click(enciphered(Kind.OPEN, check), "https://example.com") is None
