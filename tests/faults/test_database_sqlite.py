"""SQLite in trouble while real processes send: nobody twice, nobody lost, and it goes on by itself."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.scenario import Scenario
from tests.conftest import Project
from tests.faults.sending import CONNECTIONS, WORKERS, Sending, until
from tests.faults.small_disk import SmallDisk, small_disk
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.slow]

RECIPIENTS = 1_500


def file_of(scenario: Scenario) -> Path:
    name = scenario.project.database.url.database
    assert name is not None
    return Path(name)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 16) as mounted:
        yield mounted


@pytest.fixture
def on_small_disk(tmp_path: Path, disk: SmallDisk, _sqlite_migrated: Path) -> Iterator[Scenario]:
    """An installation whose database, and nothing else of it, lies on the small disk."""
    file = disk.folder / "coldsend.db"
    shutil.copy(_sqlite_migrated, file)
    project = Project(tmp_path, f"sqlite:///{file}")
    made = Scenario(project)
    yield made
    made.close()
    project.database.dispose()


def test_a_disk_that_is_full(on_small_disk: Scenario, disk: SmallDisk, server: RecordingServer) -> None:
    sending = Sending(on_small_disk, server, RECIPIENTS)
    sending.wait_for(200)
    disk.fill()
    sending.until_away("disk is full")
    sending.until_quiet()
    disk.make_room()
    sending.until_ended()
    sending.assert_intact(foreseen=["database_back"])


def test_locked_by_another_process_for_longer_than_anybody_waits(
    sqlite_scenario: Scenario, server: RecordingServer
) -> None:
    file = file_of(sqlite_scenario)
    sqlite_scenario.environ["COLDSEND_DATABASE_URL"] = f"sqlite:///{file}?timeout=0.1"
    sending = Sending(sqlite_scenario, server, RECIPIENTS)
    sending.wait_for(200)
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    sending.until_away("locked")
    sending.until_quiet()
    holder.execute("ROLLBACK")
    holder.close()
    sending.until_ended()
    sending.assert_intact(foreseen=["database_back"])


def test_a_file_that_may_not_be_written_any_more(sqlite_scenario: Scenario, server: RecordingServer) -> None:
    """Processes that have it open go on; a new one says what is wrong, until it is mended."""
    file = file_of(sqlite_scenario)
    sending = Sending(sqlite_scenario, server, RECIPIENTS)
    sending.wait_for(200)
    immutable(file, True)
    try:
        os.kill(sqlite_scenario.sender_pids()[0], signal.SIGKILL)
        until(lambda: "cannot be used" in sending.log(), "the new process says so", log=sending.log)
    finally:
        immutable(file, False)
    sending.until_ended()
    sending.assert_intact(unknown=CONNECTIONS, lived=False)
    assert "readonly database" in sending.log() or "unable to open" in sending.log()


def immutable(file: Path, yes: bool) -> None:
    """What `chmod a-w` does to everybody but root, done to root as well."""
    change = ["chattr", "+i" if yes else "-i", str(file)]
    done = subprocess.run(change, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a file cannot be made immutable here: {done.stderr.strip()}")


def test_kill_9_in_mid_commit_again_and_again(sqlite_scenario: Scenario, server: RecordingServer) -> None:
    sending = Sending(sqlite_scenario, server, RECIPIENTS, latency=0.05)
    write_ahead = file_of(sqlite_scenario).with_name(file_of(sqlite_scenario).name + "-wal")
    killed = 0
    while killed < 4:
        sending.more(50)
        senders = sqlite_scenario.sender_pids()
        before = write_ahead.stat().st_mtime_ns
        while write_ahead.stat().st_mtime_ns == before:
            pass  # the very moment at which somebody writes
        for pid in senders:
            os.kill(pid, signal.SIGKILL)
        killed += len(senders)
    sending.until_ended()
    sending.assert_intact(unknown=killed * CONNECTIONS, lived=False, foreseen=["worker_rescued"])


def test_everything_killed_at_once_and_the_write_ahead_log_torn(
    sqlite_scenario: Scenario, server: RecordingServer
) -> None:
    """What was committed is in the log that the crash left behind; half a record after it is nothing."""
    sending = Sending(sqlite_scenario, server, RECIPIENTS, latency=0.05)
    sending.wait_for(200)
    pids = [sending.scheduler.pid, *sqlite_scenario.sender_pids()]
    sqlite_scenario.project.database.dispose()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    sending.scheduler.wait()
    write_ahead = file_of(sqlite_scenario).with_name(file_of(sqlite_scenario).name + "-wal")
    assert write_ahead.stat().st_size > 0
    with write_ahead.open("ab") as file:
        file.write(os.urandom(3000))
    sqlite_scenario.run_until_idle(workers=WORKERS)
    sending.assert_intact(unknown=WORKERS * CONNECTIONS, foreseen=["worker_rescued"])
