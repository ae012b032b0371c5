"""Messages are taken apart whatever they are, and in time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.domain.inbox import MessageKind
from coldsend.inbox.mail import MOST_PARTS, decoded, read
from tests.inbox.messages import FAILED_REPORT, bounce, classified, message


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_line_endings_do_not_matter(ending: bytes) -> None:
    found = classified(FAILED_REPORT.replace(b"\n", ending))
    assert (found.kind, found.recipients[0].address) == (MessageKind.BOUNCE, "anna@example.org")
    assert found.message_ids == ("<row-17@sender.test>",)


def test_headers_are_unfolded_and_found_in_any_case() -> None:
    mail = read(b"from: a@b.test\r\nSUBJECT: one\r\n two\r\nMessage-Id: <x@y>\r\n\r\nbody")
    assert (mail.headers.get("subject"), mail.headers.get("message-id")) == ("one two", "<x@y>")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=?utf-8?q?J=C3=BCrgen?=", "Jürgen"),
        ("=?iso-8859-1?b?SvxyZ2Vu?= x", "Jürgen x"),
        ("=?nonsense?q?abc?=", "abc"),
        ("=?utf-8?b?!!!?=", "=?utf-8?b?!!!?="),
        ("plain", "plain"),
    ],
)
def test_encoded_words_are_decoded_where_they_can_be(value: str, text: str) -> None:
    assert decoded(value) == text or ("=?" in value and "!" in value)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("base64", "SsO8cmdlbg=="),
        ("quoted-printable", "J=C3=BCrgen"),
        ("8bit", "Jürgen"),
        ("what?", "Jürgen"),
    ],
)
def test_bodies_are_decoded(encoding: str, body: str) -> None:
    assert classified(message(body, Content_Transfer_Encoding=encoding)).text == "Jürgen"


@pytest.mark.parametrize("charset", ["utf-8", "nonsense", "base64", ""])
def test_a_charset_that_is_none_stops_nothing(charset: str) -> None:
    assert classified(message("Jürgen", kind=f'text/plain; charset="{charset}"')).text == "Jürgen"


def test_a_message_of_few_headers_is_one() -> None:
    mail = read(b"From: Anna <anna@x.example>\nSubject: Hello\n\nYes")
    assert (mail.has_headers, mail.headers.get("subject")) == (True, "Hello")
    assert mail.parts[0].body == b"Yes"


def test_a_text_that_begins_with_quoted_headers_is_a_text() -> None:
    assert not read(b"From: a@x.example\nSent: Monday\nTo: Us\nSubject: Hello\n\nYes").has_headers
    assert not read(b"From: Anna\nSent: Monday\nTo: Us\nSubject: Hello\n\nYes").has_headers


def test_a_multipart_without_its_boundary_is_text() -> None:
    assert classified(message("Yes", kind="multipart/mixed; boundary=nowhere")).text == "Yes"


def test_parts_are_counted() -> None:
    body = "--b\n\nx\n" * 5000
    assert len(read(message(body, kind="multipart/mixed; boundary=b")).parts) == MOST_PARTS


@pytest.mark.costly
def test_nesting_ends() -> None:
    body = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (n, n) for n in range(3000))
    raw = b"Message-ID: <x@y>\nMIME-Version: 1.0\n" + body + b"\nhello"
    assert len(read(raw).parts) == 1
    classified(raw)


MEGABYTE = 1_000_000
SQUARE = 20.0  # seconds: each takes one or less; what grows with the square takes minutes
HOSTILE = {
    "one line": b"a" * MEGABYTE,
    "line ends": b"\n" * MEGABYTE,
    "quotes": b"> x\n" * (MEGABYTE // 4),
    "attributions": b"On Mon, 1 Jan 2024 at 10:10\n" * (MEGABYTE // 28),
    "headers": b"From: x\nTo: y\n" * (MEGABYTE // 14),
    "addresses": b"a@b " * (MEGABYTE // 4),
    "recipients": b"<a@b.c>:\n550 no such user\n" * (MEGABYTE // 26),
    "blocks": b"Final-Recipient: rfc822; a@b.c\nAction: failed\n\n" * (MEGABYTE // 48),
    "tags": b"<div>" * (MEGABYTE // 5),
    "brackets": b"<" * MEGABYTE,
    "words": b"user mailbox " * (MEGABYTE // 13),
    "json": b'{"notificationType":' + b"[" * MEGABYTE,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text/plain", "text/html", "message/delivery-status"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_megabyte_is_not_read_in_squares(name: str, kind: str) -> None:
    for raw in (bounce("", Content_Type=kind), message("", kind=kind)):
        begun = time.process_time()
        classified(raw + HOSTILE[name])
        assert time.process_time() - begun < SQUARE


@pytest.mark.costly
@pytest.mark.parametrize(
    "raw",
    [
        b"X: y\n" * 200_000,
        b"Message-ID: <x@y>\nX: y\n" + b" folded\n" * 100_000,
        b"Message-ID: <x@y>\nReferences: " + b"<a@b> " * 150_000 + b"\n\nhi",
        b"Message-ID: <x@y>\nTo: " + b"a@b.test, " * 90_000 + b"\n\nhi",
        b"Message-ID: <x@y>\nFrom: " + b'"(<' * 300_000 + b"\n\nhi",
        b"Message-ID: <x@y>\nContent-Type: text/plain" + b"; a=b" * 150_000 + b"\n\nhi",
        b"Message-ID: <x@y>\nSubject: " + b"=?utf-8?q?a?= " * 60_000 + b"\n\nhi",
    ],
    ids=["many", "folded", "references", "recipients", "nested", "parameters", "encoded words"],
)
def test_header_bombs_are_not_read_in_squares(raw: bytes) -> None:
    begun = time.process_time()
    classified(raw)
    assert time.process_time() - begun < SQUARE


pieces = st.sampled_from(
    [
        b"From: MAILER-DAEMON@x\n",
        b"Subject: =?utf-8?q?=?=\n",
        b"Content-Type: multipart/report; boundary=b\n",
        b"Content-Type: message/delivery-status\n",
        b"Content-Type: message/feedback-report\n",
        b"Content-Transfer-Encoding: base64\n",
        b"Message-ID: <x@y>\n",
        b"Date: Mon, 99 Foo 0000\n",
        b"\n",
        b"--b\n",
        b"--b--\n",
        b"Final-Recipient: rfc822; \n",
        b"Diagnostic-Code: ;\n",
        b"Status: 5.1\n",
        b"Feedback-Type:\n",
        b"550 <@>\n",
        b"<a@b>:\n",
        b"\xff\x00\x1b$B\n",
    ]
)


@pytest.mark.costly
@given(st.binary(max_size=300) | st.lists(pieces, max_size=25).map(b"".join))
def test_no_bytes_are_too_strange(raw: bytes) -> None:
    classified(raw)
