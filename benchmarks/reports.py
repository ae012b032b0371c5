"""Whether reports take longer when the event log grows, and how they compare with counting it.

    python benchmarks/reports.py [--recipients 200000] [--events 0,10,50] [--database mariadb|sqlite]
        [--json]

An installation for each level of events a recipient, all with one campaign of one task: everybody was sent
within the last ten hours, and the task is still open, so that its rate is looked at as well. The first event
is the acceptance, the second the try, the rest are opens and clicks. Each command runs several times, the
levels one after the other (A B C D A B ..); its time at a level is the shortest. Commands run within this
process, because starting Python takes longer than most of them. ``event list`` and ``why`` show the events,
so their time at the highest level is compared with the one below instead of with none: of all types there are
some, and what is shown is as long. MariaDB has a buffer pool of 2 GB.

The events are in the roll-ups, as the scheduler's job leaves them; its rate is measured as well. At the
highest level the campaign's report is compared with one query that counts the same: events and recipients by
type, who it was, template and hour. At 200,000 recipients with 50 events each that is ten million events.
"""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import sqlalchemy as sa

from benchmarks import mass, result, stage
from benchmarks.end_to_end import DATABASES, Campaign
from coldsend import clock
from coldsend.analytics.rollup import RollUp
from coldsend.cli.main import main as coldsend
from coldsend.database.engine import Database
from coldsend.database.expressions import hour_number, json_text
from coldsend.database.tables import event_log, task_contacts
from coldsend.domain.states import EventType

SPAN = timedelta(hours=10)  # between the first acceptance and the last, which is now
COMMANDS = {
    "report campaign": ("report", "campaign", "spring"),
    "report task": ("report", "task", "spring/intro"),
    "report service": ("report", "service", "main"),
    "report template": ("report", "template", "note"),
    "report domain": ("report", "domain", "company7.example"),
    "task show": ("task", "show", "spring/intro"),
    "campaign show": ("campaign", "show", "spring"),
}
SHOWING_EVENTS = {
    "why": ("why", "spring/intro", "p7@company7.example"),
    "event list": ("event", "list"),
    "event list --task": ("event", "list", "--task", "spring/intro"),
    "event list --contact": ("event", "list", "--contact", "p7@company7.example"),
    "event list --task --type": ("event", "list", "--task", "spring/intro", "--type", "send_api_success"),
}
EVERY_TYPE = 10  # events a recipient with which there are some of every type, and as many as are shown
POOL = 2048  # MB of the buffer pool


def main() -> int:
    parser = result.parser(__doc__)
    parser.add_argument("--recipients", type=int, default=200_000)
    parser.add_argument("--events", default="0,10,50", help="a recipient; from 0 to more than 10")
    parser.add_argument("--database", choices=tuple(DATABASES), default="mariadb")
    parser.add_argument("--times", type=int, default=15, help="how often each command runs")
    options = parser.parse_args()
    levels = [int(level) for level in options.events.split(",")]
    if levels[0] != 0 or levels != sorted(set(levels)) or len(levels) < 3 or levels[-2] < EVERY_TYPE:
        parser.error(f"--events: 0 first, growing, and the last but one at least {EVERY_TYPE}")
    findings = result.Findings("reports", options.json)
    rolled: dict[int, float] = {}
    with ExitStack() as stack:
        folders: dict[int, Path] = {}
        for level in levels:
            folders[level] = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            findings.say(f"setting up {options.recipients:,} recipients with {level} events each ..")
            url, _server = stack.enter_context(stage.database(options.database, folders[level], POOL))
            rolled[level] = set_up(Campaign(folders[level], url), options.recipients, level)
        findings.say("counting the whole log in one query ..")
        counting = count_by_query(url)
        seconds = {
            name: shortest(folders, command, options.times)
            for name, command in (COMMANDS | SHOWING_EVENTS).items()
        }
    for name, by_level in seconds.items():
        shown = (f"{level} events each {taken * 1000:7.1f} ms" for level, taken in by_level.items())
        findings.say(f"{name:26} " + "   ".join(shown))
    findings.figures |= {"recipients": options.recipients, "seconds": seconds}
    findings.figures |= {"roll_up_seconds": rolled, "counting_seconds": counting}
    write_rows(findings, options.recipients, levels, DATABASES[options.database])
    write_roll_ups(findings, options.recipients * levels[-1], levels[-1], DATABASES[options.database])
    return findings.finish()


def set_up(campaign: Campaign, recipients: int, events: int) -> float:
    """Everybody sent within SPAN, with so many events each in the roll-ups; the seconds these took."""
    database = campaign.database
    mass.add_contacts(database, recipients)
    campaign.add_service(1, recipients, 1)  # port 1: nothing is sent here
    campaign.plan("spring", {"intro": "tag:lead"})
    mass.mark_sent(database, clock.now() - SPAN, SPAN)
    feedback = max(0, events - 2)
    # Uneven distances: no two batches of events fall into one moment.
    kinds = (
        (EventType.SEND_API_SUCCESS, min(1, events), timedelta()),
        (EventType.SEND_API_TRY, 1 if events > 1 else 0, timedelta()),
        (EventType.CLICK, feedback // 4, timedelta(seconds=431.77)),
        (EventType.OPEN, feedback - feedback // 4, timedelta(seconds=127.31)),
    )
    for kind, each, apart in kinds:
        if each:
            mass.add_events(database, kind, each, apart)
    mass.settle(database)
    taken = roll_up(database)
    mass.settle(database)
    database.dispose()
    return taken


def roll_up(database: Database) -> float:
    """Work the event log off, as the scheduler's job does; the seconds it took."""
    job = RollUp(database, grace=0)
    begun = time.perf_counter()
    while job.run(clock.now(), seconds=60):
        pass
    return time.perf_counter() - begun


def count_by_query(url: str) -> float:
    """Seconds of one query over the event log and the send list that counts what a report tells of them."""
    log, row = event_log.c, task_contacts.c
    keys = (log.type, json_text(log.details, "$.actor"), row.selected_template_id, hour_number(log.ts))
    same = sa.and_(row.task_id == log.task_id, row.contact_id == log.contact_id)
    counted = (sa.func.count(), sa.func.count(sa.distinct(log.contact_id)))
    query = sa.select(*keys, *counted).select_from(event_log.join(task_contacts, same)).group_by(*keys)
    database = Database(url, answer_timeout=3600)
    with database.read() as connection:
        begun = time.perf_counter()
        connection.execute(query).all()
        taken = time.perf_counter() - begun
    database.dispose()
    return taken


def shortest(folders: Mapping[int, Path], command: Sequence[str], times: int) -> dict[int, float]:
    """Seconds of a command at each level, the shortest of so many."""
    taken = dict.fromkeys(folders, float("inf"))
    for _ in range(times):
        for level, folder in folders.items():
            taken[level] = min(taken[level], run_within(folder, command))
    return taken


def run_within(folder: Path, command: Sequence[str]) -> float:
    """Run a command of coldsend in this process; the seconds it took. RuntimeError where it fails."""
    said, errors = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
        begun = time.perf_counter()
        code = coldsend([*command, "--json"])
        taken = time.perf_counter() - begun
    if code != 0:
        raise RuntimeError(f"{' '.join(command)}: exit code {code}: {errors.getvalue()}")
    return taken


def write_rows(findings: result.Findings, recipients: int, levels: Sequence[int], name: str) -> None:
    """One row for what counts, one for what lists; each tells its command that grew most."""
    seconds, most = findings.figures["seconds"], levels[-1]
    for title, commands, base in (
        ("reports", COMMANDS, 0),
        ("lists of events, why", SHOWING_EVENTS, levels[-2]),
    ):
        grown = {command: seconds[command][most] / seconds[command][base] for command in commands}
        worst = max(grown, key=lambda command: grown[command])
        findings.row(
            f"{title}, {name}, {recipients:,} recipients with {most} events each",
            grown[worst],
            measured=f"`{worst}`: {seconds[worst][most] * 1000:,.0f} ms",
            reference=f"{base} events each: {seconds[worst][base] * 1000:,.0f} ms",
            goal=result.at_most(1.3),
            note=f"worst of {len(commands)} commands, each the shortest of several runs",
        )


def write_roll_ups(findings: result.Findings, events: int, level: int, name: str) -> None:
    """What the roll-ups save, and what they cost."""
    told = findings.figures["seconds"]["report campaign"][level]
    counting = findings.figures["counting_seconds"]
    rolled = findings.figures["roll_up_seconds"][level]
    findings.row(
        f"a campaign's report, {name}, {events:,} events",
        told / counting,
        measured=f"{told * 1000:,.0f} ms",
        reference=f"counting the same in one query: {counting:,.1f} s",
        goal=result.at_most(0.1),
    )
    findings.row(
        f"working events off into the roll-ups, {name}",
        events / rolled,
        unit="/s",
        measured=f"{rolled:,.0f} s",
        reference=f"{events:,} events",
    )


if __name__ == "__main__":
    sys.exit(main())
