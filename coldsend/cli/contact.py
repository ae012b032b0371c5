"""``coldsend contact``: the people campaigns write to."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import typer

from coldsend import clock
from coldsend.audience import contacts as audience
from coldsend.audience.contacts import Changes, shown
from coldsend.audience.exporting import export_contacts, replaced
from coldsend.audience.importing import Request, Result, import_contacts
from coldsend.cli.context import Run, current
from coldsend.cli.noun import noun, verb
from coldsend.domain import address
from coldsend.domain.contact import (
    COLUMNS,
    ContactData,
    checked_column,
    checked_field_name,
    checked_tag,
    checked_tags,
    checked_value,
)
from coldsend.errors import NotFound, PartlyDone, UsageError
from coldsend.stores import contacts, signing_keys

app = noun("The people campaigns write to; shared by all users.")

Contact = Annotated[str, typer.Argument(metavar="EMAIL", help="Address or id of the contact.")]
Contacts = Annotated[list[str], typer.Argument(metavar="EMAIL..", help="Addresses or ids of contacts.")]
Nickname = Annotated[str | None, typer.Option(help="What to call them.")]
TimeZone = Annotated[str | None, typer.Option(metavar="ZONE", help="IANA name, such as Europe/Berlin.")]
Source = Annotated[str | None, typer.Option(help="Where the address comes from.")]
LawfulBasis = Annotated[str | None, typer.Option(help="consent, legitimate_interest, contract ..")]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", help="A tag; may be repeated.")]
OneTag = Annotated[str | None, typer.Option("--tag", metavar="TAG", help="Only contacts with this tag.")]
Fields = Annotated[
    list[str] | None,
    typer.Option("--field", metavar="NAME=VALUE", help="A custom field; may be repeated."),
]


@verb(
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
        fields=_fields(field),
        **_columns(nickname, time_zone, source, lawful_basis),
    )
    contact = audience.add(run.database, data, clock.now())
    came_back = " again: it had been removed" if contact["revived"] else ""
    run.out.done(f"contact {contact['email']!r} added{came_back}", contact)


@verb(
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
    changes = Changes(_columns(nickname, time_zone, source, lawful_basis), _fields(field))
    if not changes.columns and not changes.fields:
        raise UsageError("nothing to change is given", hint="see: coldsend contact update --help")
    contact, changed = audience.update(run.database, email, changes, clock.now())
    sentence = "updated" if changed else "is as you want it already"
    run.out.done(f"contact {contact['email']!r} {sentence}", contact)


@verb(app, "coldsend contact tag bob@acme.com ann@acme.com --tag vip")
def tag(emails: Contacts, tag: Tags = None) -> None:
    """Add tags to contacts."""
    _change_tags(emails, add=tag or [], remove=[])


@verb(app, "coldsend contact untag bob@acme.com --tag vip")
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
    run.out.done(f"{_number(len(changed), 'contact')} changed", {"changed": changed})


@verb(
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
    after: Annotated[int, typer.Option(min=0, metavar="ID", help="Only contacts with a higher id.")] = 0,
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


@verb(app, "coldsend contact show bob@acme.com")
def show(email: Contact) -> None:
    """Show everything about a contact: tags, fields, suppressions, what was sent."""
    run = current()
    _ = run.actor
    pepper = _pepper(run)
    with run.database.read() as connection:
        contact = audience.details(connection, email, pepper)
    if run.out.json:
        run.out.data(contact)
        return
    by_status = ", ".join(f"{number} {status}" for status, number in contact["sends"]["by_status"].items())
    suppressed = [
        f"{entry['reason']} ({entry['value'] or 'hashed'}, "
        + (f"campaign {entry['campaign']}" if entry["campaign"] else "all campaigns")
        + ")"
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


@verb(app, "coldsend contact remove bob@acme.com")
def remove(emails: Contacts) -> None:
    """Remove contacts; mail that waits for them is not sent.

    Suppressions and reports keep what they have. Adding or importing a removed address brings it back.
    """
    run = current()
    actor = run.actor
    with run.database.read() as connection:
        found = {row["id"]: row["email"] for row in (contacts.find(connection, text) for text in emails)}
    names = ", ".join(list(found.values())[:5]) + (" .." if len(found) > 5 else "")
    run.out.confirm(f"Remove {_number(len(found), 'contact')} ({names})?")
    removed = audience.remove(run.database, list(map(str, found)), clock.now(), by=actor.username)
    run.out.done(f"{_number(len(removed), 'contact')} removed", {"removed": removed})


@verb(
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
    _ = run.actor
    request = Request(
        file,
        tags=checked_tags(tag or ()),
        mapping=_mapping(mapping),
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
            f"{result.rejected} of {_number(all_rows, 'row')} rejected: see {result.rejects_file}",
            hint=f"correct them there, then: coldsend contact import {result.rejects_file}",
        )


@verb(app, "coldsend contact export vip.csv --tag vip", "coldsend contact export > all.csv")
def export(
    file: Annotated[Path | None, typer.Argument(help="Where to; else to standard output.")] = None,
    tag: OneTag = None,
) -> None:
    """Write contacts as CSV, which import reads back unchanged.

    Values are written as they are, also such that a spreadsheet would take for a formula.
    """
    run = current()
    _ = run.actor
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
        run.out.done(f"{_number(count, 'contact')} written to {file}", {"exported": count, "file": str(file)})


def _pepper(run: Run) -> bytes | None:
    """The secret of hashed suppressions; None in an installation that has none yet, and so no hashes."""
    try:
        with run.database.read() as connection:
            return signing_keys.load(connection, run.keys, "suppression")
    except NotFound:
        return None


def _columns(
    nickname: str | None, time_zone: str | None, source: str | None, lawful_basis: str | None
) -> dict[str, str]:
    """The built-in columns that were given, checked; "" where one is to be taken away."""
    given = dict(zip(COLUMNS, (nickname, time_zone, source, lawful_basis), strict=True))
    return {column: checked_column(column, text) for column, text in given.items() if text is not None}


def _fields(given: list[str] | None) -> dict[str, str]:
    fields = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--field {text!r} has no value", hint="for example: --field company=Acme")
        fields[checked_field_name(name)] = checked_value(value, name)
    return fields


def _mapping(given: list[str] | None) -> dict[str, str]:
    mapping = {}
    for text in given or ():
        column, equals, name = text.rpartition("=")
        if not equals:
            raise UsageError(f"--map {text!r} names no field", hint="for example: --map 'Firma=company'")
        mapping[column] = name.strip()
    return mapping


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
