"""What commands say besides their result: the next step, and warnings that did not stop them.

People read them on stderr; scripts find warnings in the document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from shlex import quote

from coldsend.cli.context import Run
from coldsend.domain.finding import Finding
from coldsend.domain.states import RowStatus


def next_step(run: Run, sentence: str) -> None:
    """What to do now, for people."""
    if not run.json:
        run.out.note(sentence)


def warn(run: Run, warnings: Sequence[Finding]) -> None:
    if run.json:
        return
    for finding in warnings:
        way_out = f"\n  {finding.hint}" if finding.hint else ""
        run.out.warn(f"{finding.subject}: {finding.message}{way_out}")


def as_json(warnings: Sequence[Finding]) -> list[dict[str, str]]:
    return [{"subject": one.subject, "message": one.message, "hint": one.hint} for one in warnings]


def unknown(run: Run, by_status: Mapping[str, int], where: str) -> None:
    """How recipients are decided about whose outcome nobody knows. where: CAMPAIGN or CAMPAIGN/TASK."""
    count = by_status.get(RowStatus.UNKNOWN.value, 0)
    if count:
        next_step(run, f"outcome unknown for {people(count)}: coldsend unknown list {quote(where)}")


def people(count: int) -> str:
    """``1 recipient``, ``2,000 recipients``."""
    return f"{count:,} recipient{'' if count == 1 else 's'}"
