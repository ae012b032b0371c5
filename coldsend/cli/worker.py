"""``coldsend worker``: sender processes, on this or another host."""

from __future__ import annotations

import contextlib
import os
import threading
from datetime import timedelta
from typing import Annotated, Any

import typer

from coldsend import clock, logbook, meter
from coldsend.channels.limits import raise_file_limit
from coldsend.cli.context import current
from coldsend.cli.noun import noun, verb
from coldsend.config.settings import Settings
from coldsend.daemon.reports import reporting, served
from coldsend.daemon.stopping import Stopping
from coldsend.delivery.worker import Worker
from coldsend.domain.access import require_admin
from coldsend.stores import workers

app = noun("Sender processes.")


@verb(app, "coldsend worker run", name="run")
def run_worker(
    parent: Annotated[
        int | None, typer.Option(hidden=True, help="Process id to live with: stop when it is gone.")
    ] = None,
    report_to: Annotated[
        int | None, typer.Option(hidden=True, help="File descriptor to report what is counted to.")
    ] = None,
) -> None:
    """Run one sender process until it is stopped (SIGTERM or Ctrl-C drain within ten seconds).

    Adds a sender to those of the scheduler, on this or another host with the same database and keys.
    """
    run = current()
    require_admin(run.actor, "run sender processes")
    logbook.configure(run.settings.log.level, run.settings.log.format)
    raise_file_limit()
    stop = threading.Event()
    with Stopping(stop.set) as stopping, _metrics(run.settings, parent, report_to):

        def should_stop() -> bool:
            if parent is not None and os.getppid() != parent:
                stopping.request()  # a scheduler that was killed cannot drain its processes
            return stop.is_set()

        Worker(run.settings, run.keys, run.database, should_stop).run()
    if run.json:
        run.out.data({"stopped": True})


def _metrics(
    settings: Settings, parent: int | None, report_to: int | None
) -> contextlib.AbstractContextManager[object]:
    """The scheduler that started this process serves its metrics; without one it does so itself."""
    if report_to is not None:
        return reporting(report_to)
    return served(settings, meter.read) if parent is None else contextlib.nullcontext()


@verb(app, "coldsend worker list", "coldsend worker list --all", name="list")
def list_workers(
    everyone: Annotated[bool, typer.Option("--all", help="Also the last processes that have ended.")] = False,
) -> None:
    """List scheduler and sender processes with host, pid, services and heartbeat."""
    run = current()
    _ = run.actor
    now = clock.now()
    with run.database.read() as connection:
        rows = workers.recent(connection, 50) if everyone else workers.unstopped(connection)
    lease = timedelta(seconds=run.settings.delivery.lease_seconds)
    shown: list[dict[str, Any]] = [
        {
            "id": row["id"],
            "kind": row["kind"],
            "host": row["host"],
            "pid": row["pid"],
            "state": _state(row["stopped_at"] is not None, now - row["heartbeat_at"] > lease),
            "services": (row["details"] or {}).get("services", []),
            "held": (row["details"] or {}).get("held", 0),
            "rate": (row["details"] or {}).get("rate", 0),
            "sent": (row["details"] or {}).get("sent", 0),
            "leads": bool((row["details"] or {}).get("leads")),
            "started_at": row["started_at"],
            "heartbeat_at": row["heartbeat_at"],
        }
        for row in rows
    ]
    columns = {
        "id": "ID#",
        "kind": "KIND",
        "host": "HOST",
        "pid": "PID#",
        "state": "STATE",
        "leads": "LEADS",
        "services": "SERVICES",
        "held": "ROWS#",
        "rate": "RATE/S#",
        "sent": "SENT#",
        "heartbeat_at": "HEARTBEAT (UTC)",
    }
    run.out.table(shown, columns, empty="no process is running: coldsend scheduler run")


def _state(stopped: bool, silent: bool) -> str:
    if stopped:
        return "ended"
    return "silent" if silent else "running"
