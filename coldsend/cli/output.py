"""What commands print: tables for people, one JSON document for scripts, questions before harm.

Data goes to stdout; progress, notes, questions and errors to stderr, so that output can be piped.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from coldsend.domain.finding import Finding
from coldsend.domain.printable import is_printable
from coldsend.errors import ColdsendError, UsageError

# Tables that are piped into another program are not squeezed into a terminal's width.
PIPE_WIDTH = 1000

# Columns of values up to this long (states, names of kinds) are never folded.
SHORT = 12

# The others keep at least the width of a date.
DAY = 10


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let ``main`` see that the reader went away; rich would end the process itself, with code 1."""
        raise BrokenPipeError


class Output:
    """Bound to one run: knows whether a person or a script reads."""

    def __init__(self, *, json: bool, assume_yes: bool) -> None:
        self.json = json
        self.assume_yes = assume_yes
        self.console = _Console(highlight=False, emoji=False, soft_wrap=True)
        self.stderr = _Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)
        if not self.console.is_terminal:
            self.console.width = PIPE_WIDTH

    def data(self, document: Any) -> None:
        """The run's one JSON document; only called where ``json`` is set."""
        print(_as_json(document, sys.stdout, indent=2))  # noqa: T201

    def write(self, document: Any, file: TextIO) -> None:
        """A JSON document into a file."""
        file.write(_as_json(document, file, indent=2) + "\n")

    def stream(self, documents: Iterable[Any]) -> None:
        """Many documents as one JSON array, written as they come: they may be too many to hold."""
        separator = "["
        for document in documents:
            sys.stdout.write(f"{separator}\n{_as_json(document, sys.stdout)}")
            separator = ","
        sys.stdout.write("\n]\n" if separator == "," else "[]\n")

    def plain(self, text: str) -> None:
        """Text as it is, on stdout: help, a key, a file that is exported."""
        print(text)  # noqa: T201

    def raw(self, data: bytes) -> None:
        """Octets as they are, on stdout."""
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def table(
        self,
        rows: Sequence[Mapping[str, Any]],
        columns: Mapping[str, str],
        *,
        empty: str,
        document: Any = None,
    ) -> None:
        """Rows as a table, or as JSON (``document`` if given, else all keys of the rows).

        columns: key -> heading, in order; a heading that ends in "#" is right-aligned.
        empty: the sentence shown instead of an empty table.
        """
        if self.json:
            self.data(list(rows) if document is None else document)
            return
        if not rows:
            self.note(empty)
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        cells = [[_safe(shown(row.get(key))) for key in columns] for row in rows]
        whole = self._kept_whole([[heading.removesuffix("#") for heading in columns.values()], *cells])
        for place, heading in enumerate(columns.values()):
            side: Literal["left", "right"] = "right" if heading.endswith("#") else "left"
            # Folded, not cut off: an address that is shown in part cannot be used.
            named = _safe(heading.removesuffix("#"))
            table.add_column(named, justify=side, no_wrap=place in whole, overflow="fold")
        for line in cells:
            table.add_row(*line)
        self._print(table)

    def _kept_whole(self, lines: Sequence[Sequence[str]]) -> set[int]:
        """Places of the columns never to fold: short ones, where they leave the others some room."""
        widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
        short = {place for place, width in enumerate(widths) if width <= SHORT}
        needed = sum(widths[place] + 2 for place in short) + (DAY + 2) * (len(widths) - len(short))
        return short if needed <= self.console.width else set()

    def fields(self, document: Mapping[str, Any], labels: Mapping[str, str] | None = None) -> None:
        """One thing, a line per field, or as JSON."""
        if self.json:
            self.data(document)
            return
        labels = labels or {key: key.replace("_", " ") for key in document}
        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for key, label in labels.items():
            table.add_row(label, _safe(shown(document.get(key))))
        self._print(table)

    def _print(self, table: Table) -> None:
        """A table; piped, without the spaces that fill up its last column."""
        if self.console.is_terminal:
            self.console.print(table)
            return
        with self.console.capture() as captured:
            self.console.print(table)
        self.plain("\n".join(line.rstrip() for line in captured.get().splitlines()))

    def done(self, sentence: str, document: Any) -> None:
        """The result of a command that changed something: a sentence, or ``document`` as JSON."""
        if self.json:
            self.data(document)
        else:
            self.console.print(_safe(sentence))

    def note(self, sentence: str) -> None:
        """Something worth knowing that is not the result."""
        self.stderr.print(_safe(sentence))

    def warn(self, sentence: str) -> None:
        self.stderr.print(f"[yellow]warning:[/] {_safe(sentence)}")

    def finding(self, finding: Finding) -> None:
        """A finding of a check, as a part of the result: it goes to stdout."""
        color = "red" if finding.severity == "error" else "yellow"
        self.console.print(
            f"[{color}]{finding.severity}:[/] {_safe(f'{finding.subject}: {finding.message}')}"
        )
        if finding.hint:
            self.console.print(f"  {_safe(finding.hint)}")

    def error(self, error: ColdsendError) -> None:
        if self.json:
            print(_as_json(error.as_json(), sys.stderr), file=sys.stderr)  # noqa: T201
            return
        self.stderr.print(f"[red]error:[/] {_safe(error.message)}")
        if error.hint:
            self.stderr.print(f"  {_safe(error.hint)}")

    def confirm(self, question: str) -> None:
        """Ask before something that cannot be undone; UsageError where nobody can answer."""
        if self.assume_yes:
            return
        if not sys.stdin.isatty():
            raise UsageError(f"{question} Not answered.", hint="add --yes to go ahead without being asked")
        self.stderr.print(f"{_safe(question)} [y/N] ", end="")
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise UsageError("nothing was done: the answer was not yes")

    @contextmanager
    def progress(self, label: str, total: float | None) -> Iterator[Any]:
        """A progress bar on a terminal, nothing elsewhere. Yields ``advance(done_so_far)``."""
        if self.json or not self.stderr.is_terminal:
            yield lambda _done: None
            return
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self.stderr, transient=True) as bar:
            task = bar.add_task(label, total=total)
            yield lambda done: bar.update(task, completed=done)


def shown(value: Any) -> str:
    """A value as people read it: times in UTC to the second, nothing for None, yes or no."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(shown(item) for item in value)
    return str(value)


def _safe(text: str) -> str:
    """Text from outside, fit for a terminal: no markup of rich's, no escape sequences, line breaks kept."""
    if not text.isprintable():
        text = "".join(c if _harmless(c) else _visible(c) for c in text)
    return escape(text)


def _harmless(character: str) -> bool:
    return character in "\n\t" or is_printable(character)


def _visible(character: str) -> str:
    return character.encode("unicode_escape").decode()


def _as_json(document: Any, stream: TextIO, indent: int | None = None) -> str:
    any_letter = (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"
    return json.dumps(document, ensure_ascii=not any_letter, indent=indent, default=_jsonable)


def _jsonable(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"cannot be shown as JSON: {type(value)}")
