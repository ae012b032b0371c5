"""Transfer encodings: whatever way a text is cut into chunks, it decodes to itself."""

from __future__ import annotations

import base64
import quopri

from hypothesis import example, given
from hypothesis import strategies as st

from coldsend.composing import mime

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
@example("=" * 40 + "\n")
def test_quoted_printable_decodes_to_itself(text: str) -> None:
    encoded = mime.quoted_printable(text)
    assert quopri.decodestring(encoded) == crlf(text)
    assert_lines_are_sound(encoded)


@given(LINES)
def test_base64_decodes_to_itself(text: str) -> None:
    encoded = mime.base64(text)
    assert base64.b64decode(encoded) == crlf(text)
    assert_lines_are_sound(encoded)


def assert_lines_are_sound(encoded: bytes) -> None:
    assert b"\n" not in encoded.replace(b"\r\n", b"")
    assert b"\r" not in encoded.replace(b"\r\n", b"")
    lines = encoded.split(b"\r\n")
    assert all(len(line) <= 76 for line in lines)
    assert not any(line.endswith((b" ", b"\t")) for line in lines)


@given(
    st.lists(LINES, max_size=5),
    st.lists(st.text(st.sampled_from("xé \n"), max_size=9), max_size=6),
    st.data(),
)
def test_lines_encoded_beforehand_make_no_difference(
    statics: list[str], values: list[str], data: st.DataObject
) -> None:
    long_statics = [f"head{text}{'a line of the template' * 5}\n{text}tail" for text in statics]
    body = mime.Body("html", long_statics)
    chunks = data.draw(st.lists(st.sampled_from([*long_statics, *values, "-"]), max_size=9))
    chunks.append("\n")
    decode = quopri.decodestring if body.transfer == mime.QUOTED_PRINTABLE else base64.b64decode
    encoded = body.encode(chunks)
    assert decode(encoded) == crlf("".join(chunks))
    assert_lines_are_sound(encoded)


def test_the_shorter_encoding_is_taken() -> None:
    assert mime.shorter("plain words with a few é in them " * 20) == mime.QUOTED_PRINTABLE
    assert mime.shorter("关于退货处理的一个问题" * 20) == mime.BASE64
    assert mime.shorter("") == mime.QUOTED_PRINTABLE


@given(st.text(), LINES)
def test_the_boundary_cannot_occur_in_a_body(seed: str, text: str) -> None:
    mark = mime.boundary(seed)
    hostile = f"{text}--{mark}--\n{mark}\n"
    assert mark.encode() not in mime.quoted_printable(hostile)
    assert mark.encode() not in mime.base64(hostile)
    assert len(mark) <= 70
