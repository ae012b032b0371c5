"""The checks of this host before it begins to work: what would spoil quotas, gaps or rescues stops it here.

A state directory names its host. Where it was copied (a cloned disk, a container image with a used one), two
machines would take each other's processes for their own, and each would find the other's dead: their locks
are on another disk. A journal that was copied proves nothing (``delivery/journal.py``), so nobody would be
sent twice; but rows of living processes would become unknown again and again.
"""

from __future__ import annotations

import socket
import time
from datetime import timedelta
from pathlib import Path

from sqlalchemy.engine import RowMapping

from coldsend import clock, logbook
from coldsend.config.settings import Settings
from coldsend.database.engine import Database
from coldsend.delivery import journal as journals
from coldsend.errors import Refused
from coldsend.installation import hosts
from coldsend.stores import workers

WATCH_SECONDS = 6.0  # longer than the slowest heartbeat of a process that lives
_LOOK_SECONDS = 0.2


class HostUnfit(Refused):
    """This host must not send as it is: its clock, its state directory or its identity is wrong."""

    code = "host_unfit"


def require_fit(database: Database, settings: Settings, watch_seconds: float = WATCH_SECONDS) -> None:
    """Log what is doubtful about this host; HostUnfit where it must not work."""
    found = list(hosts.state_dir_findings(settings.state_dir))
    with database.read() as connection:
        found += hosts.clock_findings(connection)
        found += hosts.neighbour_findings(connection, clock.now())
    for finding in found:
        if finding.severity == "error":
            raise HostUnfit(f"{finding.subject}: {finding.message}", hint=finding.hint)
        logbook.host_doubtful(finding.subject, finding.message, finding.hint)
    _require_own_identity(database, settings, watch_seconds)


def _require_own_identity(database: Database, settings: Settings, watch_seconds: float) -> None:
    """HostUnfit where a process lives that has this host's identity, but not its locks."""
    lease = timedelta(seconds=settings.delivery.lease_seconds)
    suspects = {
        row["id"]: row["heartbeat_at"]
        for row in _with_our_identity(database, settings.state_dir)
        if abs(clock.now() - row["heartbeat_at"]) < lease and not _was_here(settings.state_dir, row)
    }
    watched_until = clock.monotonic() + watch_seconds
    while suspects and clock.monotonic() < watched_until:
        time.sleep(_LOOK_SECONDS)
        for row in _with_our_identity(database, settings.state_dir):
            moved = row["id"] in suspects and row["heartbeat_at"] != suspects[row["id"]]
            # One that was just starting has its lock by now.
            if moved and not _was_here(settings.state_dir, row):
                raise HostUnfit(
                    f"the state directory {settings.state_dir} is a copy: {row['kind']} {row['id']} (host "
                    f"{row['host']}, pid {row['pid']}) lives and has the same identity, and this is host "
                    f"{socket.gethostname()}",
                    hint="give each host a state_dir of its own: empty the copy, or name another directory "
                    "with state_dir or COLDSEND_STATE_DIR",
                )


def _with_our_identity(database: Database, state_dir: Path) -> list[RowMapping]:
    identity = journals.host_id(state_dir)
    with database.read() as connection:
        return [row for row in workers.unstopped(connection) if row["host_id"] == identity]


def _was_here(state_dir: Path, row: RowMapping) -> bool:
    """Whether the process has, or provably had, its lock in this very directory since the machine started."""
    path = journals.journal_path(state_dir, row["id"], row["started_at"])
    if not path.with_suffix(".lock").exists():
        return False
    dead = journals.open_dead(state_dir, row["id"], row["started_at"])
    if dead is None:
        return True
    try:
        memory = dead.read()
    finally:
        dead.close(remove=False)
    return memory is not None and memory.intact
