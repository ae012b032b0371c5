"""Writes docs/cli.md, the reference of the command line, from the commands themselves: `make docs`.

One section a noun, one a command: what it does, how it is called, its arguments and options, examples.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command, get_group

from coldsend.cli.noun import AS_IT_STANDS, EVERYWHERE
from coldsend.cli.nouns import NOUNS, VERBS

PAGE = Path(__file__).with_name("cli.md")

HEAD = """\
# The command line

Written by `make docs` from the commands' own help: change it there.

Every command also takes `--json` (one JSON document on stdout), `--as USER` (act as this user),
`--config FILE` and `--yes` (answer questions with yes), anywhere on the line. Names or ids both work; a task
is `CAMPAIGN/TASK`. Exit codes: 0 done, 1 a bug, 2 usage, 3 not found, 4 refused, 5 database or server out of
reach, 6 done in part, 130 interrupted.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD, "\n".join(_contents())]
    for name in VERBS:
        parts += _command(name, get_command(_app(name)), level="##")
    for name, sentence in NOUNS.items():
        parts += [f"## {name}", sentence]
        for verb, command in get_group(_app(name)).commands.items():
            parts += _command(f"{name} {verb}", command, level="###")
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _app(name: str) -> Any:
    return importlib.import_module(f"coldsend.cli.{name.replace('-', '_')}").app


def _contents() -> Iterator[str]:
    for name, sentence in [*VERBS.items(), *NOUNS.items()]:
        yield f"- [{name}](#{name}): {sentence}"


def _command(name: str, command: Any, level: str) -> Iterator[str]:
    # Not ``with command.make_context``: that would parse an empty line and miss what is required.
    context = command.context_class(command, info_name=f"coldsend {name}")
    yield f"{level} {name}"
    yield _paragraphs(command.help)
    usage = " ".join([f"coldsend {name}", *command.collect_usage_pieces(context)])
    yield f"```\n{usage}\n```"
    rows = [record for parameter in command.params if (record := parameter.get_help_record(context))]
    if rows := [row for row in rows if row[0] != "--help"]:
        lines = [f"| `{_cell(what)}` | {_cell(meaning)} |" for what, meaning in rows]
        yield "\n".join(["| | |", "|---|---|", *lines])
    yield f"```\n{_examples(command.epilog)}\n```"


def _paragraphs(text: str) -> str:
    """A docstring, each paragraph on one line."""
    return "\n\n".join(" ".join(each.split()) for each in re.split(r"\n\s*\n", text))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _examples(epilog: str) -> str:
    lines = epilog.replace(AS_IT_STANDS, "").replace(EVERYWHERE, "").strip().splitlines()
    return "\n".join(line.strip() for line in lines[1:])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
