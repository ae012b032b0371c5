"""On which line of a TOML document each key stands; ``tomllib`` does not tell. And what it says is wrong.

A scan of a document that ``tomllib`` has read: it only has to find where keys and values end. Quoted and
dotted names come out as ``tomllib`` sees them, keys of inline tables too. Tables in an array ([[x]], or
inline tables in a list) have no index in their path: the first of them is the one that is found.
"""

from __future__ import annotations

import re
import tomllib

Path = tuple[str, ...]

_SPACE = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*+")
_NAME = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_STRING = re.compile(
    r'''"""(?:[^"\\]++|\\.|"(?!""))*+""""{0,2}'''
    r"""|\'\'\'(?:[^']++|'(?!''))*+\'\'\''{0,2}"""
    r"""|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'""",
    re.DOTALL,
)
_PLAIN = re.compile(r"\d{4}-\d\d-\d\d \d[^\s,\]}#]*|[^\s,\]}#]+")  # also a date with a space before the time
_AT = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)$")


def lines_of(text: str) -> dict[Path, int]:
    """Line numbers, from 1, of tables and keys by their full path; the first one where a path repeats.

    text: a document that ``tomllib`` accepts.
    """
    scan = _Scan(text)
    scan.document()
    return scan.found


def syntax_error(text: str, error: ValueError) -> tuple[int | None, str]:
    """The line and the words of an error of ``tomllib``: "Invalid value (at line 3, column 5)"."""
    message = str(error)
    at = _AT.search(message)
    if at is None:
        return None, "a value cannot be read"
    return int(at.group(1) or len(text.splitlines())), message[: at.start()]


class _Scan:
    """One pass over a document. Methods take a position and return the one behind what they read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.found: dict[Path, int] = {}
        self._counted = (0, 1)  # a position, and its line

    def document(self) -> None:
        table: Path = ()
        at = self._space(0)
        while at < len(self.text):
            if self.text[at] == "[":
                brackets = 2 if self.text.startswith("[[", at) else 1
                table, end = self._names(at + brackets)
                self._note(table, at)
                at = self._space(end) + brackets
            else:
                at = self._pair(at, table)
            at = self._space(at)

    def _pair(self, at: int, table: Path) -> int:
        names, end = self._names(at)
        path = (*table, *names)
        self._note(path, at)
        return self._value(self._space(end) + 1, path)

    def _names(self, at: int) -> tuple[Path, int]:
        """A name or several with dots between them."""
        names: list[str] = []
        while match := _NAME.match(self.text, self._space(at)):
            written = match[0]
            names.append(next(iter(tomllib.loads(f"{written} = 0"))) if written[0] in "\"'" else written)
            after = self._space(match.end())
            if not self.text.startswith(".", after):
                return tuple(names), match.end()
            at = after + 1
        return tuple(names), at

    def _value(self, at: int, path: Path) -> int:
        at = self._space(at)
        opened = self.text[at]
        if opened in "[{":
            return self._inside(at + 1, path, "]" if opened == "[" else "}")
        match = _STRING.match(self.text, at) or _PLAIN.match(self.text, at)
        return match.end() if match else len(self.text)

    def _inside(self, at: int, path: Path, closing: str) -> int:
        """What stands in an array or an inline table, and its end."""
        while (at := self._space(at)) < len(self.text):
            if self.text[at] == closing:
                return at + 1
            if self.text[at] == ",":
                at += 1
            else:
                at = self._value(at, path) if closing == "]" else self._pair(at, path)
        return at

    def _space(self, at: int) -> int:
        match = _SPACE.match(self.text, at)
        return match.end() if match else at

    def _note(self, path: Path, at: int) -> None:
        counted, line = self._counted
        line += self.text.count("\n", counted, at)
        self._counted = (at, line)
        self.found.setdefault(path, line)
