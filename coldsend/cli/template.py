"""``coldsend template``: what is written to people."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated, Any

import typer

from coldsend import clock
from coldsend.cli import advice, template_trying
from coldsend.cli.context import Run, current
from coldsend.cli.noun import changes, noun, reads
from coldsend.composing import templates as use
from coldsend.composing.load import load_signer, template_of
from coldsend.composing.source import TemplateSource
from coldsend.composing.templates import Checked
from coldsend.delivery import sample
from coldsend.domain.message import Message
from coldsend.domain.service import Service
from coldsend.errors import InvalidInput, NotFound, Refused, UsageError
from coldsend.stores import contacts, templates

app = noun("Mail templates: subject, HTML and text, with variables.")

Template = Annotated[str, typer.Argument(metavar="TEMPLATE", help="Name or id of the template.")]
FILE_LIMIT = 10_000_000
STAND_IN = Service(id=0, name="preview", type="console", from_email="sender@example.com", from_name="Sender")


@changes(
    app,
    "coldsend template add intro --subject 'A question about {{ contact.company }}' --body-file intro.html",
    "coldsend template add intro --subject Hello --body-file intro.html --text-file intro.txt",
)
def add(
    name: Annotated[str, typer.Argument(help="Name of the new template.")],
    subject: Annotated[str, typer.Option(help="The subject; variables as in the body.")],
    body_file: Annotated[Path, typer.Option(metavar="FILE", help="The HTML part.")],
    text_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The text part; left out: derived from the HTML.")
    ] = None,
) -> None:
    """Add a template; refused with all reasons where it could not be sent well.

    Variables: {{ contact.nickname }}, {{ contact.company }} (any custom field), {{ sender.name }} and what
    `coldsend variable list` shows. A recipient who lacks one is skipped, unless the template gives a default:
    {{ contact.nickname | default("there") }} or {% if contact.nickname %} .. {% endif %}.
    """
    run, now = current(), clock.now()
    actor = run.actor
    body = _read(body_file)
    text = None if text_file is None else _read(text_file)
    template = TemplateSource(0, name, subject, body, text)
    checked = run.database.run(lambda connection: use.add(connection, actor, template, now))
    run.out.done(f"template {checked.template.name!r} added", _document(checked))
    _say(run, checked)
    shown = quote(checked.template.name)
    advice.next_step(run, f"see it: coldsend template preview {shown} --contact EMAIL")


@reads(app, "coldsend template list", name="list")
def list_templates() -> None:
    """List templates: an operator's own, or all of them for admins."""
    run = current()
    actor = run.actor
    with run.database.read() as connection:
        rows = templates.listed(connection, None if actor.is_admin else actor.id)
    columns = {
        "id": "ID#",
        "name": "TEMPLATE",
        "subject": "SUBJECT",
        "size": "CHARACTERS#",
        "text": "TEXT",
        "created_by": "BY",
        "updated_at": "CHANGED (UTC)",
    }
    shown = [{**row, "text": "written" if row["has_text"] else "derived"} for row in rows]
    run.out.table(
        shown,
        columns,
        empty="no templates yet: coldsend template add NAME --subject S --body-file FILE",
        document=[{key: row[key] for key in columns} for row in shown],
    )


@reads(app, "coldsend template show intro")
def show(name: Template) -> None:
    """Show a template as it was written."""
    run = current()
    actor = run.actor
    with run.database.read() as connection:
        row = use.owned(connection, actor, name)
        sets = templates.sets_with(connection, row["id"])
    document = {
        "id": row["id"],
        "name": row["name"],
        "subject": row["subject"],
        "sets": sets,
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "body": row["body"],
        "text_body": row["text_body"],
    }
    if run.json:
        run.out.data(document)
        return
    run.out.fields(document, {key: key.replace("_", " ") for key in list(document)[:6]})
    run.out.plain(f"\n{row['body'].rstrip()}\n")
    if row["text_body"] is not None:
        run.out.plain(f"--- text part ---\n{row['text_body'].rstrip()}\n")


@reads(
    app,
    "coldsend template preview intro --contact bob@acme.com",
    "coldsend template preview intro --contact bob@acme.com --service main --out intro.eml",
    "coldsend template preview intro --contact bob@acme.com --eml > intro.eml",
)
def preview(
    name: Template,
    contact: Annotated[str, typer.Option(metavar="EMAIL", help="For this contact (address or id).")],
    service: Annotated[
        str | None, typer.Option(help="As sent through this service; left out: the first you may use.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html|FILE.eml", help="Write the HTML part or the whole message there."),
    ] = None,
    eml: Annotated[
        bool, typer.Option("--eml", help="Print the whole message, octet for octet as it would be sent.")
    ] = False,
) -> None:
    """Show the message a contact would get: headers and text part, or the whole in a file.

    Links in a preview belong to no recipient: nothing is recorded of who follows them.
    """
    run, now = current(), clock.now()
    actor = run.actor
    if eml and (out is not None or run.json):
        raise UsageError("--eml prints the message and goes with neither --out nor --json")
    if out is not None and out.suffix.lower() not in {".html", ".htm", ".eml"}:
        raise UsageError(f"{out}: a preview is written to a file that ends in .html or .eml")
    with run.database.read() as connection:
        template = template_of(use.owned(connection, actor, name))
        person = contacts.find(connection, contact)
        through = use.preview_service(connection, actor, service)
        site = template_trying.site_to_look_at(run, connection)
        signer = None
        if through is not None:
            signer = load_signer(connection, through, run.keys, run.settings.dkim.expire_days)
        message = use.preview(connection, template, person, through or STAND_IN, site, now, signer)
    if through is None:
        run.out.note("no sender service yet: a stand-in is shown as the sender")
    if eml:
        run.out.raw(message.data)
    elif out is not None:
        _write(out, message)
        run.out.done(f"written to {out}", {"file": str(out), **_shown(message)})
    elif run.json:
        run.out.data(_shown(message))
    else:
        run.out.done(f"{template_trying.legible_head(message)}\n\n{message.text.rstrip()}\n", None)


@changes(
    app,
    "coldsend template test intro --to me@acme.com",
    "coldsend template test intro --to me@acme.com --contact bob@acme.com --service main",
    name="test",
)
def send_test(
    name: Template,
    to: Annotated[str, typer.Option(metavar="ADDRESS", help="Who gets it: yourself.")],
    contact: Annotated[
        str | None,
        typer.Option(metavar="EMAIL", help="With this contact's data; left out: your own, else the first."),
    ] = None,
    service: Annotated[
        str | None, typer.Option(help="Through this service; left out: the first you may use.")
    ] = None,
) -> None:
    """Send one real message to yourself, as a contact would get it.

    It is signed and goes through the service as a campaign's does, and counts in its quota, but belongs to no
    campaign and no contact: nothing is recorded of its links. At most 30 an hour; a suppressed address gets
    none. Exits with 4 where the message was refused.
    """
    template_trying.send(current(), name, to, contact, service)


@reads(
    app,
    "coldsend template spamcheck intro",
    "coldsend template spamcheck intro --contact bob@acme.com --json",
)
def spamcheck(
    name: Template,
    contact: Annotated[
        str | None,
        typer.Option(metavar="EMAIL", help="With this contact's data; left out: the first there is."),
    ] = None,
    service: Annotated[
        str | None, typer.Option(help="As sent through this service; left out: the first you may use.")
    ] = None,
    network: Annotated[
        bool, typer.Option("--network", help="Ask block lists in the DNS, too: they learn of your links.")
    ] = False,
) -> None:
    """Ask SpamAssassin, where it is installed, what it thinks of a template's message.

    Exits with 4 where it would be taken for spam, with 3 where SpamAssassin is not installed.
    """
    run, now, actor = current(), clock.now(), current().actor
    with run.database.read() as connection:
        row = use.owned(connection, actor, name)
        person = sample.contact_for(connection, contact)
        through = use.preview_service(connection, actor, service)
        message = use.preview(
            connection,
            template_of(row),
            person,
            through or STAND_IN,
            template_trying.site_to_look_at(run, connection),
            now,
        )
    template_trying.spamcheck_of(run, row["name"], message, network=network)


@reads(app, "coldsend template lint intro", name="lint")
def lint_template(name: Template) -> None:
    """Look for mistakes in a template; exits with 4 where there are errors."""
    run = current()
    actor = run.actor
    with run.database.read() as connection:
        row = use.owned(connection, actor, name)
        checked = use.check(connection, template_of(row))
    rows = [
        {"severity": f.severity, "subject": f.subject, "message": f.message, "hint": f.hint}
        for f in checked.findings
    ]
    columns = {"severity": "", "subject": "WHERE", "message": "WHAT", "hint": "WAY OUT"}
    document = {"template": row["name"], "findings": rows, "notes": checked.notes}
    run.out.table(rows, columns, empty=f"template {row['name']!r}: nothing to mend", document=document)
    if not run.json:
        for note in checked.notes:
            run.out.note(f"note: {note}")
    errors = sum(f.severity == "error" for f in checked.findings)
    if errors:
        raise Refused(f"template {row['name']!r} has {errors} error{'s' if errors > 1 else ''}")


@changes(
    app,
    "coldsend template update intro --body-file intro.html",
    "coldsend template update intro --subject 'Shorter' --no-text",
)
def update(
    name: Template,
    subject: Annotated[str | None, typer.Option(help="A new subject.")] = None,
    body_file: Annotated[Path | None, typer.Option(metavar="FILE", help="A new HTML part.")] = None,
    text_file: Annotated[Path | None, typer.Option(metavar="FILE", help="A new text part.")] = None,
    no_text: Annotated[
        bool, typer.Option("--no-text", help="Forget the text part: it is derived from the HTML again.")
    ] = False,
    new_name: Annotated[str | None, typer.Option("--name", help="A new name.")] = None,
) -> None:
    """Change a template that no task is sending; pause the task to mend one."""
    run, now = current(), clock.now()
    actor = run.actor
    if text_file is not None and no_text:
        raise UsageError("--text-file and --no-text exclude each other")
    changes: dict[str, Any] = {}
    for key, value in (("subject", subject), ("name", new_name)):
        if value is not None:
            changes[key] = value
    if body_file is not None:
        changes["body"] = _read(body_file)
    if text_file is not None or no_text:
        changes["text_body"] = None if text_file is None else _read(text_file)
    checked = run.database.run(lambda connection: use.change(connection, actor, name, changes, now))
    run.out.done(f"template {checked.template.name!r} changed", _document(checked))
    _say(run, checked)


@changes(app, "coldsend template remove intro")
def remove(name: Template) -> None:
    """Remove a template that is in no set and was never sent."""
    run = current()
    actor = run.actor
    with run.database.read() as connection:
        found = use.owned(connection, actor, name)["name"]
    run.out.confirm(f"Remove template {found!r}?")
    row = run.database.run(lambda connection: use.remove(connection, actor, name))
    run.out.done(f"template {row['name']!r} removed", {"id": row["id"], "name": row["name"]})


def _read(file: Path) -> str:
    """A template file; UTF-8, with or without a byte order mark."""
    try:
        if file.stat().st_size > FILE_LIMIT:
            raise InvalidInput(f"{file} has more than {FILE_LIMIT:,} bytes: that is no mail")
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise NotFound(f"file {file} does not exist") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{file} is not UTF-8: byte {error.start} cannot be read", hint="save it as UTF-8"
        ) from error
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}") from error


def _write(file: Path, message: Message) -> None:
    content = message.data if file.suffix.lower() == ".eml" else message.html.encode()
    try:
        file.write_bytes(content)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written: {error.strerror}") from error


def _say(run: Run, checked: Checked) -> None:
    advice.warn(run, checked.findings)
    for note in checked.notes:
        advice.next_step(run, f"note: {note}")


def _document(checked: Checked) -> dict[str, Any]:
    return {
        "id": checked.template.id,
        "name": checked.template.name,
        "subject": checked.template.subject,
        "warnings": advice.as_json(checked.findings),
        "notes": checked.notes,
    }


def _shown(message: Message) -> dict[str, Any]:
    return {
        "from": message.from_header,
        "to": message.to_header,
        "subject": message.subject,
        "message_id": message.message_id,
        "headers": dict(message.headers),
        "text": message.text,
        "html": message.html,
        "size": len(message.data),
    }
