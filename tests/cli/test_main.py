"""Every way a command line can go wrong, and what help looks like."""

from __future__ import annotations

import importlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.main import get_command

from coldsend import __version__
from coldsend.cli import context, main, nouns, output
from coldsend.cli.noun import EVERYWHERE
from coldsend.errors import (
    ColdsendError,
    InvalidInput,
    NotAllowed,
    NotFound,
    PartlyDone,
    SchemaOutdated,
    Unreachable,
    UsageError,
    WrongState,
)
from tests.conftest import Project

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main.main(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[], None]], None]]:
    """Put a function in the place of ``coldsend user list``."""

    def put(function: Callable[[], None]) -> None:
        replaced = typer.Typer()
        replaced.command(name="list")(function)
        replaced.command(name="other")(lambda: None)
        monkeypatch.setattr("coldsend.cli.user.app", replaced)

    yield put
    main.app.commands.pop("user")
    monkeypatch.undo()
    main.app.__init__()  # type: ignore[misc]


def raising(error: BaseException) -> Callable[[], None]:
    def function() -> None:
        raise error

    return function


# Help


def test_help_lists_every_command_with_its_sentence(run: Any) -> None:
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    assert "coldsend init" in out
    for name in [*nouns.NOUNS, *nouns.VERBS]:
        assert f"\n  {name} " in out


def test_without_arguments_help_is_shown_and_the_code_is_usage(run: Any) -> None:
    assert run()[:2] == (2, run("--help")[1])


def test_a_noun_alone_shows_its_verbs(run: Any) -> None:
    code, out, err = run("user")
    assert (code, err) == (2, "")
    assert all(f"\n  {name} " in out for name in ("add", "list", "role"))


@pytest.mark.parametrize("arguments", [["-h"], ["user", "-h"], ["user", "add", "-h"]])
def test_help_has_a_short_form_everywhere(run: Any, arguments: list[str]) -> None:
    assert run(*arguments)[:2] == (0, run(*arguments[:-1], "--help")[1])


def test_examples_keep_their_lines(run: Any) -> None:
    _, out, _ = run("user", "add", "--help")
    assert "  Examples:\n    coldsend user add anna\n    coldsend user add boss --role admin\n" in out


@pytest.mark.parametrize("name", list(nouns.NOUNS))
def test_a_noun_says_the_same_in_the_overview_and_for_itself(name: str) -> None:
    app = importlib.import_module(f"coldsend.cli.{name.replace('-', '_')}").app
    assert app.info.help == nouns.NOUNS[name]


@pytest.mark.parametrize("name", list(nouns.VERBS))
def test_a_single_command_says_the_same_in_the_overview_and_for_itself(name: str) -> None:
    app = importlib.import_module(f"coldsend.cli.{name}").app
    first_paragraph = (get_command(app).help or "").split("\n\n")[0]
    assert first_paragraph.replace("\n", " ") == nouns.VERBS[name]


def all_commands() -> list[tuple[str, Any]]:
    found = []
    for name in [*nouns.VERBS, *nouns.NOUNS]:
        app = importlib.import_module(f"coldsend.cli.{name.replace('-', '_')}").app
        command = get_command(app)
        verbs = getattr(command, "commands", None)
        found += [(f"{name} {verb}", each) for verb, each in verbs.items()] if verbs else [(name, command)]
    return found


@pytest.mark.parametrize(("line", "command"), all_commands())
def test_every_command_has_help_with_an_example_that_begins_with_it(line: str, command: Any) -> None:
    assert command.help
    epilog = command.epilog or ""
    assert "Example" in epilog
    assert f"coldsend {line}" in epilog
    assert epilog.endswith(EVERYWHERE)


@pytest.mark.parametrize(("line", "command"), all_commands())
def test_no_command_declares_a_global_option_or_leaves_one_unexplained(line: str, command: Any) -> None:
    for parameter in command.params:
        assert not {"--json", "--as", "--config", "--yes", "-y"} & set(parameter.opts), line
        assert parameter.help, f"{line}: {parameter.name}"


# Usage errors


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["usr"], "no such command 'usr'. Did you mean 'user'?", "see: coldsend --help"),
        (["xyzzy"], "no such command 'xyzzy'", "see: coldsend --help"),
        (["user", "lst"], "no such command 'lst'. Did you mean 'list'?", "see: coldsend user --help"),
        (["user", "add"], "missing argument 'username'", "see: coldsend user add --help"),
        (["user", "add", "a", "b"], "got unexpected extra argument(s) (b)", "see: coldsend user add --help"),
        (["user", "add", "a", "--role", "x"], "'x' is not one of 'operator', 'admin'", "user add --help"),
        (["user", "add", "a", "--role"], "--role", "see: coldsend user add --help"),
        (["user", "list", "--foo"], "no such option: --foo", "see: coldsend user list --help"),
        (["--foo"], "no such option: --foo", "see: coldsend --help"),
        (["user", "list", "--as"], "--as needs a value", "for example: --as anna"),
        (["user", "list", "--as", "--yes"], "--as needs a value", "for example: --as anna"),
        (["user", "list", "--as="], "--as needs a value", "for example: --as anna"),
        (["user", "list", "--as", ""], "--as needs a value", "for example: --as anna"),
        (["user", "list", "--config"], "--config needs a value", "for example: --config coldsend.toml"),
        (["user", "add", "a\udcff"], "is not valid UTF-8", "encoding"),
        (["user", "role", "--", "--json"], "missing argument 'role'", "see: coldsend user role --help"),
    ],
)
def test_a_wrong_command_line_is_usage_with_the_way_out(
    run: Any, arguments: list[str], message: str, hint: str
) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    first, second = err.splitlines()
    assert first.startswith("error: ")
    assert message in first
    assert hint in second


@pytest.mark.parametrize(
    "arguments", [[], ["user"], ["usr"], ["user", "add"], ["--as"], ["user", "list", "--x"]]
)
def test_with_json_a_usage_error_is_one_object_on_stderr(run: Any, arguments: list[str]) -> None:
    for line in (["--json", *arguments], [*arguments, "--json"]):
        if line[-2:] == ["--as", "--json"]:
            continue  # there --json would be the value
        code, out, err = run(*line)
        assert (code, out) == (2, "")
        error = json.loads(err)["error"]
        assert error["code"] == "usage"
        assert error["message"]
        assert error["hint"]


def test_the_version_is_shown_plain_and_as_json(run: Any) -> None:
    assert run("--version") == (0, f"coldsend {__version__}\n", "")
    assert json.loads(run("--version", "--json")[1]) == {"version": __version__}


# Global options


def taken(*arguments: str) -> tuple[list[str] | None, context.Run]:
    run = context.Run()
    return main.take_global_options(arguments, run), run


def test_global_options_are_understood_anywhere_on_the_line() -> None:
    rest, run = taken("--as", "anna", "user", "--json", "add", "--config=x.toml", "bob", "-y")
    assert rest == ["user", "add", "bob"]
    assert run == context.Run("x.toml", "anna", json=True, assume_yes=True)


def test_after_two_dashes_everything_is_an_argument() -> None:
    rest, run = taken("user", "add", "--", "--json", "--yes")
    assert rest == ["user", "add", "--", "--json", "--yes"]
    assert not run.json
    assert not run.assume_yes


@pytest.mark.costly
@given(
    st.lists(st.text(max_size=8).filter(lambda word: not word.startswith("-")) | st.just("--x"), max_size=6)
)
def test_what_is_no_global_option_is_left_alone(line: list[str]) -> None:
    assert taken(*line)[0] == line


@pytest.mark.costly
@given(
    st.lists(
        st.sampled_from(
            ["--json", "--as", "--config", "--yes", "--", "user", "key", "nope", "--help", "=", ""]
        )
        | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
        max_size=5,
    )
)
@settings(max_examples=150, deadline=None)
def test_no_command_line_ends_in_a_traceback(line: list[str]) -> None:
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
    try:
        code = main.main([*line, "--config", "/nonexistent/coldsend.toml", "--no-such-option"])
        said = sys.stderr.getvalue()
    finally:
        sys.stdout, sys.stderr = before
    assert code in {0, 2, 3}
    assert "Traceback" not in said


@pytest.mark.costly
def test_a_number_larger_than_any_id_names_nothing(sqlite_project: Project) -> None:
    sqlite_project.run("campaign", "create", "spring")
    for line, code in {
        "why {} ann@acme.com": 3,
        "why spring/{} ann@acme.com": 3,
        "contact show {}": 3,
        "variable remove {} --yes": 3,
        "unknown resend {} --yes": 3,
        "contact list --after {}": 2,
        "suppression list --after {}": 2,
        "event list --after {}": 2,
        "inbox show {}": 2,
        "alert retry {}": 2,
    }.items():
        assert sqlite_project.run(*line.format(10**19).split(), check=False).code == code, line


# Errors become exit codes


@pytest.mark.parametrize(
    ("error", "code", "name"),
    [
        (ColdsendError("x", hint="h"), 1, "error"),
        (UsageError("x", hint="h"), 2, "usage"),
        (NotFound("x", hint="h"), 3, "not_found"),
        (InvalidInput("x", hint="h"), 4, "invalid_input"),
        (WrongState("x", hint="h"), 4, "wrong_state"),
        (NotAllowed("x", hint="h"), 4, "not_allowed"),
        (Unreachable("x", hint="h"), 5, "unreachable"),
        (SchemaOutdated("x", hint="h"), 5, "schema_outdated"),
        (PartlyDone("x", hint="h"), 6, "partly_done"),
    ],
)
def test_each_error_has_its_exit_code_and_its_name(
    run: Any, verb: Any, error: Exception, code: int, name: str
) -> None:
    verb(raising(error))
    assert run("user", "list") == (code, "", "error: x\n  h\n")
    assert run("user", "list", "--json")[0] == code
    assert json.loads(run("user", "list", "--json")[2]) == {
        "error": {"code": name, "message": "x", "hint": "h"}
    }


def test_a_bug_is_one_sentence_after_its_traceback_and_exit_code_1(run: Any, verb: Any) -> None:
    verb(raising(ZeroDivisionError("oops")))
    code, out, err = run("user", "list")
    assert (code, out) == (1, "")
    assert "Traceback" in err
    assert f"error: this is a bug in coldsend {__version__}: ZeroDivisionError" in err


def test_with_json_a_bug_is_logged_and_told_as_json_lines(run: Any, verb: Any) -> None:
    verb(raising(ZeroDivisionError("oops")))
    code, _, err = run("user", "list", "--json")
    logged, told = [json.loads(line) for line in err.splitlines()]
    assert code == 1
    assert "ZeroDivisionError" in logged["traceback"]
    assert told["error"]["code"] == "bug"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (FileNotFoundError(2, "No such file or directory", "list.csv"), 3),
        (PermissionError(13, "Permission denied", "list.csv"), 4),
        (IsADirectoryError(21, "Is a directory", "list.csv"), 4),
        (OSError(28, "No space left on device", "list.csv"), 4),
    ],
)
def test_trouble_with_a_file_names_the_file(run: Any, verb: Any, error: OSError, code: int) -> None:
    verb(raising(error))
    assert run("user", "list") == (code, "", f"error: list.csv: {error.strerror}\n")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), typer.Abort()])
def test_an_interruption_is_130(run: Any, verb: Any, error: BaseException) -> None:
    verb(raising(error))
    assert run("user", "list") == (130, "", "interrupted\n")


def test_a_verb_may_end_with_an_exit_code_of_its_own(run: Any, verb: Any) -> None:
    verb(raising(typer.Exit(6)))
    assert run("user", "list")[0] == 6


def test_a_reader_that_goes_away_is_no_error(run: Any, verb: Any) -> None:
    verb(raising(BrokenPipeError(32, "Broken pipe")))
    assert run("user", "list") == (0, "", "")


# What is shown


def test_escape_sequences_in_data_do_not_reach_the_terminal(run: Any, verb: Any) -> None:
    hostile = "\x1b]0;pwned\x07[red]x[/]"

    def show() -> None:
        out = context.current().out
        out.table([{"name": hostile}], {"name": "NAME", "other": f"{hostile}#"}, empty="")
        out.fields({"name": hostile})
        out.done(hostile, None)
        out.note(hostile)

    verb(show)
    _, out, err = run("user", "list")
    assert "\x1b" not in out + err
    assert "\x07" not in out + err
    assert out.count("[red]x[/]") == 4


def test_what_people_write_is_shown_as_it_is(run: Any, verb: Any) -> None:
    written = "山田\u3000太郎 :cat: 10\xa0€"

    def show() -> None:
        out = context.current().out
        out.table([{"name": written}], {"name": written}, empty="")
        out.fields({"name": written})
        out.done(written, None)

    verb(show)
    assert run("user", "list")[1].count(written) == 4


def test_a_piped_table_is_not_squeezed(run: Any, verb: Any) -> None:
    long = "x" * 300
    verb(lambda: context.current().out.table([{"a": long, "b": long}], {"a": "A", "b": "B"}, empty=""))
    assert long in run("user", "list")[1]


def test_json_is_ascii_where_the_stream_is_not_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    output.Output(json=True, assume_yes=False).data({"name": "李"})
    sys.stdout.flush()
    assert json.loads(raw.getvalue()) == {"name": "李"}
    assert raw.getvalue().isascii()


def test_a_question_nobody_can_answer_is_refused_and_yes_answers_it(
    run: Any, verb: Any, monkeypatch: Any
) -> None:
    verb(lambda: context.current().out.confirm("Delete everything?"))
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    code, _, err = run("user", "list")
    assert code == 2
    assert "--yes" in err
    assert run("user", "list", "--yes")[0] == 0


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("YES\n", 0), ("n\n", 2), ("\n", 2), ("", 2)])
def test_only_yes_is_yes(
    run: Any, verb: Any, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    verb(lambda: context.current().out.confirm("Delete everything?"))
    assert run("user", "list")[0] == code


# As a process


def start(*arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("environ", {})}
    return subprocess.Popen([sys.executable, *arguments], env=environ, **options)


@pytest.mark.costly
def test_help_needs_no_slow_modules() -> None:
    code = (
        "import sys; from coldsend.cli.main import main; main(['--help']); "
        "slow = {'sqlalchemy', 'alembic', 'httpx', 'jinja2', 'apscheduler', 'cryptography'}; "
        "print(sorted(slow & set(sys.modules)), file=sys.stderr)"
    )
    process = start("-c", code, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, err = process.communicate(timeout=60)
    assert err == b"[]\n"


@pytest.mark.costly
def test_a_daemon_without_webhooks_and_mailboxes_loads_nothing_for_them() -> None:
    code = (
        "import sys, coldsend.daemon.scheduler, coldsend.delivery.worker; "
        "slow = {'httpx', 'alembic', 'coldsend.inbox', 'starlette'}; "
        "print(sorted(slow & set(sys.modules)), file=sys.stderr)"
    )
    process = start("-c", code, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, err = process.communicate(timeout=60)
    assert err == b"[]\n"


@pytest.mark.slow
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_output_that_nobody_reads_to_its_end_is_no_error(sqlite_project: Project, form: list[str]) -> None:
    for environ in ({"PYTHONUNBUFFERED": ""}, {"PYTHONUNBUFFERED": "1"}):
        process = start(
            "-m",
            "coldsend",
            "user",
            "list",
            *form,
            cwd=sqlite_project.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            environ=environ,
        )
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        err = process.stderr.read()
        process.stderr.close()
        assert process.wait(timeout=60) == 0
        assert b"Traceback" not in err
        assert b"BrokenPipe" not in err


@pytest.mark.costly
def test_ctrl_c_ends_with_130_and_no_traceback() -> None:
    code = (
        "import signal, sys\n"
        # Started in the background of a shell, as CI may be, processes inherit that it is ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from coldsend.cli import main\n"
        "from coldsend.config import loading\n"
        "def work(*_):\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.read()\n"
        "loading.load = work\n"
        "sys.argv[1:] = ['user', 'list']\n"
        "main.run()\n"
    )
    pipe = subprocess.PIPE
    process = start("-c", code, stdin=pipe, stdout=pipe, stderr=pipe)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, b"", b"interrupted\n")


@pytest.mark.costly
def test_a_stream_that_cannot_show_a_letter_shows_a_question_mark(sqlite_project: Project) -> None:
    sqlite_project.run("user", "add", "Ольга")
    process = start(
        "-m",
        "coldsend",
        "user",
        "list",
        cwd=sqlite_project.folder,
        environ={"PYTHONIOENCODING": "ascii"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert b"?????" in out
