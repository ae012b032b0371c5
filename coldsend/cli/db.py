"""``coldsend db``: bring the schema up to date, tell where it stands, check it."""

from __future__ import annotations

from dataclasses import asdict

from coldsend.cli.context import Run, current
from coldsend.cli.noun import noun, verb
from coldsend.database import checks, migrate, revision
from coldsend.errors import Unreachable

app = noun("The database and its schema.")


@verb(app, "coldsend db upgrade")
def upgrade() -> None:
    """Bring the schema up to this version. Safe to repeat, also after an interruption."""
    run = current()
    database = run.database_unchecked
    before = revision.status(database)
    _known_actor(run, before)
    migrate.upgrade(database)
    after = revision.status(database)
    document = {"from": before.revision, "to": after.revision, "applied": list(before.pending)}
    where = database.display_url()
    if before.pending:
        sentence = f"the schema of {where} is now at revision {after.revision}"
    else:
        sentence = f"the schema of {where} is up to date (revision {after.revision})"
    run.out.done(sentence, document)


@verb(app, "coldsend db status")
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


@verb(app, "coldsend db check", "coldsend db check --json")
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


def _known_actor(run: Run, at: revision.SchemaStatus) -> None:
    """A wrong --as fails here too, as soon as there are users to know."""
    if at.is_current and run.acting_as is not None:
        _ = run.actor
