"""``coldsend scheduler``: the daemon that plans, starts sender processes, and rescues."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from coldsend import clock, logbook
from coldsend.cli import auditing
from coldsend.cli.context import Run, current, global_options
from coldsend.cli.noun import noun, runs
from coldsend.cli.progress import LiveProgress
from coldsend.daemon import hosts
from coldsend.daemon.reports import Reports, served
from coldsend.daemon.scheduler import Scheduler
from coldsend.daemon.stopping import Stopping
from coldsend.domain.access import require_admin
from coldsend.metrics import survey
from coldsend.stores import signing_keys

app = noun("The daemon: plans campaigns and keeps sender processes running.")


@runs(
    app,
    "coldsend scheduler run",
    "coldsend scheduler run --until-idle --workers 2",
    name="run",
)
def run_scheduler(
    workers: Annotated[
        int | None,
        typer.Option(min=0, max=64, help="Sender processes; 0 only plans. Default: [delivery] workers."),
    ] = None,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="End with 0 when nothing more can be sent within a minute.")
    ] = False,
) -> None:
    """Run the scheduler until it is stopped (SIGTERM or Ctrl-C drain within ten seconds).

    Any number may run; one leads, the others wait to take over.
    """
    run = current()
    require_admin(run.actor, "run the scheduler")
    with run.database.read() as connection:
        # What sender processes cannot do without stops here, once, and not in each of them again and again.
        for purpose in signing_keys.PURPOSES:
            signing_keys.load(connection, run.keys, purpose)
    count = run.settings.delivery.workers if workers is None else workers
    auditing.begun(run)
    with LiveProgress(run.database, shown=not run.json and sys.stderr.isatty()) as progress:
        # After the bar is there: the log lines must go through it.
        logbook.configure(run.settings.log.level, run.settings.log.format)
        hosts.require_fit(run.database, run.settings)
        reports = Reports()
        scheduler = Scheduler(
            run.settings,
            run.database,
            count,
            options=global_options(run),
            until_idle=until_idle,
            on_tick=progress.tick,
            on_line=progress.line if progress.shown else None,
            reports=reports if run.settings.metrics.port else None,
        )
        with Stopping(scheduler.stop), served(run.settings, reports.total, _survey(run)):
            scheduler.run()
    if run.json:
        run.out.data({"stopped": True})


def _survey(run: Run) -> Callable[[], survey.Readings]:
    return lambda: survey.taken(run.database, clock.now(), run.settings.delivery.lease_seconds)
