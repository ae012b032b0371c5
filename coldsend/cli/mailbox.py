"""``coldsend mailbox``: where replies and bounces arrive, and how reading them goes."""

from __future__ import annotations

from shlex import quote
from typing import Annotated, Any

import typer
from sqlalchemy.engine import RowMapping

from coldsend import clock
from coldsend.cli import login
from coldsend.cli.advice import next_step
from coldsend.cli.context import Run, current
from coldsend.cli.login import LoginOptions
from coldsend.cli.noun import changes, noun, reads
from coldsend.config.secrets import mailbox_owner
from coldsend.database.engine import Connection
from coldsend.domain.access import require_admin
from coldsend.domain.mailbox import Trouble, next_try
from coldsend.errors import NotAllowed, UsageError
from coldsend.inbox import enrolment, reading
from coldsend.inbox.connection import MailboxError, opened
from coldsend.inbox.enrolment import Form
from coldsend.stores import access, mailboxes

app = noun("Mailboxes that bounces, complaints and replies arrive in, read over IMAP.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name or id of the mailbox.")]
Host = Annotated[str | None, typer.Option(help="Name or address of the IMAP server.")]
Port = Annotated[int | None, typer.Option(help="Else 993 for implicit, 143 for starttls and none.")]
Tls = Annotated[
    str | None,
    typer.Option(metavar="implicit|starttls|none", help="How the connection is encrypted; else implicit."),
]
Username = Annotated[str | None, typer.Option(help="To log in as.")]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]
PasswordEnv = Annotated[
    str | None, typer.Option(metavar="VARIABLE", help="Read the password from this variable.")
]
PasswordPrompt = Annotated[bool, typer.Option("--password-prompt", help="Ask for it on the terminal.")]
TokenCommand = Annotated[
    str | None,
    typer.Option(
        metavar="COMMAND",
        help="Log in with XOAUTH2; the command, run without a shell each time, prints an access token.",
    ),
]
Folder = Annotated[str | None, typer.Option(help="Folder to read; else INBOX.")]
Service = Annotated[
    str | None,
    typer.Option(metavar="SERVICE", help="What arrives is about mail of this service; else of any."),
]
PlaintextAuth = Annotated[
    bool | None,
    typer.Option(
        "--allow-plaintext-auth/--no-allow-plaintext-auth",
        help="Log in over an unencrypted connection. Only on a network of your own.",
    ),
]
Enabled = Annotated[
    bool | None,
    typer.Option("--enable/--disable", help="Whether the scheduler and `inbox poll` without a name read it."),
]


@changes(
    app,
    "coldsend mailbox add replies --host imap.example.com --username anna@example.com --password-stdin "
    "--service main < password.txt",
    "coldsend mailbox add bounces --host imap.gmail.com --username b@example.com "
    "--token-command '/usr/local/bin/access-token b@example.com' --folder Bounces",
)
def add(
    name: Annotated[str, typer.Argument(help="Name of the new mailbox.")],
    host: Host = None,
    port: Port = None,
    tls: Tls = None,
    username: Username = None,
    password_stdin: PasswordStdin = False,
    password_env: PasswordEnv = None,
    password_prompt: PasswordPrompt = False,
    token_command: TokenCommand = None,
    folder: Folder = None,
    service: Service = None,
    allow_plaintext_auth: PlaintextAuth = None,
    enabled: Enabled = None,
) -> None:
    """Add a mailbox to read (admins only).

    It is only ever read: no message is marked, moved or deleted, and what is not about mail of coldsend's is
    passed over. Passwords are read from standard input, a variable or a prompt, never from the command line,
    and are stored encrypted, as is the token command.
    """
    run = current()
    require_admin(run.actor, "add mailboxes")
    options = LoginOptions(username, password_stdin, password_env, password_prompt)
    given = login.read(options, may_prompt=token_command is None)
    form = Form(
        host,
        port,
        tls,
        username,
        folder,
        allow_plaintext_auth,
        service,
        enabled,
        given.password,
        token_command,
    )
    keys, now = run.keys, clock.now()

    def work(connection: Connection) -> dict[str, Any]:
        return _document(connection, run, enrolment.add(connection, name, form, keys, now))

    added = run.database.run(work)
    run.out.done(f"mailbox {added['name']!r} added", added)
    next_step(run, f"try it: coldsend mailbox test {added['name']!r}")


@reads(app, "coldsend mailbox list", name="list")
def list_mailboxes() -> None:
    """List mailboxes and how reading them goes; operators see those of services granted to them."""
    run = current()
    actor = run.actor
    with run.database.read() as connection:
        mine = None if actor.is_admin else access.granted(connection, actor.id)
        rows = [
            row for row in mailboxes.listed(connection) if mine is None or row["sender_service_id"] in mine
        ]
    shown = [_described(row, run) for row in rows]
    columns = {
        "id": "ID#", "name": "MAILBOX", "username": "USER", "host": "HOST", "folder": "FOLDER",
        "service": "SERVICE", "state": "STATE", "polled_at": "READ (UTC)", "last_error": "ERROR",
    }  # fmt: skip
    empty = "no mailboxes yet: coldsend mailbox add --help"
    if not actor.is_admin:
        empty = f"no mailbox of a service that is granted to {actor.username!r}"
    run.out.table(shown, columns, empty=empty)


@reads(app, "coldsend mailbox show replies")
def show(name: Name) -> None:
    """Show a mailbox: where it is, how far it was read, what went wrong; never its credentials."""
    run = current()
    with run.database.read() as connection:
        row = visible(connection, run, name)
        document = _document(connection, run, row["id"])
    run.out.fields(document)


@changes(
    app,
    "coldsend mailbox update replies --password-stdin < password.txt",
    "coldsend mailbox update replies --disable",
    "coldsend mailbox update replies --service ''     (of no service any more)",
)
def update(
    name: Name,
    host: Host = None,
    port: Port = None,
    tls: Tls = None,
    username: Username = None,
    password_stdin: PasswordStdin = False,
    password_env: PasswordEnv = None,
    password_prompt: PasswordPrompt = False,
    token_command: TokenCommand = None,
    folder: Folder = None,
    service: Service = None,
    allow_plaintext_auth: PlaintextAuth = None,
    enabled: Enabled = None,
) -> None:
    """Change a mailbox (admins only); what is not given stays.

    It is tried again at once, also where it waited after errors. Another host, user or folder is read anew;
    messages that are known already are passed over.
    """
    run = current()
    require_admin(run.actor, "change mailboxes")
    options = LoginOptions(username, password_stdin, password_env, password_prompt)
    given = login.read(options, may_prompt=False)
    form = Form(
        host,
        port,
        tls,
        username,
        folder,
        allow_plaintext_auth,
        service,
        enabled,
        given.password,
        token_command,
    )
    if form == Form():
        raise UsageError(
            "nothing is given that could be changed",
            hint=f"for example: coldsend mailbox update {quote(name)} --password-stdin < password.txt",
        )
    keys, now = run.keys, clock.now()

    def work(connection: Connection) -> dict[str, Any]:
        return _document(connection, run, enrolment.change(connection, name, form, keys, now))

    changed = run.database.run(work)
    run.out.done(f"mailbox {changed['name']!r} changed", changed)


@changes(app, "coldsend mailbox test replies", name="test")
def try_out(name: Name) -> None:
    """Log in and look into the folder, without reading a message.

    Exits with 4 where the login was refused, with 5 where the server was not reached. Where it works, a
    mailbox that waited after errors is tried again at once.
    """
    run = current()
    now = clock.now()
    with run.database.read() as connection:
        row = visible(connection, run, name)
    mailbox = mailboxes.as_mailbox(row)
    credentials = run.keys.open(row["credentials"], mailbox_owner(mailbox.id)) if row["credentials"] else {}
    try:
        with opened(mailbox, credentials, run.settings.inbox) as server:
            folder = reading.examine(server, mailbox.folder)
    except MailboxError as error:
        raise explained(error, mailbox.name) from error
    if mailbox.consecutive_errors:
        run.database.run(lambda connection: mailboxes.change(connection, mailbox.id, mailboxes.WELL, now))
    count = f"{folder.messages:,} message{'' if folder.messages == 1 else 's'}"
    run.out.done(
        f"logged in as {mailbox.username!r}; {mailbox.folder!r} has {count}",
        {"id": mailbox.id, "name": mailbox.name, "folder": mailbox.folder, **reading.shown(folder)},
    )
    next_step(run, f"read it: coldsend inbox poll {mailbox.name!r}")


@changes(app, "coldsend mailbox remove old")
def remove(name: Name) -> None:
    """Remove a mailbox and its credentials (admins only); messages that were found in it stay."""
    run = current()
    require_admin(run.actor, "remove mailboxes")
    with run.database.read() as connection:
        found = mailboxes.find(connection, name)
    run.out.confirm(f"Remove mailbox {found['name']!r} with its credentials?")
    mailbox_id, removed = run.database.run(lambda connection: enrolment.remove(connection, str(found["id"])))
    run.out.done(f"mailbox {removed!r} removed", {"id": mailbox_id, "name": removed})


def explained(error: MailboxError, name: str) -> MailboxError:
    """The error with the mailbox's name, and with what can be done."""
    hint = f"check where it is: coldsend mailbox show {name!r}"
    if error.trouble is Trouble.CREDENTIALS:
        hint = f"enter new ones: coldsend mailbox update {name!r} --password-stdin"
    elif error.trouble is Trouble.FOLDER:
        hint = f"name one that is there: coldsend mailbox update {name!r} --folder FOLDER"
    return MailboxError(error.trouble, f"mailbox {name!r}: {error.message}", hint=error.hint or hint)


def visible(connection: Connection, run: Run, given: str) -> RowMapping:
    """The mailbox, if it is for the acting user's eyes; NotFound or NotAllowed otherwise."""
    row = mailboxes.find(connection, given)
    actor, service_id = run.actor, row["sender_service_id"]
    if actor.is_admin or (service_id is not None and access.may_use(connection, actor, service_id)):
        return row
    raise NotAllowed(
        f"mailbox {row['name']!r} belongs to no service that is granted to {actor.username!r}",
        hint="ask an admin",
    )


def _document(connection: Connection, run: Run, mailbox_id: int) -> dict[str, Any]:
    rows = mailboxes.listed(connection)
    return _described(next(row for row in rows if row["id"] == mailbox_id), run)


def _described(row: RowMapping, run: Run) -> dict[str, Any]:
    """A mailbox as scripts and people see it."""
    settings = row["settings"] or {}
    mailbox = mailboxes.as_mailbox(row)
    waits_until = None
    if mailbox.consecutive_errors and mailbox.failed_at:
        waits_until = next_try(mailbox, run.settings.inbox.poll_seconds)
    return {
        "id": row["id"],
        "name": row["name"],
        "service": row["service"],
        "host": settings.get("host"),
        "port": settings.get("port"),
        "tls": settings.get("tls"),
        "username": settings.get("username"),
        "folder": settings.get("folder"),
        "enabled": bool(row["enabled"]),
        "state": _state(
            mailbox.enabled,
            mailbox.error_code,
            mailbox.consecutive_errors,
            waits=waits_until is None,
            is_read=mailbox.polled_at is not None,
        ),
        "polled_at": row["polled_at"],
        "last_uid": row["last_uid"],
        "uid_validity": row["uid_validity"],
        "failed_at": row["failed_at"],
        "last_error": row["last_error"],
        "consecutive_errors": row["consecutive_errors"],
        "next_try_at": waits_until,
    }


def _state(enabled: bool, error_code: str, errors: int, *, waits: bool, is_read: bool) -> str:
    if not enabled:
        return "disabled"
    if not errors:
        return "ok" if is_read else "not read yet"
    return "waits for credentials" if error_code == Trouble.CREDENTIALS and waits else "failing"
