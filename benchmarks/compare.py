"""Two states of the code, or two interpreters, on one send list: did a change make sending cheaper?

    python -m benchmarks.compare CHECKOUT[@PYTHON] CHECKOUT[@PYTHON] ..
        [--messages 20000] [--rounds 4] [--workers 2] [--connections 20] [--database mariadb|sqlite] [--json]

One campaign waits in one database; each round every candidate sends the next so many messages of it into
smtp-sink, its quota raised by just these, in turns (A B, B A, ..). Compared is the processor time a message
of all processes together, which a busy machine spoils less than rates; the first candidate is the reference.
CHECKOUT is a folder with a ``coldsend`` package (``git worktree add`` makes one), PYTHON an interpreter of
the same version as this one, whose packages it uses. All must know the same schema.
"""

from __future__ import annotations

import argparse
import os
import site
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import result, stage
from benchmarks.end_to_end import Campaign, Run


class Candidate(Campaign):
    """The same installation, run by whichever code and interpreter is up."""

    checkout = str(stage.ROOT)
    interpreter = sys.executable

    def up(self, candidate: str) -> None:
        self.checkout, _at, interpreter = candidate.partition("@")
        self.interpreter = interpreter or sys.executable

    def _line(self, *arguments: str) -> list[str]:
        return [self.interpreter, "-m", "coldsend", *arguments]

    def _environ(self) -> dict[str, str]:
        folders = [str(Path(self.checkout).resolve()), *site.getsitepackages()]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}


def main() -> int:
    parser = result.parser(__doc__)
    parser.add_argument("candidates", nargs="+", metavar="CHECKOUT[@PYTHON]")
    parser.add_argument("--messages", type=int, default=20_000, help="a round and candidate")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--database", choices=("mariadb", "sqlite"), default="mariadb")
    options = parser.parse_args()
    for candidate in options.candidates:
        checkout, _at, interpreter = candidate.partition("@")
        if not Path(checkout, "coldsend", "__init__.py").is_file():
            parser.error(f"{checkout} is no checkout: it has no package coldsend")
        if interpreter and not os.access(interpreter, os.X_OK):
            parser.error(f"{interpreter} is no interpreter that can be run")
    findings = result.Findings("compare", options.json)
    runs = measure(options, findings)
    cost = {name: statistics.median(total(run) for run in found) for name, found in runs.items()}
    first = options.candidates[0]
    for name, found in runs.items():
        senders = statistics.median(run.cpu.get("worker", 0.0) for run in found)
        rate = statistics.median(run.rate for run in found)
        findings.row(
            name,
            cost[name] / cost[first],
            measured=f"{cost[name]:.0f} us of processor time a message ({senders:.0f} us of senders)",
            reference=f"{first}: {cost[first]:.0f} us",
            note=f"median of {options.rounds} rounds; {rate:,.0f} msg/s",
        )
    return findings.finish()


def total(run: Run) -> float:
    """Microseconds of processor time a message, of all processes."""
    return sum(run.cpu.values())


def measure(options: argparse.Namespace, findings: result.Findings) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {candidate: [] for candidate in options.candidates}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port, sink_pid = stack.enter_context(stage.running_sink())
        url, server = stack.enter_context(stage.database(options.database, folder))
        campaign = Candidate(folder, url)
        stack.callback(campaign.database.dispose)
        # The last rows of a list cost more than others: senders help each other to them.
        turns = 1 + options.rounds * len(options.candidates)
        campaign.set_up(port, options.messages * (turns + 1), options.connections)
        sent = 0
        for number in range(turns):
            sent += options.messages
            campaign.command("service", "update", "main", "--daily-quota", str(sent))
            if number == 0:
                campaign.send(options.workers, {})  # to warm up
                continue
            round_number, place = divmod(number - 1, len(options.candidates))
            order = options.candidates if round_number % 2 == 0 else options.candidates[::-1]
            campaign.up(order[place])
            run = campaign.send(options.workers, {"sink": sink_pid, **server})
            runs[order[place]].append(run)
            shares = ", ".join(f"{who} {us:.0f}" for who, us in run.cpu.items())
            findings.say(f"{order[place]}: {run.rate:,.0f} msg/s, {total(run):.0f} us a message ({shares})")
    return runs


if __name__ == "__main__":
    sys.exit(main())
