"""Read a CSV file record by record, in bounded memory, whatever is in it.

A record that cannot be read (an open quote, a line of megabytes) comes out as a rejected record, and reading
goes on with the line after the one it began on; it never swallows the rest of the file. Line numbers are
those of the physical line a record begins on, from 1.
"""

from __future__ import annotations

import codecs
import csv
import io
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TextIO

from coldsend.audience import csv_detect
from coldsend.errors import InvalidInput, NotFound, UsageError

LINE_LIMIT = 256 * 1024  # characters
LINES_IN_RECORD = 200  # a quoted cell that runs on for longer is an open quote

STDIN = "-"


class Record(NamedTuple):
    """One record. problem: why it cannot be used, "" for good ones; cells are then the raw line."""

    line: int
    cells: list[str]
    problem: str = ""


class CsvSource:
    """An open CSV file; use as a context manager.

    name: for messages. encoding, delimiter: as found or as told; is_guess: the encoding is neither told nor
    evident. size: in bytes, None where it cannot be known.
    """

    def __init__(
        self, file: str, *, encoding: str | None = None, delimiter: str | None = None, knows: frozenset[str]
    ) -> None:
        self.name = "standard input" if file == STDIN else file
        if delimiter is not None and (len(delimiter) != 1 or delimiter.isalnum() or delimiter in '"\r\n'):
            raise UsageError(
                f"{delimiter!r} cannot be a delimiter", hint="give one character: --delimiter ';'"
            )
        self._file = _opened(file)
        self.size = None if file == STDIN else Path(file).stat().st_size
        try:
            self._set_up(encoding, delimiter, knows)
        except BaseException:
            self.__exit__()
            raise

    def _set_up(self, encoding: str | None, delimiter: str | None, knows: frozenset[str]) -> None:
        sample = self._read_sample()
        if not sample:
            raise InvalidInput(f"{self.name} is empty", hint="nothing was changed")
        self.encoding, self.is_guess = (encoding, False) if encoding else csv_detect.encoding_of(sample)
        self._counted = _Counted(sample, self._file)
        beginning = _decoded(sample, self.encoding)
        self._lines = _Lines(self._text(csv_detect.line_end_of(beginning)))
        self.delimiter = delimiter or csv_detect.delimiter_of(beginning, sorted(knows))

    def _read_sample(self) -> bytes:
        try:
            return self._file.read(csv_detect.SAMPLE_BYTES)
        except OSError as error:
            raise UsageError(f"{self.name} cannot be read: {error.strerror}") from error

    def _text(self, line_end: str) -> TextIO:
        codec = codecs.lookup(self.encoding).name
        is_utf8 = codec in {"utf-8", "utf-8-sig"}
        # Undecodable bytes stay recognisable, so that only their rows are rejected.
        return io.TextIOWrapper(
            io.BufferedReader(self._counted, 128 * 1024),
            "utf-8-sig" if is_utf8 else codec,
            errors="surrogateescape" if is_utf8 else "replace",
            newline=line_end,
        )

    def __enter__(self) -> CsvSource:
        return self

    def __exit__(self, *_: object) -> None:
        if self.size is not None:  # standard input is not ours to close
            self._file.close()

    @property
    def bytes_read(self) -> int:
        return self._counted.count

    def records(self) -> Iterator[Record]:
        """All records but blank lines and Excel's ``sep=;``; the first one usually names the columns."""
        lines = self._lines
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True, skipinitialspace=True)
        while True:
            lines.begin_record()
            line = lines.number + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield Record(line, [lines.give_back().rstrip("\r\n")], _explained(str(error)))
                continue
            except UnicodeError as error:
                raise InvalidInput(
                    f"{self.name} cannot be read as {self.encoding} beyond line {lines.number}: {error}",
                    hint="name its encoding: --encoding utf-8",
                ) from error
            if len(cells) <= 1 and not "".join(cells).strip():
                continue
            if line == 1 and len(cells) <= 2 and cells[0].lower().startswith("sep="):
                continue
            yield Record(line, cells)


class _Oversized(str):
    """The beginning of a line that is too long to be read."""


class _Lines:
    """The lines of a text for ``csv.reader``; those of the record in progress can be given back."""

    def __init__(self, text: TextIO) -> None:
        self._read = text.readline
        self._again: deque[str] = deque()
        self._held: list[str] = []
        self.number = 0

    def __iter__(self) -> _Lines:
        return self

    def begin_record(self) -> None:
        self._held = []

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._fresh()
        self.number += 1
        held = self._held
        held.append(line)
        if type(line) is _Oversized:
            raise csv.Error("oversized line")
        if len(held) > LINES_IN_RECORD:
            raise csv.Error("open quote")
        return line

    def _fresh(self) -> str:
        line = self._read(LINE_LIMIT)
        if len(line) < LINE_LIMIT:
            if not line:
                raise StopIteration
            return line
        start = line[:1000]
        while len(line) == LINE_LIMIT and line[-1] not in "\r\n":
            line = self._read(LINE_LIMIT)
        return _Oversized(start)

    def give_back(self) -> str:
        """Un-read all lines of the record in progress but the first, which is returned."""
        first, *rest = self._held
        self._again.extendleft(reversed(rest))
        self.number -= len(rest)
        return first


class _Counted(io.RawIOBase):
    """The sample once more, then the rest of the file; counts what was read."""

    def __init__(self, sample: bytes, file: BinaryIO) -> None:
        self._sample = io.BytesIO(sample)
        self._file = file
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._sample.read(len(buffer)) or self._file.read(len(buffer))
        buffer[: len(data)] = data
        self.count += len(data)
        return len(data)


def _opened(file: str) -> BinaryIO:
    if file == STDIN:
        return getattr(sys.stdin, "buffer", None) or io.BytesIO(sys.stdin.read().encode())
    try:
        return Path(file).open("rb")
    except FileNotFoundError as error:
        raise NotFound(f"the file {file} does not exist") from error
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error


def _decoded(sample: bytes, encoding: str) -> str:
    try:
        return sample.decode(encoding, "replace")
    except (LookupError, UnicodeError, ValueError) as error:
        raise UsageError(
            f"{encoding!r} is not a text encoding that is known here",
            hint="for example: --encoding cp1252, --encoding gb18030",
        ) from error


def _explained(error: str) -> str:
    if "oversized" in error:
        return f"the line has more than {LINE_LIMIT} characters"
    if "field limit" in error:
        return f"a cell has more than {csv.field_size_limit()} characters"
    if "open quote" in error or "end of data" in error:
        return "a quote is opened and not closed"
    if "expected after" in error:
        return "there is text after a closing quote: quotes within a cell must be doubled"
    if "new-line character" in error:
        return "there is a carriage return in the middle of the line"
    return f"it cannot be read: {error}"
