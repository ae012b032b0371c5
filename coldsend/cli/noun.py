"""A noun of the command line: a Typer group whose every verb has help with an example.

Global options (``--json``, ``--as``, ``--config``, ``--yes``) may stand anywhere on the line; ``main`` takes
them out before Typer sees it, so no verb declares them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import typer

F = TypeVar("F", bound=Callable[..., Any])

EVERYWHERE = "Everywhere: --json, --as USER, --config FILE, --yes."

# A paragraph that begins with it keeps its lines in the help.
AS_IT_STANDS = "\b"


def noun(help_text: str) -> typer.Typer:
    """The group ``coldsend NOUN``; shows its help when called without a verb."""
    return typer.Typer(help=help_text, no_args_is_help=True, rich_markup_mode=None, add_completion=False)


def single() -> typer.Typer:
    """The app of a command without a noun (``coldsend init``): register one verb in it."""
    return typer.Typer(rich_markup_mode=None, add_completion=False)


def verb(group: typer.Typer, *examples: str, name: str | None = None) -> Callable[[F], F]:
    """Register a function as ``coldsend NOUN VERB``; its docstring is the help, ``examples`` end it."""
    heading = "Examples:" if len(examples) > 1 else "Example:"
    shown = "\n".join([AS_IT_STANDS, heading, *(f"  {example}" for example in examples), "", EVERYWHERE])

    def register(function: F) -> F:
        # Its first sentence whole: the overview of a group would cut it off.
        first = " ".join((function.__doc__ or "").strip().split("\n\n")[0].split())
        group.command(name=name, short_help=first, epilog=shown, no_args_is_help=False)(function)
        return function

    return register
