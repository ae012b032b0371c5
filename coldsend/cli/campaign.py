"""``coldsend campaign``: create campaigns, start them, stop them, see how they stand."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from coldsend import clock
from coldsend.analytics import overview
from coldsend.cli import advice, campaign_stops, follow_options, moment
from coldsend.cli import campaign_dry_run as dry_run
from coldsend.cli import campaign_options as option
from coldsend.cli import plan as plan_shown
from coldsend.cli.context import current
from coldsend.cli.noun import changes, noun, reads
from coldsend.database import views
from coldsend.domain.access import require_owner
from coldsend.errors import UsageError
from coldsend.installation import web
from coldsend.planning import campaign_settings, forecast
from coldsend.planning import campaigns as use
from coldsend.planning.campaign_settings import Wanted
from coldsend.stores import campaigns, services

app = noun("Campaigns: create, start, pause, resume, cancel.")

Name = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Name or id of the campaign.")]


StartAt = Annotated[
    str | None,
    typer.Option(metavar="ISO|now", help="Earliest time of the first message; without zone: UTC."),
]


@changes(
    app,
    "coldsend campaign create spring",
    "coldsend campaign create spring --start-at 2027-03-01T09:00+01:00",
    "coldsend campaign create spring --window 'mon-fri 09:00-17:00' --time-zone Europe/Berlin --spread",
)
def create(
    name: Annotated[str, typer.Argument(help="Name of the new campaign.")],
    start_at: StartAt = None,
    time_zone: option.TimeZone = None,
    window: option.Window = None,
    holidays: option.Holidays = None,
    spread: option.Spread = None,
    stop_on_reply: option.StopOnReply = None,
    stop_domain_on_reply: option.StopDomainOnReply = None,
    followups_first: option.FollowupsFirst = None,
    new_per_day: option.NewPerDay = None,
) -> None:
    """Create a campaign, in draft: nothing is sent before `campaign start`."""
    run, now = current(), clock.now()
    actor = run.actor
    start_time = moment.read(run, start_at, "start time", now)
    wanted = Wanted(
        None, time_zone, window, holidays, spread, stop_on_reply, stop_domain_on_reply, followups_first,
        new_per_day,
    )  # fmt: skip
    made = use.create(run.database, actor, name, start_time, now, campaign_settings.columns(wanted))
    run.out.done(f"campaign {made.name!r} created, in draft", _document(made, start_time=start_time))
    task = f"coldsend task create {quote(made.name)} NAME --template-set TS --rule 'tag:x'"
    advice.next_step(run, f"add a task: {task}")


@changes(
    app,
    "coldsend campaign update spring --window 'mon-fri 10:00-16:00' --new-per-day 200",
    "coldsend campaign update spring --window '' --holidays ''     (at any time)",
)
def update(
    campaign: Name,
    start_at: StartAt = None,
    time_zone: option.TimeZone = None,
    window: option.Window = None,
    holidays: option.Holidays = None,
    spread: option.Spread = None,
    stop_on_reply: option.StopOnReply = None,
    stop_domain_on_reply: option.StopDomainOnReply = None,
    followups_first: option.FollowupsFirst = None,
    new_per_day: option.NewPerDay = None,
) -> None:
    """Change when recipients are written to, also while it runs; what is not given stays, '' takes it away.

    Recipients that wait are looked at again when their turn comes: a new window only ever makes them later.
    """
    run, now = current(), clock.now()
    actor = run.actor
    start_time = moment.read(run, start_at, "start time", now)
    wanted = Wanted(
        start_time, time_zone, window, holidays, spread, stop_on_reply, stop_domain_on_reply, followups_first,
        new_per_day,
    )  # fmt: skip
    values = campaign_settings.columns(wanted)
    if not values:
        raise UsageError(
            "nothing is given that could be changed",
            hint=f"for example: coldsend campaign update {quote(campaign)} --window 'mon-fri 09:00-17:00'",
        )
    row = campaign_settings.update(run.database, actor, campaign, values, now)
    document = {"id": row["id"], "name": row["name"], "status": row["status"]}
    document |= {name: row[name] for name in ("start_time", *campaigns.SETTINGS)}
    run.out.done(f"campaign {row['name']!r} changed", document)
    if row["status"] != "draft":
        hours = values.keys() & {"send_window", "holidays", "spread", "time_zone"}
        who = ", also for who waits: put off in their turn where it is closed, never earlier than before"
        advice.next_step(run, f"it holds at once{who if hours else ''}")


@reads(app, "coldsend campaign list", name="list")
def list_campaigns() -> None:
    """List campaigns: your own, or all of them for admins."""
    run = current()
    mine = None if run.actor.is_admin else run.actor.id
    with run.database.read() as connection:
        found = overview.of_campaigns(connection, campaigns.listed(connection, mine))
    rows = [{**row, "task_count": len(row["tasks"]), **_counts(row)} for row in found]
    columns = {"id": "ID#", "name": "CAMPAIGN", "status": "STATUS", "task_count": "TASKS#"}
    columns |= {"shown_recipients": "RECIPIENTS#", "shown_accepted": "ACCEPTED#", "shown_waiting": "WAITING#"}
    columns |= {"start_time": "START (UTC)", "created_by": "BY"}
    run.out.table(rows, columns, empty="no campaigns yet: coldsend campaign create NAME", document=found)


@reads(app, "coldsend campaign show spring", "coldsend campaign show spring --json")
def show(campaign: Name) -> None:
    """Show a campaign and its tasks."""
    run = current()
    actor = run.actor
    with run.database.read() as connection:
        row = campaigns.find(connection, campaign)
        require_owner(actor, row["created_by"], f"campaign {row['name']!r}")
        found = overview.of_campaign(connection, row["id"])
    if run.json:
        run.out.data(found)
        return
    labels = {"name": "campaign", "id": "id", "status": "status", "status_reason": "why"}
    labels |= {"start_time": "start (UTC)", "created_by": "created by", "created_at": "created (UTC)"}
    labels |= {"time_zone": "time zone", "send_window": "window", "holidays": "holidays", "spread": "spread"}
    labels |= {"new_per_day": "new a day", "followups_first": "follow-ups first"}
    labels |= {"stop_on_reply": "stop on reply", "stop_domain_on_reply": "and its domain"}
    run.out.fields(found, {key: label for key, label in labels.items() if found[key] is not None})
    columns = {"id": "ID#", "name": "TASK", "status": "STATUS", "shown_recipients": "RECIPIENTS#"}
    columns |= {"shown_accepted": "ACCEPTED#", "shown_waiting": "WAITING#", "plan_time": "PLANNED (UTC)"}
    rows = [
        {**task, **_counts(task), "after": follow_options.told(task["follows"])} for task in found["tasks"]
    ]
    if any(row["after"] for row in rows):
        columns |= {"after": "FOLLOWS"}
    run.out.console.print()
    run.out.table(rows, columns, empty=f"no tasks yet: coldsend task create {quote(found['name'])} NAME ..")
    step = _next_step(found)
    if step:
        advice.next_step(run, step)


@reads(
    app,
    "coldsend campaign plan spring",
    "coldsend campaign plan spring --days 14",
    "coldsend campaign plan spring --json",
)
def plan(
    campaign: Name,
    days: Annotated[
        int | None,
        typer.Option(min=1, max=forecast.MOST_DAYS, help="Look so many days ahead, today among them."),
    ] = None,
) -> None:
    """Foresee a draft or running campaign: messages a day by service, what limits them, when it ends.

    Goes by the rules of delivery: windows, quotas, ramps, throttles, follow-ups, and whatever else waits for
    the same services. Recipients that will get nothing are counted by reason. Days are those of the
    campaign's time zone. Changes nothing.
    """
    run, now = current(), clock.now()
    actor = run.actor
    with views.snapshot(run.database) as connection:
        row = campaigns.find(connection, campaign)
        require_owner(actor, row["created_by"], f"campaign {row['name']!r}")
        found = forecast.plan(connection, row, now, days)
    if run.json:
        run.out.data(found)
    else:
        plan_shown.show(run, found)


@changes(app, "coldsend campaign start spring")
def start(campaign: Name) -> None:
    """Start a draft: its draft tasks are scheduled and sent when their time has come.

    Refused, with all reasons at once, while something is missing: a task, a template, a sender service, the
    postal address or the public web address.
    """
    run = current()
    actor = run.actor
    made = use.start(run.database, actor, campaign, run.settings, clock.now())
    with run.database.read() as connection:
        known = services.all_services(connection)
    warnings = [*made.warnings, *web.findings(run.settings.web.base_url, known)]
    sentence = f"campaign {made.name!r} started; scheduled: {', '.join(made.tasks)}"
    run.out.done(sentence, {**_document(made), "warnings": advice.as_json(warnings)})
    advice.warn(run, warnings)
    report = f"coldsend report campaign {quote(made.name)}"
    advice.next_step(run, f"`coldsend scheduler run` sends it; watch it with: {report}")


@changes(app, "coldsend campaign pause spring")
def pause(campaign: Name) -> None:
    """Stop sending within a second, until `campaign resume`."""
    run = current()
    made = use.pause(run.database, run.actor, campaign, clock.now())
    run.out.done(f"campaign {made.name!r} is paused", _document(made))
    advice.next_step(run, f"go on with: coldsend campaign resume {quote(made.name)}")


@changes(app, "coldsend campaign resume spring")
def resume(campaign: Name) -> None:
    """Go on with a paused campaign."""
    run = current()
    made = use.resume(run.database, run.actor, campaign, clock.now())
    run.out.done(f"campaign {made.name!r} is active again", _document(made))


@changes(app, "coldsend campaign cancel spring", "coldsend campaign cancel spring --yes")
def cancel(campaign: Name) -> None:
    """End a campaign for good: whoever has not been sent to is skipped. Asks first."""
    run = current()
    actor = run.actor
    with run.database.read() as connection:
        row = campaigns.find(connection, campaign)
        require_owner(actor, row["created_by"], f"campaign {row['name']!r}")
    run.out.confirm(f"Cancel campaign {row['name']!r} for good, with all its tasks?")
    made = use.cancel(run.database, actor, str(row["id"]), clock.now())
    sentence = f"campaign {made.name!r} is cancelled"
    if made.waiting:
        sentence += f"; the scheduler skips what still waits: {advice.people(made.waiting)}"
    run.out.done(sentence, _document(made))


@changes(
    app, "coldsend campaign stop spring bob@acme.com", "coldsend campaign stop spring acme.com eve@beta.com"
)
def stop(campaign: Name, targets: campaign_stops.Targets) -> None:
    """Send nothing more of this campaign to an address, or to everybody of a domain; what waits is skipped.

    For good reasons of yours; replies and bounces stop by themselves. For all campaigns: suppression add.
    """
    campaign_stops.stop(current(), campaign, targets)


@changes(app, "coldsend campaign unstop spring bob@acme.com")
def unstop(campaign: Name, targets: campaign_stops.Targets) -> None:
    """Lift stops of this campaign, whatever made them: whoever was skipped for one waits again.

    Recipients of tasks that have ended stay as they are.
    """
    campaign_stops.unstop(current(), campaign, targets)


@reads(app, "coldsend campaign stops spring", "coldsend campaign stops spring --limit 1000 --json")
def stops(
    campaign: Name,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the newest.")] = 50,
) -> None:
    """List who gets nothing more of this campaign, and why: replied, bounced, stopped by hand."""
    campaign_stops.listed(current(), campaign, limit)


@reads(
    app,
    "coldsend campaign dry-run spring --out spring-dry",
    "coldsend campaign dry-run spring --out look --limit 10 --task intro",
    name="dry-run",
)
def run_dry(
    campaign: Name,
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new or empty folder for the messages.")],
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most so many recipients of each task.")
    ] = None,
    task: Annotated[str | None, typer.Option(metavar="TASK", help="Only this task's messages.")] = None,
) -> None:
    """Write every message as it would go out now into a folder, and who would get none and why.

    Same recipients, templates, services, headers and signatures; only the tokens in links and Message-IDs
    belong to nobody, so that nothing is recorded of what is opened or clicked. Nothing is sent, no quota is
    used. Follow-ups are written for everybody who gets the message before, whatever their conditions.
    """
    dry_run.run_dry(current(), campaign, out, limit, task)


def _document(made: use.Changed, **more: Any) -> dict[str, Any]:
    document = {"id": made.id, "name": made.name, "status": made.status, "tasks": list(made.tasks)}
    return {**document, "waiting": made.waiting, "warnings": advice.as_json(made.warnings), **more}


def _counts(row: dict[str, Any]) -> dict[str, str]:
    tasks = row.get("tasks", [row])
    return {
        "shown_recipients": f"{row['recipients']:,}",
        "shown_accepted": f"{sum(task['accepted'] for task in tasks):,}",
        "shown_waiting": f"{sum(task['waiting'] for task in tasks):,}",
    }


def _next_step(found: dict[str, Any]) -> str | None:
    if found["status"] == "draft" and found["tasks"]:
        return f"start it with: coldsend campaign start {quote(found['name'])}"
    if found["status"] == "paused":
        return f"go on with: coldsend campaign resume {quote(found['name'])}"
    return None
