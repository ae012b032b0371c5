"""A whole campaign into smtp-sink, ledger and every feature on, against ``smtp-source -d -s 10`` in one run.

    python benchmarks/end_to_end.py [--recipients 100000] [--workers 2] [--connections 20]
        [--database mariadb|sqlite] [--latency 0.05] [--rounds N] [--json]

The campaign is set up and sent through coldsend's own commands: personalised HTML and text of about 4 KB,
tracked links, an open pixel, List-Unsubscribe, throttle 0. The time counts from the first intent to the last
recorded outcome, so it leaves out the start of the processes. The figure that counts is the ratio to
smtp-source with messages of the same size, into the same sink, right after; of several rounds, each with a
database of its own, the median. Afterwards the ledger must hold every recipient as sent, once, with both
events and the quota used to the unit; otherwise the benchmark fails.

With ``--latency`` the sink answers late, as a far server does, and smtp-source gets as many sessions as
coldsend has connections: connections decide then. ``connections / latency`` messages a second is what a
sender could reach that waits for one answer a message.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import sqlalchemy as sa

from benchmarks import result, stage
from coldsend import clock
from coldsend.composing.source import TemplateSource, site_of
from coldsend.config.loading import load
from coldsend.config.secrets import load_key_ring
from coldsend.database.engine import Database
from coldsend.database.tables import event_log, sender_quota, task_contacts
from coldsend.delivery.composers import Composers
from coldsend.domain.message import Recipient
from coldsend.stores import services, signing_keys

LINE = "We looked at how teams like yours answer their customers, and wrote down what the best of them do. "
BODY = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>A note for {{{{ contact.company }}}}</title></head>
<body style="font:16px/1.5 Arial,sans-serif">
<p>Hello {{{{ contact.nickname | default("there") }}}},</p>
{paragraphs}
<p>What people at {{{{ contact.company }}}} in {{{{ contact.city | default("your city") }}}} might like:
<a href="https://example.com/guide">the guide</a>, <a href="https://example.com/prices?plan=team">prices</a>,
or <a href="https://example.com/call">a short call</a>.</p>
<p>Best wishes from {{{{ sender.name }}}}</p>
</body></html>
"""
TEXT = """Hello {{{{ contact.nickname | default("there") }}}},

{paragraphs}
What people at {{{{ contact.company }}}} might like: https://example.com/guide

Best wishes from {{{{ sender.name }}}}
"""
SUBJECT = "A note for {{ contact.company }}"
DATABASES = {"mariadb": "MariaDB", "sqlite": "SQLite"}


def template() -> TemplateSource:
    """The template that the campaign sends."""
    html = BODY.format(paragraphs="\n".join([f"<p>{LINE * 2}</p>"] * 5))
    return TemplateSource(1, "note", SUBJECT, html, TEXT.format(paragraphs=f"{LINE}\n\n" * 7))


@dataclass
class Run:
    """What one campaign took. rate: messages a second. size: octets. memory: MB, the largest worker's peak.

    cpu: microseconds of processor time a message, by who.
    """

    rate: float
    seconds: float
    size: int
    memory: float
    cpu: dict[str, float] = field(default_factory=dict)


def main() -> int:
    parser = result.parser(__doc__, rounds=1)
    parser.add_argument("--recipients", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--database", choices=("mariadb", "sqlite"), default="mariadb")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer of the server")
    options = parser.parse_args()
    findings = result.Findings("end_to_end", options.json)
    rounds: list[dict[str, Any]] = []

    def one_round() -> float:
        rounds.append(measure(options))
        run = rounds[-1]["run"]
        findings.say(
            f"{run['rate']:.0f} msg/s of {run['size']} octets, smtp-source -d -s {rounds[-1]['sessions']}: "
            f"{rounds[-1]['source']:.0f} msg/s, ratio {rounds[-1]['ratio']:.2f}; at most "
            f"{run['memory']:.0f} MB a worker; processor time a message: "
            + ", ".join(f"{who} {us:.0f} us" for who, us in run["cpu"].items())
        )
        return float(rounds[-1]["ratio"])

    ratios = result.interleaved(one_round, options.rounds)
    findings.figures |= {"options": vars(options), "rounds": rounds}
    write_rows(findings, options, ratios)
    return findings.finish()


def write_rows(findings: result.Findings, options: argparse.Namespace, ratios: result.Ratios) -> None:
    rounds = findings.figures["rounds"]
    rate = statistics.median(found["run"]["rate"] for found in rounds)
    source = statistics.median(found["source"] for found in rounds)
    name = DATABASES[options.database]
    late = f", {options.latency * 1000:g} ms latency" if options.latency else ""
    what = f"end to end, {name}, {options.recipients:,} recipients{late}"
    findings.row(
        what,
        ratios.median,
        measured=f"{rate:,.0f} msg/s",
        reference=f"smtp-source -d -s {rounds[0]['sessions']}: {source:,.0f} msg/s",
        goal=result.at_least(0.5, floor=0.4),
        note=ratios.note(),
    )
    if options.latency:
        possible = options.workers * options.connections / options.latency
        findings.row(
            f"{what}: share of what one answer a message allows",
            rate / possible,
            measured=f"{rate:,.0f} msg/s",
            reference=f"{options.workers * options.connections} connections / latency: {possible:,.0f} msg/s",
        )


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """One campaign, then smtp-source into the same sink."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sink = stage.running_slow_sink(options.latency) if options.latency else stage.running_sink()
        port, sink_pid = stack.enter_context(sink)
        url, server_pid = stack.enter_context(stage.database(options.database, folder))
        campaign = Campaign(folder, url)
        campaign.set_up(port, options.recipients, options.connections)
        run = campaign.send(options.workers, {"sink": sink_pid, **server_pid})
        campaign.check(options.recipients)
        campaign.database.dispose()
        sessions = 10 if not options.latency else options.workers * options.connections
        messages = options.recipients if not options.latency else max(2000, options.recipients // 5)
        source = stage.source_rate(port, messages=messages, size=run.size, sessions=sessions)
    return {"run": asdict(run), "source": source, "sessions": sessions, "ratio": run.rate / source}


class Campaign:
    """An installation in a folder of its own, driven through its commands."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        (folder / "coldsend.toml").write_text(
            'postal_address = "1 Test Street, 12345 Testville"\n'
            f'[database]\nurl = "{url}"\n[web]\nbase_url = "https://mail.example.com"\n'
        )
        self.command("init")
        self.database = Database(url)

    def command(self, *arguments: str) -> None:
        done = subprocess.run(
            self._line(*arguments),
            check=False,
            cwd=self.folder,
            env=self._environ(),
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{arguments}: {done.stderr}")

    def _line(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "coldsend", *arguments]

    def _environ(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(stage.ROOT)}

    def set_up(self, port: int, recipients: int, connections: int) -> None:
        """Everything up to a send list that waits for senders."""
        lines = ["email,nickname,company,city"]
        lines += [f"p{n}@company{n % 997}.example,Zoë {n},Company {n % 997},Köln" for n in range(recipients)]
        (self.folder / "contacts.csv").write_text("\n".join(lines) + "\n")
        self.add_service(port, recipients, connections)
        self.command("contact", "import", "contacts.csv", "--tag", "lead")
        self.plan("spring", {"intro": "tag:lead"})

    def add_service(self, port: int, quota: int, connections: int) -> None:
        """The service ``main``, and the template set ``notes`` with one template."""
        note = template()
        (self.folder / "body.html").write_text(note.body)
        (self.folder / "body.txt").write_text(note.text_body or "")
        self.command("service", "add", "main", "--type", "smtp", "--host", "127.0.0.1", "--port", str(port),
                     "--tls", "none", "--from", "Ann Sender <ann@sender.example>", "--throttle-sec", "0",
                     "--daily-quota", str(quota), "--connections", str(connections))  # fmt: skip
        self.command("template", "add", "note", "--subject", SUBJECT,
                     "--body-file", "body.html", "--text-file", "body.txt")  # fmt: skip
        self.command("template-set", "create", "notes", "--template", "note")

    def plan(self, campaign: str, tasks: Mapping[str, str]) -> None:
        """A campaign with a task for each rule, started, its send lists made."""
        self.command("campaign", "create", campaign)
        for name, rule in tasks.items():
            self.command("task", "create", campaign, name, "--template-set", "notes", "--rule", rule)
        self.command("campaign", "start", campaign)
        # Without senders: expands and ends.
        self.command("scheduler", "run", "--until-idle", "--workers", "0")

    def message_size(self) -> int:
        """Octets of one of its messages."""
        settings = load(str(self.folder / "coldsend.toml"), environ={})
        with self.database.read() as connection:
            secret = signing_keys.load(connection, load_key_ring(settings), "links")
            composers = Composers(site_of(settings, secret))
            composers.load(connection, {1})
            service = services.all_services(connection)[0]
        composer = composers.get(1, service, None)
        if composer is None or isinstance(composer, str):
            raise RuntimeError(f"the template of the benchmark does not compile: {composer}")
        fields = {"company": "Company 500", "city": "Köln"}
        person = Recipient(50_000, 1, 50_000, "p50000@company500.example", "Zoë 50000", ("lead",), fields)
        return len(composer.compose(person, clock.now()).data)

    def send(self, workers: int, others: Mapping[str, int]) -> Run:
        """Start the scheduler, wait until it is idle. others: process ids to watch besides, by name.

        What was sent before does not count.
        """
        started_at = clock.now()
        watch = Watch(others)
        with (self.folder / "log").open("w") as log:
            process = subprocess.Popen(
                self._line("scheduler", "run", "--until-idle", "--workers", str(workers)),
                cwd=self.folder, env=self._environ(), stdout=log, stderr=log,
            )  # fmt: skip
            while process.poll() is None:
                watch.look(process.pid)
                time.sleep(0.02)
        if process.returncode != 0:
            raise RuntimeError((self.folder / "log").read_text()[-3000:])
        rows = task_contacts.c
        with self.database.read() as connection:
            found = connection.execute(
                sa.select(
                    sa.func.count(), sa.func.min(rows.first_attempt_at), sa.func.max(rows.sent_at)
                ).where(rows.sent_at >= started_at)
            ).one()
        count, begun, ended = found
        if not count:
            raise RuntimeError(f"nothing was sent: {(self.folder / 'log').read_text()[-3000:]}")
        seconds = (ended - begun).total_seconds()
        return Run(
            count / seconds,
            seconds,
            self.message_size(),
            max(watch.memory.values(), default=0.0),
            watch.per_message(begun.timestamp(), ended.timestamp(), count),
        )

    def check(self, recipients: int) -> None:
        """Everybody sent, once, with both events, the quota used to the unit; RuntimeError where not."""
        rows = task_contacts.c
        with self.database.read() as connection:
            statuses = sa.select(rows.status, sa.func.count()).group_by(rows.status)
            by_status = {row[0]: row[1] for row in connection.execute(statuses)}
            kinds = sa.select(event_log.c.type, sa.func.count()).group_by(event_log.c.type)
            by_type = {row[0]: row[1] for row in connection.execute(kinds)}
            used = connection.execute(sa.select(sa.func.sum(sender_quota.c.used))).scalar()
        if by_status != {"sent": recipients} or used != recipients:
            odd = sa.select(rows.status, rows.error_message).where(rows.status != "sent").limit(3)
            with self.database.read() as connection:
                some = connection.execute(odd).all()
            raise RuntimeError(f"the ledger is wrong: {by_status}, quota used {used}; {some}")
        if by_type != {"send_api_try": recipients, "send_api_success": recipients}:
            raise RuntimeError(f"the event log is wrong: {by_type}")


class Watch:
    """Samples of the processor time of processes: (wall clock, seconds used) by name and process id."""

    def __init__(self, others: Mapping[str, int]) -> None:
        self._others = others
        self._samples: dict[tuple[str, int], list[tuple[float, float]]] = {}
        self.memory: dict[int, float] = {}

    def look(self, scheduler: int) -> None:
        """Take one sample of everybody: the others, the scheduler and its worker processes."""
        now = time.time()
        with suppress(OSError):
            children = Path(f"/proc/{scheduler}/task/{scheduler}/children").read_text().split()
            names = {("worker", int(pid)) for pid in children} | {("scheduler", scheduler)}
            for name, pid in names | set(self._others.items()):
                self._samples.setdefault((name, pid), []).append((now, stage.cpu_seconds(pid)))
            for child in map(int, children):
                self.memory[child] = max(self.memory.get(child, 0.0), stage.peak_memory(child))

    def per_message(self, begun: float, ended: float, messages: int) -> dict[str, float]:
        """Microseconds of processor time a message, by name, between two moments of the wall clock."""
        used: dict[str, float] = {}
        for (name, _pid), samples in sorted(self._samples.items()):
            before = [seconds for moment, seconds in samples if moment <= begun]
            until = [seconds for moment, seconds in samples if moment <= ended + 0.1]
            if until:
                used[name] = used.get(name, 0.0) + until[-1] - (before[-1] if before else 0.0)
        return {name: seconds / messages * 1e6 for name, seconds in used.items()}


if __name__ == "__main__":
    sys.exit(main())
