"""The outcome journal: what a dead process knew."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
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
    alive = Journal(tmp_path, 1, AT)
    alive.dot(10, 9)
    alive.outcome(sent(10))
    alive.dot(11, 9)
    alive.close(remove=False)
    dead = journal.open_dead(tmp_path, 1, AT)
    assert dead is not None
    memory = dead.read()
    assert memory is not None
    assert memory.intact
    assert memory.dots == {(10, 9), (11, 9)}
    assert memory.outcomes == {(10, 9): sent(10)}


def test_a_living_process_cannot_be_taken_for_dead(tmp_path: Path) -> None:
    alive = Journal(tmp_path, 1, AT)
    assert journal.open_dead(tmp_path, 1, AT) is None
    alive.close(remove=False)
    assert journal.open_dead(tmp_path, 1, AT) is not None


@pytest.mark.costly
def test_everything_before_a_kill_is_there(tmp_path: Path) -> None:
    program = (
        "import os, signal; from pathlib import Path; from coldsend.delivery.journal import Journal\n"
        "from datetime import datetime\n"
        f"j = Journal(Path({str(tmp_path)!r}), 5, datetime.fromisoformat({AT.isoformat()!r}))\n"
        "for row in range(1000): j.dot(row, 1)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program], check=False, cwd=Path(__file__).parents[2])
    dead = journal.open_dead(tmp_path, 5, AT)
    assert dead is not None
    memory = dead.read()
    assert memory is not None
    assert memory.intact
    assert len(memory.dots) == 1000


def test_an_answer_is_written_with_the_next_dot_at_the_latest(tmp_path: Path) -> None:
    file = journal.journal_path(tmp_path, 1, AT)
    alive = Journal(tmp_path, 1, AT)
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
    alive = Journal(tmp_path, 1, AT)
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
    dead = journal.open_dead(tmp_path, 1, AT)
    assert dead is not None
    memory = dead.read()
    assert memory is not None
    assert memory.intact
    assert (memory.dots, memory.outcomes) == ({(10, 9)}, {(10, 9): sent(10)})


def test_an_answer_without_a_dot_is_not_journaled(tmp_path: Path) -> None:
    alive = Journal(tmp_path, 1, AT)
    alive.outcome(sent(10))
    alive.close(remove=False)
    dead = journal.open_dead(tmp_path, 1, AT)
    assert dead is not None
    memory = dead.read()
    assert memory is not None
    assert not memory.outcomes


def test_compaction_forgets_settled_rows_and_keeps_open_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "COMPACT_BYTES", 200)
    alive = Journal(tmp_path, 1, AT)
    for row in range(100):
        alive.dot(row, 9)
    alive.settle([(row, 9) for row in range(99)])
    alive.outcome(sent(99))
    assert alive._path.stat().st_size < 700
    alive.close(remove=False)
    dead = journal.open_dead(tmp_path, 1, AT)
    assert dead is not None
    memory = dead.read()
    assert memory is not None
    assert (memory.dots, set(memory.outcomes)) == ({(99, 9)}, {(99, 9)})


def test_a_journal_that_cannot_be_written_stops_the_message(tmp_path: Path) -> None:
    alive = Journal(tmp_path, 1, AT)
    os.close(alive._file)
    with pytest.raises(OSError, match="Bad file"):
        alive.dot(1, 1)


def test_processes_of_one_state_directory_have_one_host_id(tmp_path: Path) -> None:
    assert journal.host_id(tmp_path) == journal.host_id(tmp_path)
    assert journal.host_id(tmp_path) != journal.host_id(tmp_path / "other")


@pytest.mark.costly
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(cut=st.integers(0, 400), noise=st.binary(max_size=40))
def test_a_torn_or_corrupt_journal_is_noticed_and_never_invents_an_answer(
    tmp_path: Path, cut: int, noise: bytes
) -> None:
    alive = Journal(tmp_path, 1, AT)
    for row in (1, 2, 3):
        alive.dot(row, 9)
        alive.outcome(sent(row))
    path = alive._path
    alive.close(remove=False)
    whole = path.read_bytes()
    path.write_bytes(whole[:cut] + noise)
    dead = journal.open_dead(tmp_path, 1, AT)
    assert dead is not None
    memory = dead.read()
    dead.close(remove=True)
    assert memory is not None
    assert set(memory.outcomes) <= {(1, 9), (2, 9), (3, 9)}
    assert all(outcome == sent(row) for (row, _token), outcome in memory.outcomes.items())
    if whole[:cut] + noise != whole:
        assert not memory.intact
        assert memory.dots <= {(1, 9), (2, 9), (3, 9)}


def test_after_another_boot_nothing_is_proved_by_a_missing_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = Journal(tmp_path, 1, AT)
    alive.dot(10, 9)
    alive.outcome(sent(10))
    alive.close(remove=False)
    monkeypatch.setattr(journal, "boot_id", lambda: "another")
    dead = journal.open_dead(tmp_path, 1, AT)
    assert dead is not None
    memory = dead.read()
    assert memory is not None
    assert not memory.intact, "a power cut may have taken the last lines"
    assert set(memory.outcomes) == {(10, 9)}, "what is written is true all the same"


def test_a_journal_without_its_first_line_is_not_intact(tmp_path: Path) -> None:
    alive = Journal(tmp_path, 1, AT)
    path = alive._path
    alive.close(remove=False)
    path.write_bytes(b"")
    dead = journal.open_dead(tmp_path, 1, AT)
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
    alive = Journal(tmp_path, 1, AT)
    alive.dot(1, 9)
    short_writes[0] = True
    with pytest.raises(OSError, match="wrote 3 of"):
        alive.dot(2, 9)
    short_writes[0] = False
    alive.dot(3, 9)
    alive.close(remove=False)
    dead = journal.open_dead(tmp_path, 1, AT)
    assert dead is not None
    memory = dead.read()
    assert memory is not None
    assert (memory.intact, memory.dots) == (True, {(1, 9), (3, 9)})


def test_what_is_not_settled_is_remembered(tmp_path: Path) -> None:
    alive = Journal(tmp_path, 1, AT)
    for row in (1, 2, 3):
        alive.dot(row, 9)
    alive.outcome(sent(2))
    alive.settle([(1, 9)])
    memory = alive.memory()
    assert (memory.intact, memory.dots, set(memory.outcomes)) == (True, {(2, 9), (3, 9)}, {(2, 9)})
    alive.close(remove=True)


def dead_memory(tmp_path: Path) -> journal.Memory:
    dead = journal.open_dead(tmp_path, 1, AT)
    assert dead is not None
    memory = dead.read()
    dead.close(remove=False)
    assert memory is not None
    return memory


@pytest.mark.parametrize("lines", [1, 2, 3])
def test_a_journal_that_was_cut_off_between_two_lines_proves_nothing(tmp_path: Path, lines: int) -> None:
    alive = Journal(tmp_path, 1, AT)
    for row in (1, 2, 3):
        alive.dot(row, 9)
    alive.close(remove=False)
    whole = alive._path.read_bytes().splitlines(keepends=True)
    alive._path.write_bytes(b"".join(whole[:-lines]))
    memory = dead_memory(tmp_path)
    assert not memory.intact, "a dot that is not there any more would look like one that never was"


@pytest.mark.costly
@given(st.data())
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
    max_examples=150,
)
def test_a_bit_that_flipped_is_noticed(tmp_path: Path, data: st.DataObject) -> None:
    alive = Journal(tmp_path, 1, AT)
    for row in (10, 11):
        alive.dot(row, 9)
        alive.outcome(sent(row))
    alive.close(remove=False)
    content = bytearray(alive._path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    alive._path.write_bytes(content)
    memory = dead_memory(tmp_path)
    assert not memory.intact
    assert memory.dots <= {(10, 9), (11, 9)}
    assert all(outcome == sent(row) for (row, _token), outcome in memory.outcomes.items())


def test_another_file_under_the_name_of_the_lock_is_no_proof(tmp_path: Path) -> None:
    alive = Journal(tmp_path, 1, AT)
    alive.dot(1, 9)
    alive.outcome(sent(1))
    alive.flush()
    lock = alive._path.with_suffix(".lock")
    copy = lock.read_bytes()
    lock.unlink()
    lock.write_bytes(copy)  # what a restored backup does while the process lives
    memory = dead_memory(tmp_path)
    assert not memory.intact
    assert set(memory.outcomes) == {(1, 9)}
    alive.close(remove=True)


@pytest.mark.parametrize("deed", ["delete", "cut", "replace", "folder"])
def test_files_that_somebody_touched_are_made_anew(tmp_path: Path, deed: str) -> None:
    alive = Journal(tmp_path, 1, AT)
    for row in (1, 2, 3):
        alive.dot(row, 9)
    alive.settle([(1, 9)])
    assert not alive.repair(), "nothing is wrong"
    lock = alive._path.with_suffix(".lock")
    if deed == "folder":
        shutil.rmtree(alive._path.parent)
    elif deed == "replace":
        alive._path.unlink()
        alive._path.write_bytes(b"B another\n")
        lock.unlink()
        lock.write_bytes(bytes(8))
    elif deed == "cut":
        os.truncate(alive._path, 20)
    else:
        alive._path.unlink()
        lock.unlink()
    assert alive.repair()
    assert journal.open_dead(tmp_path, 1, AT) is None, "it lives, and anybody can see it"
    alive.dot(4, 9)
    assert not alive.repair()
    alive.close(remove=False)
    memory = dead_memory(tmp_path)
    assert (memory.intact, memory.dots) == (True, {(2, 9), (3, 9), (4, 9)})


def test_installations_that_share_a_folder_share_no_journal(tmp_path: Path) -> None:
    other = Journal(tmp_path, 1, AT)
    other.dot(1, 9)
    other.close(remove=False)
    mine = Journal(tmp_path, 1, AT + timedelta(seconds=1))
    mine.close(remove=True)
    assert dead_memory(tmp_path).dots == {(1, 9)}


def test_a_state_directory_that_is_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(journal.StateFolder, match="cannot be written: Not a directory") as refused:
        journal.host_id(tmp_path / "state")
    assert refused.value.exit_code == 4
    with pytest.raises(journal.StateFolder):
        Journal(tmp_path / "state", 1, AT)


@pytest.mark.parametrize("damaged", [b"", b"\0" * 32, b"half"])
def test_a_damaged_host_id_is_made_anew(tmp_path: Path, damaged: bytes) -> None:
    journal.host_id(tmp_path)
    (tmp_path / "journal" / "host-id").write_bytes(damaged)
    made = journal.host_id(tmp_path)
    assert len(made) == 32
    assert journal.host_id(tmp_path) == made
