"""Options of `task create` that make a task a follow-up, and how a task is told what it follows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from coldsend.domain.sequence import MOST_DAYS
from coldsend.errors import UsageError
from coldsend.planning.wanted import Following

AfterOption = Annotated[
    str | None,
    typer.Option("--after", metavar="TASK", help="Follow this task: who was sent it, gets this one later."),
]
DaysOption = Annotated[
    int | None,
    typer.Option(
        "--days", min=1, max=MOST_DAYS, help="So many days after the recipient's own earlier message."
    ),
]
BusinessOption = Annotated[
    bool, typer.Option("--business-days", help="Count working days of the recipient's country only.")
]
IfOption = Annotated[
    list[str] | None,
    typer.Option(
        "--if",
        metavar="CONDITION",
        help="Only if, when it is due: no reply, no click, no open, opened, clicked, replied, "
        "replied:CATEGORY. All must hold; may be repeated.",
    ),
]


def wanted(
    after: str | None, days: int | None, conditions: list[str] | None, *, business_days: bool
) -> Following | None:
    """What the options ask for; UsageError where they do not go together."""
    if after is None:
        given = [("--days", days is not None), ("--business-days", business_days), ("--if", bool(conditions))]
        names = [name for name, is_given in given if is_given]
        if names:
            raise UsageError(
                f"{names[0]} needs --after: it is about the task that this one follows",
                hint="coldsend task create CAMPAIGN NAME --after TASK --days 3 --template-set TS",
            )
        return None
    if days is None:
        raise UsageError("--after needs --days", hint="a follow-up is sent days later: --days 3")
    return Following(after, days, business_days, tuple(conditions or ()))


def told(follows: Mapping[str, Any] | None) -> str | None:
    """What a task follows, as a sentence; None where it follows nothing. follows: as `task show` has it."""
    if follows is None:
        return None
    count = follows["days"]
    days = ("business day" if follows["business_days"] else "day") + ("" if count == 1 else "s")
    condition = f", if {' and '.join(follows['conditions'])}" if follows["conditions"] else ""
    return f"{follows['task']}, {count} {days} later{condition}"
