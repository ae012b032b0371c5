"""``coldsend why``: every gate a recipient waits at, or how it ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from coldsend import clock
from coldsend.analytics.why import explain
from coldsend.cli.context import current
from coldsend.cli.noun import reads, single
from coldsend.cli.output import shown
from coldsend.domain.access import require_owner
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
    run.out.plain(f"{answer['email']} in {answer['task']}: {answer['state'].replace('_', ' ')}")
    run.out.plain(f"  {answer['explanation']}")
    if answer["error"]:
        run.out.plain(f"  {answer['error']}")
    for gate in answer["blocked_by"]:
        until = f" until {shown(gate['until'])} UTC" if gate["until"] else ""
        run.out.plain(f"  - {gate['gate'].replace('_', ' ')}: {gate['detail']}{until}")
    for name, value in answer.get("times", {}).items():
        run.out.plain(f"  {name.replace('_', ' '):18} {shown(value)} UTC")
    for label in ("template", "service", "message_id"):
        if answer.get(label):
            run.out.plain(f"  {label.replace('_', ' '):18} {answer[label]}")
