"""``coldsend audit``: who changed what, and with what result."""

from __future__ import annotations

from shlex import join
from typing import Annotated, Any

import typer
from sqlalchemy.engine import RowMapping

from coldsend import clock
from coldsend.cli import moment
from coldsend.cli.context import Run, current
from coldsend.cli.noun import noun, reads
from coldsend.database.engine import Connection
from coldsend.errors import NotAllowed
from coldsend.stores import audit, users

app = noun("The audit log: who changed what, from where, and with what result.")

RESULTS = {0: "done", 1: "bug", 2: "usage", 3: "not found", 4: "refused", 5: "out of reach", 6: "in part"}
COLUMNS = {"at": "AT (UTC)", "username": "USER", "who": "OS USER", "called": "COMMAND", "result": "RESULT"}


@reads(
    app,
    "coldsend audit list",
    "coldsend audit list --command campaign --since 2027-03-01",
    "coldsend audit list --user anna --limit 500 --json",
    name="list",
)
def list_entries(
    user: Annotated[str | None, typer.Option(help="Only what this user did, by name or id.")] = None,
    command: Annotated[
        str | None,
        typer.Option(help="Only this command: 'campaign' with all its verbs, or 'campaign start'."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="ISO", help="Not what was before; without zone: UTC.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="The newest so many.")] = 50,
) -> None:
    """List what changed something, or was refused, the newest first; operators see what they did themselves.

    Commands that only read are not in it. Arguments are shown as they were given, without passwords; those of
    commands about an erased person are blank.
    """
    run, now = current(), clock.now()
    actor = run.actor
    earliest = moment.read(run, since, "time", now)
    with run.database.read() as connection:
        whose = _whose(connection, run, user)
        found = audit.listed(
            connection,
            user_id=whose,
            command=" ".join(command.split()).removeprefix("coldsend ") if command else None,
            since=earliest,
            limit=limit,
        )
    rows = [_shown(row) for row in found]
    empty = "nothing was changed" if actor.is_admin else f"{actor.username!r} has changed nothing"
    run.out.table(
        rows, COLUMNS, empty=f"{empty}, as far as was asked for", document=[dict(row) for row in found]
    )


def _whose(connection: Connection, run: Run, user: str | None) -> int | None:
    """Id of the user whose commands are shown, None for everybody's; NotAllowed where they are not to be."""
    actor = run.actor
    wanted = None if user is None else int(users.find(connection, user)["id"])
    if actor.is_admin or wanted == actor.id:
        return wanted
    if wanted is None:
        return actor.id
    raise NotAllowed(
        f"user {actor.username!r} is an operator: only admins may see what others did",
        hint="leave --user out, or act as an admin: --as ADMIN",
    )


def _shown(row: RowMapping) -> dict[str, Any]:
    arguments = [str(word) for word in row["arguments"] or ()]
    result = RESULTS.get(row["exit_code"], str(row["exit_code"]))
    why = (row["error"] or "").replace("_", " ")
    return {
        **row,
        "who": f"{row['os_user']}@{row['host']}",
        "called": " ".join(filter(None, [row["command"], join(arguments)])),
        "result": result if why in {"", result} else f"{result}: {why}",
    }
