"""A template's HTML with its Jinja parts taken out, so that it can be read and changed as HTML.

Every ``{{ .. }}``, ``{% .. %}``, ``{# .. #}`` and raw block becomes a marker: U+E000, its number, U+E001
(private use; a template may not contain them). What stands around the markers can be changed, and
:meth:`Skeleton.restore` puts the Jinja parts back.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from html.parser import HTMLParser

from jinja2 import TemplateSyntaxError

from coldsend.composing.language import HTML, Broken, Fault

OPEN, CLOSE = "\ue000", "\ue001"
MARKER = re.compile(f"{OPEN}(\\d+){CLOSE}")
_LINE_END = re.compile(f"\n|{MARKER.pattern}")

MOST_UNCLOSED = 20  # tags and comments

_BEGIN = {"variable_begin", "block_begin", "comment_begin", "raw_begin"}
_END = {"variable_end", "block_end", "comment_end", "raw_end"}


@dataclass(frozen=True)
class Skeleton:
    """``text`` with markers, and the Jinja parts they stand for, in order."""

    text: str
    codes: tuple[str, ...]

    def restore(self, text: str) -> str:
        """``text`` with every marker replaced by what it stands for."""
        return MARKER.sub(lambda found: self.codes[int(found.group(1))], text)

    def codes_in(self, text: str) -> list[str]:
        return [self.codes[int(found.group(1))] for found in MARKER.finditer(text)]

    def line(self, offset: int) -> int:
        """The line of the template as written that ``offset`` of the text stands on."""
        ends, lines = self._line_ends
        passed = bisect_right(ends, offset)
        return 1 + (lines[passed - 1] if passed else 0)

    @cached_property
    def _line_ends(self) -> tuple[list[int], list[int]]:
        """Offsets behind which there are more lines, and how many have ended there: a large template has
        thousands of tags, each of which may be asked for its line."""
        ends: list[int] = []
        lines: list[int] = []
        passed = 0
        for found in _LINE_END.finditer(self.text):
            number = found.group(1)
            passed += 1 if number is None else self.codes[int(number)].count("\n")
            ends.append(found.end())
            lines.append(passed)
        return ends, lines


def skeleton(source: str) -> Skeleton:
    """Take a template apart; Broken where its Jinja syntax does not even split into parts."""
    if OPEN in source or CLOSE in source:
        raise Broken([Fault(1, "the template contains the private-use characters U+E000 or U+E001")])
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    try:
        return _taken_apart(source)
    except TemplateSyntaxError as error:
        raise Broken([Fault(error.lineno, error.message or "syntax error")]) from error


def _taken_apart(source: str) -> Skeleton:
    text: list[str] = []
    codes: list[str] = []
    position = 0
    inside: int | None = None  # where the Jinja part in progress begins
    for _line, token, value in HTML.lexer.tokeniter(source, None):
        # Whitespace control makes the lexer drop spaces: they are found again by looking for what follows.
        start = source.index(value, position)
        if inside is None:
            if token in _BEGIN:
                inside = start
                text.append(source[position:start])
            else:
                text.append(source[position : start + len(value)])
        position = start + len(value)
        if inside is not None and token in _END:
            text.append(f"{OPEN}{len(codes)}{CLOSE}")
            codes.append(source[inside:position])
            inside = None
    text.append(source[position:])
    return Skeleton("".join(text), tuple(codes))


@dataclass(frozen=True, slots=True)
class Start:
    """A start tag. ``raw``: as written; ``at``: its offset in the skeleton's text."""

    tag: str
    attributes: dict[str, str]
    raw: str
    at: int
    closed: bool = False  # written <like this />

    @property
    def end(self) -> int:
        return self.at + len(self.raw)


@dataclass(frozen=True, slots=True)
class End:
    tag: str
    at: int


@dataclass(frozen=True, slots=True)
class Data:
    text: str
    at: int


Piece = Start | End | Data


def pieces(text: str) -> list[Piece]:
    """The tags and texts of a skeleton, in order, character references resolved."""
    reader = _Reader(text)
    reader.feed(text)
    reader.close()
    return reader.found


class _Reader(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[Piece] = []
        self._unclosed = 0
        self._lines = [0, *(found.end() for found in re.finditer("\n", text))]

    # To find that something is not closed takes the parser a look at all that follows, each time anew.

    def parse_starttag(self, i: int) -> int:
        return self._or_the_rest(super().parse_starttag(i), i)

    def parse_endtag(self, i: int) -> int:
        return self._or_the_rest(super().parse_endtag(i), i)

    def parse_comment(self, i: int, report: bool = True) -> int:
        return self._or_the_rest(super().parse_comment(i, report), i)

    def parse_pi(self, i: int) -> int:
        return self._or_the_rest(super().parse_pi(i), i)

    def parse_html_declaration(self, i: int) -> int:
        return self._or_the_rest(super().parse_html_declaration(i), i)

    def _or_the_rest(self, end: int, begin: int) -> int:
        """Where a construct ends, -1 where it is not closed; after many such the rest is text."""
        if end >= 0:
            return end
        self._unclosed += 1
        if self._unclosed <= MOST_UNCLOSED:
            return end
        self.handle_data(self.rawdata[begin:])
        return len(self.rawdata)

    def _at(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._start(tag, attrs, closed=False)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._start(tag, attrs, closed=True)

    def _start(self, tag: str, attrs: list[tuple[str, str | None]], *, closed: bool) -> None:
        attributes = {name: value or "" for name, value in reversed(attrs)}
        self.found.append(Start(tag, attributes, self.get_starttag_text() or "", self._at(), closed))

    def handle_endtag(self, tag: str) -> None:
        self.found.append(End(tag, self._at()))

    def handle_data(self, data: str) -> None:
        self.found.append(Data(data, self._at()))


_ATTRIBUTE = re.compile(
    r"""(?P<space>\s+)(?P<name>[^\s"'<>/=]+)(?:\s*=\s*(?P<value>"[^"]*"|'[^']*'|[^\s>"']+))?"""
)


@dataclass(frozen=True, slots=True)
class Span:
    """An attribute as written in a tag: offsets of the whole (with the space before) and of its value."""

    start: int
    end: int
    value_start: int
    value_end: int


def attribute_spans(raw: str) -> Iterator[tuple[str, Span]]:
    """The attributes of a start tag as written, with where they stand."""
    for found in _ATTRIBUTE.finditer(raw):
        start, end = found.span("value") if found.group("value") is not None else (found.end(), found.end())
        yield found.group("name").lower(), Span(found.start(), found.end(), start, end)
