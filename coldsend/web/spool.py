"""The spool: hits on disk, on their way from server processes to the process that brings them to the ledger.

Files in ``state_dir/spool``:

    hits-<µs since 1970>-<pid>-<n>.open    a server process writes it, and holds its lock (flock)
    hits-..   .spool                       complete: to be read, applied and removed
    consent-..   .spool                    unsubscribes: made durable (fsync) before anybody is answered
    refused                                lines that could not be applied: kept, for a person to look at
    reader.lock                            held by the process that reads; the others wait for it

A hit is in its file, in the hands of the operating system, before its answer goes out: ``kill -9`` of every
process loses none. A power cut may take opens and clicks of the last seconds, but no unsubscribe. An
``.open`` file whose lock is free is that of a process that died; the reader takes it over.

While nobody reads, as when the database is away for hours, a process's files grow longer the more of them
wait: their number goes with the root of the time, so that listing them stays cheap.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from coldsend import clock
from coldsend.web.hits import microseconds

ROTATE_SECONDS = 0.25
ROTATE_BYTES = 1 << 20
USUAL_FILES = 40  # of one process that wait while the reader is not behind, and some more

_ABANDONED_SECONDS = 600

HITS, CONSENT = "hits", "consent"
OPEN, COMPLETE, UNFINISHED = ".open", ".spool", ".new"
_NAME = re.compile(r"[a-z]+-[0-9]{17}-[0-9]+-[0-9]+\.[a-z]+")


def folder_of(state_dir: Path) -> Path:
    """The spool's folder, made where it does not exist. OSError where that cannot be."""
    folder = state_dir / "spool"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


class Waiting(NamedTuple):
    """Opens and clicks that wait: in bytes, and how many files of this process."""

    size: int
    own: int


def waiting(folder: Path) -> Waiting:
    """What waits in the spool. Looks at every file."""
    size = own = 0
    mine = f"-{os.getpid()}-"
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(HITS):
                with suppress(FileNotFoundError):
                    size += entry.stat().st_size
                    own += mine in entry.name
    return Waiting(size, own)


def probe(folder: Path) -> None:
    """OSError where nothing can be written to the spool."""
    path = folder / f"probe.{os.getpid()}"
    try:
        path.write_bytes(bytes(512))
    finally:
        path.unlink(missing_ok=True)


class Spool:
    """The open file of one server process. Not thread-safe: its event loop writes it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = -1
        self._path = folder
        self._written = 0
        self._opened = 0.0
        self._number = 0
        self.behind = 0  # files of this process that wait

    def write(self, line: bytes) -> None:
        """Append a line. OSError where it could not be written whole; then it is not there."""
        if self._file >= 0 and (self._written >= ROTATE_BYTES or self._is_old()):
            self.complete()
        if self._file < 0:
            self._open()
        written = os.write(self._file, line)
        if written != len(line):
            os.ftruncate(self._file, self._written)
            raise OSError(errno.ENOSPC, f"wrote {written} of {len(line)} bytes", str(self._path))
        self._written += written

    def complete_old(self) -> None:
        """Let the reader have a file that has been open for a while; called a few times a second."""
        if self._file >= 0 and self._is_old():
            self.complete()

    def complete(self) -> None:
        """Let the reader have what was written so far."""
        if self._file < 0:
            return
        file, self._file = self._file, -1
        # Renamed while it is locked: the reader cannot take it for a dead process's in between.
        with suppress(OSError):
            self._path.rename(self._path.with_suffix(COMPLETE))
        os.close(file)

    def _is_old(self) -> bool:
        age = ROTATE_SECONDS * max(1.0, self.behind / USUAL_FILES)
        return clock.monotonic() - self._opened >= age

    def _open(self) -> None:
        self._number += 1
        self._path = self._folder / f"{_stem(HITS, self._number)}{OPEN}"
        # It appears under its name already locked, so that nobody takes it for a dead process's.
        temporary = self._path.with_suffix(UNFINISHED)
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            temporary.rename(self._path)
        except OSError:
            os.close(file)
            with suppress(OSError):
                temporary.unlink()
            raise
        self._file, self._written, self._opened = file, 0, clock.monotonic()


class ConsentSpool:
    """Unsubscribes of one server process. One thread at a time may write."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0

    def write(self, lines: Sequence[bytes]) -> None:
        """Store lines for good: not even a power cut takes them any more. OSError where that cannot be."""
        self._number += 1
        path = self._folder / f"{_stem(CONSENT, self._number)}{COMPLETE}"
        temporary = path.with_suffix(UNFINISHED)
        try:
            with temporary.open("xb") as file:
                file.write(b"".join(lines))
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(self._folder)


class Reader:
    """The right to read the spool; one process of a host has it at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = -1

    def acquire(self) -> bool:
        """Take the right where it is free; True where this process has it."""
        if self._lock >= 0:
            return True
        lock = os.open(self._folder / "reader.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def files(self, prefix: str) -> list[Path]:
        """Complete files, the oldest first."""
        return sorted(_ours(self._folder, prefix, COMPLETE))

    def take_over(self) -> int:
        """Complete the files of processes that died; returns how many."""
        for prefix in (HITS, CONSENT):
            for path in _ours(self._folder, prefix, UNFINISHED):
                # Of a process that died before it had answered anybody about what is in it.
                if microseconds(clock.now()) - began(path) > _ABANDONED_SECONDS * 1_000_000:
                    path.unlink(missing_ok=True)
        return sum(map(_taken_over, list(_ours(self._folder, HITS, OPEN))))

    def refuse(self, lines: Iterator[bytes] | Sequence[bytes]) -> None:
        """Keep lines that cannot be applied."""
        with (self._folder / "refused").open("ab") as file:
            file.writelines(line.rstrip(b"\n") + b"\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())


def began(path: Path) -> int:
    """When a file was begun, in microseconds since 1970."""
    return int(path.name.split("-")[1])


def _ours(folder: Path, prefix: str, ending: str) -> Iterator[Path]:
    """Files with names as they are made here; somebody's copy or note is none of our business."""
    return (path for path in folder.glob(f"{prefix}-*{ending}") if _NAME.fullmatch(path.name))


def _stem(prefix: str, number: int) -> str:
    return f"{prefix}-{microseconds(clock.now()):017d}-{os.getpid()}-{number}"


def _taken_over(path: Path) -> bool:
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.rename(path.with_suffix(COMPLETE))
    except (BlockingIOError, FileNotFoundError):
        return False
    finally:
        os.close(file)
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
