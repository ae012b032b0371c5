"""Tables: whole values on narrow terminals, no filling where a program reads."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console
from typer.main import get_group

from coldsend.cli.nouns import NOUNS
from coldsend.cli.output import Output
from coldsend.cli.progress import LiveProgress
from tests.architecture.commands import app_of
from tests.conftest import Project
from tests.planning.world import World

ROW = {"id": 123456, "email": "somebody.with.a.long.name@a-company-with-a-long-name.example", "sent": 1234567}
COLUMNS = {"id": "ID#", "email": "EMAIL", "sent": "SENT#"}


def shown_at(width: int, row: dict[str, object] | None = None) -> str:
    out = Output(json=False, assume_yes=False)
    out.console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=width)  # type: ignore[assignment]
    out.table([row or ROW], COLUMNS, empty="nothing")
    assert isinstance(out.console.file, io.StringIO)
    return out.console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_narrow_terminal_folds_text_and_keeps_numbers_whole(width: int) -> None:
    text = shown_at(width)
    assert "…" not in text
    assert "123456 " in text
    assert " 1234567" in text
    letters = re.sub(r"123456 | 1234567|\s", "", text.split("SENT")[1])
    assert letters == ROW["email"]


def test_letters_as_wide_as_two_are_folded_before_numbers_are_cut() -> None:
    name = "春夏秋冬春夏秋冬春夏"
    text = shown_at(30, {**ROW, "email": name})
    assert "123456 " in text
    assert " 1234567" in text
    assert re.sub(r"123456 | 1234567|\s", "", text.split("SENT")[1]) == name


def test_piped_tables_have_no_spaces_at_the_ends_of_lines(sqlite_project: Project) -> None:
    sqlite_project.run("user", "add", "someone-with-a-long-name")
    for command in (["user", "list"], ["db", "status"]):
        lines = sqlite_project.run(*command).out.splitlines()
        assert len(lines) > 2
        assert [line for line in lines if line != line.rstrip()] == []


@pytest.mark.parametrize("name", NOUNS)
def test_the_overview_of_a_noun_shows_whole_sentences(name: str) -> None:
    for command in get_group(app_of(name)).commands.values():
        assert command.short_help
        assert command.short_help.endswith(".")


def test_live_progress_shows_any_name_as_it_is(
    sqlite_project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    world = World(sqlite_project.database)
    world.campaign("[eu", "active")
    world.rows(world.task(1, "x] :cat:", "sending"), "pending")
    with LiveProgress(sqlite_project.database, shown=True):
        pass
    assert "[eu/x] :cat:" in capsys.readouterr().err
