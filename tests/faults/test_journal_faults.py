"""The outcome journal and its folder, spoiled in every way: in doubt at worst, never sent twice."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.scenario import Scenario, assert_nobody_twice
from tests.faults.crew import Crew
from tests.faults.oracle import assert_intact
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

CONNECTIONS = 4
CHANCE = random.Random(20261121)


def cut(journal: Path) -> None:
    os.truncate(journal, CHANCE.randrange(journal.stat().st_size))


def cut_between_lines(journal: Path) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[: CHANCE.randrange(1, len(lines))]))


def empty(journal: Path) -> None:
    journal.write_bytes(b"")


def half_a_line(journal: Path) -> None:
    with journal.open("ab") as file:
        file.write(b"0badc0de D 17 42949")


def zeros(journal: Path) -> None:
    size = journal.stat().st_size
    with journal.open("r+b") as file:
        file.seek(size // 2)
        file.write(bytes(size - size // 2))


def noise(journal: Path) -> None:
    content = bytearray(journal.read_bytes())
    for _ in range(5):
        content[CHANCE.randrange(len(content))] = CHANCE.randrange(256)
    journal.write_bytes(content)


def delete(journal: Path) -> None:
    journal.unlink()


def replace(journal: Path) -> None:
    """By that of an earlier process, which is whole."""
    lock = journal.with_suffix(".lock")
    head = journal.read_bytes().splitlines()[0].split()
    journal.write_bytes(b"%s %s %d\n" % (head[0], head[1], lock.stat().st_ino + 1))


def delete_lock(journal: Path) -> None:
    journal.with_suffix(".lock").unlink()


def replace_lock(journal: Path) -> None:
    lock = journal.with_suffix(".lock")
    content = lock.read_bytes()
    other = lock.with_name("other")
    other.write_bytes(content)  # beside it, so that it cannot get the same inode
    other.replace(lock)


SPOILINGS: tuple[Callable[[Path], None], ...] = (
    cut, cut_between_lines, empty, half_a_line, zeros, noise, delete, replace, delete_lock, replace_lock,
)  # fmt: skip


def test_a_dead_journal_that_was_spoiled_leaves_doubt_and_never_a_second_message(
    sqlite_scenario: Scenario, server: RecordingServer
) -> None:
    """Each process sends a little, is killed, and its journal is spoiled in another way."""
    scenario = sqlite_scenario
    server.control(latency={"final": 0.2})
    crew = Crew(scenario, server, 600, connections=CONNECTIONS, lease=8)  # some are told dead by it alone
    scheduler = crew.scheduler()
    bound = 0
    for spoil in SPOILINGS:
        sender = crew.sender()
        crew.more(3 * CONNECTIONS)
        crew.kill(sender)
        bound += scenario.count("sending")
        spoil(crew.journals()[-1])
    last = crew.sender()
    server.control(latency={})
    crew.until_ended()
    assert_nobody_twice(server.messages())
    crew.terminate(last, scheduler)
    assert_intact(scenario, server, recipients=600, unknown=bound)
    assert crew.logged("worker_rescued") == len(SPOILINGS)
    crew.assert_no_bug()


@pytest.mark.parametrize(
    "deed",
    [
        "journal",
        pytest.param("lock", marks=pytest.mark.soak),
        pytest.param("cut", marks=pytest.mark.soak),
        "folder",
    ],
)
def test_a_living_process_makes_anew_what_was_deleted_and_a_kill_then_leaves_its_connections_in_doubt(
    sqlite_scenario: Scenario, server: RecordingServer, deed: str
) -> None:
    scenario = sqlite_scenario
    server.control(latency={"final": 0.2})
    crew = Crew(scenario, server, 400, connections=CONNECTIONS, lease=8 if deed == "folder" else 60)
    scheduler, sender = crew.scheduler(), crew.sender()
    server.wait_for(20)
    [journal] = [file for file in crew.journals() if file.stat().st_size > 100]
    if deed == "folder":
        shutil.rmtree(journal.parent)
    elif deed == "lock":
        journal.with_suffix(".lock").unlink()
    elif deed == "cut":
        os.truncate(journal, 30)
    else:
        journal.unlink()
    crew.until_logged("journal_repaired", 2 if deed == "folder" else 1)
    crew.more(20)
    crew.kill(sender)
    again = crew.sender()
    server.control(latency={})
    # With the folder the name of the host is gone, too: only the lease tells that its process is dead.
    crew.until_ended()
    crew.terminate(again, scheduler)
    assert_intact(scenario, server, recipients=400, unknown=CONNECTIONS)
    crew.assert_no_bug()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small file system")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(folder)], check=False)
    if mounted.returncode != 0:
        pytest.skip("this host does not let us mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> None:
    with (folder / "ballast").open("wb", buffering=0) as file:
        for size in (4096, 512, 64, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue


def test_a_full_disk_stops_sending_and_loses_nothing(
    scenario: Scenario, server: RecordingServer, small_disk: Path
) -> None:
    server.control(latency={"final": 0.2})
    crew = Crew(scenario, server, 300, connections=CONNECTIONS)
    scheduler, sender = crew.scheduler(), crew.sender(COLDSEND_STATE_DIR=str(small_disk))
    server.wait_for(20)
    fill(small_disk)
    crew.until_logged("journal_failed")
    scenario.until(lambda: scenario.count("sending") <= 1, "rows are put back")
    seen = len(server.messages())
    assert seen < 300
    assert sender.poll() is None
    (small_disk / "ballast").unlink()
    server.control(latency={})
    crew.until_ended()
    crew.terminate(sender, scheduler)
    assert_intact(scenario, server, recipients=300, unknown=0)
    crew.assert_no_bug()


def test_a_killed_process_whose_disk_was_full_has_no_more_in_doubt_than_its_connections(
    sqlite_scenario: Scenario, server: RecordingServer, small_disk: Path
) -> None:
    scenario = sqlite_scenario
    server.control(latency={"final": 0.5})
    crew = Crew(scenario, server, 100, connections=CONNECTIONS)
    full = {"COLDSEND_STATE_DIR": str(small_disk)}
    scheduler, sender = crew.scheduler(), crew.sender(**full)
    server.wait_for(8)
    fill(small_disk)
    crew.until_logged("journal_failed")
    crew.kill(sender)
    (small_disk / "ballast").unlink()
    server.control(latency={})
    again = crew.sender(**full)
    crew.until_ended()
    crew.terminate(again, scheduler)
    # An answer that could not be journaled is in doubt when its process dies before the next commit.
    assert_intact(scenario, server, recipients=100, unknown=2 * CONNECTIONS)
    crew.assert_no_bug()


@pytest.mark.parametrize("trouble", ["read-only", "full", "file"])
@pytest.mark.parametrize("command", [("scheduler", "run"), ("worker", "run")])
def test_a_state_directory_that_cannot_be_used_is_a_clear_error_at_start(
    sqlite_scenario: Scenario, small_disk: Path, trouble: str, command: tuple[str, str]
) -> None:
    scenario = sqlite_scenario
    state = small_disk / "state"
    if trouble == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    elif trouble == "full":
        (state / "journal").mkdir(parents=True)
        fill(small_disk)
    else:
        state.write_text("")
    scenario.environ["COLDSEND_STATE_DIR"] = str(state)
    process = scenario.command(*command)
    assert process.wait(60) == 4
    log = scenario.logs.read_text()
    assert f"the state directory {state} cannot be written" in log
    assert "state_dir must be a local directory" in log
    assert "Traceback" not in log
    assert scenario.project.json("worker", "list") == [], "and nobody takes it for a process that runs"
