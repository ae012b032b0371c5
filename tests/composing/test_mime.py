"""Transfer encodings: a text decodes to itself, whole or encoded in pieces."""

from __future__ import annotations

import base64
import binascii
import quopri

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coldsend.composing import mime

pytestmark = pytest.mark.costly

ANY_CHARACTER = st.characters(codec="utf-8", exclude_characters="\r\n")
LINE = st.text(st.sampled_from("ab =.\t-é中😀\x00") | ANY_CHARACTER, max_size=90)
LINES = st.lists(LINE, max_size=6).map(lambda lines: "".join(line + "\n" for line in lines))


def crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


@given(LINES)
@example("trailing space \n")
@example(".\n")
@example("x" * 75 + "\n")
@example("x" * 76 + "\n")
@example("x" * 77 + " \n")
@example("x" * 74 + " \n")
@example("x" * 73 + "é\t\n")
@example("=" * 40 + "\n")
@example("." * 200 + "\n")
@example("x" * 75 + "." * 9 + "\n")
@example("\r\n")
def test_quoted_printable_decodes_to_itself(text: str) -> None:
    encoded = mime.quoted_printable(text).encode("ascii")
    assert quopri.decodestring(encoded) == crlf(text)
    assert_lines_are_sound(encoded)


@given(LINES)
def test_base64_decodes_to_itself(text: str) -> None:
    encoded = mime.base64(text).encode("ascii")
    assert base64.b64decode(encoded) == crlf(text)
    assert_lines_are_sound(encoded)


def assert_lines_are_sound(encoded: bytes) -> None:
    assert b"\n" not in encoded.replace(b"\r\n", b"")
    assert b"\r" not in encoded.replace(b"\r\n", b"")
    lines = encoded.split(b"\r\n")
    assert all(len(line) <= 76 for line in lines)
    assert not any(line.endswith((b" ", b"\t")) for line in lines)
    assert not any(line.startswith(b".") for line in lines)


@given(st.lists(LINE, max_size=6))
def test_a_line_quoted_piece_by_piece_is_the_line_quoted_whole(pieces: list[str]) -> None:
    by_piece = mime.line("".join(mime.quoted(piece) for piece in pieces))
    whole = "".join(pieces)
    assert (
        quopri.decodestring(by_piece) == quopri.decodestring(mime.line(mime.quoted(whole))) == whole.encode()
    )
    assert_lines_are_sound(by_piece.encode("ascii"))


@given(LINES)
def test_quoted_printable_is_as_short_as_that_of_the_standard_library(text: str) -> None:
    # But for dots at the beginning of a line, and white space at the end of one that it makes too long.
    theirs = binascii.b2a_qp(crlf(text), istext=True)
    assert len(mime.quoted_printable(text)) <= len(theirs) + 5 * theirs.count(b"\r\n")


def test_the_shorter_encoding_is_taken() -> None:
    assert mime.shorter("plain words with a few é in them " * 20) == mime.QUOTED_PRINTABLE
    assert mime.shorter("关于退货处理的一个问题" * 20) == mime.BASE64
    assert mime.shorter("") == mime.QUOTED_PRINTABLE


@given(st.text(), LINES)
def test_the_boundary_cannot_occur_in_a_body(seed: str, text: str) -> None:
    mark = mime.boundary(seed)
    hostile = f"{text}--{mark}--\n{mark}\n"
    assert mark not in mime.quoted_printable(hostile)
    assert mark not in mime.base64(hostile)
    assert len(mark) <= 70
