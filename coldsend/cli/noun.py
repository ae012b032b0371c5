"""A noun of the command line: a Typer group whose every verb has help with an example.

Global options (``--json``, ``--as``, ``--config``, ``--yes``) may stand anywhere on the line; ``main`` takes
them out before Typer sees it, so no verb declares them. Each verb says by its decorator what it does to the
installation: it :func:`reads`, it :func:`changes` something, or it :func:`runs` until it is stopped. The last
two leave a row in the audit log (``cli/auditing.py``).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import typer

from coldsend.cli.context import Effect, Verb, current

F = TypeVar("F", bound=Callable[..., Any])

EVERYWHERE = "Everywhere: --json, --as USER, --config FILE, --yes."

LARGEST_ID = 2**63 - 1  # that a database can have

# A paragraph that begins with it keeps its lines in the help.
AS_IT_STANDS = "\b"


def noun(help_text: str) -> typer.Typer:
    """The group ``coldsend NOUN``; shows its help when called without a verb."""
    return typer.Typer(help=help_text, no_args_is_help=True, rich_markup_mode=None, add_completion=False)


def single() -> typer.Typer:
    """The app of a command without a noun (``coldsend init``): register one verb in it."""
    return typer.Typer(rich_markup_mode=None, add_completion=False)


def reads(group: typer.Typer, *examples: str, name: str | None = None) -> Callable[[F], F]:
    """Register a verb that changes nothing of the installation.

    Its function's docstring is the help, ``examples`` end it. name: where it is not the function's.
    """
    return _verb(group, examples, name, Effect.READS)


def changes(
    group: typer.Typer, *examples: str, name: str | None = None, private: bool = False
) -> Callable[[F], F]:
    """Register a verb that changes something; otherwise as :func:`reads`.

    private: what it is given must not be kept, only that it was called.
    """
    return _verb(group, examples, name, Effect.CHANGES, private=private)


def runs(group: typer.Typer, *examples: str, name: str | None = None) -> Callable[[F], F]:
    """Register a verb that runs until it is stopped; it calls ``auditing.begun`` when it starts."""
    return _verb(group, examples, name, Effect.RUNS)


def _verb(
    group: typer.Typer, examples: Sequence[str], name: str | None, effect: Effect, *, private: bool = False
) -> Callable[[F], F]:
    heading = "Examples:" if len(examples) > 1 else "Example:"
    shown = "\n".join([AS_IT_STANDS, heading, *(f"  {example}" for example in examples), "", EVERYWHERE])

    def register(function: F) -> F:
        # Its first sentence whole: the overview of a group would cut it off.
        first = " ".join((function.__doc__ or "").strip().split("\n\n")[0].split())
        this = Verb(effect, private)

        @functools.wraps(function)
        def begin(*arguments: Any, **options: Any) -> Any:
            current().verb = this
            return function(*arguments, **options)

        vars(begin)["effect"] = effect  # a test asks every command for it
        group.command(name=name, short_help=first, epilog=shown, no_args_is_help=False)(begin)
        return function

    return register
