"""Becoming present: the row in ``workers``, and the files by which this host sees whether we live."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Literal

from sqlalchemy.engine import Connection

from coldsend import clock, logbook
from coldsend.config.settings import Settings
from coldsend.database.engine import Database
from coldsend.delivery.journal import Journal, StateFolder, host_id
from coldsend.stores import workers


def enlist(
    database: Database, settings: Settings, kind: Literal["sender", "scheduler"]
) -> tuple[int, Journal]:
    """The id of this process, never used before, and its journal.

    StateFolder where none can be made: then nobody takes this process for one that runs.
    """
    host, here = host_id(settings.state_dir), socket.gethostname()
    started_at = clock.now()

    def work(connection: Connection) -> int:
        return workers.register(
            connection,
            kind=kind,
            host=here,
            host_id=host,
            pid=os.getpid(),
            now=started_at,
            lease_seconds=settings.delivery.lease_seconds,
        )

    worker_id = database.run(work)
    logbook.worker_started(worker_id, kind=kind, host=here, pid=os.getpid())
    try:
        return worker_id, Journal(Path(settings.state_dir), worker_id, started_at)
    except StateFolder:
        database.run(lambda connection: workers.stop(connection, worker_id, clock.now()))
        raise


def keep_journal(journal: Journal, worker_id: int) -> None:
    """Mend what somebody did to the journal's files; called about once a second."""
    try:
        if journal.repair():
            logbook.journal_repaired(worker_id)
    except OSError as error:
        logbook.journal_failed(str(error))
