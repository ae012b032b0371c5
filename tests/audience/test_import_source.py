"""Reading CSV files of any kind: encodings, delimiters, broken records."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldsend.audience import csv_source
from coldsend.audience.csv_columns import EMAIL_HEADERS
from coldsend.audience.csv_detect import SAMPLE_BYTES, delimiter_of, encoding_of
from coldsend.audience.csv_source import CsvSource, Record
from coldsend.errors import ColdsendError, InvalidInput, NotFound, UsageError


def records(content: bytes, **options: str) -> list[Record]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "in.csv"
        file.write_bytes(content)
        with CsvSource(str(file), knows=EMAIL_HEADERS, **options) as source:
            return list(source.records())


def cells(content: bytes, **options: str) -> list[list[str]]:
    return [record.cells for record in records(content, **options)]


NAMES = "email,nickname\na@x.com,{0}\nb@x.com,{0}\nc@x.com,{0}\n"


@pytest.mark.parametrize(
    ("text", "codec", "found"),
    [
        (NAMES.format("José"), "utf-8", "utf-8"),
        (NAMES.format("José"), "utf-8-sig", "utf-8-sig"),
        (NAMES.format("José"), "utf-16", "utf-16"),
        (NAMES.format("Bob"), "utf-16-le", "utf-16-le"),
        (NAMES.format("Bob"), "utf-16-be", "utf-16-be"),
        (NAMES.format("José"), "utf-32", "utf-32"),
        (NAMES.format("Jürgen Müller"), "cp1252", "cp1252"),
        (NAMES.format("François d’Été"), "cp1252", "cp1252"),
        (NAMES.format("Иван Петров"), "cp1251", "cp1251"),
        (NAMES.format("张伟 北京"), "gb18030", "gb18030"),
        (NAMES.format("田中太郎 東京"), "cp932", "cp932"),
    ],
)
def test_encodings_are_recognised(text: str, codec: str, found: str) -> None:
    content = text.encode(codec)
    assert encoding_of(content)[0] == found
    expected = list(csv.reader(text.splitlines()))
    assert cells(content) == expected


def test_a_guessed_encoding_is_called_a_guess() -> None:
    assert encoding_of(NAMES.format("Müller").encode("cp1252")) == ("cp1252", True)
    assert encoding_of(NAMES.format("Müller").encode()) == ("utf-8", False)


@pytest.mark.parametrize("bad", [b"\xff\xfe", b"\xc3(", b"\x80\x81", b"A\xff", b"\xed\xa0\x80"])
def test_a_few_damaged_rows_do_not_change_the_encoding_of_a_file(bad: bytes) -> None:
    content = b"email,nickname\na@x.com,A\nb@x.com," + bad + b"\nc@x.com,C\nd@x.com,D\n"
    assert encoding_of(content) == ("utf-8", False)
    assert [row[0] for row in cells(content)] == ["email", "a@x.com", "b@x.com", "c@x.com", "d@x.com"]


def test_a_character_cut_at_the_end_of_the_sample_does_not_change_the_encoding() -> None:
    rows = b"a@x.com,A\n" * 30_000
    content = rows[: SAMPLE_BYTES - 11] + b"\na@x.com,A" + "É".encode()[:1]
    assert len(content) == SAMPLE_BYTES
    assert encoding_of(content) == ("utf-8", False)


@pytest.mark.parametrize(
    ("line", "delimiter"),
    [
        ("email,first name", ","),
        ("email;first name", ";"),
        ("email\tfirst name", "\t"),
        ("email|first name", "|"),
        ("email", ","),
        ("Name, first;E-Mail;Company", ";"),
        ('"a,b,c,d";email', ";"),
        ("sep=|\nemail|x", "|"),
        ("", ","),
    ],
)
def test_delimiters_are_recognised(line: str, delimiter: str) -> None:
    assert delimiter_of(line, sorted(EMAIL_HEADERS)) == delimiter


def test_the_sep_line_of_excel_is_no_record() -> None:
    assert cells(b"sep=;\nemail;a\nx@y.com;1\n") == [["email", "a"], ["x@y.com", "1"]]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_kind_of_line_end_is_read(end: bytes) -> None:
    content = end.join([b"email,a", b"x@y.com,1", b"", b"z@y.com,2", b""])
    assert [(record.line, record.cells) for record in records(content)] == [
        (1, ["email", "a"]),
        (2, ["x@y.com", "1"]),
        (4, ["z@y.com", "2"]),
    ]


def test_a_carriage_return_within_a_line_breaks_only_that_record() -> None:
    found = records(b"email,a\nx@y.com\rBcc: z@y.com,1\nz@y.com,2\n")
    assert [(record.line, bool(record.problem)) for record in found] == [(1, False), (2, True), (3, False)]


def test_a_quoted_cell_may_run_over_lines_and_lines_are_counted() -> None:
    found = records(b'email,note\na@x.com,"one\ntwo\nthree"\nb@x.com,"x ""y"" z"\n')
    assert found == [
        (1, ["email", "note"], ""),
        (2, ["a@x.com", "one\ntwo\nthree"], ""),
        (5, ["b@x.com", 'x "y" z'], ""),
    ]


@pytest.mark.parametrize(
    "line",
    [
        b'"a@x.com,unclosed',
        b'"a@x.com"x,text after the quote',
        b'a@x.com,"unclosed',
        b"a@x.com," + b"x" * (csv_source.LINE_LIMIT + 10),
        b"a@x.com," + b"x" * (csv.field_size_limit() + 10),
        b'a@x.com,"' + b"x" * 10_000_000 + b'"',
    ],
)
def test_a_broken_record_costs_one_line_and_never_the_rest(line: bytes) -> None:
    good = b"".join(b"u%d@x.com,%d\n" % (number, number) for number in range(500))
    found = records(b"email,a\n" + good + line + b"\n" + good)
    assert [record.line for record in found if record.problem] == [502]
    assert len(found) == 1 + 500 + 1 + 500
    assert all(len(record.cells[0]) <= 200_000 for record in found)


def test_an_open_quote_at_the_very_end_is_one_broken_record() -> None:
    found = records(b'email,a\nx@y.com,1\n"z@y.com,2\nq@y.com,3\n')
    assert [(record.line, bool(record.problem)) for record in found] == [
        (1, False),
        (2, False),
        (3, True),
        (4, False),
    ]


def test_an_oversized_line_after_an_open_quote_is_a_record_of_its_own() -> None:
    long = b"y" * (csv_source.LINE_LIMIT * 2 + 5)
    found = records(b'email,a\n"x@y.com,1\n' + long + b"\nz@y.com,2\n")
    assert [(record.line, bool(record.problem)) for record in found] == [
        (1, False),
        (2, True),
        (3, True),
        (4, False),
    ]


def test_undecodable_bytes_stay_in_their_row() -> None:
    found = cells(b"email,a\nx@y.com,\xff\nz@y.com,\xc3\xbc\nq@y.com,\xc3\xa4\n")
    assert found == [["email", "a"], ["x@y.com", "\udcff"], ["z@y.com", "ü"], ["q@y.com", "ä"]]


def test_a_file_that_cannot_be_had_is_a_clear_error(tmp_path: Path) -> None:
    def opened(path: Path, **options: str) -> CsvSource:
        return CsvSource(str(path), knows=EMAIL_HEADERS, **options)

    with pytest.raises(NotFound, match="does not exist"):
        opened(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="cannot be read"):
        opened(tmp_path)
    file = tmp_path / "empty.csv"
    file.write_bytes(b"")
    with pytest.raises(InvalidInput, match="is empty"):
        opened(file)
    file.write_bytes(b"email\n")
    for encoding in ("klingon", "hex", "idna", "undefined"):
        with pytest.raises(UsageError, match=encoding):
            opened(file, encoding=encoding)
    for delimiter in ("ab", "x", '"', "\n"):
        with pytest.raises(UsageError, match="delimiter"):
            opened(file, delimiter=delimiter)


@pytest.mark.slow
@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(
            st.sampled_from(
                [b'"', b'""', b",", b";", b"\n", b"\r", b"\r\n", b"\x00", b"\xff", b"a", b"@", b"\xfe"]
            ),
            max_size=60,
        ).map(b"".join),
    )
)
@settings(max_examples=600, deadline=None)
def test_any_bytes_give_records_whose_lines_ascend(content: bytes) -> None:
    try:
        found = records(content)
    except ColdsendError:
        assert not content
        return
    lines = [record.line for record in found]
    assert lines == sorted(set(lines))


@pytest.mark.slow
@given(
    st.lists(
        st.lists(st.text("ab\"',;\n é", max_size=6), min_size=2, max_size=2).filter(
            lambda row: any("".join(row).split())
        ),
        max_size=8,
    )
)
@settings(max_examples=300, deadline=None)
def test_well_formed_records_are_all_read(rows: list[list[str]]) -> None:
    # Leading spaces of a cell are skipped, which import does to all cells anyway.
    text = "\n".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows)
    assert cells(b"email,a\n" + text.encode(), encoding="utf-8", delimiter=",") == [["email", "a"], *rows]
