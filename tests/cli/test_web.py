"""coldsend web: real processes, killed and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from coldsend import clock
from coldsend.composing.tokens import Kind, Tokens
from coldsend.config.loading import load
from coldsend.config.secrets import load_key_ring
from coldsend.database.tables import event_log, suppressions
from coldsend.stores import signing_keys
from tests.conftest import Project
from tests.planning.world import World
from tests.servers.ports import free_port
from tests.web.site import BROWSER

pytestmark = pytest.mark.slow


class Running:
    """A project whose campaign went out, and its web part."""

    def __init__(self, project: Project) -> None:
        self.project = project
        keys = load_key_ring(load(str(project.config), environ={}))
        with project.database.read() as connection:
            self.tokens = Tokens(signing_keys.load(connection, keys, "links"))
        world = World(project.database)
        campaign = world.campaign("spring", "active")
        task = world.task(campaign, "intro", "sending")
        sent_at = clock.now().replace(year=2026)
        self.rows = world.rows(task, "sent", 40, sent_at=sent_at, attempt_at=sent_at)
        self.port = free_port()
        self.process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> None:
        arguments = ["web", "run", "--port", str(self.port), *options, "--config", str(self.project.config)]
        self.process = self.project.start(*arguments, start_new_session=True)
        self.until(self.answers)

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "it has ended"
        try:
            return self.ask("/healthz") == b"ok\n"
        except OSError:
            return False

    def ask(self, path: str, data: bytes | None = None, agent: str = BROWSER) -> bytes:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data=data, headers={"User-Agent": agent}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())

    def open(self, row_id: int, agent: str = BROWSER) -> None:
        self.ask(f"/o/{self.tokens.issue(Kind.OPEN, row_id)}.gif", agent=agent)

    def events(self) -> int:
        with self.project.database.read() as connection:
            return int(connection.execute(sa.select(sa.func.count()).select_from(event_log)).scalar_one())

    def until(self, true: Callable[[], bool], seconds: float = 120) -> None:
        ends = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < ends
            time.sleep(0.02)  # a real process is waited for

    def kill(self) -> None:
        """SIGKILL to the process and its servers, all at once."""
        assert self.process is not None
        pids = [self.process.pid, *children(self.process.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.process.wait()
        # The socket is free when the servers are gone.
        self.until(lambda: not any(Path(f"/proc/{pid}/fd").exists() and alive(pid) for pid in pids))

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for each in listed for child in each.read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def running(project: Project) -> Iterator[Running]:
    made = Running(project)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill()


def test_what_was_answered_is_in_the_event_log_though_everything_was_killed(running: Running) -> None:
    running.start("--processes", "2")
    assert running.process is not None
    for row_id in running.rows[:20]:
        running.open(row_id, "(via ggpht.com GoogleImageProxy)")  # which wait for seconds
        if row_id == running.rows[10]:
            running.process.send_signal(signal.SIGSTOP)  # and its servers answer on
    unsubscribe = f"/u/{running.tokens.issue(Kind.UNSUBSCRIBE, running.rows[30])}"
    assert running.ask(unsubscribe, b"List-Unsubscribe=One-Click") == b"unsubscribed\n"
    running.kill()
    assert running.events() < 21, "else nothing had to be recovered"
    running.start()
    for row_id in running.rows[20:25]:
        running.open(row_id)
    assert running.stop() == 0, "what is in the spool goes to the ledger at the end"
    assert running.events() == 26
    with running.project.database.read() as connection:
        assert len(connection.execute(sa.select(suppressions.c.id)).all()) == 1


@pytest.fixture
def running_on_sqlite(sqlite_project: Project) -> Iterator[Running]:
    made = Running(sqlite_project)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.kill()


def test_server_processes_are_started_again_and_end_with_the_one_that_started_them(
    running_on_sqlite: Running,
) -> None:
    running = running_on_sqlite
    running.start()
    running.open(running.rows[0])
    assert running.process is not None
    [server] = children(running.process.pid)
    os.kill(server, signal.SIGKILL)
    running.until(lambda: children(running.process.pid) not in ([], [server]))  # type: ignore[union-attr]
    running.until(running.answers)
    running.open(running.rows[1])
    running.until(lambda: running.events() == 2)
    [server] = children(running.process.pid)
    running.process.kill()
    running.process.wait()
    running.until(lambda: not alive(server))


def test_an_address_in_use_is_out_of_reach(sqlite_project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = sqlite_project.run("web", "run", "--port", port, "--json", check=False)
    assert (result.code, result.error["code"]) == (5, "unreachable")
    assert port in result.error["message"]


def test_an_operator_may_not_run_it(sqlite_project: Project) -> None:
    sqlite_project.run("user", "add", "anna")
    assert sqlite_project.run("web", "run", "--as", "anna", check=False).code == 4
