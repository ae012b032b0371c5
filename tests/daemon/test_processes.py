"""Sender processes: kept alive, given up when they never live, drained at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from coldsend.daemon import processes as module
from coldsend.daemon.processes import Processes
from coldsend.daemon.scheduler import Scheduler, SendersEnd
from coldsend.database.engine import Database
from tests.conftest import Project
from tests.planning.world import NOW, SETTINGS, World

pytestmark = pytest.mark.slow


def until(true: Callable[[], bool], processes: Processes, seconds: float = 120) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends
        processes.keep()
        time.sleep(0.01)  # a real process is waited for


def senders(project: Project) -> list[int]:
    return [row["pid"] for row in project.json("worker", "list") if row["state"] == "running"]


def test_a_process_that_ends_is_started_again_and_all_are_drained(sqlite_project: Project) -> None:
    lines: list[str] = []
    processes = Processes(1, ["--config", str(sqlite_project.config)], lines.append)
    processes.start()
    until(lambda: bool(senders(sqlite_project)), processes)
    [first] = senders(sqlite_project)
    assert processes._slots[0].process is not None
    processes._slots[0].process.kill()
    until(lambda: any(pid != first for pid in senders(sqlite_project)), processes)
    processes._slots[0].wait = 60.0
    assert not processes.hopeless, "however often it has ended, it lives now"
    processes.drain()
    assert any("worker_started" in line for line in lines), "what they log is passed on"
    assert not processes.hopeless


def test_processes_that_end_at_once_are_given_up(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HOPELESS_WAIT", 1.0)
    database = Database(sqlite_url)
    world = World(database)
    task = world.task(
        world.campaign(status="active"), status="sending", actual_start_time=NOW, expanded_at=NOW
    )
    world.service()
    world.rows(task, "pending", scheduled_send_at=NOW.replace(year=2020))
    scheduler = Scheduler(
        replace(SETTINGS, state_dir=tmp_path),
        database,
        workers=1,
        options=["--config", str(tmp_path / "missing.toml")],
        until_idle=True,
    )
    with pytest.raises(SendersEnd) as ended:
        scheduler.run()
    assert ended.value.exit_code == 5, "no bug: something they need is out of reach"
    database.dispose()
