"""Dry runs: messages in a folder, or named on stderr."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from coldsend.channels.console import ConsoleChannel
from coldsend.domain.answers import Answer, Phase
from coldsend.domain.service import Service
from tests.channels.messages import message


def channel(**settings: Any) -> ConsoleChannel:
    return ConsoleChannel(Service(1, "dry", "console", "anna@example.com", settings=settings))


def send(opened: ConsoleChannel, row_id: int = 1, before_commit: Any = lambda: None) -> Answer:
    return asyncio.run(opened.send(message(row_id), before_commit))


def test_a_message_becomes_a_file_with_exactly_its_bytes(tmp_path: Path) -> None:
    answer = send(channel(folder=str(tmp_path / "out")), row_id=7)
    assert (answer.phase, answer.code) == (Phase.FINAL, 250)
    assert (tmp_path / "out" / "7-1.eml").read_bytes() == message(7).data


def test_a_row_that_is_sent_twice_shows(tmp_path: Path) -> None:
    for _ in range(2):
        send(channel(folder=str(tmp_path)), row_id=7)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["7-1.eml", "7-2.eml"]


def test_many_at_once_lose_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        opened = channel(folder=str(tmp_path))
        await asyncio.gather(*(opened.send(message(n % 5), lambda: None) for n in range(50)))

    asyncio.run(run())
    assert len(list(tmp_path.glob("*.eml"))) == 50


def test_what_before_commit_raises_leaves_no_file(tmp_path: Path) -> None:
    def refuse() -> None:
        raise LookupError("no")

    with pytest.raises(LookupError):
        send(channel(folder=str(tmp_path)), before_commit=refuse)
    assert list(tmp_path.iterdir()) == []


def test_the_commit_is_announced_once_and_before_the_file_appears(tmp_path: Path) -> None:
    seen: list[int] = []
    send(channel(folder=str(tmp_path)), before_commit=lambda: seen.append(len(list(tmp_path.glob("*.eml")))))
    assert seen == [0]


def test_a_folder_that_cannot_be_written_is_a_passing_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    answer = send(channel(folder=str(tmp_path / "file")))
    assert (answer.code, answer.enhanced) == (452, "4.3.1")
    assert "file" in answer.text


def test_without_a_folder_messages_are_named_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert send(channel()).code == 250
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "to bob@example.org: Hello <" in shown.err


def test_a_dry_run_has_as_many_slots_as_the_service_has_connections() -> None:
    assert channel(connections=9).capacity == 9
