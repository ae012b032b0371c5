"""Whether this host can be trusted with sending: its clock, and the disk its journals lie on.

Quota days, throttle gaps and due times come from the clock of the host that works, so hosts must agree. It is
compared with the database's clock, which all of them see, and with the others' heartbeats.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

from sqlalchemy.engine import Connection

from coldsend import clock
from coldsend.database import administration
from coldsend.domain.finding import Finding
from coldsend.stores import workers

WARN_SECONDS = 1.0
# Leases count on steady clocks and survive any skew. Gaps and quota days do not: half a minute is as much as
# a provider that counts by its own clock may be expected to overlook.
REFUSE_SECONDS = 30.0
_SAMPLES = 3
_NTP = "keep the clocks of all hosts right with NTP: timedatectl set-ntp true, or install chrony"

_DATE = re.compile(r"[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d (?:[+-]\d{4}|GMT)")

NETWORK_FILE_SYSTEMS = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.ceph",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "glusterfs",
        "gfs2",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb3",
        "smbfs",
        "virtiofs",
    }
)


@dataclass(frozen=True, slots=True)
class Skew:
    """seconds: how far this host's clock is ahead (negative: behind); known to within ``error`` seconds."""

    seconds: float
    error: float

    @property
    def least(self) -> float:
        """Seconds by which the clocks differ at the very least."""
        return max(0.0, abs(self.seconds) - self.error)


def skew(connection: Connection, now: Callable[[], datetime] = clock.unshifted_now) -> Skew | None:
    """This host's clock against the database server's; None where that has none of its own (SQLite)."""
    found: list[Skew] = []
    for _ in range(_SAMPLES):
        before = now()
        there = administration.server_time(connection)
        after = now()
        if there is None:
            return None
        half = (after - before) / 2
        found.append(Skew((before + half - there).total_seconds(), half.total_seconds()))
    return min(found, key=lambda one: one.error)


def clock_findings(
    connection: Connection, now: Callable[[], datetime] = clock.unshifted_now
) -> Iterator[Finding]:
    """An error where this clock is far from the database's, a warning where it is not near."""
    found = skew(connection, now)
    if found is None or found.least <= WARN_SECONDS:
        return
    ahead = "ahead of" if found.seconds > 0 else "behind"
    yield Finding(
        "error" if found.least > REFUSE_SECONDS else "warning",
        "clock",
        f"this host is {abs(found.seconds):.1f} s {ahead} the database server: quota days, throttle gaps and "
        "due times come from the clock of the host that works",
        _NTP,
    )


def told_time(who: str, text: str, now: datetime) -> Iterator[Finding]:
    """A warning where the time in a text, of a server that says it, is far from ``now``."""
    found = _DATE.search(text)
    if not found:
        return
    try:
        theirs = parsedate_to_datetime(found[0])
    except ValueError:
        return
    apart = (now - theirs).total_seconds()
    if abs(apart) > REFUSE_SECONDS:
        ahead = "ahead of" if apart > 0 else "behind"
        yield Finding(
            "warning",
            "clock",
            f"this host is {abs(apart):.0f} s {ahead} {who}: quota days, windows and the dates of messages "
            "come from this clock",
            _NTP,
        )


def neighbour_findings(connection: Connection, now: datetime) -> Iterator[Finding]:
    """A warning for each living process whose heartbeat lies in this host's future.

    Never an error: it may be the last word of a process that died with a wrong clock.
    """
    if clock.test_clock_file() is not None:
        return  # clocks of a test jump while processes run
    for row in workers.unstopped(connection):
        ahead = row["heartbeat_at"] - now
        if ahead > timedelta(seconds=WARN_SECONDS):
            yield Finding(
                "warning",
                "clock",
                f"{row['kind']} {row['id']} on host {row['host']} has its clock "
                f"{ahead.total_seconds():.1f} s ahead of this one",
                _NTP,
            )


def state_dir_findings(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> Iterator[Finding]:
    """What is wrong with the disk under the journals: their locks must tell who lives."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    kind = file_system(existing, mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        yield Finding(
            "warning",
            "state_dir",
            f"{folder} is on a network file system ({kind}): its locks are not reliable, and hosts that "
            "share it would take each other's processes for their own",
            "set state_dir or COLDSEND_STATE_DIR to a local disk, another one for each host",
        )
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK) and not locks_hold(existing):
        yield Finding(
            "error",
            "state_dir",
            f"file locks do not work in {folder}: nobody could tell a dead process from a living one",
            "set state_dir or COLDSEND_STATE_DIR to a local disk",
        )


def file_system(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """The type of the file system that ``path`` is on; empty where the system does not tell."""
    try:
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    wanted = str(path.resolve())
    for line in lines:
        fields, _, rest = line.partition(" - ")
        point = fields.split(" ")[4].replace("\\040", " ") if fields.count(" ") >= 4 else ""
        below = wanted == point or wanted.startswith(point.rstrip("/") + "/")
        if point and below and len(point) >= len(best):  # a later mount hides an earlier one
            best, kind = point, rest.split(" ")[0]
    return kind


def locks_hold(folder: Path) -> bool:
    """Whether a lock that is held keeps another out."""
    file = folder / f".lock-test-{os.getpid()}"
    first = second = -1
    try:
        first, second = (os.open(file, os.O_RDWR | os.O_CREAT, 0o600) for _ in range(2))
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    else:
        return False
    finally:
        for descriptor in (first, second):
            if descriptor >= 0:
                os.close(descriptor)
        file.unlink(missing_ok=True)
