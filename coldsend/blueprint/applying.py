"""Making the database what a file says: first to see what would change, then for good.

Both run the same work in one transaction, through the use-cases behind the single commands, with all their
checks. To see, the transaction is undone at its end; so a refusal shows before anything is asked. For good,
it is committed only where it made exactly the changes that were shown.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sqlalchemy.exc import IntegrityError

from coldsend.blueprint.keys import Key
from coldsend.blueprint.kind import Entry, Portrait, Reference, Settled, Stage
from coldsend.blueprint.kinds import KINDS
from coldsend.blueprint.mistakes import Mistake, Mistaken
from coldsend.blueprint.reading import Document
from coldsend.channels.enrolment import InvalidForm
from coldsend.config.secrets import KeyRing
from coldsend.config.settings import Settings
from coldsend.database.engine import Connection, Database
from coldsend.domain.access import Actor
from coldsend.domain.finding import Finding
from coldsend.errors import ChangedMeanwhile, ColdsendError, InvalidInput, Unreachable, WrongState


@dataclass(frozen=True, slots=True)
class Difference:
    """A key before and after, as people see them; None: it was not there."""

    key: str
    before: str | None
    after: str


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one thing. kind: ``template_set``; name: ``spring/intro`` for a task."""

    action: Literal["create", "update"]
    kind: str
    name: str
    differences: tuple[Difference, ...]
    notes: tuple[str, ...] = ()

    @property
    def noun(self) -> str:
        return self.kind.replace("_", " ")


@dataclass(slots=True)
class Outcome:
    """What a file changes. unchanged: ("service", "main") of things that are what it says already."""

    changes: list[Change] = field(default_factory=list)
    unchanged: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class World:
    """Where a file is applied, by whom, and with what. keys: called where secrets are sealed or opened."""

    database: Database
    actor: Actor
    settings: Settings
    keys: Callable[[], KeyRing]
    environ: Mapping[str, str]
    now: datetime


class _Undone(Exception):
    """Ends a transaction that was only to show what it would do."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome


def foresee(world: World, document: Document) -> Outcome:
    """What applying the file would change. Mistaken with everything that is wrong with it."""

    def work(connection: Connection) -> Outcome:
        raise _Undone(_settle_all(_stage(world, connection, document), document))

    try:
        world.database.run(work)
    except _Undone as seen:
        return seen.outcome
    except IntegrityError as error:
        raise _meanwhile() from error
    raise AssertionError("unreachable")


def carry_out(world: World, document: Document, shown: Outcome) -> Outcome:
    """Apply the file whole, or not at all. Mistaken as :func:`foresee`; WrongState where it would not do what
    was shown, because somebody has changed something meanwhile."""

    def work(connection: Connection) -> Outcome:
        outcome = _settle_all(_stage(world, connection, document), document)
        if outcome.changes != shown.changes:
            raise _meanwhile()
        return outcome

    try:
        return world.database.run(work)
    except IntegrityError as error:  # what was not there when it was looked for
        raise _meanwhile() from error


def _meanwhile() -> WrongState:
    return WrongState(
        "the database was changed by somebody else meanwhile; nothing was applied",
        hint="run the same command again, and look at what it would change now",
    )


def _stage(world: World, connection: Connection, document: Document) -> Stage:
    return Stage(
        connection,
        world.actor,
        world.settings,
        world.keys,
        world.environ,
        world.now,
        frozenset(entry.reference for entry in document.entries),
    )


def _settle_all(stage: Stage, document: Document) -> Outcome:
    """Make everything what the file says; Mistaken, with all mistakes, where any of it cannot be."""
    outcome = Outcome()
    mistakes = list(document.mistakes)
    broken: set[Reference] = set()  # what will not be there: what needs it cannot be judged
    for kind in KINDS:
        for entry in kind.in_order([entry for entry in document.entries if entry.kind is kind]):
            found = list(_judged(stage, entry, broken, outcome))
            mistakes += found
            if (found or not entry.sound) and not _exists(stage, entry):
                broken.add(entry.reference)
    if mistakes:
        raise Mistaken(document.name, mistakes)
    return outcome


def _judged(stage: Stage, entry: Entry, broken: set[Reference], outcome: Outcome) -> Iterator[Mistake]:
    """Settle one thing, or tell everything that is wrong with it."""
    absent = list(_absent(stage, entry, entry.kind.needs(entry)))
    yield from absent
    if any(entry.kind.may_need(entry, reference) for reference in broken):
        entry.sound = False
    if absent or not entry.sound:
        return
    try:
        _settle(stage, entry, outcome)
    except (Unreachable, ChangedMeanwhile):
        raise
    except ColdsendError as error:
        yield from _mistakes(entry, error)


def _exists(stage: Stage, entry: Entry) -> bool:
    try:
        return entry.kind.find(stage, entry.names) is not None
    except ColdsendError:
        return True  # another user's


def _absent(stage: Stage, entry: Entry, needs: Iterable[tuple[str, Reference]]) -> Iterator[Mistake]:
    """What an entry names and that is neither in the file nor in the database."""
    kinds = {kind.section: kind for kind in KINDS}
    for target, (section, names) in dict.fromkeys(needs):
        if (section, names) in stage.declared:
            continue
        line, where = entry.place(target)
        try:
            if kinds[section].find(stage, names) is not None:
                continue
        except ColdsendError as error:
            yield Mistake.of(line, where, error)
            continue
        known = ["/".join(declared) for other, declared in stage.declared if other == section]
        known += ["/".join(there) for there, _row in kinds[section].all(stage)]
        near = difflib.get_close_matches("/".join(names), known, n=1)
        noun = kinds[section].noun
        message = f"there is no {noun} {'/'.join(names)!r}, neither in the file nor in the database"
        hint = f"did you mean {near[0]!r}?" if near else f"see: coldsend {noun.replace(' ', '-')} list"
        yield Mistake(line, where, message, hint)


def _settle(stage: Stage, entry: Entry, outcome: Outcome) -> None:
    kind = entry.kind
    row = kind.find(stage, entry.names)
    if row is None:
        if missing := kind.missing(entry.values):
            raise InvalidInput(f"to create it, {', '.join(missing)} must be given")
        settled = kind.create(stage, entry)
        _note(outcome, entry, "create", _created(entry, _after(stage, entry)), settled)
        return
    outcome.warnings += kind.remarks(stage, row, entry)
    values = kind.differing(stage, row, entry)
    if not values:
        outcome.unchanged.append((entry.kind.noun, entry.name))
        return
    before = kind.portrait(stage, row)
    settled = kind.change(stage, row, entry, values)
    differences = _differences(entry.kind.keys, before, _after(stage, entry))
    _note(outcome, entry, "update", differences, settled)


def _after(stage: Stage, entry: Entry) -> Portrait:
    row = entry.kind.find(stage, entry.names)
    if row is None:
        raise AssertionError(f"{entry.kind.noun} {entry.name!r} was made and is not there")
    return entry.kind.portrait(stage, row)


def _note(
    outcome: Outcome,
    entry: Entry,
    action: Literal["create", "update"],
    differences: list[Difference],
    settled: Settled,
) -> None:
    differences += [Difference(key, before, after) for key, (before, after) in settled.fields.items()]
    kind = entry.kind.noun.replace(" ", "_")
    outcome.changes.append(Change(action, kind, entry.name, tuple(differences), settled.notes))
    outcome.warnings += settled.warnings


def _created(entry: Entry, after: Portrait) -> list[Difference]:
    """What the file gives of a new thing; the rest is as it is for every new one."""
    return [
        Difference(key.name, None, key.shown(after.get(key.name)))
        for key in entry.kind.keys
        if key.listed and key.name in entry.values
    ]


def _differences(keys: tuple[Key, ...], before: Portrait, after: Portrait) -> list[Difference]:
    return [
        Difference(key.name, key.shown(before.get(key.name)), key.shown(after.get(key.name)))
        for key in keys
        if key.listed and before.get(key.name) != after.get(key.name)
    ]


def _mistakes(entry: Entry, error: ColdsendError) -> list[Mistake]:
    """An error of a use-case as mistakes of the file: at the key it is about, else at the whole section."""
    if not isinstance(error, InvalidForm):
        return [Mistake.of(*entry.place(""), error)]
    return [_of_option(entry, problem) for problem in error.problems]


def _of_option(entry: Entry, problem: str) -> Mistake:
    """``--daily-quota: must be ..`` at the line of ``daily_quota``, in the words of a file."""
    about, _, rest = problem.partition(" ")
    option = about.removeprefix("--").rstrip(":").replace("-", "_")
    line, where = entry.place(option)
    named = about.startswith("--") and about.endswith(":") and option in entry.lines
    return Mistake(line, where, as_keys(rest if named else problem))


# What an operator types, and what stands in a file instead.
_IN_A_FILE = {
    "--password-stdin, --password-env VARIABLE or --token-stdin": "password_env, token_env or login = true",
    "--password-stdin or --password-env VARIABLE": "password_env or login = true",
    "--token-stdin": "token_env",
}


def as_keys(words: str) -> str:
    """Options in a sentence as the keys they are in a file: ``--daily-quota`` is ``daily_quota``."""
    for typed, written in _IN_A_FILE.items():
        words = words.replace(typed, written)
    return re.sub(r"--([a-z-]+[a-z])", lambda option: option[1].replace("-", "_"), words)


def document_of(outcome: Outcome, *, applied: bool) -> dict[str, Any]:
    """The JSON shape of `coldsend apply`."""
    return {
        "applied": applied,
        "changes": [
            {
                "action": change.action,
                "kind": change.kind,
                "name": change.name,
                "keys": {one.key: {"before": one.before, "after": one.after} for one in change.differences},
                "notes": list(change.notes),
            }
            for change in outcome.changes
        ],
        "unchanged": [{"kind": noun.replace(" ", "_"), "name": name} for noun, name in outcome.unchanged],
    }
