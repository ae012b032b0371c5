"""What a message costs when a million recipients wait, against ten thousand.

    python benchmarks/flatness.py [--pending 1000000] [--few 10000] [--messages 8000]
        [--database mariadb|sqlite] [--rounds N] [--workers 2] [--json]

Two installations: in the small one a send list of 10,000 recipients, made anew in each round; in the large
one a campaign whose one task has a million, and another whose ten tasks have a million together; all of it is
pending, and the rows of the second campaign lie behind those of the first (a lease that walks the primary
key pays for every one of them). In each round each of the three sends the same number of messages into
smtp-sink, one after the other; the service's quota ends it before the small list runs dry, for the last rows
of a list cost more than others (senders help each other to them). Compared is the processor time a message
of the sender processes and the database server between the first intent and the last outcome; for SQLite,
which has no server, of the sender processes. The rate by the clock is in the figures.

The large lists are set up by SQL and by coldsend's own expansion. MariaDB has a buffer pool of 2 GB, so that
what is compared is work, not a disk.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import mass, result, stage
from benchmarks.end_to_end import DATABASES, Campaign, Run

SMALL, ONE, MANY = "small", "one task", "ten tasks"
POOL = 2048  # MB of the buffer pool


@dataclass
class Installation:
    """One coldsend with its database and what it has sent so far."""

    campaign: Campaign
    others: Mapping[str, int]  # processes to watch besides, by name
    sent: int = 0
    runs: dict[str, list[Run]] = field(default_factory=dict)

    def send(self, case: str, messages: int, workers: int) -> Run:
        """Raise the quota by so many messages and send them; RuntimeError where not just these were sent."""
        self.sent += messages
        self.campaign.command("service", "update", "main", "--daily-quota", str(self.sent))
        run = self.campaign.send(workers, self.others)
        if round(run.rate * run.seconds) != messages:
            raise RuntimeError(
                f"{case}: {run.rate * run.seconds:.0f} messages were sent instead of {messages}"
            )
        self.runs.setdefault(case, []).append(run)
        return run


def main() -> int:
    parser = result.parser(__doc__, rounds=3)
    parser.add_argument("--pending", type=int, default=1_000_000)
    parser.add_argument("--few", type=int, default=10_000, help="recipients of the small list")
    parser.add_argument("--messages", type=int, default=8_000, help="that each case sends in a round")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--database", choices=tuple(DATABASES), default="mariadb")
    options = parser.parse_args()
    if options.messages > options.few:
        parser.error("--messages: at most as many as --few")
    findings = result.Findings("flatness", options.json)
    with ExitStack() as stack:
        port, _sink = stack.enter_context(stage.running_sink())
        small, large = (_installation(stack, options.database) for _ in range(2))
        findings.say("setting up ..")
        for installation, contacts in ((small, options.few), (large, options.pending)):
            mass.add_contacts(installation.campaign.database, contacts)
            installation.campaign.add_service(port, 0, options.connections)
        large.campaign.plan("one", {"all": "tag:lead"})
        large.campaign.plan("many", {f"part{n}": f"tag:part{n}" for n in range(mass.PARTS)})
        for name in ("one", "many"):
            large.campaign.command("campaign", "pause", name)
        mass.settle(large.campaign.database)
        ratios = _measure(findings, small, large, options.messages, options.workers, options.rounds)
        for installation in (small, large):
            installation.campaign.database.dispose()
    _write_rows(findings, DATABASES[options.database], options.pending, options.few, ratios)
    return findings.finish()


def _installation(stack: ExitStack, kind: str) -> Installation:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    url, server = stack.enter_context(stage.database(kind, folder, POOL))
    return Installation(Campaign(folder, url), server)


def _measure(
    findings: result.Findings,
    small: Installation,
    large: Installation,
    messages: int,
    workers: int,
    rounds: int,
) -> dict[str, result.Ratios]:
    """Ratios of processor time a message to that of the small list: of the list in one task, in ten."""
    ratios: dict[str, list[float]] = {ONE: [], MANY: []}

    def one_round() -> float:
        number = len(ratios[ONE]) + 1
        small.campaign.plan(f"round{number}", {"all": "tag:lead"})
        base = small.send(SMALL, messages, workers)
        small.campaign.command("campaign", "cancel", f"round{number}", "--yes")
        found = {SMALL: base}
        for case, name in ((ONE, "one"), (MANY, "many")):
            large.campaign.command("campaign", "resume", name)
            found[case] = large.send(case, messages, workers)
            large.campaign.command("campaign", "pause", name)
            ratios[case].append(_cost(found[case]) / _cost(base))
        shown = (f"{case} {_cost(run):.0f} us, {run.rate:,.0f} msg/s" for case, run in found.items())
        findings.say(f"round {number}: " + "; ".join(shown))
        return max(ratios[case][-1] for case in ratios)

    result.interleaved(one_round, rounds)
    runs: dict[str, Any] = {}
    for installation in (small, large):
        runs |= {case: [asdict(run) for run in made] for case, made in installation.runs.items()}
    findings.figures |= {"messages": messages, "workers": workers, "runs": runs}
    return {case: result.Ratios(each) for case, each in ratios.items()}


def _cost(run: Run) -> float:
    """Microseconds of processor time a message, of those who work on the ledger."""
    return sum(run.cpu.get(who, 0.0) for who in ("worker", "mariadbd"))


def _write_rows(
    findings: result.Findings, name: str, pending: int, few: int, ratios: Mapping[str, result.Ratios]
) -> None:
    runs = {case: [Run(**run) for run in made] for case, made in findings.figures["runs"].items()}
    for case in (ONE, MANY):
        findings.row(
            f"cost of a message, {name}, {pending:,} pending in {case}",
            ratios[case].median,
            measured=f"{min(map(_cost, runs[case])):.0f} us of processor time",
            reference=f"{few:,} pending: {min(map(_cost, runs[SMALL])):.0f} us",
            goal=result.at_most(1.3),
            note=ratios[case].note(),
        )
    memory = {case: max(run.memory for run in made) for case, made in runs.items()}
    findings.row(
        f"memory of a worker, {name}, {pending:,} pending",
        max(memory.values()),
        measured=f"{max(memory[ONE], memory[MANY]):.0f} MB at most",
        reference=f"{few:,} pending: {memory[SMALL]:.0f} MB",
        unit="MB",
        goal=result.at_most(150),
    )


if __name__ == "__main__":
    sys.exit(main())
