"""``coldsend alert``: what is wrong or done, and whom that was told."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

import typer

from coldsend import clock
from coldsend.alerts import seeing, trying
from coldsend.alerts.targets import LOG, all_targets, problems
from coldsend.alerts.watch import Watch
from coldsend.cli import advice, auditing
from coldsend.cli.context import current
from coldsend.cli.noun import LARGEST_ID, changes, noun, reads
from coldsend.database.engine import Connection
from coldsend.domain.access import require_admin
from coldsend.domain.alert_targets import written_secret
from coldsend.errors import NotFound, PartlyDone, Unreachable, UsageError
from coldsend.stores import alerts

app = noun("Alerts: what is wrong or done, and whom it was told.")

KEY_BYTES = 32


@reads(app, "coldsend alert list", "coldsend alert list --open --json", name="list")
def list_alerts(
    only_open: Annotated[bool, typer.Option("--open", help="Only what lasts.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The newest so many.")] = 50,
) -> None:
    """List alerts, the newest first; operators see those about what is theirs.

    TOLD says what became of the notices: told, waiting for another attempt, or given up (`alert retry`).
    """
    run = current()
    actor = run.actor
    with run.database.read() as connection:
        found = seeing.listed(connection, actor, only_open=only_open, limit=limit)
    rows = [
        {**row, "title": (row["details"] or {}).get("title"), "told": seeing.told(row["deliveries"])}
        for row in found
    ]
    columns = {"id": "ID#", "raised_at": "SINCE (UTC)", "cleared_at": "UNTIL (UTC)", "title": "ALERT"}
    columns |= {"message": "WHY", "told": "TOLD"}
    run.out.table(
        rows, columns, empty="no alerts" if not only_open else "nothing is wrong", document=_documents(found)
    )
    if not run.json:
        for line in _failures(found):
            run.out.warn(line)


@changes(app, "coldsend alert test", "coldsend alert test webhook:ops", name="test")
def send_test(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="TARGET", help="email:ADDRESS, webhook:NAME, chat:NAME or log; else all."),
    ] = None,
) -> None:
    """Send a notice that says it is a test to the targets of [alerts], now (admins only).

    Nothing is stored. Exits with 5 where no target took it, with 6 where some did not.
    """
    run = current()
    require_admin(run.actor, "send test alerts")
    known = all_targets(run.settings)
    for name in names or ():
        if name not in known:
            raise NotFound(f"[alerts] has no target {name!r}", hint=f"there are: {', '.join(known)}")
    wanted = [known[name] for name in dict.fromkeys(names or known)]
    tried = trying.run(wanted, run.actor.username, clock.now())
    rows = [{"target": one.target, "taken": not one.error, "error": one.error or None} for one in tried]
    run.out.table(rows, {"target": "TARGET", "taken": "TAKEN", "error": "ERROR"}, empty="")
    if list(known) == [LOG]:
        advice.next_step(run, "name more targets: [alerts] email, webhooks or chat in the configuration")
    failed = [one for one in tried if one.error]
    if failed:
        kind = PartlyDone if len(failed) < len(tried) else Unreachable
        refused = ", ".join(one.target for one in failed)
        raise kind(f"not taken by {refused}", hint="what is configured wrongly: coldsend doctor")


@changes(app, "coldsend alert check", "coldsend alert check --json")
def check() -> None:
    """Look what is wrong or done, and tell it: for cron (admins only).

    A running scheduler does so by itself; this is how somebody hears that none is running. Where nothing has
    changed and nothing is to be told it says nothing. Exits with 6 where a notice could not be delivered.
    """
    run = current()
    require_admin(run.actor, "look for alerts")
    for finding in problems(run.settings.alerts):
        run.out.warn(f"{finding.subject}: {finding.message}")
    done = Watch(run.database, run.settings).round()
    told = done.delivered
    auditing.changed(run, anything=bool(done.seen or told.done))
    with run.database.read() as connection:
        lasting = sum(alerts.open_by_kind(connection).values())
    document = {"open": lasting, "raised": list(done.seen.raised), "cleared": list(done.seen.cleared)}
    document |= {"delivered": told.done, "failed": told.failed + told.given_up}
    if run.json:
        run.out.data(document)
    else:
        for title in done.seen.raised:
            run.out.done(title, None)
        for title in done.seen.cleared:
            run.out.done(f"over: {title}", None)
    if told.failed or told.given_up:
        raise PartlyDone(
            f"notices that could not be delivered: {told.failed + told.given_up}",
            hint="see why: coldsend alert list; they are tried again",
        )


@changes(app, "coldsend alert retry 12", "coldsend alert retry --all")
def retry(
    ids: Annotated[
        list[int] | None,
        typer.Argument(metavar="ID", min=1, max=LARGEST_ID, help="Of alerts, as `alert list` shows them."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Of all alerts.")] = False,
) -> None:
    """Try deliveries again that failed or were given up, from the beginning (admins only)."""
    run = current()
    require_admin(run.actor, "try alerts again")
    if bool(ids) == every:
        raise UsageError("name alerts by their ids, or give --all", hint="see: coldsend alert list")
    now = clock.now()

    def work(connection: Connection) -> int:
        missing = sorted(set(ids or ()) - alerts.existing(connection, ids or ()))
        if missing:
            raise NotFound(f"there is no alert {missing[0]}", hint="see: coldsend alert list")
        return alerts.again(connection, ids, now)

    count = run.database.run(work)
    run.out.done(f"deliveries to try again: {count}", {"again": count})
    if count:
        advice.next_step(run, "a running scheduler does so within seconds; or: coldsend alert check")


@reads(app, "coldsend alert secret")
def secret() -> None:
    """Print a new secret for [alerts] webhook_secret and for the receiver; it is not put into use.

    Needs neither configuration nor database.
    """
    run = current()
    made = written_secret(secrets.token_bytes(KEY_BYTES))
    if run.out.json:
        run.out.data({"secret": made})
    else:
        run.out.plain(made)


def _documents(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Alerts as scripts see them."""
    kept = ("target", "event", "status", "attempts", "next_at", "done_at", "last_error")
    return [
        {
            **{
                name: row[name]
                for name in ("id", "kind", "subject", "message", "raised_at", "cleared_at", "details")
            },
            "deliveries": [{name: each[name] for name in kept} for each in row["deliveries"]],
        }
        for row in found
    ]


def _failures(found: list[dict[str, Any]]) -> list[str]:
    """The last error of each target that does not take notices."""
    failing: dict[str, str] = {}
    for row in found:
        for each in row["deliveries"]:
            if each["last_error"]:
                failing.setdefault(each["target"], each["last_error"])
    return [f"{target}: {error}" for target, error in failing.items()]
