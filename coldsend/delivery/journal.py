"""The outcome journal: what a process knows about its rows that the database does not know yet.

Append-only text, one line per step, written with one ``write`` each, so that everything before a ``kill -9``
is there:

    B <boot id>                     first line: the boot of the machine that all other lines belong to
    D <row> <token>                 about to send the final dot (or the HTTP request)
    K <row> <token> <outcome JSON>  the answer after it, whatever it was

The file ``worker-<id>.journal`` goes with ``worker-<id>.lock``, which its process holds locked as long as it
lives: who gets the lock knows that the process is dead. No fsync: a power cut may take the last lines with
it. So after another boot the absence of a line proves nothing any more, and what has no answer becomes
``unknown``.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from coldsend.domain.outcome import RowOutcome, outcome_from_json

COMPACT_BYTES = 1 << 20


def host_id(state_dir: Path) -> str:
    """Names the state directory: processes that share it can see each other's journals."""
    folder = journal_folder(state_dir)
    file = folder / "host-id"
    if not file.exists():
        temporary = file.with_name(f"host-id.{os.getpid()}")
        temporary.write_text(uuid.uuid4().hex)
        try:
            os.link(temporary, file)  # the first of several processes wins, the others read its id
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    return file.read_text().strip()


def journal_folder(state_dir: Path) -> Path:
    folder = state_dir / "journal"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


class Journal:
    """The journal this process writes. Not thread-safe: the event loop's thread writes it."""

    def __init__(self, state_dir: Path, worker_id: int) -> None:
        """OSError where it cannot be written, RuntimeError where a living process writes it."""
        self._path = journal_folder(state_dir) / f"worker-{worker_id}.journal"
        self._kept = 0  # bytes that the last compaction had to leave
        self._lock = _locked(self._path.with_suffix(".lock"))
        if self._lock is None:
            raise RuntimeError(f"{self._path} is in use by another process")
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o600)
        self._written = 0  # bytes in the file
        self._open: dict[tuple[int, int], bytes] = {}
        self._head = _head() + b"\n"
        self._write(self._head)

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return self._written

    def dot(self, row_id: int, token: int) -> None:
        """The final dot of this row goes out next. OSError where it cannot be noted: then do not send."""
        self._append((row_id, token), b"D %d %d\n" % (row_id, token))

    def outcome(self, outcome: RowOutcome) -> None:
        """The answer after the dot. Only for rows whose dot was written."""
        key = (outcome.row_id, outcome.token)
        if key in self._open:
            line = json.dumps(outcome.as_json(), ensure_ascii=True, separators=(",", ":"))
            self._append(key, b"K %d %d %s\n" % (*key, line.encode()))

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

    def close(self, *, remove: bool) -> None:
        """Let go; ``remove``: every row was settled and the files are not needed any more."""
        os.close(self._file)
        if remove:
            for suffix in (".new", ".journal", ".lock"):
                self._path.with_suffix(suffix).unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _append(self, key: tuple[int, int], line: bytes) -> None:
        self._write(line)
        self._open[key] = self._open.get(key, b"") + line

    def _write(self, line: bytes) -> None:
        written = os.write(self._file, line)
        if written != len(line):
            # A full disk: half a line would spoil the one that follows it.
            os.ftruncate(self._file, self._written)
            raise OSError(errno.ENOSPC, f"wrote {written} of {len(line)} bytes", str(self._path))
        self._written += written

    def _compact(self) -> None:
        """Keep only lines of rows that are still open, in one atomic step."""
        fresh = self._path.with_suffix(".new")
        content = self._head + b"".join(self._open.values())
        fresh.write_bytes(content)
        file = os.open(fresh, os.O_WRONLY | os.O_APPEND)
        fresh.replace(self._path)
        os.close(self._file)
        self._file = file
        self._written = self._kept = len(content)


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
        memory = _read(rest)
        memory.intact &= bool(newline) and head == _head()
        return memory

    def close(self, *, remove: bool) -> None:
        if remove:
            self._path.unlink(missing_ok=True)
            self._path.with_suffix(".lock").unlink(missing_ok=True)
        os.close(self._lock)


def open_dead(state_dir: Path, worker_id: int) -> DeadJournal | None:
    """The journal of a process of this host if that process is dead; None while it lives or left no lock."""
    path = journal_folder(state_dir) / f"worker-{worker_id}.journal"
    lock_file = path.with_suffix(".lock")
    if not lock_file.exists():
        return None
    lock = _locked(lock_file)
    return None if lock is None else DeadJournal(path, lock)


def boot_id() -> str:
    """Names this run of the machine; where the machine has no such name, every call gives a new one."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return uuid.uuid4().hex


def _head() -> bytes:
    return b"B %s" % boot_id().encode()


def _read(lines: bytes) -> Memory:
    *whole, torn = lines.split(b"\n")
    memory = Memory(intact=not torn)
    for line in whole:
        _read_line(line, memory)
    return memory


def _read_line(line: bytes, memory: Memory) -> None:
    """Take one line into memory; anything that is not exactly a D or a K line makes it not intact."""
    try:
        kind, row, token, *rest = line.split(b" ", 3)
        key = (int(row), int(token))
        outcome = outcome_from_json(json.loads(rest[0])) if kind == b"K" and rest else None
    except (ValueError, TypeError, KeyError):
        memory.intact = False
        return
    if kind == b"D" and not rest:
        memory.dots.add(key)
    elif outcome is not None and (outcome.row_id, outcome.token) == key:
        memory.outcomes[key] = outcome
    else:
        memory.intact = False


def _locked(path: Path) -> int | None:
    """A descriptor that holds the exclusive lock of ``path``; None where somebody else holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
