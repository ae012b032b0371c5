"""The entry point: global options, all nouns, and the one place where errors become exit codes.

Exit codes: 0 done, 1 bug, 2 usage, 3 not found, 4 refused, 5 database or server out of reach, 6 in part.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

from typer import Abort, Exit
from typer._click.exceptions import ClickException
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from coldsend import __version__, logbook
from coldsend.cli import context
from coldsend.cli.nouns import NOUNS, VERBS
from coldsend.errors import ColdsendError, UsageError

EPILOG = (
    "Global options, anywhere on the line: --json (one JSON document on stdout), --as USER, "
    "--config FILE, --yes (answer questions with yes), --version."
)


class TopLevel(TyperGroup):
    """``coldsend`` itself. Commands are placeholders with a name and a sentence until one is used."""

    def __init__(self) -> None:
        super().__init__(
            name="coldsend",
            help="A batch sending engine for cold outreach e-mail. Start with: coldsend init",
            epilog=EPILOG,
            no_args_is_help=True,
            rich_markup_mode=None,
            commands={
                name: TyperCommand(name, help=sentence) for name, sentence in {**VERBS, **NOUNS}.items()
            },
        )

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Put the real command in the place of its placeholder."""
        name = args[0]
        if name in self.commands:
            app = importlib.import_module(f"coldsend.cli.{name.replace('-', '_')}").app
            self.commands[name] = (get_group if name in NOUNS else get_command)(app)
        return super().resolve_command(ctx, args)


app = TopLevel()


def run() -> None:
    """What the ``coldsend`` command calls."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code and never raises."""
    this_run = context.Run()
    try:
        rest = take_global_options(arguments, this_run)
        context.begin(this_run)
        if rest is None:
            print(f"coldsend {__version__}")  # noqa: T201
            return 0
        result = app(args=rest, prog_name="coldsend", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except Exit as stop:
        return int(stop.exit_code)
    except ClickException as error:
        usage = UsageError(error.format_message(), hint=_usage_hint(error))
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.format_message())  # noqa: T201
            return 2
        this_run.out.error(usage)
        return usage.exit_code
    except ColdsendError as error:
        this_run.out.error(error)
        return error.exit_code
    except (Abort, KeyboardInterrupt):
        this_run.out.note("interrupted")
        return 130
    except BrokenPipeError:
        # The reader (head, less) went away; nothing is wrong.
        sys.stderr.close()
        return 0
    except Exception as error:
        logbook.unexpected_error(" ".join(arguments[:2]), error)
        return 1


def take_global_options(arguments: Sequence[str], run: context.Run) -> list[str] | None:
    """Move global options from the line into ``run``; None where only the version is asked for."""
    rest: list[str] = []
    line = list(arguments)
    while line:
        word = line.pop(0)
        if word == "--":
            return [*rest, word, *line]
        name, equals, value = word.partition("=")
        if name in {"--as", "--config"}:
            if not equals:
                if not line:
                    raise UsageError(
                        f"{name} needs a value",
                        hint=f"for example: {name} {'anna' if name == '--as' else 'coldsend.toml'}",
                    )
                value = line.pop(0)
            if name == "--as":
                run.acting_as = value
            else:
                run.config = value
        elif word == "--json":
            run.json = True
        elif word in {"--yes", "-y"}:
            run.assume_yes = True
        elif word == "--version" and not rest:
            return None
        else:
            rest.append(word)
    return rest


def _usage_hint(error: ClickException) -> str:
    command = getattr(getattr(error, "ctx", None), "command_path", "coldsend")
    return f"see: {command} --help"
