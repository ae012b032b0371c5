"""``coldsend report``: what became of a campaign, a task, a sender service."""

from __future__ import annotations

from shlex import quote
from typing import Annotated, Any

import typer
from rich.markup import escape

from coldsend import clock
from coldsend.analytics import reporting
from coldsend.cli import advice
from coldsend.cli.context import Run, current
from coldsend.cli.noun import noun, reads
from coldsend.cli.output import shown
from coldsend.domain.access import require_owner
from coldsend.errors import NotAllowed
from coldsend.stores import access, campaigns, services, tasks

app = noun("Reports: what became of a campaign, a task, a sender service.")

_COUNTED = {"recipients": "RECIPIENTS#", "accepted": "ACCEPTED#", "waiting_rows": "WAITING#"}


@reads(app, "coldsend report campaign spring", "coldsend report campaign spring --json")
def campaign(
    name: Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Name or id of the campaign.")],
) -> None:
    """Report on a campaign and each of its tasks."""
    run = current()
    actor = run.actor
    with run.database.read() as connection:
        row = campaigns.find(connection, name)
        require_owner(actor, row["created_by"], f"campaign {row['name']!r}")
        found = reporting.campaign_report(connection, row, clock.now())
    if run.json:
        run.out.data(found)
        return
    _head(run, f"campaign {found['campaign']}", found, {"start (UTC)": found["start_time"]})
    _sections(run, found)
    advice.unknown(run, found["by_status"], found["campaign"])
    _section(
        run,
        "tasks",
        [
            {
                "name": task["name"],
                "status": task["status"],
                "recipients": f"{task['recipients']:,}",
                "accepted": f"{task['feedback']['accepted']:,}",
                "waiting_rows": f"{_waiting(task):,}",
                "actual_start_time": task["actual_start_time"],
                "actual_end_time": task["actual_end_time"],
            }
            for task in found["tasks"]
        ],
        {"name": "TASK", "status": "STATUS", **_COUNTED}
        | {"actual_start_time": "BEGAN (UTC)", "actual_end_time": "ENDED (UTC)"},
    )


@reads(app, "coldsend report task spring/intro", "coldsend report task 7 --json")
def task(
    name: Annotated[str, typer.Argument(metavar="CAMPAIGN/TASK", help="The task, or its id.")],
) -> None:
    """Report on one task."""
    run = current()
    actor = run.actor
    with run.database.read() as connection:
        row = tasks.find(connection, name)
        require_owner(actor, row["owner"], f"campaign {row['campaign']!r}")
        found = reporting.task_report(connection, row, clock.now())
    if run.json:
        run.out.data(found)
        return
    times = {
        "planned (UTC)": found["plan_time"],
        "began (UTC)": found["actual_start_time"],
        "ended (UTC)": found["actual_end_time"],
    }
    _head(run, f"task {found['campaign']}/{found['name']}", found, times)
    _sections(run, found)
    advice.unknown(run, found["by_status"], f"{found['campaign']}/{found['name']}")


@reads(app, "coldsend report service main", "coldsend report service main --days 7")
def service(
    name: Annotated[str, typer.Argument(metavar="SERVICE", help="Name or id of the sender service.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="Tasks and quota days so far back.")] = 30,
) -> None:
    """Report on a sender service: health, quota days, what it sent for which task."""
    run = current()
    actor = run.actor
    with run.database.read() as connection:
        row = services.find(connection, name)
        if not access.may_use(connection, actor, row["id"]):
            raise NotAllowed(
                f"service {row['name']!r} is not granted to {actor.username!r}",
                hint=f"an admin grants it: coldsend service grant {quote(row['name'])} {actor.username}",
            )
        owner = None if actor.is_admin else actor.id
        found = reporting.service_report(connection, row, clock.now(), days, owner)
    if run.json:
        run.out.data(found)
        return
    quota = (
        f"{found['used_today']:,} of {found['daily_quota']:,} used, next day {shown(found['next_quota_day'])}"
    )
    facts = {"type": found["type"], "frozen": found["frozen_reason"], "quota today": quota}
    _head(run, f"service {found['service']}", found, facts)
    _section(run, "quota days", found["days"], {"quota_day": "DAY", "used": "SENT#"})
    _sections(run, found)
    rows = [{**part, "sent": f"{part['sent']:,}"} for part in found["tasks"]]
    columns = {"task": "TASK", "sent": "ACCEPTED#", "last_sent_at": "LAST (UTC)"}
    _section(run, f"tasks of the last {days} days", rows, columns)


def _head(run: Run, title: str, found: dict[str, Any], more: dict[str, Any]) -> None:
    facts = {"status": found["status"], "why": found.get("status_reason"), **more}
    facts |= {"recipients": f"{found['recipients']:,}"} if "recipients" in found else {}
    facts |= {"sending (UTC)": _span(found), "speed": _speed(found)}
    run.out.console.print(f"[bold]{escape(title)}[/]")
    run.out.fields({label: value for label, value in facts.items() if value is not None})


def _span(found: dict[str, Any]) -> str | None:
    if found["first_sent_at"] is None:
        return None
    return f"{shown(found['first_sent_at'])} to {shown(found['last_sent_at'])}"


def _speed(found: dict[str, Any]) -> str | None:
    parts = []
    if found["sent_per_minute"] is not None:
        parts.append(f"{found['sent_per_minute']:,} a minute from first to last")
    if found.get("sent_per_minute_now"):
        parts.append(f"{found['sent_per_minute_now']:,} a minute in the last five")
    return "; ".join(parts) or None


def _sections(run: Run, found: dict[str, Any]) -> None:
    """The parts all reports share; a part without anything in it is left out."""
    total = found["recipients"]
    _section(run, "recipients", _shares(found["by_status"], total, "status"), _columns("status", "STATUS"))
    reached = {name: count for name, count in found["feedback"].items() if count}
    accepted = found["feedback"]["accepted"]
    if len(reached) > 1:
        columns = _columns("event", "CAME BACK")
        _section(run, "of those accepted by a server", _shares(reached, accepted, "event"), columns)
    _section(run, "templates", _shares(found["by_template"], total, "name"), _columns("name", "TEMPLATE"))
    if found.get("by_service"):
        rows = _shares(found["by_service"], accepted, "name")
        _section(run, "accepted from", rows, _columns("name", "SERVICE"))
    reasons = [
        {**entry, "status": entry["status"].replace("_", " "), "count": f"{entry['count']:,}"}
        for entry in found["reasons"]
    ]
    _section(run, "reasons", reasons, {"status": "STATUS", "reason": "REASON", "count": "COUNT#"})
    held_back = f"waiting: {_waiting(found):,}" if _waiting(found) else "not begun"
    columns = {"detail": "HELD BACK BY", "until": "UNTIL (UTC)"}
    _section(run, held_back, found.get("waiting", []), columns)


def _section(run: Run, title: str, rows: list[dict[str, Any]], columns: dict[str, str]) -> None:
    if rows:
        run.out.console.print(f"\n[dim]{escape(title)}[/]")
        run.out.table(rows, columns, empty="")


def _columns(key: str, heading: str) -> dict[str, str]:
    return {key: heading, "count": "COUNT#", "share": "SHARE#"}


def _shares(counts: dict[str, int], total: int, key: str) -> list[dict[str, Any]]:
    return [
        {key: name.replace("_", " ") if key != "name" else name, "count": f"{count:,}"}
        | {"share": f"{100 * count / total:.1f} %" if total else ""}
        for name, count in counts.items()
    ]


def _waiting(found: dict[str, Any]) -> int:
    return sum(found["by_status"].get(status, 0) for status in ("pending", "sending"))
