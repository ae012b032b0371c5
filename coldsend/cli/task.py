"""``coldsend task``: what a campaign sends to whom, and how it stands."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from coldsend import clock
from coldsend.analytics import overview, pace
from coldsend.audience import rule
from coldsend.audience.preview import preview as preview_rule
from coldsend.cli import advice, experiment_options, follow_options, moment
from coldsend.cli.context import Run, current
from coldsend.cli.noun import changes, noun, reads
from coldsend.database.engine import Connection
from coldsend.domain.access import require_owner
from coldsend.errors import InvalidInput, NotFound, UsageError
from coldsend.planning import tasks as use
from coldsend.stores import campaigns, tasks

app = noun("Tasks of a campaign: who gets which templates, and when.")

Task = Annotated[str, typer.Argument(metavar="CAMPAIGN/TASK", help="The task, or its id.")]


@changes(
    app,
    "coldsend task create spring intro --template-set intros --rule 'tag:lead and not tag:customer'",
    "coldsend task create spring intro --template-set intros --rule @leads.json --plan-time 2027-03-01",
    """coldsend task create spring intro --template-set intros --rule '{"tag":"lead"}' --service main""",
    "coldsend task create spring intro --template-set intros --rule tag:lead --experiment replies",
    "coldsend task create spring second --after intro --days 3 --if 'no click' --template-set seconds",
)
def create(
    campaign: Annotated[str, typer.Argument(help="Name or id of the campaign.")],
    name: Annotated[str, typer.Argument(help="Name of the new task.")],
    template_set: Annotated[
        str, typer.Option(metavar="SET", help="Its recipients get these templates in turn.")
    ],
    rule_text: Annotated[
        str | None,
        typer.Option(
            "--rule",
            metavar="RULE|@FILE",
            help="Who gets it: text, JSON, or a file with either. Needed unless there is --after.",
        ),
    ] = None,
    plan_time: Annotated[
        str | None,
        typer.Option(metavar="ISO|now", help="Not before this time; without zone: UTC."),
    ] = None,
    service: Annotated[
        list[str] | None,
        typer.Option(metavar="SERVICE", help="Only through this sender service; may be repeated."),
    ] = None,
    after: follow_options.AfterOption = None,
    days: follow_options.DaysOption = None,
    business_days: follow_options.BusinessOption = False,
    conditions: follow_options.IfOption = None,
    experiment: experiment_options.GoalOption = None,
    min_sample: experiment_options.SampleOption = None,
    wait_hours: experiment_options.HoursOption = None,
    confidence: experiment_options.ConfidenceOption = None,
    auto: experiment_options.AutoOption = None,
) -> None:
    """Create a task; in a campaign that has been started it is scheduled at once.

    RULE is text (tag:lead and country = "DE") or JSON ({"all":[{"tag":"lead"},{"not":{"tag":"old"}}]}).

    With --after it is a follow-up: it goes to whom the other task was sent, in the same thread and through
    the same service, unless they replied or it bounced. RULE may be missing then; it lets through only some.
    """
    run, now = current(), clock.now()
    actor = run.actor
    follows = follow_options.wanted(after, days, conditions, business_days=business_days)
    if rule_text is None and follows is None:
        raise UsageError("who gets it? --rule is missing", hint="everybody: --rule everyone; see --help")
    wanted = use.NewTask(
        campaign,
        name,
        template_set,
        _rule_text(rule_text or ""),
        moment.read(run, plan_time, "plan time", now),
        tuple(service or ()),
        follows=follows,
        experiment=experiment_options.wanted(experiment, min_sample, wait_hours, confidence, auto),
    )
    made = use.create(run.database, actor, wanted, run.settings, now)
    state = "in draft" if made.status == "draft" else made.status
    run.out.done(f"task {made.reference!r} created, {state}", _document(made))
    advice.warn(run, made.warnings)
    if follows is None:
        advice.next_step(run, f"see who gets it: coldsend task preview {quote(made.reference)}")
    else:
        words = "its messages answer the first one (Re: ..): the subjects of its own templates are not used"
        advice.next_step(run, words)
    if made.status == "draft":
        advice.next_step(run, f"start it with: coldsend campaign start {quote(made.campaign)}")


def _rule_text(given: str) -> str:
    if not given.startswith("@"):
        return given
    file = Path(given[1:])
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the rule file {file} is not UTF-8 text") from error
    except OSError as error:
        raise NotFound(
            f"the rule file {str(file)!r} cannot be read: {error.strerror}",
            hint="a rule that does not begin with @ is taken as it stands",
        ) from error


@reads(app, "coldsend task list", "coldsend task list spring", name="list")
def list_tasks(
    campaign: Annotated[str | None, typer.Argument(help="Only tasks of this campaign.")] = None,
) -> None:
    """List tasks: of one campaign, or of all you may see."""
    run = current()
    actor = run.actor
    with run.database.read() as connection:
        campaign_id = None
        if campaign is not None:
            row = campaigns.find(connection, campaign)
            require_owner(actor, row["created_by"], f"campaign {row['name']!r}")
            campaign_id = row["id"]
        owner = None if actor.is_admin else actor.id
        found = overview.of_tasks(connection, tasks.listed(connection, campaign_id=campaign_id, owner=owner))
    rows = [
        {
            **task,
            "reference": f"{task['campaign']}/{task['name']}",
            "after": follow_options.told(task["follows"]),
            **{f"shown_{key}": f"{task[key]:,}" for key in ("recipients", "accepted", "waiting")},
        }
        for task in found
    ]
    columns = {"id": "ID#", "reference": "TASK", "status": "STATUS", "shown_recipients": "RECIPIENTS#"}
    columns |= {"shown_accepted": "ACCEPTED#", "shown_waiting": "WAITING#", "template_set": "TEMPLATES"}
    columns |= {"plan_time": "PLANNED (UTC)", "services": "SERVICES"}
    if any(task["follows"] for task in found):
        columns |= {"after": "FOLLOWS"}
    empty = "no tasks yet: coldsend task create CAMPAIGN NAME --template-set TS --rule 'tag:x'"
    run.out.table(rows, columns, empty=empty, document=found)


@reads(app, "coldsend task show spring/intro", "coldsend task show 7 --json")
def show(task: Task) -> None:
    """Show a task: its state, its recipients by status, how fast it is sent and until when about, its rule.

    The rate is that of the last minute. The time left holds if it goes on like this and no other task uses up
    the same quotas; without anything being sent there is none.
    """
    run, now = current(), clock.now()
    with run.database.read() as connection:
        row = _owned(run, connection, task)
        found = overview.of_tasks(connection, [row], anew=True)[0]
        found |= pace.of_task(connection, row, found["by_status"], now)
    if run.json:
        run.out.data(found)
        return
    shown = {
        "task": f"{found['campaign']}/{found['name']}",
        "id": found["id"],
        "status": found["status"],
        "why": found["status_reason"],
        "recipients": f"{found['recipients']:,}",
        **{f"  {status.replace('_', ' ')}": f"{count:,}" for status, count in found["by_status"].items()},
        "rate": _rate(found),
        "time left": found["pace"]["estimate"] or "-",
        "follows": follow_options.told(found["follows"]),
        "rule": rule.to_text(rule.load(found["recipient_rule"])),
        "template set": found["template_set"],
        "experiment": _experiment(found["experiment"]),
        "services": found["services"] or _services_unnamed(found),
        "planned (UTC)": found["plan_time"]
        or ("when what it follows has begun" if found["follows"] else "with its campaign"),
        "began (UTC)": found["actual_start_time"],
        "ended (UTC)": found["actual_end_time"],
        "created by": found["created_by"],
    }
    run.out.fields({label: value for label, value in shown.items() if value is not None})
    _section(run, "held back by", found["blocked_by"], {"detail": "WHAT", "until": "UNTIL (UTC)"})
    columns = {"name": "SERVICE", "state": "STATE", "left": "LEFT TODAY#", "throttle": "THROTTLE#"}
    columns |= {"next_quota_day": "NEXT DAY (UTC)"}
    _section(run, "services", [_service(one) for one in found["pace"]["services"]], columns)
    advice.unknown(run, found["by_status"], shown["task"])


def _services_unnamed(found: dict[str, Any]) -> str:
    return "for each the one of the message before" if found["follows"] else "all that its creator may use"


def _rate(found: dict[str, Any]) -> str:
    """The rate as people read it: a second, or a minute or hour where that is slow."""
    rate, about = found["rate_per_second"], found["pace"]
    if rate is None:
        return "-"
    per, unit = next(((n, u) for n, u in ((1, "second"), (60, "minute")) if rate * n >= 1), (3600, "hour"))
    shown_rate = f"{rate * per:,.0f}" if rate * per >= 100 else f"{rate * per:.3g}"
    more = "" if about["counted_all"] else "more than "
    return (
        f"{shown_rate} a {unit} ({about['sent_last_minute']:,} in the last minute, "
        f"{more}{about['sent_last_hour']:,} in the last hour)"
    )


def _experiment(found: dict[str, Any] | None) -> str | None:
    """An experiment in a line; `experiment show` has the rest."""
    if found is None:
        return None
    shown = f"{found['goal']}, {found['status']}"
    if found["status"] == "decided":
        return f"{shown}: {found['winner']} is sent alone"
    return f"{shown}, {found['found']} has won" if found["found"] else shown


def _service(one: dict[str, Any]) -> dict[str, Any]:
    return {
        **one,
        "state": "; ".join(gate["detail"] for gate in one["blocked_by"]) or "may send",
        "left": f"{one['quota_left']:,} of {one['limit_today']:,}",
        "throttle": f"{one['throttle_sec']:g} s" if one["throttle_sec"] else "-",
    }


def _section(run: Run, title: str, rows: list[dict[str, Any]], columns: dict[str, str]) -> None:
    if rows:
        run.out.console.print(f"\n[dim]{title}[/]")
        run.out.table(rows, columns, empty="")


@reads(app, "coldsend task preview spring/intro", "coldsend task preview spring/intro --limit 50")
def preview(
    task: Task, limit: Annotated[int, typer.Option(min=0, max=10_000, help="Contacts to show.")] = 10
) -> None:
    """Count the contacts a task's rule matches now, and show the first of them; changes nothing."""
    run = current()
    with run.database.read() as connection:
        row = _owned(run, connection, task)
        resolve = rule.task_resolver(connection, row["campaign_id"])
        parsed = rule.load(row["recipient_rule"], resolve)
        found = preview_rule(connection, parsed, resolve, clock.now(), limit)
    document = {"task": tasks.reference(row), "count": found.count, "sample": found.sample}
    columns = {"id": "ID#", "email": "EMAIL", "nickname": "NICKNAME", "tags": "TAGS"}
    run.out.table(found.sample, columns, empty="no contact is shown", document=document)
    if row["follows_task_id"] is None:
        words = f"contacts that match now: {found.count:,}; those whose address is suppressed will be skipped"
    else:
        words = f"contacts its rule lets through: {found.count:,}; of these, who was sent the task before"
    advice.next_step(run, words)


@changes(app, "coldsend task expand spring/intro")
def expand(task: Task) -> None:
    """Let contacts into a running or finished task that match its rule by now.

    A task takes its recipients once, when it begins. Nobody who is in it already gets it again.
    """
    run = current()
    made = use.expand_again(run.database, run.actor, task, run.settings, clock.now())
    sentence = f"{advice.people(made.count)} came into task {made.reference!r}, which is {made.status}"
    run.out.done(sentence, {**_document(made), "added": made.count})
    advice.warn(run, made.warnings)


@changes(app, "coldsend task pause spring/intro")
def pause(task: Task) -> None:
    """Stop sending a task within a second, until `task resume`."""
    run = current()
    made = use.pause(run.database, run.actor, task, clock.now())
    run.out.done(f"task {made.reference!r} is paused", {**_document(made), "waiting": made.count})
    advice.next_step(run, f"go on with: coldsend task resume {quote(made.reference)}")


@changes(app, "coldsend task resume spring/intro")
def resume(task: Task) -> None:
    """Go on with a paused task."""
    run = current()
    made = use.resume(run.database, run.actor, task, clock.now())
    run.out.done(
        f"task {made.reference!r} is {made.status} again", {**_document(made), "waiting": made.count}
    )


@changes(app, "coldsend task cancel spring/intro", "coldsend task cancel spring/intro --yes")
def cancel(task: Task) -> None:
    """End a task for good: whoever has not been sent to is skipped. Asks first."""
    run = current()
    with run.database.read() as connection:
        row = _owned(run, connection, task)
    run.out.confirm(f"Cancel task {tasks.reference(row)!r} for good?")
    made = use.cancel(run.database, run.actor, str(row["id"]), clock.now())
    sentence = f"task {made.reference!r} is cancelled"
    if made.count:
        sentence += f"; the scheduler skips what still waits: {advice.people(made.count)}"
    run.out.done(sentence, {**_document(made), "waiting": made.count})


@changes(app, "coldsend task retry spring/intro", "coldsend task retry spring/intro --yes")
def retry(task: Task) -> None:
    """Try recipients again that failed for passing reasons until their time ran out. Asks first.

    Addresses that were refused, bounced or suppressed, and messages whose outcome is unknown, stay as they
    are.
    """
    run = current()
    row, count = use.retryable(run.database, run.actor, task)
    if count:
        run.out.confirm(f"Send task {tasks.reference(row)!r} to {advice.people(count)} again that failed?")
    made = use.retry(run.database, run.actor, str(row["id"]), run.settings, clock.now())
    sentence = f"{advice.people(made.count)} of task {made.reference!r} will be tried again"
    if not made.count:
        sentence = f"task {made.reference!r} has no recipient that failed for a passing reason"
    run.out.done(sentence, {**_document(made), "retried": made.count})
    advice.warn(run, made.warnings)


def _owned(run: Run, connection: Connection, given: str) -> Any:
    actor = run.actor
    row = tasks.find(connection, given)
    require_owner(actor, row["owner"], f"campaign {row['campaign']!r}")
    return row


def _document(made: use.Changed) -> dict[str, Any]:
    document = {"id": made.id, "campaign": made.campaign, "name": made.name, "status": made.status}
    return {**document, "warnings": advice.as_json(made.warnings)}
