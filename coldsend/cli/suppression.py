"""``coldsend suppression``: addresses and domains that get nothing."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from coldsend import clock
from coldsend.audience import suppressing
from coldsend.audience.exporting import replaced
from coldsend.cli.context import current
from coldsend.cli.noun import noun, verb
from coldsend.domain.states import SuppressionReason
from coldsend.errors import PartlyDone
from coldsend.stores import suppressions

app = noun("Addresses and domains that get nothing, whatever a campaign says.")

Targets = Annotated[
    list[str], typer.Argument(metavar="ADDRESS|@DOMAIN..", help="Addresses, or domains with all below them.")
]
Campaign = Annotated[
    str | None, typer.Option(metavar="CAMPAIGN", help="Only for this campaign; else for all.")
]
Reason = Annotated[SuppressionReason, typer.Option(help="Why.")]


@verb(
    app,
    "coldsend suppression add bob@acme.com --reason unsubscribe",
    "coldsend suppression add @competitor.com --detail 'asked by sales'",
)
def add(
    targets: Targets,
    reason: Reason = SuppressionReason.MANUAL,
    campaign: Campaign = None,
    detail: Annotated[str | None, typer.Option(help="A sentence on it.")] = None,
) -> None:
    """Suppress addresses or whole domains; they need not be contacts.

    A suppression stays when a contact is removed or imported again. Adding one twice changes nothing; a
    stronger reason (an unsubscribe, a complaint) replaces a weaker one.
    """
    run = current()
    result = suppressing.add(
        run.database, targets, reason, clock.now(), run.actor, campaign=campaign, detail=detail
    )
    run.out.done(
        _sentence(result.added, result.strengthened, result.known),
        {"added": result.added, "strengthened": result.strengthened, "known": result.known},
    )


@verb(
    app,
    "coldsend suppression remove bob@acme.com",
    "coldsend suppression remove bob@acme.com --force --detail 'signed up again on 2 May, ticket 812'",
)
def remove(
    targets: Targets,
    campaign: Campaign = None,
    force: Annotated[bool, typer.Option("--force", help="Even if the recipient asked for it.")] = False,
    detail: Annotated[str | None, typer.Option(help="With --force: what proves the new consent.")] = None,
) -> None:
    """Lift suppressions, so that mail may reach these addresses again.

    What the recipient asked for (unsubscribe, complaint, erased) only an admin can lift, with --force and a
    --detail that goes to the log.
    """
    run = current()
    actor = run.actor
    run.out.confirm(f"Let mail reach {', '.join(targets[:5])}{' ..' if len(targets) > 5 else ''} again?")
    lifted = suppressing.remove(run.database, targets, actor, campaign=campaign, force=force, detail=detail)
    run.out.done(f"lifted: {', '.join(lifted)}", {"removed": lifted})


@verb(app, "coldsend suppression list", "coldsend suppression list --search acme", name="list")
def list_suppressions(
    search: Annotated[str | None, typer.Option(help="Part of the address or domain.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
    after: Annotated[int, typer.Option(min=0, metavar="ID", help="Only those with a higher id.")] = 0,
) -> None:
    """List suppressions by id."""
    run = current()
    _ = run.actor
    with run.database.read() as connection:
        found = suppressions.listed(connection, search=search, after=after, limit=limit + 1)
    rows = [suppressing.shown(row) for row in found[:limit]]
    columns = {
        "id": "ID#",
        "value": "ADDRESS OR DOMAIN",
        "reason": "REASON",
        "campaign": "CAMPAIGN",
        "source": "SOURCE",
        "detail": "DETAIL",
        "created_at": "SINCE (UTC)",
    }
    run.out.table(rows, columns, empty="nothing is suppressed")
    if len(found) > limit and not run.out.json:
        run.out.note(f"there are more: --after {rows[-1]['id']}")


@verb(
    app,
    "coldsend suppression import unsubscribed.txt --reason unsubscribe",
    "coldsend suppression import exported.csv",
    name="import",
)
def import_file(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file, or - for standard input.")],
    reason: Annotated[
        SuppressionReason, typer.Option(help="For lines that do not say why.")
    ] = SuppressionReason.IMPORT,
    campaign: Campaign = None,
    rejects: Annotated[
        Path | None, typer.Option(help="Where rejected lines go; else FILE.rejects.csv.")
    ] = None,
) -> None:
    """Import suppressions: one address or domain a line, or a CSV file such as export writes."""
    run = current()
    actor = run.actor
    size = Path(file).stat().st_size if Path(file).is_file() else None
    with run.out.progress("importing", size) as advance:
        result = suppressing.import_file(
            run.database,
            file,
            clock.now(),
            actor,
            reason=reason,
            campaign=campaign,
            rejects=rejects,
            progress=lambda done, _total: advance(done),
        )
    document = {name: getattr(result, name) for name in result.__dataclass_fields__}
    run.out.done(
        f"{_sentence(result.added, result.strengthened, result.known)}, {result.rejected} rejected", document
    )
    if result.rejected:
        raise PartlyDone(
            f"{result.rejected} lines were rejected: see {result.rejects_file}",
            hint=f"correct them there, then: coldsend suppression import {result.rejects_file}",
        )


@verb(app, "coldsend suppression export suppressed.csv", "coldsend suppression export > suppressed.csv")
def export(
    file: Annotated[Path | None, typer.Argument(help="Where to; else to standard output.")] = None,
) -> None:
    """Write all suppressions as CSV, which import reads back; erased people only as hashes."""
    run = current()
    _ = run.actor
    if file is not None and file.exists():
        run.out.confirm(f"{file} exists. Replace it?")
    with run.database.read() as connection:
        if file is None and run.out.json:
            run.out.stream(suppressing.shown(row) for row in suppressions.walk(connection))
            return
        with replaced(file) if file is not None else contextlib.nullcontext(sys.stdout) as out:
            count = suppressing.export(connection, out)
    if file is not None:
        run.out.done(f"{count} suppressions written to {file}", {"exported": count, "file": str(file)})


def _sentence(added: int, strengthened: int, known: int) -> str:
    return f"{added} suppressed, {strengthened} got a stronger reason, {known} were so already"
