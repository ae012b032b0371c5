"""Times on the command line: read, and said to be UTC where the operator left the zone out."""

from __future__ import annotations

from datetime import datetime

from coldsend.cli.context import Run
from coldsend.domain import when


def read(run: Run, text: str | None, what: str, now: datetime) -> datetime | None:
    """The moment an option names, None where it was not given. what: "start time"."""
    if text is None:
        return None
    moment = when.parse(text, now, what)
    if not when.has_zone(text) and not run.json:
        run.out.note(f"{what}: {text} has no time zone and is taken as UTC")
    return moment
