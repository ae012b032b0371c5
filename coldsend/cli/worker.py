"""``coldsend worker``: sender processes, on this or another host."""

from __future__ import annotations

import contextlib
import os
import threading
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from coldsend import clock, logbook, meter
from coldsend.channels.limits import raise_file_limit
from coldsend.cli import auditing
from coldsend.cli.context import current
from coldsend.cli.noun import noun, reads, runs
from coldsend.config.settings import Settings
from coldsend.daemon import hosts
from coldsend.daemon.reports import reporting, served
from coldsend.daemon.stopping import Stopping
from coldsend.delivery import roster
from coldsend.delivery.worker import Worker
from coldsend.domain.access import require_admin
from coldsend.stores.ledger import BUCKETS

app = noun("Sender processes.")

ENDED_SHOWN = 50

_WORK = {"part": "PART#", "services": "SERVICES", "held": "HELD#", "rate": "RATE/S#", "sent": "SENT#"}
WIDE = {"id": "ID#", "kind": "KIND", "host": "HOST", "pid": "PID#", "state": "STATE", **_WORK}
WIDE |= {"beat": "BEAT#", "lease": "LEASE#"}
NARROW = {"id": "ID#", "process": "PROCESS", "state": "STATE", **_WORK, "beat": "BEAT#"}
WIDE_ENOUGH = 110

SHORTEST_ANSWER = 5.0  # seconds that a statement is always given


@runs(app, "coldsend worker run", name="run")
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
    # A server that hangs is left for another one while the lease still lasts.
    run.answer_timeout = max(SHORTEST_ANSWER, run.settings.delivery.lease_seconds / 3)
    require_admin(run.actor, "run sender processes")
    logbook.configure(run.settings.log.level, run.settings.log.format)
    if parent is None:  # else the scheduler has looked, and is in the audit log
        hosts.require_fit(run.database, run.settings)
        auditing.begun(run)
    else:
        auditing.changed(run, anything=False)
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


@reads(app, "coldsend worker list", "coldsend worker list --all", name="list")
def list_workers(
    everyone: Annotated[bool, typer.Option("--all", help="Also the last processes that have ended.")] = False,
) -> None:
    """List scheduler and sender processes: where they run, what they do, and which of them are dead.

    PART is how many of the 61 parts (buckets) of the send lists a sender takes its rows from first, HELD the
    rows it has claimed, RATE/S rows a second of late, SENT messages since it began, BEAT the age of its
    heartbeat, LEASE how long it may still be silent before the others take it for dead.
    """
    run = current()
    _ = run.actor
    now = clock.now()
    lease = timedelta(seconds=run.settings.delivery.lease_seconds)
    with run.database.read() as connection:
        found = roster.processes(connection, now, lease, ENDED_SHOWN if everyone else 0)
    columns = WIDE if run.out.console.width >= WIDE_ENOUGH else NARROW
    empty = "no process is running: coldsend scheduler run"
    run.out.table([_line(one, now) for one in found], columns, empty=empty, document=found)
    for one in found:
        if one["state"] == "dead" and not run.json:
            run.out.warn(
                f"worker {one['id']} ({one['host']}, pid {one['pid']}) is dead: what it held is settled at "
                "once by another process of that host, else by the leading scheduler"
            )


def _line(one: dict[str, Any], now: datetime) -> dict[str, Any]:
    """A process as a line of the table."""
    lasts = (one["lease_until"] - now).total_seconds()
    sends, ended = one["kind"] == "sender", one["state"] == "ended"
    return {
        **one,
        "process": f"{one['kind']} {one['host']}:{one['pid']}",
        "state": "leads" if one["leads"] and one["state"] == "running" else one["state"],
        "part": f"{len(one['buckets'])}/{BUCKETS}" if sends and not ended else "-",
        "held": f"{one['held']:,}" if sends else "-",
        "rate": f"{one['rate']:,.0f}" if one["rate"] >= 100 else f"{one['rate']:.3g}" if sends else "-",
        "sent": f"{one['sent']:,}" if sends else "-",
        "beat": _span(one["heartbeat_age_seconds"]),
        "lease": "-" if ended else _span(lasts) if lasts > 0 else "out",
    }


def _span(seconds: float) -> str:
    """``12 s``, ``5 min``, ``3 h``, ``2 d``."""
    sizes = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    size, unit = next(((size, unit) for size, unit in sizes if seconds >= 2 * size), (1, "s"))
    return f"{int(seconds // size)} {unit}"
