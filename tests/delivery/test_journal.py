"""The outcome journal: what a dead process knew."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coldsend.delivery import journal
from coldsend.delivery.journal import Journal
from coldsend.domain.outcome import RowOutcome
from coldsend.domain.states import RowStatus

AT = datetime(2026, 11, 21, 12, 0, 0, 5, tzinfo=UTC)


def sent(row: int, token: int = 9) -> RowOutcome:
    return RowOutcome(row, token, 3, RowStatus.SENT, AT, message_id="<m@x>", attempt_at=AT, code=250)


def test_a_dead_journal_tells_dots_and_answers(tmp_path: Path) -> None:
    alive = Journal(tmp_path, 1)
    alive.dot(10, 9)
    alive.outcome(sent(10))
    alive.dot(11, 9)
    alive.close(remove=False)
    dead = journal.open_dead(tmp_path, 1)
    assert dead is not None
    memory = dead.read()
    assert memory is not None
    assert memory.intact
    assert memory.dots == {(10, 9), (11, 9)}
    assert memory.outcomes == {(10, 9): sent(10)}


def test_a_living_process_cannot_be_taken_for_dead(tmp_path: Path) -> None:
    alive = Journal(tmp_path, 1)
    assert journal.open_dead(tmp_path, 1) is None
    alive.close(remove=False)
    assert journal.open_dead(tmp_path, 1) is not None


def test_everything_before_a_kill_is_there(tmp_path: Path) -> None:
    program = (
        "import os, signal; from pathlib import Path; from coldsend.delivery.journal import Journal\n"
        f"j = Journal(Path({str(tmp_path)!r}), 5)\n"
        "for row in range(1000): j.dot(row, 1)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program], check=False, cwd=Path(__file__).parents[2])
    dead = journal.open_dead(tmp_path, 5)
    assert dead is not None
    memory = dead.read()
    assert memory is not None
    assert memory.intact
    assert len(memory.dots) == 1000


def test_an_answer_is_written_with_the_next_dot_at_the_latest(tmp_path: Path) -> None:
    file = tmp_path / "journal" / "worker-1.journal"
    alive = Journal(tmp_path, 1)
    alive.dot(10, 9)
    alive.outcome(sent(10))
    assert b"K 10" not in file.read_bytes()
    alive.dot(11, 9)
    assert b"K 10" in file.read_bytes()
    alive.outcome(sent(11))
    alive.flush()
    assert b"K 11" in file.read_bytes()
    written = file.read_bytes()
    alive.flush()
    assert file.read_bytes() == written, "once"
    alive.close(remove=True)


def test_an_answer_that_cannot_be_written_waits_for_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = Journal(tmp_path, 1)
    alive.dot(10, 9)
    alive.outcome(sent(10))
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda _file, _line: 3)
        with pytest.raises(OSError, match="wrote 3"):
            alive.flush()
        with pytest.raises(OSError, match="wrote 3"):
            alive.dot(11, 9)
    assert not alive.has_dot(11, 9)
    alive.flush()
    alive.close(remove=False)
    dead = journal.open_dead(tmp_path, 1)
    assert dead is not None
    memory = dead.read()
    assert memory is not None
    assert memory.intact
    assert (memory.dots, memory.outcomes) == ({(10, 9)}, {(10, 9): sent(10)})


def test_an_answer_without_a_dot_is_not_journaled(tmp_path: Path) -> None:
    alive = Journal(tmp_path, 1)
    alive.outcome(sent(10))
    alive.close(remove=False)
    dead = journal.open_dead(tmp_path, 1)
    assert dead is not None
    memory = dead.read()
    assert memory is not None
    assert not memory.outcomes


def test_compaction_forgets_settled_rows_and_keeps_open_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "COMPACT_BYTES", 200)
    alive = Journal(tmp_path, 1)
    for row in range(100):
        alive.dot(row, 9)
    alive.settle([(row, 9) for row in range(99)])
    alive.outcome(sent(99))
    assert (tmp_path / "journal" / "worker-1.journal").stat().st_size < 700
    alive.close(remove=False)
    dead = journal.open_dead(tmp_path, 1)
    assert dead is not None
    memory = dead.read()
    assert memory is not None
    assert (memory.dots, set(memory.outcomes)) == ({(99, 9)}, {(99, 9)})


def test_a_journal_that_cannot_be_written_stops_the_message(tmp_path: Path) -> None:
    alive = Journal(tmp_path, 1)
    os.close(alive._file)
    with pytest.raises(OSError, match="Bad file"):
        alive.dot(1, 1)


def test_processes_of_one_state_directory_have_one_host_id(tmp_path: Path) -> None:
    assert journal.host_id(tmp_path) == journal.host_id(tmp_path)
    assert journal.host_id(tmp_path) != journal.host_id(tmp_path / "other")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cut=st.integers(0, 400), noise=st.binary(max_size=40))
def test_a_torn_or_corrupt_journal_is_noticed_and_never_invents_an_answer(
    tmp_path: Path, cut: int, noise: bytes
) -> None:
    alive = Journal(tmp_path, 1)
    for row in (1, 2, 3):
        alive.dot(row, 9)
        alive.outcome(sent(row))
    path = alive._path
    alive.close(remove=False)
    whole = path.read_bytes()
    path.write_bytes(whole[:cut] + noise)
    dead = journal.open_dead(tmp_path, 1)
    assert dead is not None
    memory = dead.read()
    dead.close(remove=True)
    assert memory is not None
    assert set(memory.outcomes) <= {(1, 9), (2, 9), (3, 9)}
    assert all(outcome == sent(row) for (row, _token), outcome in memory.outcomes.items())
    if noise.strip(b"\n") and not whole.startswith(whole[:cut] + noise):
        readable = {b"D", b"K"} >= {line[:1] for line in (whole[:cut] + noise).split(b"\n") if line}
        assert not memory.intact or readable


def test_after_another_boot_nothing_is_proved_by_a_missing_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = Journal(tmp_path, 1)
    alive.dot(10, 9)
    alive.outcome(sent(10))
    alive.close(remove=False)
    monkeypatch.setattr(journal, "boot_id", lambda: "another")
    dead = journal.open_dead(tmp_path, 1)
    assert dead is not None
    memory = dead.read()
    assert memory is not None
    assert not memory.intact, "a power cut may have taken the last lines"
    assert set(memory.outcomes) == {(10, 9)}, "what is written is true all the same"


def test_a_journal_without_its_first_line_is_not_intact(tmp_path: Path) -> None:
    alive = Journal(tmp_path, 1)
    path = alive._path
    alive.close(remove=False)
    path.write_bytes(b"")
    dead = journal.open_dead(tmp_path, 1)
    assert dead is not None
    memory = dead.read()
    assert memory is not None
    assert not memory.intact


@pytest.fixture
def short_writes(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """The disk is full while the list holds True: a write leaves three bytes."""
    full, write = [True], os.write

    def limited(file: int, data: bytes) -> int:
        return write(file, data[:3] if full[0] else data)

    monkeypatch.setattr(os, "write", limited)
    return full


def test_a_full_disk_spoils_no_other_line(tmp_path: Path, short_writes: list[bool]) -> None:
    short_writes[0] = False
    alive = Journal(tmp_path, 1)
    alive.dot(1, 9)
    short_writes[0] = True
    with pytest.raises(OSError, match="wrote 3 of"):
        alive.dot(2, 9)
    short_writes[0] = False
    alive.dot(3, 9)
    alive.close(remove=False)
    dead = journal.open_dead(tmp_path, 1)
    assert dead is not None
    memory = dead.read()
    assert memory is not None
    assert (memory.intact, memory.dots) == (True, {(1, 9), (3, 9)})


def test_what_is_not_settled_is_remembered(tmp_path: Path) -> None:
    alive = Journal(tmp_path, 1)
    for row in (1, 2, 3):
        alive.dot(row, 9)
    alive.outcome(sent(2))
    alive.settle([(1, 9)])
    memory = alive.memory()
    assert (memory.intact, memory.dots, set(memory.outcomes)) == (True, {(2, 9), (3, 9)}, {(2, 9)})
    alive.close(remove=True)
