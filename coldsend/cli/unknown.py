"""``coldsend unknown``: recipients who may have got a message or not, and what a person decides."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote
from typing import Annotated, Any

import typer
from sqlalchemy.engine import RowMapping

from coldsend import clock
from coldsend.cli import advice
from coldsend.cli.context import Run, current
from coldsend.cli.noun import changes, noun, reads
from coldsend.composing.message_ids import message_id
from coldsend.composing.tokens import Tokens
from coldsend.errors import PartlyDone, Refused, UsageError
from coldsend.planning import unknown as use
from coldsend.planning.unknown import Decided, Decision, Wanted
from coldsend.stores import services, signing_keys, tasks
from coldsend.stores.lookup import id_of

app = noun("Recipients whose outcome is unknown: list them, and decide what becomes of each.")

SHOWN_LEFT = 20

Targets = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="WHO",
        help="CAMPAIGN/TASK EMAIL..; or ids as `unknown list` shows them; or with --all a campaign or task.",
    ),
]
Every = Annotated[
    bool, typer.Option("--all", help="All unknown recipients of the campaign, task or --service.")
]
Service = Annotated[
    str | None, typer.Option(metavar="SERVICE", help="With --all: only attempts through this service.")
]


@reads(
    app,
    "coldsend unknown list",
    "coldsend unknown list spring/intro --limit 500",
    "coldsend unknown list spring --service main --json",
    name="list",
)
def list_unknown(
    where: Annotated[
        str | None, typer.Argument(metavar="CAMPAIGN[/TASK]", help="Only of this campaign or task.")
    ] = None,
    service: Annotated[
        str | None, typer.Option(metavar="SERVICE", help="Only attempts through this service.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many.")] = 50,
) -> None:
    """List recipients who may have got their message or not, the oldest attempt first.

    The connection was lost after the message had been handed over and before the answer came, or the process
    was lost with its journal. Nothing of it is sent again by itself. Search the mail server's log for the
    Message-ID, then decide: unknown resend, mark-sent or give-up.
    """
    run = current()
    actor = run.actor
    with run.database.read() as connection:
        rows, total = use.listed(connection, actor, where, service, limit)
        found = {row["sender_service_id"] for row in rows if row["sender_service_id"] is not None}
        known = [one for one in services.all_services(connection) if one.id in found]
        ids = _message_ids(signing_keys.load(connection, run.keys, "links"), rows, known) if rows else {}
    documents = [_document(row, ids.get(row["id"])) for row in rows]
    columns = {"id": "ID#"} if "/" in (where or "") else {"id": "ID#", "task": "TASK"}
    columns |= {"email": "RECIPIENT", "service": "SERVICE"}
    columns |= {"attempt_at": "TRIED (UTC)", "message_id": "MESSAGE-ID", "error": "LAST KNOWN"}
    run.out.table(documents, columns, empty="nothing is unknown: every attempt has its answer")
    if total > len(rows):
        advice.next_step(run, f"shown: {len(rows):,} of {total:,}; more with --limit")
    if rows:
        reference = quote(str(documents[0]["task"]))
        advice.next_step(
            run,
            "search the mail server's log for the Message-ID, then decide:\n"
            f"  it was delivered     coldsend unknown mark-sent {reference} EMAIL..\n"
            f"  it was not           coldsend unknown resend {reference} EMAIL..\n"
            f"  nobody will know     coldsend unknown give-up {reference} EMAIL..\n"
            "ids work as well, and --all for a whole campaign, task or --service",
        )


@changes(
    app,
    "coldsend unknown resend spring/intro bob@example.com",
    "coldsend unknown resend 17 18 --yes",
    "coldsend unknown resend spring/intro --all --service main",
)
def resend(targets: Targets = None, every: Every = False, service: Service = None) -> None:
    """Send again to recipients whose outcome is unknown. Asks first: whoever has the message gets it twice.

    Right where the server's log shows that it never took the message. The task goes on with them, also if it
    was finished. Addresses that were suppressed or removed since are left as they are.
    """
    run = current()
    rows = _rows(run, targets, every, service)
    if not rows:
        _nothing(run, Decision.RESEND)
        return
    run.out.confirm(
        f"Send again to {_whom(rows)}? The server may have taken the message: who has it gets it twice."
    )
    with run.database.read() as connection:
        pepper = signing_keys.load(connection, run.keys, "suppression")
    made = use.resend(run.database, run.actor, rows, run.settings, pepper, clock.now())
    _tell(run, Decision.RESEND, made, "will be sent to again")
    advice.warn(run, made.warnings)
    for reference, status in made.task_states.items():
        if status == "paused":
            resume = f"coldsend task resume {quote(reference)}"
            advice.next_step(run, f"task {reference!r} is paused: they wait for {resume}")
    _left(run, made)


@changes(
    app,
    "coldsend unknown mark-sent spring/intro bob@example.com ann@example.com",
    "coldsend unknown mark-sent spring --all --yes",
    name="mark-sent",
)
def mark_sent(targets: Targets = None, every: Every = False, service: Service = None) -> None:
    """Count recipients whose outcome is unknown as sent, at the time of the attempt. Asks first.

    Right where the server's log shows that it took the message. They count as accepted from then on.
    """
    run = current()
    rows = _rows(run, targets, every, service)
    if not rows:
        _nothing(run, Decision.MARK_SENT)
        return
    run.out.confirm(f"Count {_whom(rows)} as sent, for good?")
    made = use.mark_sent(run.database, run.actor, rows, clock.now())
    _tell(run, Decision.MARK_SENT, made, "counted as sent")
    _left(run, made)


@changes(
    app,
    "coldsend unknown give-up spring/intro bob@example.com",
    "coldsend unknown give-up spring/intro --all",
    name="give-up",
)
def give_up(targets: Targets = None, every: Every = False, service: Service = None) -> None:
    """End recipients whose outcome is unknown as failed, reason `given up`. Asks first.

    They are not sent to again by this task, not by `task retry` either.
    """
    run = current()
    rows = _rows(run, targets, every, service)
    if not rows:
        _nothing(run, Decision.GIVE_UP)
        return
    run.out.confirm(f"Give up {_whom(rows)} for good? They count as failed.")
    made = use.give_up(run.database, run.actor, rows, clock.now())
    _tell(run, Decision.GIVE_UP, made, "given up")
    _left(run, made)


def _message_ids(link_secret: bytes, rows: Sequence[RowMapping], known: Sequence[Any]) -> dict[int, str]:
    """row id -> its Message-ID; computed where the process was lost before it could note it."""
    tokens, by_id = Tokens(link_secret), {one.id: one for one in known}
    return {
        row["id"]: row["message_id"] or message_id(tokens, row["id"], by_id[row["sender_service_id"]])
        for row in rows
        if row["message_id"] or row["sender_service_id"] in by_id
    }


def _document(row: RowMapping, known_id: str | None) -> dict[str, Any]:
    return {
        "id": row["id"],
        "task": tasks.reference(row),
        "email": row["email"],
        "service": row["service"],
        "attempt_at": row["attempt_at"],
        "attempts": row["attempt"],
        "message_id": known_id,
        "reason": row["reason"],
        "error": row["error_message"],
    }


def _rows(run: Run, targets: list[str] | None, every: bool, service: str | None) -> list[RowMapping]:
    return use.find(run.database, run.actor, _wanted(targets or [], every, service))


def _wanted(targets: list[str], every: bool, service: str | None) -> Wanted:
    """What was named on the line; UsageError where it is neither of the three forms."""
    if every:
        if len(targets) > 1:
            raise UsageError("--all takes one campaign or task", hint="coldsend unknown resend spring --all")
        if not targets and service is None:
            raise UsageError(
                "--all of what?",
                hint="name a campaign, CAMPAIGN/TASK, or --service: see coldsend unknown list",
            )
        return Wanted(where=targets[0] if targets else None, service=service, every=True)
    if service is not None:
        raise UsageError("--service goes with --all", hint="or name a task and addresses, or ids")
    if not targets:
        raise UsageError("no recipient is named", hint="name CAMPAIGN/TASK EMAIL.., or ids, or --all")
    if all(word.isdecimal() for word in targets):
        return Wanted(row_ids=[id_of(word) for word in targets])
    if len(targets) == 1:
        if "@" in targets[0]:
            raise UsageError(f"which task of {targets[0]}?", hint="name it first: CAMPAIGN/TASK EMAIL..")
        raise UsageError(
            f"which recipients of {targets[0]!r}?", hint="name their addresses, or --all for all of them"
        )
    return Wanted(where=targets[0], emails=targets[1:])


def _whom(rows: Sequence[RowMapping]) -> str:
    """The recipients of a question: one by address, several by number and task."""
    references = list(dict.fromkeys(tasks.reference(row) for row in rows))
    of = f"task {references[0]!r}" if len(references) == 1 else f"{len(references)} tasks"
    who = str(rows[0]["email"]) if len(rows) == 1 else f"{len(rows):,} recipients"
    return f"{who} of {of}, whose outcome is unknown"


def _nothing(run: Run, decision: Decision) -> None:
    run.out.done("nothing is unknown there; nothing was changed", _as_json(decision, Decided()))


def _tell(run: Run, decision: Decision, made: Decided, what: str) -> None:
    run.out.done(f"{advice.people(len(made.done))} {what}", _as_json(decision, made))


def _left(run: Run, made: Decided) -> None:
    """Say which rows were left as they are, and why; the exit code says that there were some."""
    if not made.left:
        return
    if not run.json:
        for row, why in made.left[:SHOWN_LEFT]:
            run.out.note(f"left as it is: {row['email']} of {tasks.reference(row)}: {why}")
        if len(made.left) > SHOWN_LEFT:
            run.out.note(f".. and {len(made.left) - SHOWN_LEFT:,} more")
    kind = PartlyDone if made.done else Refused
    whole = len(made.left) + len(made.done)
    raise kind(
        f"{len(made.left):,} of {advice.people(whole)} left as they are",
        hint="see what is still unknown: coldsend unknown list",
    )


def _as_json(decision: Decision, made: Decided) -> dict[str, Any]:
    return {
        "decision": decision.value,
        "decided": len(made.done),
        "rows": [_named(row) for row in made.done],
        "left": [{**_named(row), "why": why} for row, why in made.left],
        "warnings": advice.as_json(made.warnings),
    }


def _named(row: RowMapping) -> dict[str, Any]:
    return {"id": row["id"], "task": tasks.reference(row), "email": row["email"]}
