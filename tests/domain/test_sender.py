"""Senders as operators type them."""

from __future__ import annotations

from email.headerregistry import Address
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.domain.sender import Sender, parse
from coldsend.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "name", "email"),
    [
        ("anna@example.com", None, "anna@example.com"),
        ("<anna@example.com>", None, "anna@example.com"),
        ("Anna Smith <anna@example.com>", "Anna Smith", "anna@example.com"),
        ("  Anna   <anna@example.com>  ", "Anna", "anna@example.com"),
        ('"Smith, Anna" <anna@example.com>', "Smith, Anna", "anna@example.com"),
        (r'"Anna \"Ann\" Smith" <anna@example.com>', 'Anna "Ann" Smith', "anna@example.com"),
        ("山田\u3000太郎 <yamada@example.com>", "山田\u3000太郎", "yamada@example.com"),
        ("张三 <zhang@例子.example>", "张三", "zhang@例子.example"),
        ("=?utf-8?q?J=C3=B6rg?= <j@example.com>", "Jörg", "j@example.com"),
        ("Anna <anna@EXAMPLE.com>", "Anna", "anna@example.com"),
        ("Anna <anna@xn--bcher-kva.example>", "Anna", "anna@bücher.example"),
    ],
)
def test_name_and_address_are_told_apart(text: str, name: str | None, email: str) -> None:
    assert parse(text) == Sender(name, email)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Anna",
        "Anna <>",
        "Anna <anna>",
        "Anna <anna@example.com",
        "anna@example.com, bob@example.com",
        "Anna <anna@example.com>, Bob <bob@example.com>",
        "Anna <anna@example.com> <bob@example.com>",
        "anna@example.com bob@example.com",
        "ceo@bank.example <anna@example.com>",
        "Anna\r\nBcc: x@example.com <anna@example.com>",
        "Anna <anna@example.com\r\nBcc: x@example.com>",
        "=?utf-8?q?a=0D=0ABcc=3A_x?= <anna@example.com>",
        "=?utf-8?q?a=00?= <anna@example.com>",
        "=?no-such-charset?q?a?= <anna@example.com>",
        "Anna\x07 <anna@example.com>",
        "x" * 256 + " <anna@example.com>",
    ],
)
def test_what_is_not_one_name_and_one_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse(text)


@pytest.mark.costly
@given(st.text(max_size=60) | st.text('<>"\\@,;= ?anAB.\r\n', max_size=40))
def test_any_text_is_a_sender_that_fits_a_header_or_is_refused(text: str) -> None:
    try:
        found = parse(text)
    except InvalidInput:
        return
    local, _, domain = found.email.rpartition("@")
    message = EmailMessage()
    message["From"] = Address(found.name or "", local, domain)
    assert len(message["From"].addresses) == 1
    assert "\n" not in str(message["From"])
