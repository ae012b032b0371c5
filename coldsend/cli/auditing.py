"""The row that a verb which changes something leaves in the audit log, also where it was refused.

It is written after the work, in a transaction of its own: a row that cannot be written is logged, and neither
undoes the work nor hides its error. What is refused before the database was opened (usage, configuration)
leaves none: it must not become slow, and nothing was touched.
"""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from coldsend import clock, logbook
from coldsend.cli.context import Effect, Run
from coldsend.cli.nouns import NOUNS
from coldsend.domain import audit

if TYPE_CHECKING:
    from coldsend.stores.audit import Entry


def begun(run: Run) -> None:
    """A verb that runs until it is stopped has started."""
    _write(run, 0, None)


def changed(run: Run, *, anything: bool) -> None:
    """Where there was nothing to change, what cron calls every minute leaves no row every minute."""
    run.audited = not anything


def only_looks(run: Run) -> None:
    """Asked for what it would do: this leaves no row, also where it is refused."""
    run.audited = True


def ended(run: Run, exit_code: int, error: str | None) -> None:
    """A command has ended. error: the code that scripts read, None where there was none."""
    if run.verb is None or run.verb.effect is Effect.READS or run.audited:
        return
    opened = vars(run)
    if "database" not in opened and (exit_code or "database_unchecked" not in opened):
        return
    _write(run, exit_code, error)


def _write(run: Run, exit_code: int, error: str | None) -> None:
    from coldsend.stores import audit as store  # noqa: PLC0415 - slow to import

    run.audited = True
    try:
        entry = _entry(run, exit_code, error)
        run.database.run(lambda connection: store.add(connection, entry))
    except Exception as failure:
        logbook.audit_failed(_command(run), f"{type(failure).__name__}: {failure}")


def _entry(run: Run, exit_code: int, error: str | None) -> Entry:
    from coldsend.stores.audit import Entry  # noqa: PLC0415 - slow to import

    assert run.verb is not None
    actor = run.actor if "actor" in vars(run) else None
    command = _command(run)
    words = _plain(run.words)[len(command.split()) :]
    return Entry(
        at=clock.now(),
        command=command,
        arguments=audit.kept(words, private=run.verb.private),
        exit_code=exit_code,
        error=error,
        user_id=actor.id if actor else None,
        username=actor.username if actor else (run.acting_as or "")[:255] or None,
        os_user=_os_user(),
        host=socket.gethostname()[:255],
    )


def _command(run: Run) -> str:
    """``campaign start``, or ``init``: a verb that has begun was found by these words."""
    words = _plain(run.words)
    return " ".join(words[:2] if words[0] in NOUNS else words[:1])


def _plain(words: Sequence[str]) -> list[str]:
    """Without a ``--`` before or within the command's name, which means nothing there."""
    found = list(words)
    while "--" in found[:2]:
        found.remove("--")
    return found


def _os_user() -> str:
    """Whose process this is: not what LOGNAME says, which anybody may set."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
