"""The options of an experiment, wherever a task is made."""

from __future__ import annotations

from typing import Annotated

import typer

from coldsend.domain.experiment import DEFAULT_CONFIDENCE, DEFAULT_SAMPLE, Experiment, Goal, planned
from coldsend.errors import UsageError

GoalOption = Annotated[
    str | None,
    typer.Option(
        "--experiment",
        metavar="replies|interested|clicks",
        help="Find out which template of the set brings more of these, and send the winner to the rest.",
    ),
]
SampleOption = Annotated[
    int | None,
    typer.Option(
        "--min-sample",
        metavar="N",
        help=f"Recipients of each template that count before it is judged; {DEFAULT_SAMPLE} if not given.",
    ),
]
HoursOption = Annotated[
    int | None,
    typer.Option(
        "--wait-hours",
        metavar="H",
        help="A recipient counts that long after the sending, and for what came within; "
        f"{Goal.REPLIES.usual_hours} for replies, {Goal.CLICKS.usual_hours} for clicks if not given.",
    ),
]
ConfidenceOption = Annotated[
    float | None,
    typer.Option(metavar="PERCENT", help=f"How sure a winner must be; {DEFAULT_CONFIDENCE:g} if not given."),
]
AutoOption = Annotated[
    bool | None,
    typer.Option(
        "--auto/--no-auto", help="Send a winner at once (that is usual), or only by `experiment decide`."
    ),
]


def wanted(
    goal: str | None,
    min_sample: int | None,
    wait_hours: int | None,
    confidence: float | None,
    auto: bool | None,
) -> Experiment | None:
    """The experiment that is asked for; UsageError where options of one are given without it."""
    if goal is None:
        given = {"--min-sample": min_sample, "--wait-hours": wait_hours, "--confidence": confidence}
        given["--auto/--no-auto"] = auto
        if alone := [option for option, value in given.items() if value is not None]:
            raise UsageError(
                f"{alone[0]} says something about an experiment, and there is none",
                hint="add --experiment replies, interested or clicks",
            )
        return None
    return planned(goal, min_sample, wait_hours, confidence, auto=auto is not False)
