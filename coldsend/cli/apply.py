"""``coldsend apply``: a whole setup from one file."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from coldsend import clock
from coldsend.blueprint import applying
from coldsend.blueprint.applying import Change, Difference, Outcome, World
from coldsend.blueprint.reading import Document, read
from coldsend.cli import advice, auditing
from coldsend.cli.context import Run, current
from coldsend.cli.noun import changes, single
from coldsend.errors import InvalidInput, NotFound

app = single()

FILE_LIMIT = 100_000_000  # bytes
STDIN = Path("-")
SHOWN_LINES = 20  # of a text that is changed
SHOWN_WIDTH = 100  # characters of a value of something new


@changes(
    app,
    "coldsend apply spring.toml",
    "coldsend apply spring.toml --dry-run",
    "coldsend apply spring.toml --yes --json",
    "coldsend export | coldsend --config other/coldsend.toml apply - --yes",
)
def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE|-", help="The file; -: standard input.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
) -> None:
    """Make services, variables, templates, sets, campaigns and tasks what a file says.

    Shows what it would create and change, and asks. All of it is done, or nothing. What the file does not
    name is left as it is, and nothing is started: that is `campaign start`. Every key: docs/apply.md; files
    to begin with: those in templates_examples, and what `coldsend export` writes.
    """
    run = current()
    if dry_run:
        auditing.only_looks(run)
    world = world_of(run)
    found = document(file)
    outcome = applying.foresee(world, found)
    auditing.changed(run, anything=bool(outcome.changes) and not dry_run)
    if not run.json:
        for line in shown(outcome):
            run.out.done(line, None)
    if outcome.changes and not dry_run:
        count = len(outcome.changes)
        run.out.confirm(f"Apply {'this change' if count == 1 else f'these {count} changes'}?")
        # Whoever was asked may have taken their time.
        outcome = applying.carry_out(replace(world, now=clock.now()), found, outcome)
    applied = not dry_run
    sentence = "nothing has to be changed" if not outcome.changes else _done(outcome, dry_run=dry_run)
    result = applying.document_of(outcome, applied=applied)
    run.out.done(sentence, {**result, "warnings": advice.as_json(outcome.warnings)})
    advice.warn(run, outcome.warnings)


def world_of(run: Run) -> World:
    """What blueprints work with."""
    actor = run.actor
    return World(run.database, actor, run.settings, lambda: run.keys, os.environ, clock.now())


def document(file: Path) -> Document:
    """What a file, or standard input, describes. NotFound or InvalidInput where it cannot be read."""
    try:
        if file == STDIN:
            return read(sys.stdin.read(), "standard input", Path.cwd())
        if file.stat().st_size > FILE_LIMIT:
            raise InvalidInput(f"{file} has more than {FILE_LIMIT:,} bytes")
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise NotFound(f"file {file} does not exist", hint="write one with: coldsend export") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{'standard input' if file == STDIN else file} is not UTF-8: byte {error.start} cannot be read",
            hint="save it as UTF-8",
        ) from error
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}") from error
    return read(text, str(file), file.absolute().parent)


def shown(outcome: Outcome) -> Iterator[str]:
    """What a file changes, line by line."""
    for change in outcome.changes:
        sign = "+" if change.action == "create" else "~"
        yield f"{sign} {change.noun} {change.name!r}"
        for one in change.differences:
            yield from (f"    {line}" for line in _lines(change, one))
        yield from (f"    ({note})" for note in change.notes)
    if outcome.unchanged:
        names = ", ".join(f"{noun} {name!r}" for noun, name in outcome.unchanged)
        yield f"= as the file says already: {names}"


def _lines(change: Change, one: Difference) -> Iterator[str]:
    if change.action == "create":
        first, *more = one.after.splitlines() or [""]
        if more:
            yield f"{one.key}: {len(more)} lines"
        else:
            yield f"{one.key}: {first if len(first) <= SHOWN_WIDTH else first[:SHOWN_WIDTH] + '..'}"
        return
    before = one.before or "none"
    if "\n" not in before + one.after:
        yield f"{one.key}: {before} -> {one.after}"
        return
    yield f"{one.key}:"
    found = list(difflib.unified_diff(before.splitlines(), one.after.splitlines(), n=1, lineterm=""))
    lines = [line for line in found[2:] if not line.startswith("@@")]
    yield from (f"  {line}" for line in lines[:SHOWN_LINES])
    if len(lines) > SHOWN_LINES:
        yield f"  .. and {len(lines) - SHOWN_LINES} lines more"


def _done(outcome: Outcome, *, dry_run: bool) -> str:
    counts = [sum(change.action == action for change in outcome.changes) for action in ("create", "update")]
    words = [f"{count} {word}" for count, word in zip(counts, ("created", "changed"), strict=True) if count]
    return f"nothing was done: {' and '.join(words)} if it were applied" if dry_run else " and ".join(words)
