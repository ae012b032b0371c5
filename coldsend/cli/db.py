"""``coldsend db``: bring the schema up to date, tell where it stands, check it, back it up, move it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from coldsend import clock
from coldsend.cli.context import Run, current
from coldsend.cli.noun import changes, noun, reads
from coldsend.database import checks, migrate, revision
from coldsend.database.copying import Advance
from coldsend.database.engine import Database
from coldsend.domain.access import require_admin
from coldsend.errors import ColdsendError, NotFound, Unreachable, UsageError
from coldsend.installation import backup as use
from coldsend.stores import users

app = noun("The database and its schema.")


@changes(app, "coldsend db upgrade")
def upgrade() -> None:
    """Bring the schema up to this version. Safe to repeat, also after an interruption."""
    run = current()
    database = run.database_unchecked
    before = revision.status(database)
    _known_actor(run, before)
    migrate.upgrade(database)
    _note_actor(run)
    after = revision.status(database)
    document = {"from": before.revision, "to": after.revision, "applied": list(before.pending)}
    where = database.display_url()
    if before.pending:
        sentence = f"the schema of {where} is now at revision {after.revision}"
    else:
        sentence = f"the schema of {where} is up to date (revision {after.revision})"
    run.out.done(sentence, document)


@reads(app, "coldsend db status")
def status() -> None:
    """Show the schema's revision; exit code 5 unless it is the one this version needs."""
    run = current()
    database = run.database_unchecked
    at = revision.status(database)
    _known_actor(run, at)
    run.out.fields(
        {
            "database": database.display_url(),
            "state": at.state,
            "revision": at.revision,
            "needed": at.head,
            "pending": list(at.pending),
        }
    )
    revision.require_current(database)


@reads(app, "coldsend db check", "coldsend db check --json")
def check() -> None:
    """Compare the schema with this version's and check what commits and times depend on.

    Exit code 5 where there is an error; warnings alone are 0.
    """
    run = current()
    database = run.database_unchecked
    revision.require_current(database)
    _known_actor(run, revision.status(database))
    found = checks.findings(database)
    errors = sum(finding.severity == "error" for finding in found)
    where = database.display_url()
    if run.out.json:
        run.out.data({"findings": [asdict(finding) for finding in found], "ok": errors == 0})
    else:
        for finding in found:
            run.out.finding(finding)
        if not found:
            run.out.done(f"{where} is as it should be", None)
    if errors:
        counted = "1 error" if errors == 1 else f"{errors} errors"
        raise Unreachable(
            f"the database {where} has {counted} (listed above)", hint="mend them before anything is sent"
        )


@changes(
    app,
    "coldsend db backup coldsend-2027-03-01.db",
    "coldsend db backup /var/backups/coldsend",
)
def backup(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The file to write; in a folder it is named for the time.")
    ],
) -> None:
    """Write the whole database into one file, as it is at this moment (admins only).

    Senders may go on meanwhile. The file is a SQLite database whatever it was made of, and is there whole or
    not at all. Credentials in it stay encrypted: keep the key file, too, and elsewhere.
    """
    run, now = current(), clock.now()
    require_admin(run.actor, "back up the database")
    if file.is_dir():
        file = file / f"coldsend-{now:%Y%m%dT%H%M%SZ}.db"
    with _counted(run, "backup", run.database, times=2) as advance:
        made = use.backup(run.database, file, now, advance)
    size = file.stat().st_size
    sentence = f"{made.rows:,} rows written to {file} ({size / 1e6:,.1f} MB)"
    run.out.done(sentence, {"file": str(file), "bytes": size, **_moved(made)})


@changes(app, "coldsend db restore coldsend-2027-03-01.db")
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A backup made with `coldsend db backup`.")],
) -> None:
    """Fill the configured database, which must be empty, with a backup.

    What was sent since the backup is not known in it. So campaigns that were active come back paused, and
    messages that were under way as `unknown`; read docs/backup.md before a campaign is resumed. Interrupted,
    it leaves a database that nothing works with: run it again.
    """
    run, now = current(), clock.now()
    target = run.database_unchecked
    with use.opened(file) as source, _counted(run, "restore", source, times=3) as advance:
        if run.acting_as is not None:
            # Users there are in the backup only; a wrong name is told before anything is done.
            with source.read() as connection:
                users.acting(connection, run.acting_as)
        try:
            keys = run.keys
        except ColdsendError:
            keys = None  # the rows are worth having without it; what cannot be opened is told below
        made = use.restore(file, target, keys, now, advance)
    _note_actor(run)
    document = {
        **_moved(made),
        "paused": list(made.changed.paused),
        "unknown": made.changed.unknown,
        "missing_keys": list(made.missing_keys),
    }
    where = target.display_url()
    run.out.done(f"{made.rows:,} rows of {made.taken_at:%Y-%m-%d %H:%M} UTC restored to {where}", document)
    if run.json:
        return
    if made.missing_keys:
        run.out.warn(
            f"credentials in it were sealed with key {', '.join(made.missing_keys)}, which is not here\n"
            "  put the key file of then beside the configuration, or enter the credentials anew"
        )
    if made.changed.paused:
        run.out.note(f"paused, because what was sent since is not known: {', '.join(made.changed.paused)}")
    if made.changed.unknown:
        run.out.note(f"under way then, now unknown: {made.changed.unknown:,} (coldsend unknown list)")


@changes(
    app,
    "coldsend db copy --to mysql://coldsend@db.example.com/coldsend",
    "coldsend db copy --to - < url.txt",
    private=True,
)
def copy(
    to: Annotated[
        str,
        typer.Option(
            metavar="URL", help="An empty database; - reads it from stdin, where nobody sees its password."
        ),
    ],
) -> None:
    """Copy everything into another database, ids included; campaigns go on there (admins only).

    From SQLite to MySQL or MariaDB, back, or to another server. Stop everything that works on this one first,
    and start it again with the new URL: both would send what is not sent yet.
    """
    run, now = current(), clock.now()
    require_admin(run.actor, "copy the database")
    wanted = run.settings.database
    url = sys.stdin.readline().strip() if to == "-" else to
    if not url:
        raise UsageError("no URL came on standard input")
    target = Database(url, connect_timeout=wanted.connect_timeout)
    try:
        with _counted(run, "copy", run.database, times=2) as advance:
            made = use.copy(run.database, target, now, advance)
    finally:
        target.dispose()
    where = target.display_url()
    run.out.done(f"{made.rows:,} rows copied to {where}", {"to": where, **_moved(made)})
    if not run.json:
        run.out.note(
            "now write its URL into the configuration ([database] url) or COLDSEND_DATABASE_URL, and start "
            "nothing on the old one any more: both would send what is not sent yet"
        )


@contextmanager
def _counted(run: Run, label: str, source: Database, *, times: int) -> Iterator[Advance]:
    """A progress bar over the rows of a database, each of which is looked at several times."""
    done = 0
    with run.out.progress(label, use.rows_to_handle(source, times)) as show:

        def advance(rows: int) -> None:
            nonlocal done
            done += rows
            show(done)

        yield advance


def _moved(made: use.Moved) -> dict[str, Any]:
    tables = {name: tally.rows for name, tally in made.tables.items()}
    return {"rows": made.rows, "taken_at": made.taken_at, "tables": tables}


def _known_actor(run: Run, at: revision.SchemaStatus) -> None:
    """A wrong --as fails here too, as soon as there are users to know."""
    if at.is_current and run.acting_as is not None:
        _ = run.actor


def _note_actor(run: Run) -> None:
    """Who it was stands in the audit log: users can be known now, if not when it began."""
    try:
        _ = run.actor
    except NotFound:
        if run.acting_as is not None:
            run.out.warn(f"there is no user {run.acting_as!r}: the audit log has the name as it was given")
