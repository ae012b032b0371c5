"""A disk that can be filled to the last byte: a small file system in memory."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BLOCK = 1 << 16


class SmallDisk:
    """Mounted at ``folder``; :meth:`fill` takes all that is left of it, :meth:`make_room` gives it back."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, leave: int = 0) -> None:
        """Until only ``leave`` bytes are free."""
        with contextlib.suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            while (free := shutil.disk_usage(self.folder).free) > leave:
                file.write(b"x" * min(BLOCK, free - leave))

    def make_room(self) -> None:
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Skips the test where nothing may be mounted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "coldsend-test", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    folder.chmod(0o755)
    try:
        yield SmallDisk(folder)
    finally:
        # --lazy: a process that a failed test left behind must not keep it for ever.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
