"""What the audit log keeps of a command line: enough to know what was done, and no secret."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.domain.audit import LONGEST_WORD, MASK, MOST_WORDS, kept


def test_words_are_kept_as_they_were_given() -> None:
    assert kept(["spring", "--start-at", "now"]) == ["spring", "--start-at", "now"]


def test_logins_are_taken_out_of_urls_however_they_are_given() -> None:
    url = "mysql://anna:p@ss/word@db:3306/coldsend"
    for words in (["--database-url", url], [f"--database-url={url}"], [url]):
        [shown] = kept(words)[-1:]
        assert "p@ss" not in shown
        assert "word@" not in shown
        assert shown.endswith(f"mysql://{MASK}@db:3306/coldsend")


def test_tokens_in_a_query_are_taken_out() -> None:
    assert kept(["mysql://anna:pass word@db/coldsend"]) == [f"mysql://{MASK}@db/coldsend"]
    assert kept(["https://x.example/hook?api_key=abc&size=3"]) == [
        f"https://x.example/hook?api_key={MASK}&size=3"
    ]


def test_the_value_of_an_option_that_may_hold_a_secret_is_taken_out() -> None:
    assert kept(["replies", "--token-command", "get --secret x", "--folder", "In"]) == [
        "replies", "--token-command", MASK, "--folder", "In",
    ]  # fmt: skip
    assert kept(["--token-command=get --secret x"]) == [f"--token-command={MASK}"]


def test_of_a_private_command_only_the_names_of_options_are_kept() -> None:
    assert kept(["bob@acme.com", "--reason=asked", "--force"], private=True) == [
        MASK,
        f"--reason={MASK}",
        "--force",
    ]


def test_a_negative_number_is_a_value_and_no_option() -> None:
    assert kept(["-5"], private=True) == [MASK]


def test_long_words_and_many_words_are_cut_and_say_so() -> None:
    [long] = kept(["x" * 5000])
    assert len(long) < LONGEST_WORD + 30
    assert "(5000 characters)" in long
    many = kept([str(number) for number in range(1000)])
    assert len(many) == MOST_WORDS + 1
    assert many[-1] == f"({1000 - MOST_WORDS} more)"


@pytest.mark.costly
@given(st.lists(st.text(max_size=400), max_size=60), st.booleans())
def test_whatever_is_given_a_short_document_comes_out(words: list[str], private: bool) -> None:
    found = kept(words, private=private)
    assert len(found) <= MOST_WORDS + 1
    assert len(json.dumps(found)) < 100_000


@pytest.mark.costly
@given(st.text(alphabet=st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=30))
def test_no_password_in_a_url_is_left(password: str) -> None:
    assert kept([f"mysql://u:{password}@host/db"]) == [f"mysql://{MASK}@host/db"]
