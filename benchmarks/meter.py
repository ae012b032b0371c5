"""What counting for metrics costs a message: ``meter.turn`` on the results of a whole turn.

    python benchmarks/meter.py [--results N] [--turns N] [--rounds N] [--json]

Results are as a turn writes them: accepted messages of one service, a few of them refused. Reference is a
loop over the same results that looks at each one's status and does nothing. Processor time, best of several
interleaved rounds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import result
from coldsend.domain.answers import Answer, Phase
from coldsend.domain.outcome import RowOutcome
from coldsend.domain.states import RowStatus
from coldsend.meter import Meter

NOW = datetime(2027, 3, 1, 9, 30, tzinfo=UTC)
REFUSED_EACH = 100  # one result of so many


@dataclass(slots=True)
class Result:
    """What counting reads of a result."""

    outcome: RowOutcome
    answer: Answer | None = None
    render_error: bool = False


def main() -> int:
    parser = result.parser(__doc__)
    parser.add_argument("--results", type=int, default=500, help="of one turn")
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    findings = result.Findings("meter", options.json)
    results = [_result(number) for number in range(options.results)]
    meter = Meter()

    def counted() -> None:
        for _ in range(options.turns):
            meter.turn(results, len(results), 0.05)

    def looked_at() -> None:
        for _ in range(options.turns):
            for each in results:
                _ = each.outcome.status is RowStatus.SENT

    best, bare = float("inf"), float("inf")
    for _ in range(options.rounds):
        best, bare = min(best, _seconds(counted)), min(bare, _seconds(looked_at))
    each, loop = (seconds / options.turns / options.results * 1e6 for seconds in (best, bare))
    counters = meter.read().counters
    if sum(counters.values()) < options.rounds * options.turns * options.results:
        raise RuntimeError(f"not everything was counted: {counters}")
    findings.figures |= {"counted_us": each, "loop_us": loop}
    findings.row(
        "counting a message for metrics",
        each,
        measured=f"{each:.2f} us",
        reference=f"a loop that only looks at the results: {loop:.2f} us",
        unit="us",
        goal=result.at_most(0.5),
        note=f"best of {options.rounds} rounds, processor time",
    )
    return findings.finish()


def _result(number: int) -> Result:
    at = NOW + timedelta(milliseconds=3 * (number % 50))
    if number % REFUSED_EACH:
        outcome = RowOutcome(number, 1, 1, RowStatus.SENT, at, message_id="<x@y.example>", attempt_at=NOW)
        return Result(outcome, Answer(Phase.FINAL, 250))
    outcome = RowOutcome(number, 1, 1, RowStatus.FAILED_TO_SEND, at, reason="no_such_user", attempt_at=NOW)
    return Result(outcome, Answer(Phase.RCPT, 550, "5.1.1"))


def _seconds(work: Callable[[], None]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


if __name__ == "__main__":
    sys.exit(main())
