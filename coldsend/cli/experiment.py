"""``coldsend experiment``: which template of a task brings more replies or clicks."""

from __future__ import annotations

from shlex import quote
from typing import Annotated, Any

import typer

from coldsend import clock
from coldsend.analytics import experiments as analysis
from coldsend.analytics.experiments import Results
from coldsend.cli import advice
from coldsend.cli.context import Run, current
from coldsend.cli.noun import changes, noun, reads
from coldsend.domain.experiment import Standing
from coldsend.domain.experiment_words import percent
from coldsend.planning import experiments as use
from coldsend.stores import tasks

app = noun("Experiments: which template of a task brings more replies or clicks.")

Task = Annotated[str, typer.Argument(metavar="CAMPAIGN/TASK", help="The task, or its id.")]


@reads(app, "coldsend experiment show spring/intro", "coldsend experiment show spring/intro --json")
def show(task: Task) -> None:
    """Show what each template has brought so far, and whether that tells anything.

    LOW and HIGH are where the true rate is, as sure as the experiment wants to be (95 % unless it was
    made otherwise). Looking does not change anything: a winner is named only at the looks of the experiment.
    """
    run, now = current(), clock.now()
    actor = run.actor
    with run.database.read() as connection:
        found = analysis.results(connection, use.owned(connection, actor, task), now)
    if run.json:
        run.out.data(found.document())
        return
    _print(run, found)


def _print(run: Run, found: Results) -> None:
    document = found.document()
    goal = document["goal"]
    rows = [
        {
            **row,
            **{f"shown_{key}": f"{row[key]:,}" for key in ("sent", "counted", "successes")},
            **{
                f"shown_{key}": "-" if row[key] is None else percent(row[key])
                for key in ("rate", "low", "high")
            },
        }
        for row in document["templates"]
    ]
    columns = {"name": "TEMPLATE", "shown_sent": "SENT#", "shown_counted": "COUNTED#"}
    columns |= {"shown_successes": f"{goal.upper()}#", "shown_rate": "RATE#"}
    columns |= {"shown_low": "LOW#", "shown_high": "HIGH#"}
    run.out.table(rows, columns, empty="its template set is empty")
    run.out.console.print()
    for sentence in document["sentences"]:
        run.out.plain(sentence)
    if found.experiment.standing == Standing.RUNNING and document["found"]:
        reference = quote(document["task"])
        advice.next_step(run, f"send it to all who still wait: coldsend experiment decide {reference}")


@changes(
    app, "coldsend experiment decide spring/intro", "coldsend experiment decide spring/intro intro-b --yes"
)
def decide(
    task: Task,
    template: Annotated[
        str | None, typer.Argument(metavar="TEMPLATE", help="The one to send; left out: the winner found.")
    ] = None,
) -> None:
    """Send one template alone from now on, also to those who wait already. Asks first.

    Whoever was tried before (a retry, a greylisted message) keeps the template that was tried.
    """
    run, now = current(), clock.now()
    actor = run.actor
    with run.database.read() as connection:
        row = use.owned(connection, actor, task)
    what = f"template {template!r}" if template else "the winner"
    run.out.confirm(f"Send {what} alone to all recipients of task {tasks.reference(row)!r} that wait?")
    made = use.decide(run.database, actor, str(row["id"]), template, now)
    run.out.done(
        f"task {made.reference!r} sends {made.template!r} alone; {advice.people(made.moved)} had another one",
        _document(made) | {"winner": made.template, "moved": made.moved},
    )
    advice.next_step(run, f"take turns again with: coldsend experiment stop {quote(made.reference)}")


@changes(app, "coldsend experiment stop spring/intro")
def stop(task: Task) -> None:
    """Judge no more; templates take turns again in what comes in from now on.

    Recipients that were given a winner keep it.
    """
    run = current()
    made = use.stop(run.database, run.actor, task, clock.now())
    run.out.done(f"the experiment of task {made.reference!r} is stopped", _document(made))


def _document(made: use.Changed) -> dict[str, Any]:
    return {"id": made.id, "task": made.reference}
