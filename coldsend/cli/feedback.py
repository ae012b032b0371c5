"""``coldsend feedback``: bounces, complaints and other happenings that matched no recipient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from coldsend.cli.context import Run, current
from coldsend.cli.noun import noun, reads
from coldsend.domain.access import require_admin
from coldsend.stores import unmatched

app = noun("What came back and is about no recipient, as far as anybody can tell.")


@reads(
    app,
    "coldsend feedback list",
    "coldsend feedback list --source inbox --limit 500",
    "coldsend feedback list --source webhook:sendgrid --json",
    name="list",
)
def list_unmatched(
    source: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Only from there: web, webhook, inbox, inbox:NAME ..")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
) -> None:
    """List the newest happenings that matched no recipient, the newest last. For admins.

    Everything else that came back is in: coldsend event list. An address that complained, unsubscribed or
    does not exist is suppressed, whether a message to it is known or not.
    """
    run = current()
    _require_admin(run)
    with run.database.read() as connection:
        found = [_document(row) for row in unmatched.listed(connection, limit, source)]
    columns = {"id": "ID#", "received_at": "RECEIVED (UTC)", "source": "SOURCE", "kind": "KIND"}
    columns |= {"recipient": "RECIPIENT", "said": "SAID"}
    rows = [
        {**one, "said": one["details"].get("diagnostic") or one["details"].get("status")} for one in found
    ]
    run.out.table(rows, columns, empty="everything that came back is about a known recipient", document=found)


@reads(app, "coldsend feedback show 12", "coldsend feedback show 12 --json")
def show(number: Annotated[str, typer.Argument(metavar="ID", help="As `feedback list` shows it.")]) -> None:
    """Show all that is known of a happening that matched no recipient. For admins."""
    run = current()
    _require_admin(run)
    with run.database.read() as connection:
        found = _document(unmatched.find(connection, number))
    if run.json:
        run.out.data(found)
        return
    details = found.pop("details")
    run.out.fields({**found, **{name: value for name, value in details.items() if name not in found}})


def _require_admin(run: Run) -> None:
    require_admin(run.actor, "see what belongs to no campaign")


def _document(row: Mapping[str, Any]) -> dict[str, Any]:
    details = row["details"] or {}
    return {
        "id": row["id"],
        "received_at": row["received_at"],
        "source": row["source"],
        "kind": details.get("kind"),
        "recipient": details.get("recipient"),
        "details": details,
    }
