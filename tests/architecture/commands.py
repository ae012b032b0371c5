"""Every command there is, for tests that walk all of them."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

from typer.main import get_command, get_group

from coldsend.cli.nouns import NOUNS, VERBS


def app_of(name: str) -> Any:
    """The Typer app behind ``coldsend NAME``."""
    return importlib.import_module(f"coldsend.cli.{name.replace('-', '_')}").app


def all_commands() -> Iterator[tuple[str, Any]]:
    """("contact add", its command) for every verb of every noun, and every command without a noun."""
    # A module that cannot be imported fails one test (test_commands.py) instead of all that walk.
    for name in VERBS:
        with contextlib.suppress(ImportError):
            yield name, get_command(app_of(name))
    for name in NOUNS:
        with contextlib.suppress(ImportError):
            for verb, command in get_group(app_of(name)).commands.items():
                yield f"{name} {verb}", command


COMMANDS = dict(all_commands())
