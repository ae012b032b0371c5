"""A locked file that tells others whether its process lives, and how long its journal is.

The file appears under its name already locked, so nobody can take a process that is just starting for dead.
Its eight bytes are mapped into memory: noting the journal's length costs no system call, and outlives the
process as all that was written does.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from pathlib import Path

_LENGTH = struct.Struct("<Q")


class Lock:
    """Held from its making until :meth:`close` or the end of the process. OSError where it cannot be made."""

    def __init__(self, path: Path) -> None:
        self._path = path
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        self._file = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # With space of its own: a full disk must be an error here, not a signal at the mapping later.
            os.posix_fallocate(self._file, 0, _LENGTH.size)
            self._map = mmap.mmap(self._file, _LENGTH.size)
            temporary.rename(path)
        except OSError:
            os.close(self._file)
            temporary.unlink(missing_ok=True)
            raise
        self.inode = os.fstat(self._file).st_ino

    def note_length(self, length: int) -> None:
        """The journal has so many bytes."""
        _LENGTH.pack_into(self._map, 0, length)

    def is_whole(self) -> bool:
        """Whether the file is still the one that others find."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return False
        return found.st_ino == self.inode and found.st_size == _LENGTH.size

    def close(self, *, remove: bool) -> None:
        """Let go of the lock; ``remove`` the file first."""
        if remove:
            self._path.unlink(missing_ok=True)
        self._map.close()
        os.close(self._file)


def opened_dead(path: Path) -> int | None:
    """A descriptor that holds the lock of a process that is dead; None while it lives or left no lock."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
