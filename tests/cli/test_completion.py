"""What a shell is told when somebody presses Tab: commands, options, and names one may use."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from coldsend.cli import completing
from coldsend.cli.main import TopLevel
from tests.conftest import Project

pytestmark = pytest.mark.costly


@pytest.fixture
def tab(sqlite_project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with something to name, in whose folder the shell is."""
    project = sqlite_project
    project.run("campaign", "create", "spring")
    project.run("campaign", "create", "two words")
    project.run("service", "add", "main", "--type", "console", "--from", "a@acme.org", "--daily-quota", "5")
    project.run("user", "add", "eve")
    monkeypatch.chdir(project.folder)
    return project


def press(line: str, monkeypatch: pytest.MonkeyPatch, shell: str = "bash") -> list[str]:
    """What comes after a line as it stands."""
    words = line.split(" ")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    monkeypatch.setenv(completing.VARIABLE, f"complete_{shell}")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert completing.answer(TopLevel()) == 0
    return out.getvalue().split("\n")[:-1]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("coldsend camp", ["campaign"]),
        ("coldsend campaign dry", ["dry-run"]),
        ("coldsend campaign dry-run x --ou", ["--out"]),
        ("coldsend completion z", ["zsh"]),
        ("coldsend campaign show ", ["spring"]),
        ("coldsend campaign show x", []),
        ("coldsend service test ", ["main"]),
        ("coldsend service add ", []),
        ("coldsend template preview intro --service m", ["main"]),
        ("coldsend --json campaign show s", ["spring"]),
        ("coldsend campaign --as admin show ", ["spring"]),
        ("coldsend campaign show --as eve ", []),  # hers are none
    ],
)
def test_what_comes_next_is_told(
    tab: Project, monkeypatch: pytest.MonkeyPatch, line: str, expected: list[str]
) -> None:
    assert [word for word in press(line, monkeypatch) if word] == expected


def test_zsh_and_fish_are_told_alike(tab: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert press("coldsend --yes campaign show s", monkeypatch, "fish") == ["spring"]
    assert '"spring"' in "\n".join(press("coldsend campaign show ", monkeypatch, "zsh"))


def test_a_database_that_is_away_has_no_names_and_no_errors(
    tab: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    text = tab.config.read_text()
    for broken in (text.replace(tab.url, "mysql://a:b@127.0.0.1:1/x"), "not = toml ="):
        tab.config.write_text(broken)
        assert press("coldsend campaign show ", monkeypatch) == [""]
        assert press("coldsend campaign sh", monkeypatch) == ["show"]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_is_printed(sqlite_project: Project, shell: str) -> None:
    script = sqlite_project.run("completion", shell).out
    assert completing.VARIABLE in script
    assert sqlite_project.json("completion", shell) == {"shell": shell, "script": script.rstrip("\n")}


def test_bash_completes_by_the_script(tab: Project, tmp_path: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    script = tab.run("completion", "bash").out
    program = tmp_path / "coldsend"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m coldsend "$@"\n')
    program.chmod(0o755)
    lines = f"""{script}
COMP_WORDS=(coldsend campaign show s) COMP_CWORD=3
_coldsend_completion {program}
echo "${{COMPREPLY[@]}}"
"""
    environ = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [bash, "-c", lines], cwd=tab.folder, env=environ, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("spring", "")
