"""What a shell asks for while a line is typed: commands and options by Typer, names out of the database.

A parameter's metavar tells what it names (``CAMPAIGN``, ``CAMPAIGN/TASK`` ..). Whoever presses Tab must never
wait and never see an error: the database has a second, and where anything fails there are no names.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from coldsend.cli import context

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from coldsend.domain.access import Actor

VARIABLE = "_COLDSEND_COMPLETE"
SECONDS = 1.0
MOST = 200

_WORDS = ("COMP_WORDS", "_TYPER_COMPLETE_ARGS")  # of bash; of zsh and fish
_WITH_VALUE, _FLAGS = frozenset({"--as", "--config"}), frozenset({"--json", "--yes", "-y"})
# Others would have to be quoted, each shell in its own way.
_PLAIN = re.compile(r"[\w.@/+-]+")


def asked() -> bool:
    """Whether this process was started by a shell's completion."""
    return bool(os.environ.get(VARIABLE))


def answer(app: Any) -> int:
    """Write what may come next, as the shell wants it; returns the exit code."""
    from typer.completion import completion_init, shell_complete  # type: ignore[attr-defined] # noqa: PLC0415

    completion_init()
    run = context.Run()
    context.begin(run)
    for variable in _WORDS:
        if variable in os.environ:
            _without_global_options(variable, run)
    try:
        return int(shell_complete(app, {}, "coldsend", VARIABLE, os.environ[VARIABLE]))
    finally:
        run.close()


def add_names(noun: str, command: Any) -> None:
    """Let the parameters of a command that name something be completed."""
    for verb, each in getattr(command, "commands", {"": command}).items():
        for param in each.params:
            source = _SOURCES.get(str(param.metavar)) or _BY_OPTION.get(param.name)
            if param.name == "name" and verb not in _MAKING:
                source = source or _BY_NOUN.get(noun)
            if source is not None:
                param._custom_shell_complete = _completer(source)


def _completer(source: Callable[[Connection, Actor], list[str]]) -> Callable[[Any, Any, str], list[str]]:
    def complete(_context: Any, _param: Any, incomplete: str) -> list[str]:
        try:
            found = _names(source)
        except Exception:
            return []
        return [name for name in found if name.startswith(incomplete) and _PLAIN.fullmatch(name)][:MOST]

    return complete


def _names(source: Callable[[Connection, Actor], list[str]]) -> list[str]:
    from coldsend.database.engine import Database  # noqa: PLC0415
    from coldsend.stores import users  # noqa: PLC0415

    run = context.current()
    database = Database(
        run.settings.database.url, pool_size=1, connect_timeout=SECONDS, answer_timeout=SECONDS
    )
    try:
        with database.read() as connection:
            return source(connection, users.acting(connection, run.acting_as or run.settings.user or None))
    finally:
        database.dispose()


def _without_global_options(variable: str, run: context.Run) -> None:
    """Take them out of the line, which Typer does not know them in; ``--as`` and ``--config`` are heeded."""
    line = os.environ[variable]
    try:
        words = shlex.split(line)
    except ValueError:
        return  # a quote is open: then there is nothing to complete
    at = int(os.environ.get("COMP_CWORD") or len(words)) if variable == "COMP_WORDS" else len(words)
    kept, number = [], 0
    while number < len(words):
        word = words[number]
        behind = number + 1 < min(at, len(words)) and not (number + 2 == len(words) and not _ended(line))
        if word in _WITH_VALUE and behind:
            setattr(run, "acting_as" if word == "--as" else "config", words[number + 1])
            number, at = number + 2, at - 2 if number < at else at
        elif word in _FLAGS and number < at and (number + 1 < len(words) or _ended(line)):
            number, at = number + 1, at - 1
        else:
            kept.append(word)
            number += 1
    os.environ[variable] = shlex.join(kept) + (" " if _ended(line) else "")
    if variable == "COMP_WORDS" and "COMP_CWORD" in os.environ:
        os.environ["COMP_CWORD"] = str(at)


def _ended(line: str) -> bool:
    """Whether the last word is complete: the next one is asked for."""
    return line.endswith((" ", "\n", "\t"))


def _campaigns(connection: Connection, actor: Actor) -> list[str]:
    from coldsend.stores import campaigns  # noqa: PLC0415

    return [row["name"] for row in campaigns.listed(connection, None if actor.is_admin else actor.id)]


def _tasks(connection: Connection, actor: Actor) -> list[str]:
    from coldsend.stores import tasks  # noqa: PLC0415

    rows = tasks.listed(connection)
    return [tasks.reference(row) for row in rows if actor.is_admin or row["owner"] == actor.id]


def _services(connection: Connection, actor: Actor) -> list[str]:
    from coldsend.stores import access, services  # noqa: PLC0415

    mine = access.granted(connection, actor.id)
    return [row["name"] for row in services.listed(connection) if actor.is_admin or row["id"] in mine]


def _templates(connection: Connection, actor: Actor) -> list[str]:
    from coldsend.stores import templates  # noqa: PLC0415

    return [row["name"] for row in templates.listed(connection, None if actor.is_admin else actor.id)]


def _template_sets(connection: Connection, actor: Actor) -> list[str]:
    from coldsend.stores import template_sets  # noqa: PLC0415

    return [row["name"] for row in template_sets.listed(connection, None if actor.is_admin else actor.id)]


_SOURCES: dict[str, Callable[[Connection, Actor], list[str]]] = {
    "CAMPAIGN": _campaigns,
    "CAMPAIGN/TASK": _tasks,
    "SERVICE": _services,
    "TEMPLATE": _templates,
    "TEMPLATE..": _templates,
    "SET": _template_sets,
}
_MAKING = frozenset({"add", "create"})  # their names are new
_BY_NOUN = {"service": _services, "template": _templates, "template-set": _template_sets}
_BY_OPTION = {"service": _services, "template_set": _template_sets, "template": _templates}
