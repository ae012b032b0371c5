"""``coldsend init``: everything a new installation needs; safe to repeat."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from coldsend import clock
from coldsend.cli import auditing
from coldsend.cli.context import current
from coldsend.cli.noun import changes, single
from coldsend.config.settings import CONFIG_FILE_NAME, Settings
from coldsend.database.engine import parse_url, shown_url
from coldsend.errors import UsageError
from coldsend.installation.setup import Step, Wish, initialise

app = single()


@changes(
    app,
    "coldsend init",
    "coldsend init --postal-address 'Acme Ltd, 1 Main Street, Springfield' --base-url https://mail.acme.com",
    "coldsend init --database-url mysql://coldsend@db.example.com/coldsend --user anna",
    "coldsend init --config /etc/coldsend/coldsend.toml",
)
def init(
    database_url: Annotated[
        str | None,
        typer.Option(
            help="Database to use: sqlite:///FILE or mysql://USER:PASSWORD@HOST:PORT/NAME. With a password "
            "rather in COLDSEND_DATABASE_URL, where other users of this host do not see it.",
        ),
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Name of the first admin; without it your login name.")
    ] = None,
    postal_address: Annotated[
        str | None,
        typer.Option(help="Postal address shown in every message; written into the configuration."),
    ] = None,
    base_url: Annotated[
        str | None,
        typer.Option(
            help="Public address of the web part, which links in messages begin with; written, too."
        ),
    ] = None,
) -> None:
    """Make configuration, key, database and first admin; what exists is left alone.

    Campaigns do not start without a postal address and the public web address: give them here, or write
    them into coldsend.toml later.
    """
    run = current()
    if run.acting_as is not None:
        raise UsageError("init acts as nobody: leave --as out", hint="--user names the admin it makes")
    given = {"postal_address": postal_address, "web.base_url": base_url}
    values = {path: value for path, value in given.items() if value is not None}
    wish = Wish(run.config, database_url, user, os.environ, values)
    settings, steps = initialise(wish, clock.now())
    auditing.changed(run, anything=any(step.made for step in steps))
    _ = run.database  # it is there now: the audit log begins with who made it
    following = _next_steps(settings)
    if run.out.json:
        run.out.data(_document(settings, steps, following))
        return
    for step in steps:
        run.out.done(f"{'made   ' if step.made else 'exists '} {step.thing}", None)
    for note in [note for step in steps for note in step.notes]:
        run.out.note(f"note: {note}")
    if not any(step.made for step in steps):
        run.out.note("nothing had to be made")
    run.out.note(
        "next:\n" + "\n".join(f"  {number}. {line}" for number, line in enumerate(following, start=1))
    )


def _document(settings: Settings, steps: list[Step], following: list[str]) -> dict[str, Any]:
    return {
        "config": settings.source,
        "database": shown_url(parse_url(settings.database.url)),
        "made": [step.thing for step in steps if step.made],
        "existed": [step.thing for step in steps if not step.made],
        "notes": [note for step in steps for note in step.notes],
        "next": following,
    }


def _next_steps(settings: Settings) -> list[str]:
    """What a new operator does now; lines for what is configured already are left out."""
    file = settings.source or Path(CONFIG_FILE_NAME)
    lines = []
    if not settings.postal_address or not settings.web.base_url:
        lines.append(f"write postal_address and [web] base_url into {file}")
    return [
        *lines,
        "describe a sender: coldsend service add --help",
        "bring in contacts: coldsend contact import --help",
        "check it all: coldsend doctor",
    ]
