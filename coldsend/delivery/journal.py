"""The outcome journal: what a process knows about its rows that the database does not know yet.

Append-only text, one line per step, written with one ``write`` each, so that everything before a ``kill -9``
is there:

    B <boot id> <lock>              first line: the boot of the machine, and the inode of the lock file
    <crc> D <row> <token>           about to send the final dot (or the HTTP request)
    <crc> K <row> <token> <JSON>    the answer after it, whatever it was; it may wait for the next D

The file ``worker-<id>-<start>.journal`` (start: microseconds since 1970, so that installations which share a
folder share no journal) goes with a file ``.lock``, which its process holds locked as long as it lives: who
gets the lock knows that the process is dead. The lock file holds the journal's length, eight bytes, little
end first. A line that is not there means "never sent", so a journal proves that only if it is *intact*: of
this boot, of this lock, not shorter than it was, every checksum right. No fsync: a power cut may take the
last lines with it, and then the boot is another one. Answers that can be read are true in any case.
"""

from __future__ import annotations

import errno
import json
import os
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zlib import crc32

from coldsend.delivery.presence import Lock, opened_dead
from coldsend.domain.outcome import RowOutcome, outcome_from_json
from coldsend.errors import Refused

COMPACT_BYTES = 1 << 20

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class StateFolder(Refused):
    """The state directory cannot be used: nothing may be sent without a journal."""

    code = "state_dir"


def state_folder_error(error: OSError, state_dir: Path) -> StateFolder:
    """What the operator is told of a journal that cannot be made."""
    return StateFolder(
        f"the state directory {state_dir} cannot be written: {error.strerror or error}",
        hint="nothing is sent without a journal: state_dir must be a local directory that this user may "
        "write to, with some free space",
    )


def host_id(state_dir: Path) -> str:
    """Names the state directory: processes that share it can see each other's journals; else StateFolder."""
    try:
        return _host_id(journal_folder(state_dir) / "host-id")
    except OSError as error:
        raise state_folder_error(error, state_dir) from error


def _host_id(file: Path) -> str:
    known = _read_host_id(file)
    if known:
        return known
    temporary = file.with_name(f"host-id.{os.getpid()}")
    with temporary.open("w") as made:
        made.write(uuid.uuid4().hex)
        made.flush()
        os.fsync(made.fileno())  # a power cut must not leave an empty one
    try:
        if file.exists():
            temporary.replace(file)  # it was damaged
        else:
            with suppress(FileExistsError):
                os.link(temporary, file)  # the first of several processes wins, the others read its id
    finally:
        temporary.unlink(missing_ok=True)
    return _read_host_id(file)


def _read_host_id(file: Path) -> str:
    try:
        text = file.read_bytes().strip().decode()
        return text if len(text) == 32 and int(text, 16) >= 0 else ""
    except (FileNotFoundError, ValueError):
        return ""


def journal_folder(state_dir: Path) -> Path:
    folder = state_dir / "journal"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def journal_path(state_dir: Path, worker_id: int, started_at: datetime) -> Path:
    return state_dir / "journal" / f"worker-{worker_id}-{_microseconds(started_at)}.journal"


def journals_in(state_dir: Path) -> list[tuple[int, int]]:
    """(worker id, start in microseconds) of every process that has files here, dead or alive."""
    found = []
    for file in (state_dir / "journal").glob("worker-*-*.lock"):
        _, worker_id, start = file.stem.split("-", 2)
        if worker_id.isdecimal() and start.isdecimal():
            found.append((int(worker_id), int(start)))
    return sorted(found)


def is_start(started_at: datetime, start: int) -> bool:
    """Whether ``start``, as file names have it, is this moment."""
    return _microseconds(started_at) == start


class Journal:
    """The journal this process writes. Not thread-safe: the event loop's thread writes it."""

    def __init__(self, state_dir: Path, worker_id: int, started_at: datetime) -> None:
        """StateFolder where it cannot be written."""
        self._path = journal_path(state_dir, worker_id, started_at)
        self._kept = 0  # bytes that the last compaction had to leave
        self._answers = b""  # lines that are not written yet
        self._open: dict[tuple[int, int], bytes] = {}
        self._file = -1
        lock: Lock | None = None
        try:
            journal_folder(state_dir)
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o600)
            self._lock = lock = Lock(self._path.with_suffix(".lock"))
            self._written = 0  # bytes in the file
            self._head = _head(self._lock.inode) + b"\n"
            self._write(self._head)
        except OSError as error:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
            with suppress(OSError):
                if lock is not None:
                    lock.close(remove=True)
            if self._file >= 0:
                os.close(self._file)
            raise state_folder_error(error, state_dir) from error

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._written

    def dot(self, row_id: int, token: int) -> None:
        """The final dot of this row goes out next. OSError where it cannot be noted: then do not send."""
        line = _line(b"D %d %d" % (row_id, token))
        self._write(self._answers + line if self._answers else line)
        self._answers = b""
        self._open[row_id, token] = line

    def outcome(self, outcome: RowOutcome) -> None:
        """The answer after the dot, which the next dot or :meth:`flush` writes. Only for rows with a dot.

        A connection has one dot under way at most, and its next one writes the answer to the last: so no more
        rows than connections are ever without an answer in the file.
        """
        key = (outcome.row_id, outcome.token)
        if key in self._open:
            line = _line(b"K %d %d %s" % (*key, outcome.to_json().encode()))
            self._open[key] += line
            self._answers += line

    def flush(self) -> None:
        """Write what waits for the next dot. OSError where that is not possible; then it goes on waiting."""
        if self._answers:
            self._write(self._answers)
            self._answers = b""

    def has_dot(self, row_id: int, token: int) -> bool:
        return (row_id, token) in self._open

    def memory(self) -> Memory:
        """What it says of rows that are not settled."""
        return _read(b"".join(self._open.values()))

    def settle(self, keys: Iterable[tuple[int, int]]) -> None:
        """The database has these rows' outcomes: the journal may forget them.

        OSError where the file could not be made shorter; it is whole, and is tried again the next time.
        """
        for key in keys:
            self._open.pop(key, None)
        if self._written > COMPACT_BYTES + self._kept:
            self._compact()

    def repair(self) -> bool:
        """Make anew what somebody deleted, replaced or cut off; False where nothing was wrong.

        OSError where that cannot be done now. What is not settled is in memory, so nothing is lost.
        """
        if self._lock.is_whole() and _is(self._path, self._file, self._written):
            return False
        journal_folder(self._path.parent.parent)
        if not self._lock.is_whole():
            before, self._lock = self._lock, Lock(self._path.with_suffix(".lock"))
            before.close(remove=False)
            self._head = _head(self._lock.inode) + b"\n"
        self._compact()
        return True

    def close(self, *, remove: bool) -> None:
        """Let go; ``remove``: every row was settled and the files are not needed any more."""
        if not remove:
            with suppress(OSError):
                self.flush()
        os.close(self._file)
        if remove:
            for suffix in (".new", ".journal"):
                self._path.with_suffix(suffix).unlink(missing_ok=True)
        self._lock.close(remove=remove)

    def _write(self, line: bytes) -> None:
        written = os.write(self._file, line)
        if written != len(line):
            # A full disk: half a line would spoil the one that follows it.
            os.ftruncate(self._file, self._written)
            raise OSError(errno.ENOSPC, f"wrote {written} of {len(line)} bytes", str(self._path))
        self._written += written
        self._lock.note_length(self._written)

    def _compact(self) -> None:
        """Keep only lines of rows that are still open, in one atomic step."""
        fresh = self._path.with_suffix(".new")
        content = self._head + b"".join(self._open.values())
        fresh.write_bytes(content)
        file = os.open(fresh, os.O_WRONLY | os.O_APPEND)
        # Before the file becomes shorter: a journal that is shorter than noted is not intact.
        self._lock.note_length(min(self._written, len(content)))
        fresh.replace(self._path)
        os.close(self._file)
        self._file = file
        self._written = self._kept = len(content)
        self._answers = b""  # among the open lines
        self._lock.note_length(self._written)


@dataclass
class Memory:
    """What a journal says. ``intact`` is False where a line may be missing, or could not be read."""

    dots: set[tuple[int, int]] = field(default_factory=set)
    outcomes: dict[tuple[int, int], RowOutcome] = field(default_factory=dict)
    intact: bool = True


class DeadJournal:
    """A journal whose process is dead: we hold its lock."""

    def __init__(self, path: Path, lock: int) -> None:
        self._path = path
        self._lock = lock

    def read(self) -> Memory | None:
        """Everything it says; None where the file is gone."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        head, newline, rest = content.partition(b"\n")
        noted = os.pread(self._lock, 8, 0)
        memory = _read(rest)
        memory.intact &= bool(newline) and head == _head(os.fstat(self._lock).st_ino)
        memory.intact &= len(noted) == 8 and len(content) >= int.from_bytes(noted, "little")
        return memory

    def close(self, *, remove: bool) -> None:
        if remove:
            for suffix in (".new", ".journal", ".lock"):
                self._path.with_suffix(suffix).unlink(missing_ok=True)
        os.close(self._lock)


def open_dead(state_dir: Path, worker_id: int, started_at: datetime) -> DeadJournal | None:
    """The journal of a process of this host if that process is dead; None while it lives or left no lock."""
    path = journal_path(state_dir, worker_id, started_at)
    lock = opened_dead(path.with_suffix(".lock"))
    return None if lock is None else DeadJournal(path, lock)


def boot_id() -> str:
    """Names this run of the machine; where the machine has no such name, every call gives a new one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return uuid.uuid4().hex


def _line(text: bytes) -> bytes:
    return b"%08x %b\n" % (crc32(text), text)


def _head(lock_inode: int) -> bytes:
    return b"B %s %d" % (boot_id().encode(), lock_inode)


def _read(lines: bytes) -> Memory:
    *whole, torn = lines.split(b"\n")
    memory = Memory(intact=not torn)
    for line in whole:
        _read_line(line, memory)
    return memory


def _read_line(line: bytes, memory: Memory) -> None:
    """Take one line into memory; anything that is not exactly a D or a K line makes it not intact."""
    try:
        checksum, text = line.split(b" ", 1)
        kind, row, token, *rest = text.split(b" ", 3)
        key = (int(row), int(token))
        right = checksum == b"%08x" % crc32(text)
        outcome = outcome_from_json(json.loads(rest[0])) if kind == b"K" and rest and right else None
    except (ValueError, TypeError, KeyError):
        memory.intact = False
        return
    if not right:
        memory.intact = False
    elif kind == b"D" and not rest:
        memory.dots.add(key)
    elif outcome is not None and (outcome.row_id, outcome.token) == key:
        memory.outcomes[key] = outcome
    else:
        memory.intact = False


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _is(path: Path, descriptor: int, size: int) -> bool:
    """Whether ``path`` is the open file, and of this size."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(descriptor)) and found.st_size == size
