"""The documentation: the reference equals the help, links lead somewhere, commands in it exist."""

from __future__ import annotations

import re
import runpy
import shlex
from pathlib import Path

import pytest

from tests.architecture.commands import COMMANDS

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "templates_examples" / "README.md"]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


def shell_lines(page: Path) -> list[str]:
    """Lines of code blocks that call coldsend, a trailing backslash joining two."""
    fenced = re.findall(r"^```(.*?)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = (
        "\n".join(block for language, block in fenced if language in {"", "sh"})
        .replace("\\\n", " ")
        .splitlines()
    )
    return [line for line in lines if re.match(r"\s*(\$ )?coldsend [a-z]", line) and "[OPTIONS]" not in line]


@pytest.mark.costly
def test_the_reference_of_the_command_line_is_what_the_help_says() -> None:
    written = runpy.run_path(str(ROOT / "docs" / "write_cli.py"))["page"]()
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == written, "run: make docs"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_to_files_that_exist(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_shown_exist_and_so_do_their_options(page: Path) -> None:
    for line in shell_lines(page):
        words = shlex.split(line.strip().removeprefix("$ "), comments=True)[1:]
        called = next((" ".join(words[:n]) for n in (2, 1) if " ".join(words[:n]) in COMMANDS), None)
        assert called is not None, line
        known = {option for p in COMMANDS[called].params for option in (*p.opts, *p.secondary_opts)}
        used = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert used <= known | {"--json", "--as", "--config", "--yes", "--help"}, line


def test_the_quick_start_is_checked_at_all() -> None:
    assert len(shell_lines(ROOT / "README.md")) >= 10
