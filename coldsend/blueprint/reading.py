"""From the text of a file to what it describes, and everything that is wrong with the text itself.

    [services.NAME]  [variables.KEY]  [templates.NAME]  [template_sets.NAME]
    [campaigns.NAME]  [campaigns.NAME.tasks.NAME]

What a key may hold is said by ``keys``; whether it fits the database is found out by ``applying``.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coldsend.blueprint import toml_text
from coldsend.blueprint.keys import Key, by_name
from coldsend.blueprint.kind import Entry, Kind
from coldsend.blueprint.kinds import CAMPAIGNS, KINDS, TASKS
from coldsend.blueprint.mistakes import Mistake
from coldsend.config.toml_lines import lines_of, syntax_error
from coldsend.errors import ColdsendError


@dataclass(slots=True)
class Document:
    """A file as it was understood. name: as messages call it."""

    name: str
    entries: list[Entry] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)


def read(text: str, name: str, folder: Path) -> Document:
    """What ``text`` describes. folder: where the files lie that it names."""
    document = Document(name)
    text = text.removeprefix("\ufeff")
    try:
        _read(text, document, folder)
    except RecursionError:
        document.mistakes.append(Mistake(0, "", "is nested too deeply"))
    return document


def _read(text: str, document: Document, folder: Path) -> None:
    try:
        found = tomllib.loads(text)
    except ValueError as error:
        line, message = syntax_error(text, error)
        document.mistakes.append(Mistake(line or 0, "", f"is not TOML: {message}"))
    else:
        Reading(document, lines_of(text), folder).sections(found)


class Reading:
    """Turns what TOML holds into entries, and notes what is wrong. lines: by path, of what has one."""

    def __init__(self, document: Document, lines: Mapping[tuple[str, ...], int], folder: Path) -> None:
        self.document = document
        self.lines = lines
        self.folder = folder

    def sections(self, found: Mapping[str, Any]) -> None:
        kinds = {kind.section: kind for kind in KINDS if kind is not TASKS}
        for name, things in found.items():
            if name not in kinds:
                advice = "" if name != TASKS.section else "[campaigns.CAMPAIGN.tasks.NAME]"
                self._strange((name,), kinds, advice)
            else:
                self._things(kinds[name], (name,), things, ())
        for kind in KINDS:
            mine = [entry for entry in self.document.entries if entry.kind is kind]
            for entry, target, message in kind.problems_together(mine):
                self._wrong(entry, Mistake(*entry.place(target), message))

    def _things(self, kind: Kind, path: tuple[str, ...], things: Any, within: tuple[str, ...]) -> None:
        if not isinstance(things, Mapping):
            self._mistake(path, f"must be sections: [{'.'.join(path)}.NAME]")
            return
        for name, values in things.items():
            if isinstance(values, Mapping):
                self._thing(kind, (*path, name), values, (*within, name))
            else:
                message = f"must be a section of its own, with its name: {toml_text.header(*path, 'NAME')}"
                self._mistake((*path, name), message)

    def _thing(
        self, kind: Kind, path: tuple[str, ...], values: Mapping[str, Any], names: tuple[str, ...]
    ) -> None:
        entry = Entry(kind, names, self._line(path), toml_text.header(*path))
        self.document.entries.append(entry)
        try:
            if kind.checked_name(names[-1]) != names[-1]:
                raise ValueError("a name neither begins nor ends with a space")  # noqa: TRY301
        except (ColdsendError, ValueError) as error:
            self._wrong(entry, Mistake.of(entry.line, entry.where, error))
        keys = by_name(kind.keys)
        for name, given in values.items():
            if kind is CAMPAIGNS and name == TASKS.section:
                self._things(TASKS, (*path, name), given, names)
            elif name in keys:
                self._key(entry, keys[name], (*path, name), given)
            else:
                entry.sound = False
                self._strange((*path, name), keys, self._elsewhere(kind, name))
        for target, message in kind.problems(entry.values):
            self._wrong(entry, Mistake(*entry.place(target), message))

    def _key(self, entry: Entry, key: Key, path: tuple[str, ...], given: Any) -> None:
        line, where = self._line(path), f"{entry.where} {key.name}"
        if key.target in entry.lines:
            self._wrong(entry, Mistake(line, where, "is given twice, in the file and as a file of its own"))
            return
        entry.lines[key.target] = line
        try:
            entry.values[key.target] = key.take(given, self.folder)
        except (ColdsendError, ValueError) as error:
            self._wrong(entry, Mistake.of(line, where, error))

    def _strange(self, path: tuple[str, ...], known: Iterable[str], advice: str) -> None:
        """A name that means nothing where it stands."""
        near = difflib.get_close_matches(path[-1], list(known), n=1)
        hint = f"did you mean {near[0]}?" if near else f"did you mean {advice}?" if advice else ""
        what = "there is no such section" if len(path) == 1 else "there is no such key"
        if not hint:
            hint = f"possible: {', '.join(known)}"
        self._mistake(path, what, hint)

    def _elsewhere(self, kind: Kind, name: str) -> str:
        """The section of another kind that has a key of this name."""
        others = [other for other in KINDS if other is not kind and name in by_name(other.keys)]
        return f"{name} of a {others[0].noun}" if others else ""

    def _wrong(self, entry: Entry, mistake: Mistake) -> None:
        entry.sound = False
        self.document.mistakes.append(mistake)

    def _mistake(self, path: tuple[str, ...], message: str, hint: str = "") -> None:
        *tables, name = path
        where = f"{toml_text.header(*tables)} {name}" if tables else f"[{name}]"
        self.document.mistakes.append(Mistake(self._line(path), where, message, hint))

    def _line(self, path: tuple[str, ...]) -> int:
        """Of the path, or of what it stands in: a table that is only implied has no line of its own."""
        if path in self.lines:
            return self.lines[path]
        below = [line for other, line in self.lines.items() if other[: len(path)] == path]
        return min(below, default=0) or (self._line(path[:-1]) if path else 0)
