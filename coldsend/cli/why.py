"""``coldsend why``: every gate a recipient waits at, or how it ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from coldsend import clock
from coldsend.analytics.why import explain
from coldsend.cli.context import current
from coldsend.cli.noun import reads, single
from coldsend.cli.output import shown
from coldsend.domain.access import require_owner
from coldsend.domain.states import RowStatus
from coldsend.stores import signing_keys, tasks

app = single()


@reads(app, "coldsend why spring/intro bob@example.com")
def why(
    task: Annotated[str, typer.Argument(metavar="CAMPAIGN/TASK", help="The task, by names or id.")],
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The recipient's address.")],
) -> None:
    """Why was this not sent? Shows every gate a recipient waits at, or how and when it ended."""
    run = current()
    actor = run.actor
    with run.database.read() as connection:
        found = tasks.find(connection, task)
        require_owner(actor, found["owner"], f"campaign {found['campaign']!r}")
        answer = explain(
            connection,
            found,
            email,
            clock.now(),
            pepper=signing_keys.load(connection, run.keys, "suppression"),
            links=signing_keys.load(connection, run.keys, "links"),
            lease=timedelta(seconds=run.settings.delivery.lease_seconds),
        )
    if run.json:
        run.out.data(answer)
        return
    run.out.done(f"{answer['email']} in {answer['task']}: {answer['state'].replace('_', ' ')}", None)
    run.out.done(f"  {answer['explanation']}", None)
    if answer["error"]:
        said = {"bounce": "a bounce said: ", "answer": "a server said: "}.get(answer["error_of"], "")
        run.out.done(f"  {said}{answer['error']}", None)
    for gate in answer["blocked_by"]:
        if gate["detail"] == answer["explanation"]:
            continue
        until = f" until {shown(gate['until'])} UTC" if gate["until"] else ""
        run.out.done(f"  - {gate['gate'].replace('_', ' ')}: {gate['detail']}{until}", None)
    for name, value in answer.get("times", {}).items():
        run.out.done(f"  {name.replace('_', ' '):18} {shown(value)} UTC", None)
    run.out.done(f"  {'time zone':18} {_there(answer)}", None)
    for label in ("template", "service", "message_id"):
        if answer.get(label):
            run.out.done(f"  {label.replace('_', ' '):18} {answer[label]}", None)


def _there(answer: dict[str, Any]) -> str:
    """The recipient's time zone, and when the message is due there."""
    zone, due = answer["time_zone"], answer.get("times", {}).get("scheduled_send_at")
    if answer["state"] != RowStatus.PENDING or due is None or zone == "UTC":
        return str(zone)
    return f"{zone}: due {due.astimezone(ZoneInfo(zone)):%a %Y-%m-%d %H:%M} there"
