"""Tracking: hits a second that are answered and come to the event log, against a bare pixel application.

    python -m benchmarks.tracking [--seconds S] [--rounds N] [--processes P] [--json]

Each round measures, one after the other: a Starlette application under uvicorn
that answers a pixel and does nothing else, as fast as it can; then `coldsend web run` with a durable
MariaDB, as fast as it can, until everything it has answered is in the event log: the rate is that over the
whole time, the working-off included. Then the 99th percentile of its answers at 70 % of this rate. The last
part kills everything with SIGKILL in the middle of a flood, starts it again, and counts.

Hits are opens of different recipients, or of other browsers: nothing is a repetition, every one is an event,
and the first of each moves its row. The client is one process with CLIENTS connections that are kept alive.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
import uvloop

from benchmarks import stage
from benchmarks.result import Findings, at_least, at_most, interleaved, parser
from coldsend.composing.tokens import Kind, Tokens
from coldsend.config.loading import load
from coldsend.config.secrets import load_key_ring
from coldsend.database import migrate
from coldsend.database.engine import Database
from coldsend.database.tables import contacts, event_log, task_contacts
from coldsend.stores import signing_keys
from coldsend.web.tracking import PIXEL
from tests.conftest import Project
from tests.planning.world import NOW, World
from tests.servers.ports import free_port

CLIENTS = 32
FASTEST = 12_000  # requests a second that any of this could do
BARE = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from coldsend.web.tracking import PIXEL

async def pixel(request):
    return Response(PIXEL, media_type="image/gif")

application = Starlette(routes=[Route("/o/{token}", pixel)])
quiet = {"access_log": False, "log_level": "error", "lifespan": "off"}
uvicorn.run(application, host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools", **quiet)
"""


@dataclass
class Load:
    """Sends requests and remembers what was answered. rate: requests a second, 0: as fast as it goes."""

    port: int
    requests: list[bytes]
    seconds: float
    rate: float = 0.0
    answered: int = 0
    latencies: list[float] = field(default_factory=list)

    def run(self) -> float:
        """Until the time or the requests are over; returns answers a second."""
        began = time.perf_counter()
        uvloop.run(self._all(began))
        return self.answered / (time.perf_counter() - began)

    async def _all(self, began: float) -> None:
        loop = asyncio.get_running_loop()
        waiting = iter(self.requests)
        clients = [Client(self, waiting, began, number) for number in range(CLIENTS)]
        for client in clients:
            await loop.create_connection(lambda client=client: client, "127.0.0.1", self.port)
        await asyncio.gather(*(client.ended for client in clients))

    def percentile(self, share: float) -> float:
        """Milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


class Client(asyncio.Protocol):
    """One connection, one request at a time; as lean as can be, for it shares the machine with the server."""

    def __init__(self, load: Load, waiting: Iterator[bytes], began: float, number: int) -> None:
        self._load = load
        self._waiting = waiting
        self._ends = began + load.seconds
        self._due = began + number / load.rate if load.rate else 0.0
        self._asked = 0.0
        self._buffer = b""
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._next()

    def _next(self) -> None:
        now = time.perf_counter()
        if now < self._due:
            self._loop.call_later(self._due - now, self._ask)
        else:
            self._ask()

    def _ask(self) -> None:
        now = time.perf_counter()
        request = next(self._waiting, None) if now < self._ends else None
        if request is None or self._transport.is_closing():
            self._transport.close()
            return
        self._asked = now
        if self._load.rate:
            # From when it was due: who was held up counts what it waited.
            self._asked, self._due = self._due, self._due + CLIENTS / self._load.rate
        self._transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._buffer.endswith(PIXEL):
            self._buffer = b""
            self._load.answered += 1
            self._load.latencies.append(time.perf_counter() - self._asked)
            self._next()

    def connection_lost(self, error: Exception | None) -> None:
        """Also where the server was killed: then what was answered is all there is."""
        if not self.ended.done():
            self.ended.set_result(None)


class Campaign:
    """A campaign that went out to ``count`` people, and the opens that may come back of it."""

    def __init__(self, url: str, folder: Path, count: int) -> None:
        migrate.upgrade(Database(url))
        self.project = Project(folder, url)
        self.database = self.project.database
        keys = load_key_ring(load(str(self.project.config), environ={}))
        with self.database.read() as connection:
            tokens = Tokens(signing_keys.load(connection, keys, "links"))
        world = World(self.database)
        task = world.task(world.campaign("spring", "active"), "intro", "sending")
        emails = [f"p{number}@example.com" for number in range(count)]
        people = [{"email": email, "email_key": email, "email_domain": "example.com"} for email in emails]
        self._insert(contacts, people)
        with self.database.read() as connection:
            ids = list(connection.execute(sa.select(contacts.c.id)).scalars())
        sent = {"task_id": task, "status": "sent", "scheduled_send_at": NOW}
        sent |= {"sent_at": NOW.replace(year=2026), "attempt_at": NOW.replace(year=2026)}
        self._insert(task_contacts, [{**sent, "contact_id": one, "bucket": one % 61} for one in ids])
        with self.database.read() as connection:
            self._rows = list(connection.execute(sa.select(task_contacts.c.id)).scalars())
        self._requests = self._endless(tokens)

    def _insert(self, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> None:
        for start in range(0, len(rows), 5000):
            with self.database.begin() as connection:
                connection.execute(sa.insert(table), rows[start : start + 5000])

    def requests(self, seconds: float, rate: float = FASTEST) -> list[bytes]:
        """Enough of them, made beforehand."""
        return list(itertools.islice(self._requests, int(seconds * rate)))

    def _endless(self, tokens: Tokens) -> Iterator[bytes]:
        """Each recipient's open with one browser after the other: no two are the same."""
        rest = (
            "Accept: image/avif,image/webp,*/*\r\nAccept-Language: en\r\nAccept-Encoding: gzip, br\r\n"
            "X-Forwarded-For: 203.0.113.9\r\nConnection: keep-alive\r\n\r\n"
        )
        for number in itertools.count(100):
            agent = f"Mozilla/5.0 (X11; Linux x86_64; rv:{number}.0) Gecko/20100101 Firefox/{number}.0"
            told = f"Host: mail.example.com\r\nUser-Agent: {agent}\r\n{rest}"
            for row_id in self._rows:
                token = tokens.issue(Kind.OPEN, row_id)
                yield f"GET /o/{token}.gif HTTP/1.1\r\n{told}".encode()

    def events(self) -> int:
        with self.database.read() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(event_log)).scalar_one())


@contextmanager
def bare() -> Iterator[int]:
    """The application that does nothing but answer."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", BARE, str(port)], cwd=stage.ROOT)
    try:
        stage._wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait()


class Web:
    """`coldsend web run`, in a process group of its own so that it can be killed whole."""

    def __init__(self, campaign: Campaign, processes: int) -> None:
        self.port = free_port()
        options = ["--port", str(self.port), "--processes", str(processes)]
        config = ["--config", str(campaign.project.config)]
        quiet = {"COLDSEND_LOG_LEVEL": "error", "COLDSEND_WEB_SPOOL_MEGABYTES": "4096"}
        self.process = campaign.project.start("web", "run", *options, *config, environ=quiet)
        stage._wait_for(self.port)
        answered = 0
        while not answered:
            # Its first server process answers a forged pixel, which is no hit.
            load = Load(self.port, [b"GET /o/x.gif HTTP/1.1\r\nHost: a\r\n\r\n"], 10.0)
            load.run()
            answered = load.answered

    def servers(self) -> list[int]:
        listed = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(pid) for each in listed for pid in each.read_text().split()]

    def kill(self) -> None:
        for pid in [self.process.pid, *self.servers()]:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


def until_all_are_there(campaign: Campaign, wanted: int, patience: float = 300.0) -> None:
    ends = time.monotonic() + patience
    while campaign.events() < wanted:
        if time.monotonic() > ends:
            raise SystemExit(f"{campaign.events()} of {wanted} events after {patience:.0f} s")
        time.sleep(0.1)


def measure(found: Findings, campaign: Campaign, seconds: float, rounds: int, processes: int) -> None:
    rates: list[tuple[float, float, float]] = []  # bare, answered, in the event log

    def one_round() -> float:
        hits = campaign.requests(seconds)
        with bare() as port:
            reference = Load(port, hits, seconds).run()
        before = campaign.events()
        web = Web(campaign, processes)
        began = time.perf_counter()
        load = Load(web.port, hits, seconds)
        answered = load.run()
        until_all_are_there(campaign, before + load.answered)
        sustained = load.answered / (time.perf_counter() - began)
        web.stop()
        rates.append((reference, answered, sustained))
        found.say(f"  bare {reference:,.0f}/s, answered {answered:,.0f}/s, in the log {sustained:,.0f}/s")
        return answered / reference

    ratios = interleaved(one_round, rounds)
    middle = sorted(rates, key=lambda rate: rate[1] / rate[0])[len(rates) // 2]
    found.figures["rates"] = rates
    found.row(
        "tracking: hits answered and kept",
        ratios.median,
        measured=f"{middle[1]:,.0f} hits/s",
        reference=f"{middle[0]:,.0f} hits/s, a bare Starlette pixel",
        goal=at_least(0.5),
        note=ratios.note(),
    )
    found.row(
        "tracking: hits in the event log, to the last",
        middle[2] / middle[0],
        measured=f"{middle[2]:,.0f} hits/s",
        reference=f"{middle[0]:,.0f} hits/s, a bare Starlette pixel",
        goal=at_least(0.5),
        note="the time until the last is committed counts",
    )
    _latency(found, campaign, 0.7 * middle[2], seconds, processes, "70 % of what comes to the event log")
    _latency(found, campaign, 0.7 * middle[1], seconds, processes, "70 % of what is answered")


def _latency(
    found: Findings, campaign: Campaign, rate: float, seconds: float, processes: int, what: str
) -> None:
    web = Web(campaign, processes)
    before = campaign.events()
    load = Load(web.port, campaign.requests(seconds, rate + 1), seconds, rate)
    reached = load.run()
    until_all_are_there(campaign, before + load.answered)
    web.stop()
    found.row(
        f"tracking: 99th percentile at {what}",
        load.percentile(0.99),
        measured=f"{load.percentile(0.99):.1f} ms at {reached:,.0f} hits/s",
        unit="ms",
        goal=at_most(20),
        note=f"median {load.percentile(0.5):.1f} ms",
    )


def kill(found: Findings, campaign: Campaign, seconds: float, processes: int) -> None:
    """SIGKILL to all in the middle of a flood: what was answered must be there."""
    before = campaign.events()
    web = Web(campaign, processes)
    load = Load(web.port, campaign.requests(seconds), seconds)
    killer = threading.Timer(load.seconds / 2, web.kill)
    killer.start()
    load.run()
    killer.join()
    at_kill = campaign.events() - before
    web = Web(campaign, processes)
    until_all_are_there(campaign, before + load.answered, 60.0)
    web.stop()
    lost = before + load.answered - campaign.events()
    found.row(
        "tracking: answered hits lost by kill -9 of everything",
        max(0, lost),
        measured=f"{max(0, lost)} of {load.answered:,}",
        unit="hits",
        goal=at_most(0),
        note=f"{at_kill:,} were in the event log when it was killed",
    )


def main() -> int:
    made = parser(__doc__, rounds=3)
    made.add_argument("--seconds", type=float, default=10.0, help="of each load")
    made.add_argument("--processes", type=int, default=1, help="server processes of `web run`")
    made.add_argument("--recipients", type=int, default=50_000)
    options = made.parse_args()
    found = Findings("tracking", options.json)
    with (
        tempfile.TemporaryDirectory() as folder,
        stage.database("mariadb", Path(folder), 1024) as (url, _pids),
    ):
        campaign = Campaign(url, Path(folder), options.recipients)
        measure(found, campaign, options.seconds, options.rounds, options.processes)
        kill(found, campaign, options.seconds, options.processes)
    return found.finish()


if __name__ == "__main__":
    sys.exit(main())
