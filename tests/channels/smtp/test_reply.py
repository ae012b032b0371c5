"""Reading replies: any pieces give the same replies, and nothing but a reply is one."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldsend.channels.smtp.auth import Secrets
from coldsend.channels.smtp.reply import LINE_LIMIT, REPLY_LIMIT, Reply, ReplyReader, Unreadable, answer
from coldsend.domain.answers import Phase

NO_SECRETS = Secrets({})


def read(*pieces: bytes) -> list[Reply]:
    reader, found = ReplyReader(), []
    for piece in pieces:
        reader.feed(piece, found)
    assert not reader.pending
    return found


def test_single_and_multi_line_replies_are_read() -> None:
    assert read(b"250 OK\r\n250-a\r\n250-b\r\n250 c\r\n354\r\n220-\r\n220\r\n") == [
        Reply(250, b"OK"),
        Reply(250, b"a\nb\nc"),
        Reply(354, b""),
        Reply(220, b"\n"),
    ]


def test_a_line_that_ends_in_a_bare_line_feed_is_understood() -> None:
    assert read(b"250 OK\n") == [Reply(250, b"OK")]


replies = st.lists(
    st.tuples(
        st.integers(200, 599),
        st.lists(
            st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"").rstrip(b"\r")), min_size=1, max_size=4
        ),
    ),
    max_size=5,
)


@given(replies, st.data())
def test_the_pieces_a_stream_arrives_in_make_no_difference(
    wanted: list[tuple[int, list[bytes]]], data: st.DataObject
) -> None:
    stream = b"".join(
        b"%d%s%s\r\n" % (code, b" " if number == len(lines) else b"-", line)
        for code, lines in wanted
        for number, line in enumerate(lines, 1)
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    edges = [0, *cuts, len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(edges)]
    assert read(*pieces) == [Reply(code, b"\n".join(lines)) for code, lines in wanted]


@given(st.binary(max_size=300))
def test_any_bytes_are_replies_or_unreadable(stream: bytes) -> None:
    found: list[Reply] = []
    with suppress(Unreadable):
        ReplyReader().feed(stream, found)
    assert all(200 <= reply.code < 600 for reply in found)


@pytest.mark.parametrize(
    "line", [b"hello", b"", b"25 x", b"2500 x", b"199 x", b"600 x", b"250_x", b"\xb2\xb3\xb4 x", b" 250 x"]
)
def test_what_is_not_a_reply_is_unreadable(line: bytes) -> None:
    with pytest.raises(Unreadable):
        read(line + b"\r\n")


def test_replies_before_the_unreadable_line_are_kept() -> None:
    found: list[Reply] = []
    with pytest.raises(Unreadable):
        ReplyReader().feed(b"250 OK\r\nwhat\r\n", found)
    assert found == [Reply(250, b"OK")]


def test_a_line_or_a_reply_without_end_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        read(b"250 " + b"x" * LINE_LIMIT)
    with pytest.raises(Unreadable):
        read((b"250-" + b"x" * 1000 + b"\r\n") * (REPLY_LIMIT // 1000 + 1))


def test_an_answer_has_its_enhanced_code_apart_and_is_one_printable_line() -> None:
    text = b"5.7.1 no\x1b[31m way\n5.7.1 see \xff http://example.com"
    found = answer(Phase.RCPT, Reply(550, text), NO_SECRETS)
    assert (found.phase, found.code, found.enhanced) == (Phase.RCPT, 550, "5.7.1")
    assert found.text == "no [31m way see \N{REPLACEMENT CHARACTER} http://example.com"


@pytest.mark.parametrize("text", [b"5.7.1no", b"5.7 no", b"1.2.3 no", b"5.7.1.2 no", b"no 5.7.1"])
def test_what_only_looks_like_an_enhanced_code_stays_in_the_text(text: bytes) -> None:
    found = answer(Phase.RCPT, Reply(550, text), NO_SECRETS)
    assert (found.enhanced, found.text) == ("", text.decode())
