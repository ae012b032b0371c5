"""Every command has help with an example, and every example is a command that exists."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from typer.main import get_group

from coldsend.cli.context import Effect
from coldsend.cli.nouns import NOUNS, VERBS
from coldsend.domain.audit import SECRET_OPTIONS
from tests.architecture.commands import COMMANDS, app_of

GLOBAL_OPTIONS = {"--json", "--as", "--config", "--yes", "-y", "--help", "-h"}


def examples_of(command: Any) -> list[str]:
    return re.findall(r"^\s*((?:.*\| ?)?coldsend .*)$", command.epilog or "", re.MULTILINE)


@pytest.mark.parametrize("name", [*NOUNS, *VERBS])
def test_a_command_that_the_overview_names_exists(name: str) -> None:
    app_of(name)
    assert any(command.split()[0] == name for command in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_it_does_and_shows_an_example(name: str) -> None:
    command = COMMANDS[name]
    assert (command.help or "").strip(), f"coldsend {name} has no docstring"
    assert any(f"coldsend {name}" in example for example in examples_of(command))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is_for(name: str) -> None:
    silent = [p.name for p in COMMANDS[name].params if p.name != "help" and not getattr(p, "help", None)]
    assert silent == []


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_use_commands_and_options_that_exist(name: str) -> None:
    for example in examples_of(COMMANDS[name]):
        words = shlex.split(example[example.index("coldsend ") :].replace("\\", ""), comments=True)[1:]
        words = [word for word in words if word not in {"--json", "--yes"}]
        called = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in COMMANDS), None)
        assert called is not None, example
        known = {option for p in COMMANDS[called].params for option in (*p.opts, *p.secondary_opts)}
        used = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert used <= known | GLOBAL_OPTIONS, example


@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_declares_a_global_option(name: str) -> None:
    own = {option for p in COMMANDS[name].params for option in p.opts}
    assert own & (GLOBAL_OPTIONS - {"--help", "-h"}) == set()


@pytest.mark.parametrize("name", NOUNS)
def test_the_overview_says_of_a_noun_what_its_own_help_says(name: str) -> None:
    assert (get_group(app_of(name)).help or "").strip().splitlines()[0] == NOUNS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_whether_it_reads_changes_or_runs(name: str) -> None:
    assert isinstance(getattr(COMMANDS[name].callback, "effect", None), Effect), (
        "use @reads, @changes or @runs"
    )


# What a command line shows in process lists, and keeps in shell histories: no passwords.
SOUNDS_SECRET = {"url", "uri", "password", "secret", "token", "credential", "credentials", "command", "key"}
# They name where something is, or carry nothing that opens anything.
HARMLESS = {
    "--password-stdin",
    "--password-env",
    "--password-prompt",
    "--token-stdin",
    "--webhook-secret-stdin",
}
HARMLESS |= {"--web-url", "--base-url", "--api-url", "--command", "--import-key", "key"}
# Logins in URLs are taken out of whatever word they stand in.
TAKEN_OUT = {"--database-url"}


@pytest.mark.parametrize("name", COMMANDS)
def test_options_that_may_hold_secrets_are_known_to_the_audit_log(name: str) -> None:
    options = {option for p in COMMANDS[name].params if not p.hidden for option in p.opts}
    doubtful = {option for option in options if SOUNDS_SECRET & set(option.split("-"))}
    assert doubtful <= HARMLESS | TAKEN_OUT | SECRET_OPTIONS
