"""Requests to the API."""

from __future__ import annotations

import pytest

from coldsend.channels.jiguang.payload import document
from tests.channels.messages import message


@pytest.mark.parametrize(
    ("header", "sent"),
    [
        ("anna@example.com", "anna@example.com"),
        ("Anna Smith <anna@example.com>", "Anna Smith <anna@example.com>"),
        ('"Smith, Anna" <anna@example.com>', '"Smith, Anna" <anna@example.com>'),
        ("=?utf-8?q?J=C3=B6rg?= <j@example.com>", "Jörg <j@example.com>"),
        ("=?utf-8?b?5byg5LiJ?= <z@example.com>", "张三 <z@example.com>"),
        ("=?utf-8?q?M=C3=BCller=2C_J=C3=B6rg?= <j@example.com>", '"Müller, Jörg" <j@example.com>'),
    ],
)
def test_the_senders_name_is_sent_as_people_write_it(header: str, sent: str) -> None:
    assert document(message(from_header=header))["from"] == sent


def test_headers_that_the_api_sets_itself_are_left_out() -> None:
    given = {"Subject": "x", "DATE": "x", "x-smtpapi": "x", "X-Mine": "kept"}
    headers = document(message(headers=given))["body"]["headers"]
    assert set(headers) == {"X-Mine", "Message-ID"}


def test_answers_go_to_the_messages_own_reply_to_before_the_services() -> None:
    assert document(message(), "team@example.com")["body"]["reply_to"] == ["team@example.com"]
    own = message(headers={"Reply-To": "anna@example.com"})
    assert document(own, "team@example.com")["body"]["reply_to"] == ["anna@example.com"]
    assert "reply_to" not in document(message())["body"]


def test_an_empty_part_is_left_out() -> None:
    assert document(message(html=""))["body"]["content"] == {"text": "Hello"}
