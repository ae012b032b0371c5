"""The encoded lines of one part of a template, made once; what differs by recipient is put in.

A layout is made for one way through the choices of a part. Lines without anything of the recipient's are
encoded then. So are lines with link tokens: all tokens have the same length and are written as they are, so
that soft line breaks always fall in the same places. Only lines with values are put together for
each message, and broken where they are too long.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from operator import itemgetter

from coldsend.composing import mime
from coldsend.composing.tokens import STRIDE, URL_LENGTH


@dataclass(frozen=True, slots=True)
class Token:
    """A link token, by its number."""

    number: int

    def cut(self, start: int = 0, end: int = URL_LENGTH) -> slice:
        """Where these characters of it stand in the text of all tokens of a message."""
        at = self.number * STRIDE
        return slice(at + start, at + end)


@dataclass(frozen=True, slots=True)
class Value:
    """A value, by its place in the list of a message's values."""

    place: int


Atom = str | Token | Value


class NoLayout(Exception):
    """A part ends with a value: whether that is empty decides where its last line ends."""


class _Weave:
    """Fixed texts with places between them that are filled from a table."""

    def __init__(self, parts: Iterable[str | int]) -> None:
        self._fixed = [""]
        places: list[int] = []
        for part in parts:
            if isinstance(part, str):
                self._fixed[-1] += part
            else:
                places.append(part)
                self._fixed += ["", ""]
        self._pick = itemgetter(*places) if len(places) > 1 else None
        self._only = places[0] if len(places) == 1 else None

    def fill(self, table: list[str]) -> str:
        if self._only is not None:  # the usual case for a line: not worth a list
            return f"{self._fixed[0]}{table[self._only]}{self._fixed[2]}"
        texts = self._fixed.copy()
        if self._pick:
            texts[1::2] = self._pick(table)
        return "".join(texts)


class Layout:
    """One part, for one way through its choices. ``transfer``: its encoding; "" is none (a subject)."""

    def __init__(self, atoms: Sequence[Atom], transfer: str, size: int) -> None:
        """size: how many values :meth:`fill` gets. NoLayout where lines cannot be told beforehand."""
        self.values = frozenset(atom.place for atom in atoms if isinstance(atom, Value))
        self._base64 = transfer == mime.BASE64
        self._size = size
        self._cuts: list[slice] = []
        self._lines: list[tuple[_Weave, bool]] = []
        if transfer == mime.QUOTED_PRINTABLE:
            self._whole = self._quoted(_with_final_break(atoms))
        else:
            found = _with_final_break(atoms) if transfer else atoms
            self._whole = _Weave([self._part(atom) for atom in found])

    def fill(self, tokens: str, values: list[str]) -> str:
        """The encoded part. tokens: all of this message, ``STRIDE`` apart. values: encoded, without LF."""
        table = [*values, *[tokens[cut] for cut in self._cuts]]
        for weave, loose in self._lines:
            line = weave.fill(table)
            table.append(mime.line(line) if loose or len(line) > mime.LINE else line)
        whole = self._whole.fill(table)
        return mime.base64(whole) if self._base64 else whole

    def _part(self, atom: Atom) -> str | int:
        """An atom that nothing can break into pieces."""
        if isinstance(atom, Token):
            return self._cut(atom.cut())
        return atom.place if isinstance(atom, Value) else atom

    def _cut(self, cut: slice) -> int:
        self._cuts.append(cut)
        return self._size + len(self._cuts) - 1

    def _quoted(self, atoms: Sequence[Atom]) -> _Weave:
        parts: list[str | int | None] = []
        for line in _lines(atoms):
            if any(isinstance(atom, Value) for atom in line):
                self._lines.append(self._line(line))
                parts.append(None)
            else:
                parts.extend(self._settled(line))
            parts.append("\r\n")
        # The lines stand behind values and tokens in the table: now it is known how many those are.
        numbers = count(self._size + len(self._cuts))
        return _Weave([next(numbers) if part is None else part for part in parts])

    def _line(self, line: list[Atom]) -> tuple[_Weave, bool]:
        """A line with values, and whether these decide what its first or last character is."""
        parts = [mime.quoted(atom) if isinstance(atom, str) else self._part(atom) for atom in line]
        first, last = parts[0], parts[-1]
        begins = isinstance(first, str) and first != ""
        ends = isinstance(last, str) and last.strip(" \t") != ""
        if isinstance(first, str):
            parts[0] = mime.begun(first)
        if ends and isinstance(last, str):
            parts[-1] = mime.ended(last)
        return _Weave(parts), not (begins and ends)

    def _settled(self, line: Sequence[Atom]) -> Iterable[str | int]:
        """A line of text and tokens, encoded, with the characters of each token as places."""
        tokens = [atom for atom in line if isinstance(atom, Token)]
        # Where two tokens that have no letter in common come out different, there the token stands.
        one, other = (
            mime.line(mime.quoted("".join(atom if isinstance(atom, str) else letter for atom in line)))
            for letter in ("A" * URL_LENGTH, "B" * URL_LENGTH)
        )
        parts: list[str | int] = []
        seen, at = 0, 0
        while at < len(one):
            end = at
            while end < len(one) and (one[end] == other[end]) == (one[at] == other[at]):
                end += 1
            if one[at] == other[at]:
                parts.append(one[at:end])
            else:
                for number, start, stop in _shares(seen, seen + end - at):
                    parts.append(self._cut(tokens[number].cut(start, stop)))
                seen += end - at
            at = end
        return parts


def _shares(start: int, stop: int) -> Iterable[tuple[int, int, int]]:
    """Characters ``start`` to ``stop`` of a line's tokens, by token: its number, and from where to where."""
    while start < stop:
        number, at = divmod(start, URL_LENGTH)
        end = min(URL_LENGTH, at + stop - start)
        yield number, at, end
        start += end - at


def _with_final_break(atoms: Sequence[Atom]) -> list[Atom]:
    """A part ends with a line end: it gets one where it has none."""
    last = next((atom for atom in reversed(atoms) if atom), "")
    if isinstance(last, Value):
        raise NoLayout
    ended = isinstance(last, str) and last.endswith("\n")
    return [*atoms, *([] if ended else ["\n"])]


def _lines(atoms: Sequence[Atom]) -> list[list[Atom]]:
    """The lines of a part, all of them ended by LF, without it."""
    lines: list[list[Atom]] = [[]]
    for atom in atoms:
        if isinstance(atom, str):
            first, *others = atom.split("\n")
            lines[-1].append(first)
            lines += [[other] for other in others]
        else:
            lines[-1].append(atom)
    return lines[:-1]
