"""``coldsend web``: what recipients' mail programs and browsers ask for."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import Annotated

import typer

from coldsend import logbook
from coldsend.alerts.watch import beside
from coldsend.channels.limits import raise_file_limit
from coldsend.cli import auditing
from coldsend.cli.context import Run, current, global_options
from coldsend.cli.noun import noun, runs
from coldsend.daemon.processes import Processes
from coldsend.daemon.reports import Reports, reporting, served
from coldsend.daemon.stopping import Stopping
from coldsend.domain.access import require_admin
from coldsend.feedback.applier import applier_of
from coldsend.stores import signing_keys
from coldsend.web import run as web
from coldsend.web import spool
from coldsend.web.drain import Drain
from coldsend.web.serving import keep_for_good, serve
from coldsend.web.webhooks.routes import routes

app = noun("The web part: opens, clicks, unsubscribe pages.")

Hidden = Annotated[int | None, typer.Option(hidden=True, help="Handed over by the process that started it.")]


@runs(app, "coldsend web run", "coldsend web run --host 0.0.0.0 --port 8025 --processes 2", name="run")
def run_web(
    host: Annotated[str | None, typer.Option(help="Address to listen on. Default: [web] host.")] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on. Default: [web] port.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, max=64, help="Server processes. Default: [web] processes.")
    ] = None,
    parent: Hidden = None,
    listener: Hidden = None,
    secret: Hidden = None,
    report_to: Hidden = None,
) -> None:
    """Answer open pixels, click redirects and unsubscribe pages until stopped (SIGTERM or Ctrl-C).

    What comes in is on disk before it is answered, and in the event log seconds later; where the database is
    away it waits. Any number may run, on this and other hosts: docs/web.md.
    """
    run = current()
    logbook.configure(run.settings.log.level, run.settings.log.format)
    raise_file_limit()
    if parent is not None and listener is not None and secret is not None:
        with reporting(report_to) if report_to is not None else contextlib.nullcontext():
            links = web.from_memory(secret)
            webhooks = routes(run.settings, links, lambda: run.keys)
            serve(run.settings, links, socket.socket(fileno=listener), parent, webhooks)
        return
    require_admin(run.actor, "run the web part")
    auditing.begun(run)
    wanted = run.settings.web
    _run(run, host or wanted.host, wanted.port if port is None else port, processes or wanted.processes)
    if run.json:
        run.out.data({"stopped": True})


def _run(run: Run, host: str, port: int, count: int) -> None:
    with run.database.read() as connection:
        applier = applier_of(connection, run.settings, run.keys)
        link_secret = signing_keys.load(connection, run.keys, "links")
    drain = Drain(spool.folder_of(run.settings.state_dir), run.database, applier)
    reports = Reports()
    stop = threading.Event()
    with web.listening(host, port) as listener, os.fdopen(web.in_memory(link_secret), "rb") as secret:
        inherited = (listener.fileno(), secret.fileno())
        command = ["web", "run", f"--listener={inherited[0]}", f"--secret={inherited[1]}"]
        processes = Processes(
            count,
            global_options(run),
            reports=reports if run.settings.metrics.port else None,
            command=command,
            pass_fds=inherited,
        )
        logbook.web_started(host, listener.getsockname()[1], count)
        with (
            Stopping(stop.set),
            served(run.settings, reports.total, ailment=lambda: drain.away),
            beside(run.database, run.settings),
        ):
            keep_for_good()
            web.WebRun(processes, drain, stop.is_set).run()
