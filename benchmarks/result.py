"""What a benchmark finds: rows with goals, and the figures behind them.

Every benchmark prints what it does as it goes, and its rows at the end. With ``--json`` standard output is
one document instead, which ``run.py`` collects, and the rest goes to standard error:

    {"name": "expansion", "rows": [{"what", "measured", "reference", "value", "unit", "goal", "met", "note"}],
     "figures": {..}}

A row's ``value`` is what its goal is about: mostly a ratio to a reference that was measured in the same run
(unit "x"), else MB, microseconds and the like. ``goal`` is a text such as ">= 0.5 (floor 0.4)", or null where
the row only informs; ``met`` is "yes", "floor" or "no", null without a goal.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

NOISY = 0.15  # spread of ratios, as a share of their median, above which more rounds are made


@dataclass(frozen=True)
class Goal:
    """sign: ">=" or "<=". floor: what still passes, though it is not the goal."""

    sign: str
    bound: float
    floor: float | None = None

    def __str__(self) -> str:
        floor = "" if self.floor is None else f" (floor {self.floor:g})"
        return f"{self.sign} {self.bound:,g}{floor}"

    def met(self, value: float) -> str:
        def holds(bound: float) -> bool:
            return value >= bound if self.sign == ">=" else value <= bound

        if holds(self.bound):
            return "yes"
        return "floor" if self.floor is not None and holds(self.floor) else "no"


def at_least(bound: float, floor: float | None = None) -> Goal:
    return Goal(">=", bound, floor)


def at_most(bound: float) -> Goal:
    return Goal("<=", bound)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    measured: str
    reference: str
    value: float
    unit: str
    goal: str | None
    met: str | None
    note: str

    def shown(self) -> str:
        """The value with its unit."""
        if self.unit == "x":
            return f"{self.value:.2f} x"
        return f"{self.value:,.0f} {self.unit}" if self.value >= 100 else f"{self.value:.3g} {self.unit}"


@dataclass
class Findings:
    """What one benchmark has found so far."""

    name: str
    as_json: bool
    rows: list[Row] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def say(self, text: str) -> None:
        """A line for whoever watches."""
        print(text, file=sys.stderr if self.as_json else sys.stdout, flush=True)

    def row(
        self,
        what: str,
        value: float,
        *,
        measured: str,
        reference: str = "",
        unit: str = "x",
        goal: Goal | None = None,
        note: str = "",
    ) -> None:
        """Add a row. note: what must be known to judge the value, as the rounds it is the median of."""
        met = None if goal is None else goal.met(value)
        found = Row(what, measured, reference, value, unit, None if goal is None else str(goal), met, note)
        self.rows.append(found)
        wanted = "" if goal is None else f", goal {goal}: {met}"
        against = f" against {reference}" if reference else ""
        self.say(f"{what}: {measured}{against}: {found.shown()}{wanted}{f'; {note}' if note else ''}")

    def finish(self) -> int:
        """Print the document where it was asked for; the exit code."""
        if self.as_json:
            rows = [asdict(row) for row in self.rows]
            print(json.dumps({"name": self.name, "rows": rows, "figures": self.figures}, default=str))
        return 0


def parser(doc: str | None, *, rounds: int | None = None) -> argparse.ArgumentParser:
    """A benchmark's options: ``--json``, and ``--rounds`` where it repeats itself."""
    made = argparse.ArgumentParser(description=(doc or "").split("\n", maxsplit=1)[0])
    made.add_argument("--json", action="store_true", help="one document on standard output")
    if rounds is not None:
        made.add_argument("--rounds", type=int, default=rounds, help="at least; twice as many if noisy")
    return made


@dataclass(frozen=True)
class Ratios:
    """Ratios of several rounds. Each round measures its reference right beside itself: A B A B."""

    each: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.each)

    @property
    def spread(self) -> float:
        """Between the smallest and the largest, as a share of the median."""
        return (max(self.each) - min(self.each)) / self.median

    def note(self) -> str:
        """In words."""
        if len(self.each) == 1:
            return "1 round"
        return f"median of {len(self.each)} interleaved rounds, {min(self.each):.2f} to {max(self.each):.2f}"


def interleaved(one_round: Callable[[], float], rounds: int) -> Ratios:
    """Ratios of ``rounds`` rounds, and of as many again where they differ too much to trust a median.

    one_round: measures both sides, one after the other, and returns their ratio. One round alone is never
    repeated: it is asked for by whoever wants a quick look.
    """
    ratios = [one_round() for _ in range(rounds)]
    while rounds > 1 and len(ratios) < 2 * rounds and Ratios(ratios).spread > NOISY:
        ratios.append(one_round())
    return Ratios(ratios)
