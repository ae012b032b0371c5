"""``coldsend suppression``: addresses and domains that get nothing."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from coldsend import clock
from coldsend.audience import suppressing, suppression_import
from coldsend.audience.csv_source import STDIN
from coldsend.audience.exporting import replaced
from coldsend.cli.context import Run, current
from coldsend.cli.noun import LARGEST_ID, changes, noun, reads
from coldsend.domain.states import SuppressionReason
from coldsend.domain.suppression import NO_LIST, checked_list_name
from coldsend.errors import PartlyDone, UsageError
from coldsend.stores import suppressions

app = noun("Addresses and domains that get nothing, whatever a campaign says.")

Targets = Annotated[
    list[str], typer.Argument(metavar="ADDRESS|@DOMAIN..", help="Addresses, or domains with all below them.")
]
Campaign = Annotated[
    str | None, typer.Option(metavar="CAMPAIGN", help="Only for this campaign; else for all.")
]
List = Annotated[
    str,
    typer.Option(
        "--list", metavar="NAME", help="Of this list (customers, competitors ..).", show_default=False
    ),
]
Reason = Annotated[SuppressionReason, typer.Option(help="Why.")]


@changes(
    app,
    "coldsend suppression add bob@acme.com --reason unsubscribe",
    "coldsend suppression add @competitor.com --detail 'asked by sales'",
    "coldsend suppression add @acme.com ann@initech.com --list customers",
)
def add(
    targets: Targets,
    reason: Reason = SuppressionReason.MANUAL,
    campaign: Campaign = None,
    list_name: List = NO_LIST,
    detail: Annotated[str | None, typer.Option(help="A sentence on it.")] = None,
) -> None:
    """Suppress addresses or whole domains; they need not be contacts.

    A suppression stays when a contact is removed or imported again. Adding one twice changes nothing; a
    stronger reason (an unsubscribe, a complaint) replaces a weaker one. What stands on a list is kept apart:
    an address may stand on several lists, and by itself besides.
    """
    run = current()
    result = suppressing.add(
        run.database,
        targets,
        reason,
        clock.now(),
        run.actor,
        campaign=campaign,
        detail=detail,
        list_name=list_name,
    )
    run.out.done(
        _sentence(result.added, result.strengthened, result.known),
        {"added": result.added, "strengthened": result.strengthened, "known": result.known},
    )


@changes(
    app,
    "coldsend suppression remove bob@acme.com",
    "coldsend suppression remove bob@acme.com --force --detail 'signed up again on 2 May, ticket 812'",
    "coldsend suppression remove @acme.com --list customers",
    "coldsend suppression remove --list competitors     (the whole list)",
)
def remove(
    targets: Annotated[
        list[str] | None,
        typer.Argument(metavar="ADDRESS|@DOMAIN..", help="Addresses or domains; without, a whole list."),
    ] = None,
    campaign: Campaign = None,
    list_name: List = NO_LIST,
    force: Annotated[bool, typer.Option("--force", help="Even if the recipient asked for it.")] = False,
    detail: Annotated[str | None, typer.Option(help="With --force: what proves the new consent.")] = None,
) -> None:
    """Lift suppressions, so that mail may reach these addresses again; or take a whole list away.

    What the recipient asked for (unsubscribe, complaint, erased) only an admin can lift, with --force and a
    --detail that goes to the log. What suppresses an address all the same, a list or its domain, is said.
    """
    run = current()
    actor = run.actor
    if not targets:
        _remove_list(run, list_name)
        return
    named = f"{', '.join(targets[:5])}{' ..' if len(targets) > 5 else ''}"
    run.out.confirm(f"Take {named} off the list?" if list_name else f"Let mail reach {named} again?")
    lifted = suppressing.remove(
        run.database, targets, actor, campaign=campaign, list_name=list_name, force=force, detail=detail
    )
    document: dict[str, Any] = {"removed": lifted.values}
    if lifted.remaining:
        document["still_suppressed"] = [{"value": value, "by": by} for value, by in lifted.remaining]
    run.out.done(f"lifted: {', '.join(lifted.values)}", document)
    for value, by in lifted.remaining:
        run.out.warn(f"{value} gets nothing all the same: {by}")


def _remove_list(run: Run, name: str) -> None:
    if not name:
        raise UsageError(
            "neither an address nor a list is named", hint="see: coldsend suppression remove --help"
        )
    with run.database.read() as connection:
        suppressing.require_list(connection, checked_list_name(name))
    run.out.confirm(f"Take the whole list {name!r} away, so that mail may reach what only it suppresses?")
    count = suppressing.remove_list(run.database, name, run.actor)
    run.out.done(f"the list {name!r} is taken away: {count} entries", {"list": name, "removed": count})


@reads(
    app,
    "coldsend suppression list",
    "coldsend suppression list --search acme",
    "coldsend suppression list --list customers",
    name="list",
)
def list_suppressions(
    search: Annotated[str | None, typer.Option(help="Part of the address or domain.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
    after: Annotated[
        int, typer.Option(min=0, max=LARGEST_ID, metavar="ID", help="Only those with a higher id.")
    ] = 0,
    list_name: List = NO_LIST,
) -> None:
    """List suppressions by id."""
    run = current()
    _ = run.actor
    with run.database.read() as connection:
        if list_name:
            suppressing.require_list(connection, checked_list_name(list_name))
        found = suppressions.listed(
            connection,
            search=search,
            after=after,
            limit=limit + 1,
            list_name=checked_list_name(list_name) if list_name else None,
        )
    rows = [suppressing.shown(row) for row in found[:limit]]
    columns = {
        "id": "ID#",
        "value": "ADDRESS OR DOMAIN",
        "reason": "REASON",
        "list": "LIST",
        "campaign": "CAMPAIGN",
        "source": "SOURCE",
        "detail": "DETAIL",
        "created_at": "SINCE (UTC)",
    }
    run.out.table(rows, columns, empty="nothing is suppressed")
    if len(found) > limit and not run.out.json:
        run.out.note(f"there are more: --after {rows[-1]['id']}")


@reads(app, "coldsend suppression lists")
def lists() -> None:
    """Show the named lists, and how many addresses and domains each has."""
    run = current()
    _ = run.actor
    with run.database.read() as connection:
        rows = suppressions.lists(connection)
    columns = {
        "name": "LIST",
        "entries": "ENTRIES#",
        "first_added_at": "FIRST ADDED (UTC)",
        "last_added_at": "LAST ADDED (UTC)",
    }
    run.out.table(
        rows, columns, empty="there is no list; make one: coldsend suppression import FILE --list NAME"
    )


@changes(
    app,
    "coldsend suppression import unsubscribed.txt --reason unsubscribe",
    "coldsend suppression import exported.csv",
    "coldsend suppression import customers.csv --list customers --replace",
    name="import",
)
def import_file(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file, or - for standard input.")],
    reason: Annotated[
        SuppressionReason, typer.Option(help="For lines that do not say why.")
    ] = SuppressionReason.IMPORT,
    campaign: Campaign = None,
    list_name: List = NO_LIST,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take off the list what is not in the file.")
    ] = False,
    rejects: Annotated[
        Path | None, typer.Option(help="Where rejected lines go; else FILE.rejects.csv.")
    ] = None,
) -> None:
    """Import suppressions: one address or domain a line, or a CSV file such as export writes.

    With --list they stand on that list; with --replace the list becomes what the file has, unless a line
    was rejected or the file is empty: then nothing is taken off. What recipients asked for themselves never
    stands on a list, so replacing one cannot lift it.
    """
    run = current()
    actor = run.actor
    size = Path(file).stat().st_size if Path(file).is_file() else None
    request = suppression_import.Request(file, reason, campaign, list_name, replace, rejects)
    with run.out.progress("importing", size) as advance:
        result = suppression_import.import_file(
            run.database, request, clock.now(), actor, progress=lambda done, _total: advance(done)
        )
    document = {name: getattr(result, name) for name in result.__dataclass_fields__}
    if not replace:
        del document["removed"]
    off = "" if result.removed is None else f", {result.removed} taken off the list"
    run.out.done(
        f"{_sentence(result.added, result.strengthened, result.known)}{off}, {result.rejected} rejected",
        document,
    )
    if result.rejected:
        kept = "; nothing was taken off the list" if replace else ""
        raise PartlyDone(
            f"{'1 line was' if result.rejected == 1 else f'{result.rejected} lines were'} rejected: "
            f"see {result.rejects_file}{kept}",
            hint=f"correct them in {file} and import it again"
            if replace
            else f"correct them there, then: coldsend suppression import {quote(str(result.rejects_file))}",
        )


@reads(
    app,
    "coldsend suppression export suppressed.csv",
    "coldsend suppression export > suppressed.csv",
    "coldsend suppression export customers.csv --list customers",
)
def export(
    file: Annotated[Path | None, typer.Argument(help="Where to; else, or -, to standard output.")] = None,
    list_name: List = NO_LIST,
) -> None:
    """Write all suppressions as CSV, which import reads back; erased people only as hashes."""
    run = current()
    _ = run.actor
    file = None if file == Path(STDIN) else file
    wanted = checked_list_name(list_name) if list_name else None
    if file is not None and file.exists():
        run.out.confirm(f"{file} exists. Replace it?")
    with run.database.read() as connection:
        if wanted is not None:
            suppressing.require_list(connection, wanted)
        if file is None and run.out.json:
            run.out.stream(suppressing.shown(row) for row in suppressions.walk(connection, wanted))
            return
        with replaced(file) if file is not None else contextlib.nullcontext(sys.stdout) as out:
            count = suppressing.export(connection, out, wanted)
    if file is not None:
        run.out.done(f"{count} suppressions written to {file}", {"exported": count, "file": str(file)})


def _sentence(added: int, strengthened: int, known: int) -> str:
    return f"{added} suppressed, {strengthened} got a stronger reason, {known} were so already"
