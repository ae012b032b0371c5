"""A follow-up is an answer to our own earlier message, and says so the way mail programs understand."""

from __future__ import annotations

from typing import Any

import pytest

from coldsend.composing.compose import CannotCompose
from coldsend.composing.headers import LINE
from coldsend.composing.tokens import Kind, Tokens
from coldsend.domain.message import Thread
from tests.composing.samples import NOW, SECRET, made, message, parsed, recipient, template

FIRST, SECOND = "<first@sender.example>", "<second@sender.example>"


def thread(subject: str | None = "A word on t1", *earlier: tuple[int, str | None]) -> Thread:
    return Thread(earlier or ((5, FIRST), (6, SECOND)), subject)


def answer(of: Thread, subject: str = "Not used", **values: Any) -> Any:
    return message(template("<p>Hello</p>", subject=subject), recipient(thread=of, **values))


def test_it_refers_to_all_earlier_messages_the_oldest_first_and_answers_the_last() -> None:
    read = parsed(answer(thread()))
    assert read["in-reply-to"] == SECOND
    assert read["references"].split() == [FIRST, SECOND]
    assert read["subject"] == "Re: A word on t1"


def test_a_first_message_refers_to_nothing() -> None:
    read = parsed(message(template(subject="Hello")))
    assert (read["in-reply-to"], read["references"], read["subject"]) == (None, None, "Hello")


def test_a_message_id_that_was_never_noted_is_computed() -> None:
    read = parsed(answer(thread("Hi", (5, None), (6, SECOND))))
    token = Tokens(SECRET).issue_folded(Kind.MESSAGE_ID, 5)
    assert read["references"].split() == [f"<{token}@sender.example>", SECOND]


def test_one_that_another_service_carried_is_at_the_domain_of_that_service() -> None:
    moved = Thread(((5, None), (6, None)), "Hi", None, {5: "müller.example"})
    token = Tokens(SECRET).issue_folded
    first, second = (token(Kind.MESSAGE_ID, row_id) for row_id in (5, 6))
    ids = [f"<{first}@xn--mller-kva.example>", f"<{second}@sender.example>"]
    assert parsed(answer(moved))["references"].split() == ids
    assert answer(moved).contents.headers["References"].split() == ids


@pytest.mark.parametrize(
    "subject", ["Grüße an Zoë", "中文" * 40, "a" * 300, "word " * 40 + "end", "=?utf-8?q?x?=", "  padded "]
)
def test_any_subject_that_was_sent_is_answered(subject: str) -> None:
    composed = answer(thread(subject))
    assert parsed(composed)["subject"] == f"Re: {subject.strip()}"
    assert composed.subject == composed.heading == f"Re: {subject.strip()}"
    head = composed.data.split(b"\r\n\r\n")[0].decode()
    assert all(len(line) <= LINE for line in head.split("\r\n") if "Subject" in line) or subject.isascii()


def test_a_line_break_in_a_noted_subject_makes_no_header() -> None:
    with pytest.raises(CannotCompose) as refused:
        answer(thread("Hello\r\nBcc: x@y.example"))
    assert refused.value.reason == "bad_header"


@pytest.mark.parametrize("subject", [None, ""])
def test_without_a_subject_there_is_no_answer(subject: str | None) -> None:
    with pytest.raises(CannotCompose):
        answer(thread(subject))


def test_what_is_missing_in_the_unused_subject_of_its_own_template_does_not_matter() -> None:
    composed = answer(thread(), subject="For {{ contact.company }}")
    assert parsed(composed)["subject"] == "Re: A word on t1"
    with pytest.raises(CannotCompose):
        message(template(subject="For {{ contact.company }}"))


def test_apis_are_told_the_same() -> None:
    told = answer(thread()).contents
    assert told.subject == "Re: A word on t1"
    assert told.headers["In-Reply-To"] == SECOND
    assert told.headers["References"] == f"{FIRST} {SECOND}"


@pytest.mark.parametrize(
    "subject", ["Hello", "For {{ contact.company }}", "{% for x in ['a', 'b'] %}{{ x }}{% endfor %} ü"]
)
def test_the_subject_for_the_ledger_is_the_one_that_was_written(subject: str) -> None:
    source = template(subject=subject)
    whom = recipient(fields={"company": "Zoë & Söhne"})
    composed = message(source, whom)
    assert composed.heading == parsed(composed)["subject"] == composed.contents.subject
    assert made(source).subject(whom, NOW) == composed.heading
