"""What ``coldsend campaign stop``, ``unstop`` and ``stops`` do: sequences that end early, and go on."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote
from typing import Annotated, Any

import typer

from coldsend import clock
from coldsend.cli import advice
from coldsend.cli.context import Run
from coldsend.domain.access import require_owner
from coldsend.planning import stopping
from coldsend.stores import campaigns, sequence_stops

Targets = Annotated[list[str], typer.Argument(metavar="EMAIL|DOMAIN..", help="Addresses and domains.")]

_WORDS = {"replied": "replied", "bounced": "bounced", "manual": "stopped by hand"}


def stop(run: Run, campaign: str, targets: Sequence[str]) -> None:
    done = stopping.stop(run.database, run.actor, campaign, targets, clock.now())
    skipped = sum(one.recipients for one in done)
    sentence = f"{_names(done)} stopped in campaign {campaign!r}; skipped of those who waited: {skipped:,}"
    run.out.done(sentence, {"campaign": campaign, "stopped": _documents(done, "skipped")})


def unstop(run: Run, campaign: str, targets: Sequence[str]) -> None:
    done = stopping.unstop(run.database, run.actor, campaign, targets, clock.now())
    again = sum(one.recipients for one in done)
    sentence = (
        f"{_names(done)} not stopped any more in campaign {campaign!r}; waiting again: {advice.people(again)}"
    )
    document = [
        {**one, "ended": each.ended} for one, each in zip(_documents(done, "waiting"), done, strict=True)
    ]
    run.out.done(sentence, {"campaign": campaign, "unstopped": document})
    ended = sum(one.ended for one in done)
    if ended:
        advice.next_step(run, f"{advice.people(ended)} stay skipped: their tasks have ended")


def listed(run: Run, campaign: str, limit: int) -> None:
    actor = run.actor
    with run.database.read() as connection:
        row = campaigns.find(connection, campaign)
        require_owner(actor, row["created_by"], f"campaign {row['name']!r}")
        found = sequence_stops.listed(connection, row["id"], limit)
    documents = [
        {
            "value": one["value"],
            "scope": "address" if one["stop_key"].startswith("a:") else "domain",
            "reason": one["reason"],
            "task": one["task"],
            "source": one["source"],
            "created_at": one["created_at"],
        }
        for one in found
    ]
    rows = [{**one, "reason": _WORDS[one["reason"]]} for one in documents]
    columns = {"value": "ADDRESS OR DOMAIN", "reason": "WHY", "task": "TASK", "source": "SOURCE"}
    columns |= {"created_at": "SINCE (UTC)"}
    empty = f"nobody is stopped; by hand: coldsend campaign stop {quote(row['name'])} EMAIL|DOMAIN"
    run.out.table(rows, columns, empty=empty, document=documents)


def _names(done: Sequence[stopping.Stopped]) -> str:
    names = ", ".join(one.value for one in done[:5])
    more = f" and {len(done) - 5} more" if len(done) > 5 else ""
    return f"{names}{more} {'is' if len(done) == 1 else 'are'}"


def _documents(done: Sequence[stopping.Stopped], count: str) -> list[dict[str, Any]]:
    return [{"value": one.value, count: one.recipients} for one in done]
