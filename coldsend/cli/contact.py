"""``coldsend contact``: the people campaigns write to."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from coldsend import clock
from coldsend.audience import contacts as audience
from coldsend.audience.contacts import Changes, shown
from coldsend.audience.csv_source import STDIN
from coldsend.audience.exporting import export_contacts, replaced
from coldsend.audience.importing import Request, Result, import_contacts
from coldsend.cli import auditing, contact_person
from coldsend.cli.advice import next_step
from coldsend.cli.contact_options import (
    Contact,
    Contacts,
    Fields,
    LawfulBasis,
    Nickname,
    OneTag,
    Source,
    Tags,
    TimeZone,
    columns,
    fields_of,
    mapping_of,
    number,
)
from coldsend.cli.context import Run, current
from coldsend.cli.noun import LARGEST_ID, changes, noun, reads
from coldsend.domain import address
from coldsend.domain.contact import (
    ContactData,
    checked_column,
    checked_tag,
    checked_tags,
)
from coldsend.errors import PartlyDone, UsageError
from coldsend.stores import contacts

app = noun("The people campaigns write to; shared by all users.")


@changes(
    app,
    "coldsend contact add bob@acme.com --nickname Bob --tag vip --tag de",
    "coldsend contact add ann@acme.com --field company=Acme --time-zone Europe/Berlin",
)
def add(
    email: Annotated[str, typer.Argument(help="The new contact's address.")],
    nickname: Nickname = None,
    tag: Tags = None,
    field: Fields = None,
    time_zone: TimeZone = None,
    source: Source = None,
    lawful_basis: LawfulBasis = None,
) -> None:
    """Add one contact; one that was removed comes back with what was known."""
    run = current()
    _ = run.actor
    data = ContactData(
        address.parse(email),
        tags=checked_tags(tag or ()),
        fields=fields_of(field),
        **columns(nickname, time_zone, source, lawful_basis),
    )
    contact = audience.add(run.database, data, clock.now())
    came_back = " again: it had been removed" if contact["revived"] else ""
    run.out.done(f"contact {contact['email']!r} added{came_back}", contact)
    pepper = contact_person.pepper(run)
    with run.database.read() as connection:
        suppressed = audience.details(connection, contact["email"], pepper)["suppressed"]
    if suppressed:
        next_step(run, f"note: it is suppressed ({suppressed[0]['reason']}): coldsend contact show {email}")


@changes(
    app,
    "coldsend contact update bob@acme.com --nickname Robert --field company=Initech",
    "coldsend contact update bob@acme.com --field company=     (takes the field away)",
)
def update(
    email: Contact,
    nickname: Nickname = None,
    field: Fields = None,
    time_zone: TimeZone = None,
    source: Source = None,
    lawful_basis: LawfulBasis = None,
) -> None:
    """Change what is known about a contact; an empty value takes it away.

    The address itself cannot be changed: add the new one and remove the old.
    """
    run = current()
    _ = run.actor
    changes = Changes(columns(nickname, time_zone, source, lawful_basis), fields_of(field))
    if not changes.columns and not changes.fields:
        raise UsageError("nothing to change is given", hint="see: coldsend contact update --help")
    contact, changed = audience.update(run.database, email, changes, clock.now())
    sentence = "updated" if changed else "is as you want it already"
    run.out.done(f"contact {contact['email']!r} {sentence}", contact)


@changes(app, "coldsend contact tag bob@acme.com ann@acme.com --tag vip")
def tag(emails: Contacts, tag: Tags = None) -> None:
    """Add tags to contacts."""
    _change_tags(emails, add=tag or [], remove=[])


@changes(app, "coldsend contact untag bob@acme.com --tag vip")
def untag(emails: Contacts, tag: Tags = None) -> None:
    """Take tags away from contacts."""
    _change_tags(emails, add=[], remove=tag or [])


def _change_tags(emails: list[str], *, add: list[str], remove: list[str]) -> None:
    run = current()
    _ = run.actor
    if not add and not remove:
        raise UsageError("no tag is given", hint="for example: --tag vip")
    changed = audience.tag(
        run.database, emails, add=checked_tags(add), remove=checked_tags(remove), now=clock.now()
    )
    run.out.done(f"{number(len(changed), 'contact')} changed", {"changed": changed})


@reads(
    app,
    "coldsend contact list --tag vip",
    "coldsend contact list --search acme --limit 20",
    "coldsend contact list --after 1200     (the next page)",
    name="list",
)
def list_contacts(
    tag: OneTag = None,
    search: Annotated[str | None, typer.Option(help="Part of the address or nickname.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
    after: Annotated[
        int, typer.Option(min=0, max=LARGEST_ID, metavar="ID", help="Only contacts with a higher id.")
    ] = 0,
) -> None:
    """List contacts by id."""
    run = current()
    _ = run.actor
    wanted = checked_tag(tag) if tag is not None else None
    with run.database.read() as connection:
        found = contacts.listed(connection, tag=wanted, search=search, after=after, limit=limit + 1)
    rows = [shown(row) for row in found[:limit]]
    columns = {
        "id": "ID#",
        "email": "EMAIL",
        "nickname": "NICKNAME",
        "tags": "TAGS",
        "time_zone": "TIME ZONE",
        "created_at": "SINCE (UTC)",
    }
    run.out.table(rows, columns, empty="no contacts found; add some: coldsend contact import FILE.csv")
    if len(found) > limit and not run.out.json:
        run.out.note(f"there are more: --after {rows[-1]['id']}")


@reads(app, "coldsend contact show bob@acme.com")
def show(email: Contact) -> None:
    """Show everything about a contact: tags, fields, suppressions, what was sent."""
    run = current()
    _ = run.actor
    pepper = contact_person.pepper(run)
    with run.database.read() as connection:
        contact = audience.details(connection, email, pepper)
    if run.out.json:
        run.out.data(contact)
        return
    by_status = ", ".join(f"{number} {status}" for status, number in contact["sends"]["by_status"].items())
    suppressed = [
        f"{entry['reason']} ({entry['value'] or 'hashed'}, "
        + (f"campaign {entry['campaign']}" if entry["campaign"] else "all campaigns")
        + (f", list {entry['list']})" if entry["list"] else ")")
        for entry in contact["suppressed"]
    ]
    run.out.fields(
        contact
        | {
            "fields": [f"{name}={value}" for name, value in contact["fields"].items()],
            "suppressed": suppressed or "no",
            "sends": by_status or "none",
            "last_sent_at": contact["sends"]["last_sent_at"],
        }
    )


@changes(app, "coldsend contact remove bob@acme.com")
def remove(emails: Contacts) -> None:
    """Remove contacts; mail that waits for them is not sent.

    Suppressions and reports keep what they have. Adding or importing a removed address brings it back.
    """
    run = current()
    actor = run.actor
    with run.database.read() as connection:
        found = {row["id"]: row["email"] for row in (contacts.find(connection, text) for text in emails)}
    names = ", ".join(list(found.values())[:5]) + (" .." if len(found) > 5 else "")
    run.out.confirm(f"Remove {number(len(found), 'contact')} ({names})?")
    removed = audience.remove(run.database, list(map(str, found)), clock.now(), by=actor.username)
    run.out.done(f"{number(len(removed), 'contact')} removed", {"removed": removed})


@changes(
    app,
    "coldsend contact import people.csv --tag spring",
    "coldsend contact import people.csv --map 'Firma=company' --map 'Notes=' --dry-run",
    "zcat people.csv.gz | coldsend contact import -",
    name="import",
)
def import_file(
    file: Annotated[str, typer.Argument(metavar="FILE.csv", help="The file, or - for standard input.")],
    tag: Tags = None,
    mapping: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=FIELD", help="What a column is; COLUMN= leaves it out."),
    ] = None,
    source: Source = None,
    lawful_basis: LawfulBasis = None,
    delimiter: Annotated[
        str | None, typer.Option(help="What separates cells (tab: \\t); else it is detected.")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Such as cp1252; else it is detected.")] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="Where rejected rows go; else FILE.rejects.csv.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, change nothing.")] = False,
) -> None:
    """Import contacts from a CSV file with a header; run twice, it changes nothing.

    The columns email, nickname, tags (separated by commas), time_zone, source and lawful_basis are
    recognised, also as E-Mail, Time zone and the like; every other column becomes a custom field ("First
    name": first_name). Known contacts get new tags added and filled cells overwritten. Rows that cannot be
    imported are written to a rejects file with line and reason: correct them there and import that file.
    """
    run = current()
    if dry_run:
        auditing.only_looks(run)
    _ = run.actor
    request = Request(
        file,
        tags=checked_tags(tag or ()),
        mapping=mapping_of(mapping),
        source=checked_column("source", source or "") or None,
        lawful_basis=checked_column("lawful_basis", lawful_basis or "") or None,
        delimiter={"\\t": "\t", "tab": "\t"}.get(delimiter or "", delimiter),
        encoding=encoding,
        rejects=rejects,
        dry_run=dry_run,
    )
    size = Path(file).stat().st_size if Path(file).is_file() else None
    try:
        with run.out.progress("importing", size) as advance:
            result = import_contacts(
                run.database, request, clock.now(), progress=lambda done, _total: advance(done)
            )
    except KeyboardInterrupt:
        if not dry_run:
            run.out.note("what was read so far is imported; the same command again completes it")
        raise
    _tell(run, request, result)


def _tell(run: Run, request: Request, result: Result) -> None:
    document = dataclasses.asdict(result) | {"dry_run": request.dry_run}
    if result.encoding_is_guess:
        run.out.warn(
            f"the file is not UTF-8; it was read as {result.encoding}, a guess: "
            "look at a name with accents, or name the encoding: --encoding"
        )
    would = "nothing was changed; it would be: " if request.dry_run else ""
    run.out.done(
        f"{would}{result.imported} imported, {result.updated} updated, {result.unchanged} unchanged, "
        f"{result.rejected} rejected",
        document,
    )
    if result.rejected:
        all_rows = result.imported + result.updated + result.unchanged + result.rejected
        raise PartlyDone(
            f"{result.rejected} of {number(all_rows, 'row')} rejected: see {result.rejects_file}",
            hint=f"correct them there, then: coldsend contact import {quote(str(result.rejects_file))}",
        )


@changes(app, "coldsend contact erase bob@acme.com", private=True)
def erase(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="Address, of a contact or not.")],
) -> None:
    """Erase a person: only a hash is left, which keeps mail from the address for good.

    The contact loses its address, name, tags and fields; its events and messages lose their words; wherever
    others' rows name the address it is taken out; its suppressions in clear go. Reports keep their counts.
    This cannot be undone, and only admins may do it. Running it again is harmless. What is not in the
    database (backups, exported files, mailboxes) is yours to erase: see docs/privacy.md.
    """
    run = current()
    actor = run.actor
    contact_person.erase(run, actor, email)


@reads(
    app,
    "coldsend contact export vip.csv --tag vip",
    "coldsend contact export > all.csv",
    "coldsend contact export --all-data bob@acme.com bob.json",
)
def export(
    file: Annotated[Path | None, typer.Argument(help="Where to; else, or -, to standard output.")] = None,
    tag: OneTag = None,
    all_data: Annotated[
        str | None,
        typer.Option("--all-data", metavar="EMAIL", help="Everything known about this address, as JSON."),
    ] = None,
) -> None:
    """Write contacts as CSV, which import reads back unchanged; or all that is known about one person.

    Values are written as they are, also such that a spreadsheet would take for a formula. With --all-data,
    which only admins may use, it is one JSON document: the contact with source and lawful basis, what was
    sent, every event, messages, suppressions, and where else the address stands.
    """
    run = current()
    actor = run.actor
    file = None if file == Path(STDIN) else file
    if all_data is not None:
        if tag is not None:
            raise UsageError("--all-data is about one person", hint="leave out --tag")
        contact_person.export(run, actor, all_data, file)
        return
    wanted = checked_tag(tag) if tag is not None else None
    if file is not None and file.exists():
        run.out.confirm(f"{file} exists. Replace it?")
    with run.database.read() as connection:
        if file is None and run.out.json:
            run.out.stream(shown(row) for row in contacts.walk(connection, wanted))
            return
        with replaced(file) if file is not None else contextlib.nullcontext(sys.stdout) as out:
            count = export_contacts(connection, wanted, out)
    if file is not None:
        run.out.done(f"{number(count, 'contact')} written to {file}", {"exported": count, "file": str(file)})
