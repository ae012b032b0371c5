"""``coldsend inbox``: what comes back by mail."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from sqlalchemy.engine import RowMapping

from coldsend import clock
from coldsend.cli import advice, auditing, classified_files
from coldsend.cli.context import Run, current
from coldsend.cli.mailbox import explained, visible
from coldsend.cli.noun import LARGEST_ID, changes, noun, reads
from coldsend.cli.nouns import NOUNS
from coldsend.cli.output import shown
from coldsend.daemon.stopping import Stopping
from coldsend.database.engine import Connection
from coldsend.domain.access import require_admin
from coldsend.domain.inbox import MessageKind
from coldsend.domain.reply_category import ReplyCategory
from coldsend.errors import NotAllowed, NotFound, PartlyDone, Refused, Unreachable, UsageError
from coldsend.feedback.applier import applier_of
from coldsend.inbox import labelling, retrying
from coldsend.inbox.connection import MailboxError
from coldsend.inbox.polling import Polled, Poller
from coldsend.stores import access, contacts, inbox_messages, mailboxes

if TYPE_CHECKING:
    pass

app = noun(NOUNS["inbox"])


@reads(
    app,
    "coldsend inbox classify bounce.eml",
    "coldsend inbox classify mails/*.eml --json",
)
def classify(
    files: Annotated[
        list[Path], typer.Argument(help="Messages as they were received (.eml), or plain texts of replies.")
    ],
) -> None:
    """Classify messages: bounce, complaint, automatic reply, reply or other, and whom they are about.

    Nothing is recorded, and neither configuration nor database is needed.
    """
    run = current()
    if run.acting_as:  # else it needs neither configuration nor database
        _ = run.actor
    classified_files.require_files(files)
    if run.json:
        run.out.stream(classified_files.documents(files))
        return
    columns = {"file": "file", "kind": "kind", "recipient": "recipient", "hard": "hard", "reason": "reason"}
    columns |= {"status": "status", "text": "text"}
    rows = [row for document in classified_files.documents(files) for row in classified_files.rows(document)]
    run.out.table(rows, columns, empty="there is nothing to classify")


@changes(app, "coldsend inbox poll", "coldsend inbox poll replies")
def poll(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Mailboxes by name or id; else all that are enabled."),
    ] = None,
) -> None:
    """Read what is new in mailboxes, and act on what is about mail of coldsend's.

    `scheduler run` does so all the time. No message is marked, moved or deleted. Exits with 4 or 5 where
    none could be read, with 6 where some could not.
    """
    run = current()
    with run.database.read() as connection:
        if names:
            ids = [int(visible(connection, run, name)["id"]) for name in names]
        else:
            require_admin(run.actor, "read all mailboxes: name one of a service that is granted to you")
            ids = [mailbox.id for mailbox in mailboxes.enabled(connection)]
    stop, read = threading.Event(), itertools.count(1)
    with Stopping(stop.set), run.out.progress("messages read", None) as advance:
        poller = Poller(
            run.database, run.settings, run.keys, clock.now, stop.is_set, lambda: advance(next(read))
        )
        polled = poller.poll(list(dict.fromkeys(ids)))
    auditing.changed(run, anything=any(one.read for one in polled))
    documents = [_polled(one) for one in polled]
    columns = {"mailbox": "MAILBOX", "state": "STATE", "read": "READ#", "ours": "OURS#"}
    columns |= {kind.value: f"{kind.value.replace('_', ' ').upper()}#" for kind in MessageKind}
    columns |= {"error": "ERROR"}
    rows = [{**one, **one["kinds"], "ours": sum(one["kinds"].values())} for one in documents]
    run.out.table(
        rows, columns, empty="no mailbox is enabled: coldsend mailbox add --help", document=documents
    )
    _raise_failures(polled)


@reads(
    app,
    "coldsend inbox list",
    "coldsend inbox list --kind reply --limit 20",
    "coldsend inbox list --contact anna@example.com",
    name="list",
)
def list_messages(
    kind: Annotated[MessageKind | None, typer.Option(help="Only of this kind.")] = None,
    mailbox: Annotated[str | None, typer.Option(metavar="NAME", help="Only found in this mailbox.")] = None,
    contact: Annotated[str | None, typer.Option(metavar="EMAIL", help="Only about this contact.")] = None,
    category: Annotated[ReplyCategory | None, typer.Option(help="Only replies that want this.")] = None,
    not_taken: Annotated[
        bool, typer.Option("--not-taken", help="Only what could not be understood or acted on.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
) -> None:
    """List messages that came back, the newest last.

    Operators see those about their own campaigns, and in mailboxes of services granted to them.
    """
    run = current()
    actor = run.actor
    with run.database.read() as connection:
        found = inbox_messages.latest(
            connection,
            limit,
            kind=kind,
            mailbox_id=None if mailbox is None else int(visible(connection, run, mailbox)["id"]),
            contact_id=None if contact is None else int(contacts.find(connection, contact)["id"]),
            only_not_taken=not_taken,
            category=category,
            visible_to=None if actor.is_admin else (actor.id, access.granted(connection, actor.id)),
        )
    rows = [_message(row) for row in found]
    columns = {"id": "ID#", "received_at": "RECEIVED (UTC)", "kind": "KIND", "task": "TASK"}
    columns |= {"contact": "CONTACT", "category": "WANTS", "from": "FROM", "subject": "SUBJECT"}
    if not_taken:
        columns |= {"error": "ERROR"}
        rows = [{**row, "error": (row["details"] or {}).get("error")} for row in rows]
    run.out.table(rows, columns, empty="no messages: coldsend inbox poll")


@reads(app, "coldsend inbox show 12", "coldsend inbox show 12 --raw > message.eml")
def show(
    message_id: Annotated[
        int, typer.Argument(metavar="ID", min=1, max=LARGEST_ID, help="Id of the message: `inbox list`.")
    ],
    raw: Annotated[
        bool, typer.Option("--raw", help="The message itself, as it was received (at most its beginning).")
    ] = False,
) -> None:
    """Show one message: what it was taken for, what it is about, and its new text."""
    run = current()
    with run.database.read() as connection:
        row = _visible_message(connection, run, message_id)
    if raw:
        if row["raw"] is None:
            raise NotFound(f"message {message_id} itself is not kept any more, or was never to be had")
        run.out.raw(bytes(row["raw"]))
        return
    document = {**_message(row), "message_id": row["message_id"], "text": row["text"]}
    if run.json:
        run.out.data(document)
        return
    details = document.pop("details") or {}
    recipients = details.pop("recipients", [])
    lines = {**document, **details}
    lines["recipients"] = [_recipient(each) for each in recipients]
    run.out.fields({name: value for name, value in lines.items() if value not in (None, "", [])})


@changes(app, "coldsend inbox retry 12 15", "coldsend inbox retry --all", "coldsend inbox list --not-taken")
def retry(
    message_ids: Annotated[
        list[int] | None,
        typer.Argument(metavar="ID", min=1, max=LARGEST_ID, help="Ids of messages: `inbox list`."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All that could not be taken, and are kept as they came.")
    ] = False,
) -> None:
    """Take messages once more that could not be understood or acted on, after an upgrade of coldsend.

    Nothing counts twice. What turns out to be a copy, or about no mail of coldsend's, is deleted.
    """
    run = current()
    actor = run.actor
    if bool(message_ids) == every:
        raise UsageError("name messages, or --all", hint="see: coldsend inbox list --not-taken")
    with run.database.read() as connection:
        if every:
            require_admin(actor, "take all messages once more: name those you may see")
        ids = dict.fromkeys(inbox_messages.not_taken(connection) if every else message_ids or [])
        rows = [_visible_message(connection, run, message_id) for message_id in ids]
    done = retrying.retry(run.database, run.settings, run.keys, rows, clock.now())
    documents = [
        {"id": one.message_id, "state": one.state, "kind": one.kind, "error": one.error or None}
        for one in done
    ]
    columns = {"id": "ID#", "state": "STATE", "kind": "KIND", "error": "ERROR"}
    run.out.table(documents, columns, empty="every message could be taken")
    failed = [one for one in done if one.error]
    if len(done) == 1 and failed:
        raise Refused(f"message {failed[0].message_id} was not taken: {failed[0].error}")
    if failed:
        kind = PartlyDone if len(failed) < len(done) else Refused
        names = ", ".join(str(one.message_id) for one in failed)
        raise kind(f"messages were not taken: {names}", hint="see why: coldsend inbox list --not-taken")


def _recipient(told: dict[str, Any]) -> str:
    """Whom a report is about and what it says of them, in a line."""
    lasting: dict[object, str] = {True: "for good", False: "for now"}
    known = {**told, "hard": lasting.get(told.get("hard"))}
    words = (known.get(name) for name in ("status", "action", "hard", "reason", "diagnostic"))
    return f"{told.get('address', '')}: {', '.join(filter(None, words))}".strip(": ")


@changes(app, "coldsend inbox label 12 interested", "coldsend inbox list --category other")
def label(
    message_id: Annotated[
        int, typer.Argument(metavar="ID", min=1, max=LARGEST_ID, help="Id of the reply: `inbox list`.")
    ],
    category: Annotated[ReplyCategory, typer.Argument(help="What it wants.")],
) -> None:
    """Say what a reply wants, where the rules took it for something else.

    Follow-ups with a condition such as replied:interested go by it. Of several replies to one message the
    one that asks for most care counts. unsubscribe_request unsubscribes the recipient; another label later
    does not take that back.
    """
    run, now = current(), clock.now()
    actor = run.actor
    with run.database.read() as connection:
        row = _visible_message(connection, run, message_id)
        applier = applier_of(connection, run.settings, run.keys)
    made = labelling.label(run.database, row, category, actor.username, now, applier)
    document = {"id": message_id, "category": category, "before": made.before}
    document |= {"counts": made.counts, "unsubscribed": made.unsubscribed}
    more = "; the recipient is unsubscribed" if made.unsubscribed else ""
    run.out.done(f"message {message_id} is labelled {category.replace('_', ' ')}{more}", document)
    if made.counts not in (None, category):
        advice.next_step(run, f"another reply to the same message counts: {made.counts.replace('_', ' ')}")


def _polled(one: Polled) -> dict[str, Any]:
    error = one.error.message if one.error else ""
    if one.state == "busy":
        error = "another process reads it" + (f" (until {shown(one.busy_until)})" if one.busy_until else "")
    return {
        "mailbox": one.mailbox,
        "state": one.state,
        "read": one.read,
        "kinds": {kind.value: count for kind, count in one.kinds.items()},
        "repeated": one.repeated,
        "unreadable": one.unreadable,
        "error": error or None,
    }


def _raise_failures(polled: Sequence[Polled]) -> None:
    failed = [one for one in polled if one.error is not None]
    if not failed:
        return
    error = failed[0].error
    assert error is not None
    if len(polled) == 1:
        raise explained(error, failed[0].mailbox) if isinstance(error, MailboxError) else error
    names = ", ".join(one.mailbox for one in failed)
    kind = PartlyDone if len(failed) < len(polled) else Unreachable
    raise kind(f"could not be read: {names}", hint="see why: coldsend mailbox list")


def _visible_message(connection: Connection, run: Run, message_id: int) -> RowMapping:
    row = inbox_messages.get(connection, message_id)
    if row is None:
        raise NotFound(f"there is no message {message_id}", hint="see: coldsend inbox list")
    actor = run.actor
    granted = row["sender_service_id"]
    mine = row["created_by"] == actor.id or (
        granted is not None and access.may_use(connection, actor, granted)
    )
    if not (actor.is_admin or mine):
        raise NotAllowed(
            f"message {message_id} is neither about a campaign of {actor.username!r} nor from its mailboxes",
            hint="act as the campaign's creator or as an admin: --as USER",
        )
    return row


def _message(row: RowMapping) -> dict[str, Any]:
    names = ("id", "mailbox", "received_at", "kind", "task", "contact", "category")
    return {
        **{name: row[name] for name in names},
        "from": row["from_email"],
        "subject": row["subject"],
        "details": row["details"],
    }
