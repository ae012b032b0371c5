"""All nouns and single verbs of the command line, in the order the help shows them."""

from __future__ import annotations

from collections.abc import Callable

import typer

from coldsend.cli import user

NOUNS: dict[str, typer.Typer] = {
    "user": user.app,
}

# Commands without a noun: each registers itself on the top level.
VERBS: list[Callable[[typer.Typer], None]] = []
