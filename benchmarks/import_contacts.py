"""What importing contacts costs, as a ratio to validating the same addresses and nothing else, in one run.

    python benchmarks/import_contacts.py [--rows N] [--database-url URL] [--rounds N] [--json]

Target: the import of a million rows takes at most twice the time of ``email_validator.validate_email`` on
its addresses, in less than 200 MB. The database must be empty (it is migrated); default: a temporary SQLite
file in each round. Both parts run in processes of their own, validating before and after the import; memory
is the import's peak resident set.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import email_validator

from benchmarks import result
from coldsend import clock
from coldsend.audience.importing import Request, import_contacts
from coldsend.database import migrate
from coldsend.database.engine import Database

ADDRESSES_TIMED = 20_000  # validating is linear: a sample of this size is timed and scaled


def write_file(path: Path, rows: int) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["email", "nickname", "company", "country", "tags", "time_zone"])
        for number in range(rows):
            writer.writerow(
                [
                    f"first.last{number}@mail{number % 5000}.example-company.com",
                    f"Person {number}",
                    f"Company {number % 5000}",
                    ("DE", "FR", "US", "CN")[number % 4],
                    ("vip", "", "vip,press")[number % 3],
                    ("Europe/Berlin", "", "Asia/Shanghai")[number % 3],
                ]
            )


def validate(path: Path) -> dict[str, float]:
    """Validate every address as the import's rules ask for, with the library alone."""
    addresses = [row[0] for row in csv.reader(path.open(newline=""))][1:]
    sample = addresses[:: max(1, len(addresses) // ADDRESSES_TIMED)]
    started = time.perf_counter()
    for address in sample:
        email_validator.validate_email(address, check_deliverability=False, strict=True)
    seconds = (time.perf_counter() - started) * len(addresses) / len(sample)
    return {"seconds": seconds}


def import_file(path: Path, url: str) -> dict[str, float]:
    database = Database(url)
    migrate.upgrade(database)
    figures: dict[str, float] = {}
    for name in ("first", "second"):
        started, cpu = time.perf_counter(), time.process_time()
        result = import_contacts(database, Request(str(path), tags=("spring",)), clock.now())
        figures[f"{name}_seconds"] = time.perf_counter() - started
        figures[f"{name}_cpu"] = time.process_time() - cpu
        assert result.rejected == 0, result
        assert result.imported if name == "first" else result.unchanged, result
    figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    database.dispose()
    return figures


def in_process(*arguments: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    return dict(json.loads(done.stdout))


def main() -> int:
    parser = result.parser(__doc__, rounds=1)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--database-url", help="for one round only")
    parser.add_argument("--part", choices=["validate", "import"], help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part is not None:
        found = (
            validate(options.file)
            if options.part == "validate"
            else import_file(options.file, options.database_url)
        )
        print(json.dumps(found))
        return 0
    if options.database_url and options.rounds > 1:
        parser.error("--database-url is for one round: the database must be empty")
    findings = result.Findings("import_contacts", options.json)
    rounds: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "contacts.csv"
        write_file(file, options.rows)

        def one_round() -> float:
            url = options.database_url or f"sqlite:///{folder}/contacts{len(rounds)}.db"
            rounds.append(measure(file, url))
            say_round(findings, rounds[-1], options.rows)
            return rounds[-1]["first_seconds"] / rounds[-1]["validating"]

        ratios = result.interleaved(one_round, options.rounds)
    findings.figures |= {"rows": options.rows, "rounds": rounds}
    write_rows(findings, ratios)
    return findings.finish()


def measure(file: Path, url: str) -> dict[str, float]:
    before = in_process("--part", "validate", "--file", str(file))["seconds"]
    figures = in_process("--part", "import", "--file", str(file), "--database-url", url)
    after = in_process("--part", "validate", "--file", str(file))["seconds"]
    return {**figures, "validating": (before + after) / 2}


def say_round(findings: result.Findings, figures: dict[str, float], rows: int) -> None:
    validating = figures["validating"]
    findings.say(f"rows                     {rows:,}")
    findings.say(f"validating only          {validating:8.1f} s   {validating / rows * 1e6:6.1f} us a row")
    for name in ("first", "second"):
        seconds = figures[f"{name}_seconds"]
        findings.say(
            f"{name + ' import':<25}{seconds:8.1f} s   {seconds / rows * 1e6:6.1f} us a row   "
            f"{seconds / validating:.2f} x validating   (own CPU {figures[f'{name}_cpu']:.1f} s)"
        )
    findings.say(f"peak memory              {figures['peak_mb']:8.0f} MB")


def write_rows(findings: result.Findings, ratios: result.Ratios) -> None:
    rounds, rows = findings.figures["rounds"], findings.figures["rows"]
    seconds, validating = (
        statistics.median(found[key] for found in rounds) for key in ("first_seconds", "validating")
    )
    findings.row(
        f"import of {rows:,} CSV rows",
        ratios.median,
        measured=f"{seconds:.1f} s",
        reference=f"validating the addresses only: {validating:.1f} s",
        goal=result.at_most(2),
        note=ratios.note(),
    )
    peak = max(found["peak_mb"] for found in rounds)
    findings.row("memory of the import", peak, measured=f"{peak:.0f} MB", unit="MB", goal=result.at_most(200))


if __name__ == "__main__":
    sys.exit(main())
