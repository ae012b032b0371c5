"""coldsend inbox classify."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coldsend.cli.main import main
from tests.conftest import Project
from tests.inbox.messages import FAILED_REPORT, message


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A bounce, and the text of a reply."""
    bounce, reply = tmp_path / "bounce.eml", tmp_path / "reply.txt"
    bounce.write_bytes(FAILED_REPORT)
    reply.write_text("Yes, gladly.\n\nOn 20 Apr 2026, Us wrote:\n> Hello\n")
    return [str(bounce), str(reply)]


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in which nothing was set up."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLDSEND_CONFIG", raising=False)
    monkeypatch.delenv("COLDSEND_DATABASE_URL", raising=False)


@pytest.mark.usefixtures("nowhere")
def test_it_needs_neither_configuration_nor_database(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inbox", "classify", *files, "--json"]) == 0
    bounce, reply = json.loads(capsys.readouterr().out)
    assert (bounce["file"], bounce["kind"]) == (files[0], "bounce")
    recipient = bounce["recipients"][0]
    assert {name: recipient[name] for name in ("address", "status", "action", "hard", "reason")} == {
        "address": "anna@example.org",
        "status": "5.1.1",
        "action": "failed",
        "hard": True,
        "reason": "unknown_recipient",
    }
    assert (reply["kind"], reply["recipients"], reply["text"]) == ("reply", [], "Yes, gladly.")


def test_people_get_a_table(sqlite_project: Project, files: list[str]) -> None:
    out = sqlite_project.run("inbox", "classify", *files).out
    assert "anna@example.org" in out
    assert "unknown_recipient" in out
    assert "Yes, gladly." in out


def test_a_file_that_is_not_there_is_named(sqlite_project: Project, files: list[str]) -> None:
    result = sqlite_project.run("inbox", "classify", *files, "nowhere.eml", check=False)
    assert result.code == 3
    assert "nowhere.eml" in result.err
    assert result.out == ""


def test_a_folder_is_refused_with_the_way_out(sqlite_project: Project, tmp_path: Path) -> None:
    result = sqlite_project.run("inbox", "classify", str(tmp_path), check=False)
    assert result.code == 4
    assert "*.eml" in result.err


def test_a_file_that_is_no_text_is_no_reply(sqlite_project: Project, tmp_path: Path) -> None:
    picture, cut = tmp_path / "logo.png", tmp_path / "broken.eml"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0")
    cut.write_bytes(message("Yes, \0 gladly.", In_Reply_To="<x@sender.example>"))
    result = sqlite_project.run("inbox", "classify", str(cut), str(picture), check=False)
    assert (result.code, result.out) == (4, "")
    assert f"{picture} is neither a message nor a text" in result.err
    (told,) = sqlite_project.json("inbox", "classify", str(cut))  # some programs send such mail
    assert told["kind"] == "reply"


def test_until_when_somebody_is_away_is_told(sqlite_project: Project, tmp_path: Path) -> None:
    file = tmp_path / "away.eml"
    file.write_bytes(message("I am away until 5 May 2026.", Auto_Submitted="auto-replied"))
    (told,) = sqlite_project.json("inbox", "classify", str(file))
    assert (told["kind"], told["away_until"]) == ("auto_reply", "2026-05-06T00:00:00Z")


def test_acting_as_somebody_who_is_not_there_fails(sqlite_project: Project, files: list[str]) -> None:
    assert sqlite_project.run("inbox", "classify", files[0], "--as", "nobody", check=False).code == 3
