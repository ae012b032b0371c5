"""Every benchmark, one after the other, and one table of what they found: what `make bench` runs.

    python benchmarks/run.py [--quick] [--only NAME].. [--keep DIR]

Each benchmark is a process of its own and answers with one document (``result.py``). The table, with facts
about the machine, is printed, and written between the two markers in docs/performance.md; the text around it
stays. ``--only`` runs some and prints the table without writing it. ``--keep`` stores every document as
NAME.json. Exit code: 0 when all have run, whether goals were met or not (the table says so), else 1.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import stage
from benchmarks.result import Row

PAGE = stage.ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- make bench: begin -->", "<!-- make bench: end -->"
IDLE = 0.5  # load average up to which a machine counts as idle
MET = {None: "", "yes": "yes", "floor": "floor only", "no": "**no**"}


@dataclass(frozen=True)
class Benchmark:
    """name: of the module. full, quick: what it is run with."""

    name: str
    full: str
    quick: str
    title: str = ""

    @property
    def called(self) -> str:
        return self.title or self.name


SQLITE = "--database sqlite "
FEW_PENDING = "--pending 100000 --few 4000 --messages 3000 --rounds 1"
FEW_EVENTS = "--recipients 10000 --events 0,10,50"
BENCHMARKS = [
    Benchmark("end_to_end", "--rounds 3", "--recipients 20000"),
    Benchmark("end_to_end", SQLITE + "--rounds 3", SQLITE + "--recipients 20000", "end_to_end_sqlite"),
    Benchmark(
        "end_to_end",
        "--latency 0.05 --recipients 20000",
        "--latency 0.05 --recipients 4000",
        "end_to_end_latency",
    ),
    Benchmark("smtp_channel", "", "--messages 10000 --rounds 1"),
    Benchmark("composing_ratio", "", "--messages 4000 --rounds 3"),
    Benchmark("dkim", "", "--messages 500 --rounds 2"),
    Benchmark("meter", "", "--rounds 3"),
    Benchmark("tracking", "", "--seconds 5 --rounds 1 --recipients 20000"),
    Benchmark("expansion", "--rounds 3", "--contacts 100000 --rounds 1"),
    Benchmark("import_contacts", "--rows 1000000", "--rows 100000"),
    Benchmark("flatness", "", FEW_PENDING),
    Benchmark("flatness", SQLITE, SQLITE + FEW_PENDING, "flatness_sqlite"),
    Benchmark("reports", "", FEW_EVENTS),
    Benchmark("reports", SQLITE, SQLITE + FEW_EVENTS, "reports_sqlite"),
]


@dataclass(frozen=True)
class Ran:
    """rows: None where it failed, and then ``failure`` says how."""

    benchmark: Benchmark
    seconds: float
    rows: list[Row] | None
    failure: str = ""


def main() -> int:
    names = [benchmark.called for benchmark in BENCHMARKS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="smaller sizes: minutes instead of half an hour")
    parser.add_argument("--only", action="append", choices=names, help="not all; the page is not written")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="store every benchmark's document there")
    options = parser.parse_args()
    load, begun = os.getloadavg()[0], time.monotonic()
    if load > IDLE:
        print(f"the load average is {load:.1f}: the machine is not idle, and figures suffer", flush=True)
    wanted = [benchmark for benchmark in BENCHMARKS if not options.only or benchmark.called in options.only]
    ran = [run(benchmark, options.quick, options.keep) for benchmark in wanted]
    text = page_part(ran, load, time.monotonic() - begun, quick=options.quick)
    print("\n" + text)
    if not options.only:
        write(PAGE, text)
        print(f"written to {PAGE.relative_to(stage.ROOT)}")
    return 0 if all(each.rows is not None for each in ran) else 1


def run(benchmark: Benchmark, quick: bool, keep: Path | None) -> Ran:
    """Run one; its progress goes to standard error as it comes."""
    arguments = (benchmark.quick if quick else benchmark.full).split()
    print(f"\n== {benchmark.called} {' '.join(arguments)}", flush=True)
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{benchmark.name}", *arguments, "--json"],
        check=False,
        cwd=stage.ROOT,
        env={**os.environ, "PYTHONPATH": str(stage.ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    seconds = time.monotonic() - begun
    if done.returncode != 0:
        return Ran(benchmark, seconds, None, f"failed with exit code {done.returncode}, see its output")
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        (keep / f"{benchmark.called}.json").write_text(done.stdout)
    return Ran(benchmark, seconds, [Row(**row) for row in json.loads(done.stdout)["rows"]])


def page_part(ran: Sequence[Ran], load: float, seconds: float, *, quick: bool) -> str:
    """What goes between the markers: facts, warnings, table."""
    sizes = "a quick run with smaller sizes" if quick else "a full run"
    lines = [f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {sizes}, {seconds / 60:.0f} minutes.", ""]
    lines += [f"- {name}: {fact}" for name, fact in stage.machine().items()]
    lines.append(f"- load average before the run: {load:.2f}")
    if load > IDLE:
        lines += ["", f"**The machine was not idle (load {load:.1f} before the run): read with care.**"]
    lines += ["", *table(ran)]
    return "\n".join(lines)


def table(ran: Sequence[Ran]) -> list[str]:
    lines = ["| what | measured | reference in the same run | value | goal | met | how |"]
    lines.append("|---|---|---|---|---|---|---|")
    for each in ran:
        if each.rows is None:
            lines.append(f"| {each.benchmark.called} | {each.failure} | | | | **no** | |")
        for row in each.rows or []:
            cells = [
                row.what,
                row.measured,
                row.reference,
                row.shown(),
                row.goal or "",
                MET[row.met],
                row.note,
            ]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


def write(page: Path, text: str) -> None:
    """Put the text between the markers; RuntimeError where they are missing."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        raise RuntimeError(f"{page} lacks the markers {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
