"""``coldsend event``: the event log."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from coldsend.cli.context import current
from coldsend.cli.noun import LARGEST_ID, noun, reads
from coldsend.database.engine import Connection
from coldsend.domain.access import Actor, require_owner
from coldsend.domain.states import EventType
from coldsend.stores import contacts, events, tasks

app = noun("The event log: what was tried, accepted and refused, and what came back.")


@reads(
    app,
    "coldsend event list",
    "coldsend event list --task spring/intro --type bounce",
    "coldsend event list --contact anna@example.com",
    "coldsend event list --after 1200 --limit 500 --json",
    name="list",
)
def list_events(
    task: Annotated[str | None, typer.Option(metavar="CAMPAIGN/TASK", help="Only of this task.")] = None,
    contact: Annotated[str | None, typer.Option(metavar="EMAIL", help="Only of this contact.")] = None,
    event_type: Annotated[EventType | None, typer.Option("--type", help="Only of this type.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
    after: Annotated[
        int | None,
        typer.Option(
            metavar="ID", min=0, max=LARGEST_ID, help="The next ones after this id, not the newest."
        ),
    ] = None,
) -> None:
    """List the newest events, the newest last; operators see those of their own campaigns."""
    run = current()
    actor = run.actor
    with run.database.read() as connection:
        task_id, within = _visible_tasks(connection, actor, task)
        contact_id = None if contact is None else int(contacts.find(connection, contact)["id"])
        if after is not None:
            of_tasks = [task_id] if task_id is not None else within
            found = events.after(
                connection, after, limit, task_ids=of_tasks, contact_id=contact_id, event_type=event_type
            )
        else:
            found = events.latest(
                connection,
                limit,
                task_id=task_id,
                contact_id=contact_id,
                event_type=event_type,
                within=within,
            )
        named = events.named(connection, found)
    rows = [{**event, "shown_details": _shown(event["details"])} for event in named]
    columns = {"id": "ID#", "ts": "TIME (UTC)", "type": "TYPE", "task": "TASK", "contact": "CONTACT"}
    columns |= {"service": "SERVICE", "shown_details": "DETAILS"}
    run.out.table(rows, columns, empty="no events", document=named)


def _visible_tasks(
    connection: Connection, actor: Actor, task: str | None
) -> tuple[int | None, list[int] | None]:
    """(the one task asked for, the tasks an operator may see); None: no limit."""
    if task is not None:
        row = tasks.find(connection, task)
        require_owner(actor, row["owner"], f"campaign {row['campaign']!r}")
        return int(row["id"]), None
    if actor.is_admin:
        return None, None
    return None, [int(row["id"]) for row in tasks.listed(connection, owner=actor.id)]


def _shown(details: Any) -> str:
    if isinstance(details, dict):
        return " ".join(f"{key}={value}" for key, value in details.items() if value not in (None, "", False))
    return "" if details is None else json.dumps(details, ensure_ascii=False)
