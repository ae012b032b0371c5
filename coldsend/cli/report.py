"""``coldsend report``: what became of a campaign, a task, a template, a service, a recipient domain."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from coldsend import clock
from coldsend.analytics.reports import documents, table
from coldsend.analytics.reports.sections import title_of
from coldsend.audience.exporting import replaced
from coldsend.cli import advice, report_view
from coldsend.cli.context import Run, current
from coldsend.cli.noun import noun, reads
from coldsend.cli.output import shown
from coldsend.database import views
from coldsend.domain import address, providers
from coldsend.domain.access import require_owner
from coldsend.errors import NotAllowed, UsageError
from coldsend.stores import access, campaigns, services, tasks, templates

app = noun("Reports: what became of a campaign, a task, a template, a service, a recipient domain.")

Html = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Write it as one HTML page that needs nothing else; - for stdout."),
]
Csv = Annotated[
    str | None, typer.Option(metavar="FILE", help="Write its numbers as a CSV file; - for stdout.")
]
STDOUT = "-"


@reads(
    app,
    "coldsend report campaign spring",
    "coldsend report campaign spring --html spring.html",
    "coldsend report campaign spring --json",
)
def campaign(
    name: Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Name or id of the campaign.")],
    html: Html = None,
    csv: Csv = None,
) -> None:
    """Report on a campaign and each of its tasks."""
    run = current()
    actor = run.actor
    files = _files(run, html, csv)
    with views.snapshot(run.database) as connection:
        row = campaigns.find(connection, name)
        require_owner(actor, row["created_by"], f"campaign {row['name']!r}")
        found = documents.campaign_report(connection, row, clock.now())
    facts = {"status": found["status"], "why": found["status_reason"], "start (UTC)": found["start_time"]}
    _tell(run, found, facts, files)
    if files.none:
        advice.unknown(run, found["by_status"], found["campaign"])


@reads(app, "coldsend report task spring/intro", "coldsend report task 7 --json")
def task(
    name: Annotated[str, typer.Argument(metavar="CAMPAIGN/TASK", help="The task, or its id.")],
    html: Html = None,
    csv: Csv = None,
) -> None:
    """Report on one task."""
    run = current()
    actor = run.actor
    files = _files(run, html, csv)
    with views.snapshot(run.database) as connection:
        row = tasks.find(connection, name)
        require_owner(actor, row["owner"], f"campaign {row['campaign']!r}")
        found = documents.task_report(connection, row, clock.now())
    facts = {
        "status": found["status"],
        "why": found["status_reason"],
        "planned (UTC)": found["plan_time"],
        "began (UTC)": found["actual_start_time"],
        "ended (UTC)": found["actual_end_time"],
    }
    _tell(run, found, facts, files)
    if files.none:
        advice.unknown(run, found["by_status"], f"{found['campaign']}/{found['name']}")


@reads(app, "coldsend report template intro-a", "coldsend report template intro-a --csv intro-a.csv")
def template(
    name: Annotated[str, typer.Argument(metavar="TEMPLATE", help="Name or id of the template.")],
    html: Html = None,
    csv: Csv = None,
) -> None:
    """Report on a template in all tasks that used it."""
    run = current()
    actor = run.actor
    files = _files(run, html, csv)
    with views.snapshot(run.database) as connection:
        row = templates.find(connection, name)
        require_owner(actor, row["created_by"], f"template {row['name']!r}")
        owner = None if actor.is_admin else actor.id
        found = documents.template_report(connection, row, clock.now(), owner)
    _tell(run, found, {"subject": found["subject"]}, files)


@reads(app, "coldsend report service main", "coldsend report service main --days 7")
def service(
    name: Annotated[str, typer.Argument(metavar="SERVICE", help="Name or id of the sender service.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="Tasks and quota days so far back.")] = 30,
    html: Html = None,
    csv: Csv = None,
) -> None:
    """Report on a sender service: health, quota days, what it sent for which task."""
    run = current()
    actor = run.actor
    files = _files(run, html, csv)
    with views.snapshot(run.database) as connection:
        row = services.find(connection, name)
        if not access.may_use(connection, actor, row["id"]):
            raise NotAllowed(
                f"service {row['name']!r} is not granted to {actor.username!r}",
                hint=f"an admin grants it: coldsend service grant {quote(row['name'])} {actor.username}",
            )
        owner = None if actor.is_admin else actor.id
        found = documents.service_report(connection, row, clock.now(), days, owner)
    quota = (
        f"{found['used_today']:,} of {found['daily_quota']:,} used, next day {shown(found['next_quota_day'])}"
    )
    facts = {"status": found["status"], "type": found["type"], "frozen": found["frozen_reason"]}
    _tell(run, found, {**facts, "quota today": quota}, files)


@reads(app, "coldsend report domain acme.com", "coldsend report domain google --json")
def domain(
    name: Annotated[
        str,
        typer.Argument(metavar="DOMAIN", help="A recipient domain, or a mailbox provider such as google."),
    ],
    html: Html = None,
    csv: Csv = None,
) -> None:
    """Report on the recipients at a domain, or at all domains of a mailbox provider.

    Counted from the event log: what was sent there, and what came back.
    """
    run = current()
    actor = run.actor
    files = _files(run, html, csv)
    wanted = name.strip().lower()
    if wanted not in providers.NAMES:
        wanted = address.parse_domain(name)
    with views.snapshot(run.database) as connection:
        found = documents.domain_report(connection, wanted, None if actor.is_admin else actor.id)
    facts = {"provider": found["provider"] if found["provider"] != wanted else None}
    _tell(run, found, facts, files)


@dataclass(frozen=True, slots=True)
class _Files:
    """Where a report is written to, besides or instead of the terminal."""

    html: str | None
    csv: str | None

    @property
    def none(self) -> bool:
        return self.html is None and self.csv is None


def _files(run: Run, html: str | None, csv: str | None) -> _Files:
    if [html, csv].count(STDOUT) + run.json > 1:
        raise UsageError(
            "only one of --json, --html - and --csv - can be on standard output",
            hint="give the others a file: --html report.html",
        )
    if html is not None and csv is not None and Path(html).resolve() == Path(csv).resolve():
        raise UsageError("--html and --csv name the same file", hint="give each its own")
    return _Files(html, csv)


def _tell(run: Run, found: Mapping[str, Any], facts: Mapping[str, Any], files: _Files) -> None:
    """Write the files that are wanted; without any, show the report."""
    for file, make in ((files.html, _html), (files.csv, _csv)):
        if file is None:
            continue
        text = make(found)
        if file == STDOUT:
            run.out.raw(text.encode())
            continue
        with replaced(Path(file)) as out:
            out.write(text)
        run.out.note(f"{title_of(found)}: written to {file}")
    if run.json:
        run.out.data(found)
    elif files.none:
        report_view.show(run, found, facts)


def _html(found: Mapping[str, Any]) -> str:
    from coldsend.analytics.reports import page  # noqa: PLC0415 - Jinja is slow to import

    return page.made(found, clock.now())


def _csv(found: Mapping[str, Any]) -> str:
    out = io.StringIO()
    table.write(found, out)
    return out.getvalue()
