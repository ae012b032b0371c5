"""An operator's installation driven through its commands, with real processes and a real SMTP server.

The oracle is the SMTP server's own record; what the database says is only compared with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from coldsend.database.tables import task_contacts
from tests.conftest import Project
from tests.servers.smtp import Received, RecordingServer

TASK = "spring/intro"
CLOCK = "COLDSEND_TEST_CLOCK"


class Scenario:
    """A campaign ``spring`` with a task ``intro``, ready to be started."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.clock = project.folder / "clock"
        self.clock.write_text("0")
        self.environ = {CLOCK: str(self.clock)}
        self.processes: list[subprocess.Popen[str]] = []
        self.logs = project.folder / "scheduler.log"

    def service(self, name: str, server: RecordingServer, *, quota: int = 100_000, **options: Any) -> None:
        """A service that sends to ``server``; options as `service add` has them, underscores for dashes."""
        given = {"throttle_sec": 0, "connections": 4, **options}
        extra = [word for key, value in given.items() for word in (f"--{key.replace('_', '-')}", str(value))]
        self.project.run(
            "service", "add", name, "--type", "smtp", "--host", "127.0.0.1", "--port", str(server.port),
            "--tls", "none", "--from", f"{name.title()} <{name}@sender.example>",
            "--daily-quota", str(quota), *extra, "--as", "admin",
        )  # fmt: skip

    def templates(self, count: int = 3) -> None:
        names = [f"t{number}" for number in range(1, count + 1)]
        for name in names:
            body = self.project.write(
                f"{name}.html", f"<p>Hello {{{{ contact.nickname | default('there') }}}}, this is {name}.</p>"
            )
            self.project.run(
                "template", "add", name, "--subject", f"A word on {name}", "--body-file", str(body)
            )
        chosen = [word for name in names for word in ("--template", name)]
        self.project.run("template-set", "create", "rotation", *chosen)

    def contacts(self, count: int) -> None:
        lines = ["email,nickname", *(f"p{number}@example.com,Person {number}" for number in range(count))]
        file = self.project.write("contacts.csv", "\n".join(lines) + "\n")
        assert self.project.json("contact", "import", str(file), "--tag", "lead")["imported"] == count

    def campaign(self, *options: str) -> None:
        self.project.run("campaign", "create", "spring")
        self.project.run(
            "task", "create", "spring", "intro", "--template-set", "rotation", "--rule", "tag:lead", *options
        )
        self.project.run("campaign", "start", "spring")

    def command(self, *arguments: str) -> subprocess.Popen[str]:
        with self.logs.open("a") as log:
            process = self.project.start(
                *arguments, environ=self.environ, stdout=log, stderr=log, start_new_session=True
            )
        self.processes.append(process)
        return process

    def run_until_idle(self, workers: int = 1, deadline: float = 600) -> None:
        process = self.command("scheduler", "run", "--until-idle", "--workers", str(workers))
        code = process.wait(deadline)
        assert code == 0, self.logs.read_text()[-4000:]

    def jump(self, seconds: float) -> None:
        """Move everybody's clock."""
        self.set_clock(float(self.clock.read_text()) + seconds)

    def set_clock(self, offset: float) -> None:
        """Let everybody's clock be so many seconds ahead of the machine's, from one moment to the next."""
        # Whoever read a file that is being written would find it empty, and go by the machine's clock.
        written = self.clock.with_suffix(".new")
        written.write_text(repr(offset))
        written.replace(self.clock)

    def statuses(self) -> dict[str, int]:
        return dict(self.project.json("task", "show", TASK)["by_status"])

    def count(self, *statuses: str) -> int:
        """Rows in any of these states, at one moment: rows go from ``sending`` back to ``pending`` too."""
        statement = sa.select(sa.func.count()).where(task_contacts.c.status.in_(statuses))
        with self.project.database.read() as connection:
            return int(connection.execute(statement.select_from(task_contacts)).scalar_one())

    def until(self, true: Callable[[], bool], what: str, deadline: float = 150) -> None:
        """Wait for something to become true; long, for it costs nothing where all is well."""
        ends = time.monotonic() + deadline
        while not true():
            if time.monotonic() > ends:
                raise AssertionError(f"not within {deadline:g} s: {what}\n{self.logs.read_text()[-3000:]}")
            time.sleep(0.02)

    def sender_pids(self) -> list[int]:
        rows = self.project.json("worker", "list")
        return [row["pid"] for row in rows if row["kind"] == "sender" and _lives(row["pid"])]

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        # Sender processes that a failed test has left stopped: their locks would hold up the next test.
        for pid in self._left_behind():
            os.kill(pid, signal.SIGKILL)

    def _left_behind(self) -> list[int]:
        """Processes that still work in the project's folder."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (folder / "cwd").readlink() == self.project.folder and int(folder.name) != os.getpid():
                    found.append(int(folder.name))
        return found


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "coldsend" in Path(f"/proc/{pid}/cmdline").read_text()


def assert_nobody_twice(messages: list[Received]) -> None:
    """Each recipient and each Message-ID once."""
    recipients = Counter(message.rcpt_to[0] for message in messages)
    assert [address for address, count in recipients.items() if count > 1] == []
    ids = Counter(message.message_id for message in messages)
    assert [message_id for message_id, count in ids.items() if count > 1] == []
