"""What ``coldsend contact`` does with one person whole: erase, and hand out everything that is known."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from coldsend import clock
from coldsend.audience import access, erasing
from coldsend.audience.exporting import replaced
from coldsend.cli.contact_options import number
from coldsend.cli.context import Run
from coldsend.domain.access import Actor
from coldsend.errors import NotFound
from coldsend.stores import signing_keys


def erase(run: Run, actor: Actor, email: str) -> None:
    """Ask, erase, and tell what was done."""
    run.out.confirm(f"Erase everything about {email}? This cannot be undone.")
    with run.database.read() as connection:
        pepper = signing_keys.load(connection, run.keys, "suppression")
    with run.out.progress("searching", 1.0) as advance:
        done = erasing.erase(
            run.database,
            email,
            pepper,
            clock.now(),
            actor,
            progress=lambda looked, total: advance(looked / max(1, total)),
        )
    if done.before and not (done.contact_id or done.mentions or done.suppressions):
        sentence = f"{email} was erased before; nothing of it was found"
    else:
        lost = ", ".join(
            number(count, noun)
            for count, noun in ((done.rows, "row"), (done.events, "event"), (done.messages, "message"))
        )
        sentence = f"{email} is erased: {lost} cleared, {number(done.mentions, 'mention')} taken out"
    run.out.done(sentence, {"erased": email, **dataclasses.asdict(done)})


def export(run: Run, actor: Actor, email: str, file: Path | None) -> None:
    """Write all data about one person to a file, or to standard output."""
    document = access.all_data(run.database, email, pepper(run), clock.now(), actor)
    if file is None:
        run.out.data(document)
        return
    if file.exists():
        run.out.confirm(f"{file} exists. Replace it?")
    with replaced(file) as out:
        run.out.write(document, out)
    run.out.done(f"all data about {email} written to {file}", {"exported": 1, "file": str(file)})


def pepper(run: Run) -> bytes | None:
    """The secret of hashed suppressions; None in an installation that has none yet, and so no hashes."""
    try:
        with run.database.read() as connection:
            return signing_keys.load(connection, run.keys, "suppression")
    except NotFound:
        return None
