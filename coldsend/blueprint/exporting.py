"""Writing the database down in the words of a file.

Applied to the database it was made from a file changes nothing; made again from an empty database that it was
applied to, it is the same to the byte. So it tells nothing of ids, of creators, of what was sent: and
nothing secret.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from coldsend.blueprint import toml_text
from coldsend.blueprint.applying import World
from coldsend.blueprint.kind import Kind, Names, Portrait, Reference, Stage
from coldsend.blueprint.kinds import CAMPAIGNS, KINDS, TASKS
from coldsend.blueprint.services import Services
from coldsend.blueprint.tasks import FOLLOWING, tasks_in
from coldsend.blueprint.template_sets import TemplateSets
from coldsend.blueprint.templates import Templates
from coldsend.blueprint.variables import Variables
from coldsend.composing.build import read
from coldsend.composing.load import load_variables, template_of
from coldsend.composing.variables import Vocabulary
from coldsend.database import views
from coldsend.domain.access import require_owner
from coldsend.stores import campaigns

HEAD = """\
# A setup of coldsend, written by `coldsend export`. To apply it: coldsend apply FILE
# What stands here is made so; whatever does not is left as it is. Every key: docs/apply.md
"""
LOGIN = "# Its login is not in this file: add username and password_env, or set it with `service update`.\n"

NAME_LIMIT = 100  # characters of a file's name


@dataclass(frozen=True, slots=True)
class Thing:
    kind: Kind
    names: Names
    portrait: Portrait

    @property
    def reference(self) -> Reference:
        return self.kind.section, self.names


@dataclass(frozen=True, slots=True)
class Exported:
    """A file and the files it names (path -> content). notes: what is missing in it, for people."""

    text: str
    files: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def export(world: World, wanted: Sequence[str] = (), bodies: str | None = None) -> Exported:
    """Everything the actor may see, or only these campaigns with what they need.

    bodies: the folder that templates are put in as files of their own, as the file shall name it; None: they
    stand in the file.
    """
    with views.snapshot(world.database) as connection:
        stage = Stage(connection, world.actor, world.settings, world.keys, world.environ, world.now)
        things = list(_things(stage))
        if wanted:
            things = _needed(stage, things, [_campaign(stage, given) for given in wanted])
        secrets = list(_secrets(stage, things))
    files: dict[str, str] = {}
    parts = [HEAD, *(_section(thing, bodies, files) for thing in _in_order(things))]
    return Exported("\n".join(parts), files, (*secrets, *_strangers(things)))


def _things(stage: Stage) -> Iterator[Thing]:
    for kind in KINDS:
        for names, row in kind.all(stage):
            yield Thing(kind, names, kind.portrait(stage, row))


def _campaign(stage: Stage, given: str) -> str:
    row = campaigns.find(stage.connection, given)
    require_owner(stage.actor, row["created_by"], f"campaign {row['name']!r}")
    return str(row["name"])


def _needed(stage: Stage, things: Iterable[Thing], names: Sequence[str]) -> list[Thing]:
    """These campaigns, their tasks, and what those send through and with."""
    every = list(things)
    kept = {
        thing.reference for thing in every if thing.kind in (CAMPAIGNS, TASKS) and thing.names[0] in names
    }
    own_tasks = [thing.portrait for thing in every if thing.kind is TASKS and thing.reference in kept]
    kept |= {(TemplateSets.section, (task["template_set"],)) for task in own_tasks}
    for thing in every:
        if thing.reference in kept and isinstance(thing.kind, TemplateSets):
            kept |= {(Templates.section, (name,)) for name in thing.portrait["templates"]}
        if isinstance(thing.kind, Services) and _may_carry(thing, own_tasks):
            kept.add(thing.reference)
    kept |= {(Variables.section, (key,)) for key in _variables_in(stage, kept)}
    return [thing for thing in every if thing.reference in kept]


def _may_carry(service: Thing, own_tasks: Iterable[Portrait]) -> bool:
    return any(not task["services"] or service.names[0] in task["services"] for task in own_tasks)


def _variables_in(stage: Stage, kept: set[Reference]) -> Iterator[str]:
    """Keys of the variables that the templates among ``kept`` use."""
    vocabulary = Vocabulary(load_variables(stage.connection))
    for names, row in Templates().all(stage):
        if (Templates.section, names) in kept:
            yield from read(template_of(row), vocabulary).names


def _in_order(things: Sequence[Thing]) -> Iterator[Thing]:
    """As they stand in a file: each campaign with its tasks, these by how many others come before them."""
    after = {thing.names: thing.portrait["after"] for thing in things if thing.kind is TASKS}

    def place(task: Thing) -> tuple[int, Names]:
        depth, at = 0, after[task.names]
        while at is not None and depth <= len(after):
            depth, at = depth + 1, after[task.names[0], at]
        return depth, task.names

    for thing in things:
        if thing.kind is not TASKS:
            yield thing
        if thing.kind is CAMPAIGNS:
            mine = [task for task in things if task.kind is TASKS and task.names[0] == thing.names[0]]
            yield from sorted(mine, key=place)


def _section(thing: Thing, bodies: str | None, files: dict[str, str]) -> str:
    if thing.kind is TASKS:
        path: Names = (CAMPAIGNS.section, thing.names[0], TASKS.section, thing.names[1])
    else:
        path = (thing.kind.section, *thing.names)
    lines = [toml_text.header(*path)]
    for name, value in _pairs(thing, bodies, files):
        lines.append(f"{name} = {toml_text.value(value)}")
    comment = LOGIN if thing.portrait.get("login") is True else ""
    return "\n".join(lines) + "\n" + comment


def _pairs(thing: Thing, bodies: str | None, files: dict[str, str]) -> Iterator[tuple[str, Any]]:
    portrait = thing.portrait
    for key in thing.kind.keys:
        value = portrait.get(key.name)
        if not key.listed or value is None or value in ((), {}) or (key.name == "login" and not value):
            continue
        if thing.kind is TASKS and key.name in FOLLOWING and portrait["after"] is None:
            continue
        ending = {"body": ".html", "text": ".txt"}.get(key.name)
        if ending and bodies is not None and isinstance(thing.kind, Templates) and _survives(value):
            path = f"{bodies}/{_file_name(thing.names[0])}{ending}"
            files[path] = value
            yield f"{key.name}_file", path
        else:
            yield key.name, key.write(value)


def _survives(text: str) -> bool:
    """Whether a text file gives it back as it is: line ends and a mark at the beginning are read away."""
    return "\r" not in text and not text.startswith("\ufeff")


def _file_name(name: str) -> str:
    """A template's name as a file's, no two alike."""
    safe = quote(name, safe=" ")
    if len(safe) > NAME_LIMIT or safe.startswith("."):
        safe = f"{safe[:NAME_LIMIT].lstrip('.')}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
    return safe


def _secrets(stage: Stage, things: Iterable[Thing]) -> Iterator[str]:
    """Which secrets are set and are not in the file."""
    kept = {thing.names for thing in things if isinstance(thing.kind, Services)}
    for names, row in Services().all(stage):
        if names in kept:
            if row["credentials"] is not None:
                yield f"service {names[0]!r}: its login is set and is not in the file"
            if row["webhook_secret"] is not None:
                yield f"service {names[0]!r}: the secret of its webhooks is set and is not in the file"


def _strangers(things: Sequence[Thing]) -> Iterator[str]:
    """Tasks that rules name and that are not in the file: it can only be applied where they are."""
    there = {thing.names for thing in things if thing.kind is TASKS}
    for thing in things:
        for given in tasks_in(thing.portrait["rule"]) if thing.kind is TASKS else ():
            named = tuple(given.split("/", 1)) if "/" in given else (thing.names[0], given)
            if named not in there:
                task = "/".join(thing.names)
                yield f"task {task!r}: its rule names {given!r}, which is not in the file"
