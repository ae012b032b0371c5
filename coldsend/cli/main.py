"""The entry point: global options, all nouns, and the one place where errors become exit codes.

Exit codes: 0 done, 1 bug, 2 usage, 3 not found, 4 refused, 5 database or server out of reach, 6 in part,
130 interrupted. Data goes to stdout; everything else, errors too, to stderr, with ``--json`` as one object.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from typer import Abort, Exit, TyperException
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from coldsend import __version__, clock, logbook
from coldsend.cli import auditing, completing, context
from coldsend.cli.nouns import NOUNS, VERBS
from coldsend.errors import ColdsendError, NotFound, Refused, UsageError

INTERRUPTED = 130

EPILOG = (
    "Global options, anywhere on the line: --json (one JSON document on stdout), --as USER, "
    "--config FILE, --yes (answer questions with yes), --version."
)


class TopLevel(TyperGroup):
    """``coldsend`` itself. Commands are placeholders with a name and a sentence until one is used."""

    def __init__(self) -> None:
        sentences = {**VERBS, **NOUNS}
        super().__init__(
            name="coldsend",
            help="A batch sending engine for cold outreach e-mail. Start with: coldsend init",
            epilog=EPILOG,
            no_args_is_help=True,
            rich_markup_mode=None,
            subcommand_metavar="COMMAND ..",
            context_settings={"help_option_names": ["--help", "-h"]},
            commands={name: TyperCommand(name, short_help=sentence) for name, sentence in sentences.items()},
        )
        self._made_of: dict[str, Any] = {}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Put the real command in the place of its placeholder."""
        name = args[0]
        if name in self.commands:
            app = importlib.import_module(f"coldsend.cli.{name.replace('-', '_')}").app
            if self._made_of.get(name) is not app:
                self._made_of[name] = app
                self.commands[name] = (get_group if name in NOUNS else get_command)(app)
            if completing.asked():
                completing.add_names(name, self.commands[name])
            _collect_garbage()
        return super().resolve_command(ctx, args)


app = TopLevel()


def run() -> None:
    """What the ``coldsend`` command calls."""
    gc.disable()  # until the command is imported: looking through it again and again is a tenth of its start
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a letter gets a question mark for it instead of a crash.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    code = completing.answer(app) if completing.asked() else main(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            # A reader that went away, a full disk, a closed terminal: nothing is wrong with what was done.
            _forget(stream)
    sys.exit(code)


def main(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit code and never raises."""
    this_run = context.Run()
    try:
        exit_code, error = _guarded(arguments, this_run)
        auditing.ended(this_run, exit_code, error)
    except KeyboardInterrupt:  # a second one, while the first was told
        return INTERRUPTED
    else:
        return exit_code
    finally:
        with contextlib.suppress(Exception):
            this_run.close()


def _guarded(arguments: Sequence[str], this_run: context.Run) -> tuple[int, str | None]:
    """The exit code of one command line, and the code of the error that was shown."""
    try:
        return _run(arguments, this_run), None
    except Exit as stop:
        return int(stop.exit_code), None
    except (Abort, KeyboardInterrupt):
        this_run.out.note("interrupted")
        return INTERRUPTED, "interrupted"
    except BrokenPipeError:
        # The reader (head, less) went away; nothing is wrong.
        _forget(sys.stdout)
        return 0, None
    except Exception as error:
        if _asks_for_help(error) and not this_run.json:
            this_run.out.plain(str(error))
            return UsageError.exit_code, UsageError.code
        shown = _as_shown(error, arguments)
        if shown is None:
            logbook.unexpected_error(" ".join(arguments[:2]), error)
            shown = _bug(error)
        this_run.out.error(shown)
        return shown.exit_code, shown.code


def _run(arguments: Sequence[str], this_run: context.Run) -> int:
    rest = take_global_options(arguments, this_run)
    clock.look_at_environment()
    logbook.configure("warning", "json" if this_run.json else "text")
    context.begin(this_run)
    if rest is None:
        this_run.out.done(f"coldsend {__version__}", {"version": __version__})
        return 0
    this_run.words = rest
    with app.make_context("coldsend", rest) as top:
        app.invoke(top)
    return 0


def take_global_options(arguments: Sequence[str], run: context.Run) -> list[str] | None:
    """Move global options from the line into ``run``; None where only the version is asked for."""
    rest: list[str] = []
    line = list(arguments)
    run.json = "--json" in line[: line.index("--")] if "--" in line else "--json" in line
    while line:
        word = line.pop(0)
        _require_unicode(word)
        if word == "--":
            return [*rest, word, *line]
        name, equals, value = word.partition("=")
        if name in {"--as", "--config"}:
            if not equals:
                value = line.pop(0) if line else ""
            _take_value(run, name, value)
        elif word in {"--yes", "-y"}:
            run.assume_yes = True
        elif word == "--version" and not rest:
            return None
        elif word != "--json":
            rest.append(word)
    return rest


def _take_value(run: context.Run, name: str, value: str) -> None:
    # An empty --as, from a variable that is not set, must not act as the default user.
    if not value or value.startswith("--"):
        example = "--as anna" if name == "--as" else "--config coldsend.toml"
        raise UsageError(f"{name} needs a value", hint=f"for example: {example}")
    if name == "--as":
        run.acting_as = value
    else:
        run.config = value


def _require_unicode(word: str) -> None:
    try:
        word.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"the argument {word!r} is not valid UTF-8", hint="check the encoding of your terminal or script"
        ) from None


def _as_shown(error: Exception, arguments: Sequence[str]) -> ColdsendError | None:
    """What the operator is told; None for a bug."""
    if isinstance(error, ColdsendError):
        return error
    if isinstance(error, TyperException):
        return _usage(error, arguments)
    if isinstance(error, OSError) and error.filename:
        kind = NotFound if isinstance(error, FileNotFoundError) else Refused
        return kind(f"{error.filename}: {error.strerror}")
    return None


def _asks_for_help(error: Exception) -> bool:
    """`coldsend` or `coldsend NOUN` and nothing more: the error's message is the whole help."""
    return type(error).__name__ == "NoArgsIsHelpError"


def _usage(error: TyperException, arguments: Sequence[str]) -> UsageError:
    where = getattr(error, "ctx", None)
    command = where.command_path if where is not None else _command_of(arguments)
    hint = f"see: {command} --help"
    if _asks_for_help(error):
        choices = ", ".join(getattr(where.command, "commands", {})) if where is not None else ""
        return UsageError(f"{command} needs one of: {choices}", hint=hint)
    message = " ".join(error.format_message().replace("Value error, ", "").split())
    return UsageError(message[:1].lower() + message[1:].rstrip("."), hint=hint)


def _command_of(arguments: Sequence[str]) -> str:
    """The command a line is about, where the error does not tell: an option at its end without a value."""
    words = [word for word in arguments if not word.startswith("-")]
    for start, word in enumerate(words):
        if word in VERBS:
            return f"coldsend {word}"
        if word in NOUNS:
            return " ".join(["coldsend", *words[start : start + 2]])
    return "coldsend"


def _bug(error: Exception) -> ColdsendError:
    bug = ColdsendError(
        f"this is a bug in coldsend {__version__}: {type(error).__name__}; what it was doing stands above",
        hint="please report it together with those lines",
    )
    bug.code = "bug"
    return bug


def _collect_garbage() -> None:
    """From here on, in a process of its own; what has been imported stays, and is not looked through."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _forget(stream: TextIO) -> None:
    """Nobody reads any more: what is still in the buffer goes nowhere, also when Python exits."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
