"""A scheduler that only plans, and senders that a test starts, stops, kills and continues one by one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from coldsend.database.tables import sender_quota, task_contacts, workers
from tests.acceptance.scenario import Scenario
from tests.servers.smtp import Received, RecordingServer

_UNFORESEEN = re.compile(r"unexpected_error|Traceback \(most recent")


class Crew:
    """``recipients`` of one task; nobody sends until :meth:`sender` is called.

    lease: ``[delivery] lease_seconds``; short only where one must run out, for a process that a busy machine
    does not let run for so long is given up.
    """

    def __init__(
        self,
        scenario: Scenario,
        server: RecordingServer,
        recipients: int,
        *,
        lease: float = 60,
        **service: Any,
    ) -> None:
        self.scenario, self.server, self.recipients = scenario, server, recipients
        scenario.environ["COLDSEND_DELIVERY_LEASE_SECONDS"] = str(lease)
        self.connections = service.setdefault("connections", 4)
        scenario.service("alpha", server, **service)
        scenario.templates(1)
        scenario.contacts(recipients)
        scenario.campaign()

    def scheduler(self, workers: int = 0, *options: str, **environ: str) -> subprocess.Popen[str]:
        return self._command(("scheduler", "run", "--workers", str(workers), *options), environ)

    def sender(self, **environ: str) -> subprocess.Popen[str]:
        return self._command(("worker", "run"), environ)

    def _command(self, arguments: tuple[str, ...], environ: dict[str, str]) -> subprocess.Popen[str]:
        before = dict(self.scenario.environ)
        self.scenario.environ.update(environ)
        try:
            return self.scenario.command(*arguments)
        finally:
            self.scenario.environ = before

    def kill(self, *processes: subprocess.Popen[str]) -> None:
        """kill -9, all at the same time."""
        for process in processes:
            process.send_signal(signal.SIGKILL)
        for process in processes:
            process.wait(60)

    def more(self, messages: int = 1) -> None:
        """Until so many more messages have come."""
        self.server.wait_for(self.server.taken() + messages)

    def until_ended(self) -> None:
        """Until no row waits or is under way."""

        def ended() -> bool:
            # In this order: between the two, rows may come, but none comes back.
            return self.rows() == self.recipients and self.scenario.count("pending", "sending") == 0

        self.scenario.until(ended, "everything has ended")

    def rows(self) -> int:
        """Rows of the send list, in any state."""
        statement = sa.select(sa.func.count()).select_from(task_contacts)
        with self.scenario.project.database.read() as connection:
            return int(connection.execute(statement).scalar_one())

    def terminate(self, *processes: subprocess.Popen[str]) -> None:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            assert process.wait(60) == 0, self.log()[-3000:]

    def log(self) -> str:
        return self.scenario.logs.read_text()

    def logged(self, name: str) -> int:
        return sum(f" {name} " in f"{line} " for line in self.log().splitlines())

    def until_logged(self, name: str, count: int = 1) -> None:
        self.scenario.until(lambda: self.logged(name) >= count, f"{count} x {name} in the log")

    def assert_no_bug(self) -> None:
        met = _UNFORESEEN.search(self.log())
        assert met is None, self.log()[max(0, met.start() - 500) : met.start() + 4000]

    def worker_row(self, process: subprocess.Popen[str]) -> sa.RowMapping:
        """The row of the process that is registered, or was last."""
        found = sa.select(workers).where(workers.c.pid == process.pid).order_by(workers.c.id.desc()).limit(1)
        with self.scenario.project.database.read() as connection:
            return connection.execute(found).mappings().one()

    def state_dir(self, name: str = ".coldsend") -> Path:
        return self.scenario.project.folder / name

    def journals(self, name: str = ".coldsend") -> list[Path]:
        """Journals of senders and schedulers, oldest first."""
        files = (self.state_dir(name) / "journal").glob("worker-*.journal")
        return sorted(files, key=lambda file: int(file.stem.split("-")[1]))

    def quota_days(self) -> dict[str, int]:
        """Day -> messages reserved, of all services together."""
        total = sa.select(sender_quota.c.quota_day, sa.func.sum(sender_quota.c.used))
        with self.scenario.project.database.read() as connection:
            rows = connection.execute(total.group_by(sender_quota.c.quota_day))
            return {str(day): int(used) for day, used in rows}


def from_service(messages: list[Received], name: str) -> list[Received]:
    return [message for message in messages if message.mail_from.startswith(f"{name}@")]


def assert_gaps(messages: list[Received], seconds: float) -> None:
    """No two messages came closer together than the throttle, on the server's steady clock."""
    moments = sorted(message.monotonic for message in messages)
    short = [later - one for one, later in pairwise(moments) if later - one < seconds]
    assert not short, f"throttle of {seconds} s undercut: {short}"


def children(pid: int) -> list[int]:
    """Processes that a process has started and that live."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return sorted(found)


def signal_all(number: int, *pids: int) -> None:
    for pid in pids:
        os.kill(pid, number)
