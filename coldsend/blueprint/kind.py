"""What a file can describe: one subclass for each kind of thing, each in a module of its own.

A *portrait* is what the database says of a thing in the words of a file: target of each key -> value. Apply
compares it with what the file gives, export writes it down; both see the same, so that one undoes the other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy.engine import Connection, RowMapping

from coldsend.blueprint.keys import Key
from coldsend.config.secrets import KeyRing
from coldsend.config.settings import Settings
from coldsend.domain.access import Actor
from coldsend.domain.finding import Finding

Portrait = dict[str, Any]
Names = tuple[str, ...]  # ("main",); of a task ("spring", "intro")
Reference = tuple[str, Names]  # section and names: what another thing is called in a file


@dataclass(frozen=True, slots=True)
class Stage:
    """What a kind works with, in one transaction.

    keys: called where something is to be sealed or opened. environ: passwords are read from it. declared:
    everything the file describes, whether it exists yet or not.
    """

    connection: Connection
    actor: Actor
    settings: Settings
    keys: Callable[[], KeyRing]
    environ: Mapping[str, str]
    now: datetime
    declared: frozenset[Reference] = frozenset()


@dataclass(slots=True)
class Entry:
    """One thing of a file. values: by target of their keys; lines: by target, of those that have one."""

    kind: Kind
    names: Names
    line: int
    where: str  # "[services.main]"
    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    sound: bool = True

    @property
    def reference(self) -> Reference:
        return self.kind.section, self.names

    @property
    def name(self) -> str:
        return "/".join(self.names)

    def place(self, target: str) -> tuple[int, str]:
        """Line and words for a key, or for the whole section where the key is not there."""
        given = target in self.lines
        return self.lines.get(target, self.line), f"{self.where} {target}" if given else self.where


@dataclass(frozen=True, slots=True)
class Settled:
    """What else is to be told of something that was created or changed. fields: target -> (before, after), of
    what no portrait shows."""

    notes: tuple[str, ...] = ()
    warnings: tuple[Finding, ...] = ()
    fields: Mapping[str, tuple[str, str]] = field(default_factory=dict)


class Kind(ABC):
    """One kind of thing. noun: "template set"; section: "template_sets"; keys: in the order of export."""

    noun: ClassVar[str]
    section: ClassVar[str]
    keys: ClassVar[tuple[Key, ...]]

    @abstractmethod
    def checked_name(self, name: str) -> str:
        """A name as it is stored, or InvalidInput."""

    def problems(self, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Target and words for what is wrong with values that are each sound, whatever the database says."""
        return iter(())

    def problems_together(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, str, str]]:
        """Entry, target and words for what is wrong with several entries of a file together."""
        return iter(())

    def in_order(self, entries: Sequence[Entry]) -> list[Entry]:
        """Entries of this kind as they can be made one after another."""
        return list(entries)

    def needs(self, entry: Entry) -> Iterator[tuple[str, Reference]]:
        """Target and reference of what else there must be before anything can be said of this."""
        return iter(())

    def may_need(self, entry: Entry, broken: Reference) -> bool:
        """Whether what would be said of this could be for want of something that is broken itself."""
        return any(reference == broken for _, reference in self.needs(entry))

    def wanted(self, stage: Stage, entry: Entry) -> Portrait:
        """What the file gives, as a portrait would show it."""
        return entry.values

    @abstractmethod
    def find(self, stage: Stage, names: Names) -> RowMapping | None:
        """The thing of this name, None where there is none; NotAllowed where the actor may not use it."""

    @abstractmethod
    def portrait(self, stage: Stage, row: RowMapping) -> Portrait:
        """What the database says of it."""

    @abstractmethod
    def create(self, stage: Stage, entry: Entry) -> Settled:
        """Make it, with all checks of the command that does."""

    @abstractmethod
    def change(self, stage: Stage, row: RowMapping, entry: Entry, values: Portrait) -> Settled:
        """Change what ``values`` say and nothing else, with all checks of the commands that do."""

    @abstractmethod
    def all(self, stage: Stage) -> list[tuple[Names, RowMapping]]:
        """Everything of this kind that the actor may see, in the order of an export."""

    def remarks(self, stage: Stage, row: RowMapping, entry: Entry) -> Iterator[Finding]:
        """What is worth knowing before a thing that there is becomes what the file says."""
        return iter(())

    def differing(self, stage: Stage, row: RowMapping, entry: Entry) -> Portrait:
        """What of the file's values is not so yet."""
        current = self.portrait(stage, row)
        wanted = self.wanted(stage, entry)
        return {target: value for target, value in wanted.items() if current.get(target) != value}

    def missing(self, values: Mapping[str, Any]) -> list[str]:
        """Names of the keys without which it cannot be created."""
        return [key.name for key in self.keys if key.required and values.get(key.target) is None]
