"""Several hosts played on one: each has a state directory, a way to the database and a log of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Callable

from tests.acceptance.scenario import Scenario

_UNFORESEEN = re.compile(r"unexpected_error|Traceback \(most recent")


class Host:
    """Processes of one host. url: its way to the database; None: the project's own."""

    def __init__(self, scenario: Scenario, number: int, url: str | None = None, **environ: object) -> None:
        """environ: settings as their variables end, ``delivery_lease_seconds=8``."""
        self.scenario = scenario
        self.state_dir = scenario.project.folder / f"host-{number}"
        self.logs = scenario.project.folder / f"host-{number}.log"
        self.environ = {
            **scenario.environ,
            "COLDSEND_STATE_DIR": str(self.state_dir),
            **({"COLDSEND_DATABASE_URL": url} if url else {}),
            **{f"COLDSEND_{name.upper()}": str(value) for name, value in environ.items()},
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command on this host."""
        with self.logs.open("a") as log:
            process = self.scenario.project.start(
                *arguments, environ=self.environ, stdout=log, stderr=log, start_new_session=True
            )
        self.scenario.processes.append(process)
        return process

    def worker(self) -> subprocess.Popen[str]:
        return self.start("worker", "run")

    def scheduler(self, workers: int = 0) -> subprocess.Popen[str]:
        return self.start("scheduler", "run", "--workers", str(workers))

    def events(self, name: str) -> list[str]:
        """Lines of this host's log that are this event."""
        lines = self.logs.read_text().splitlines() if self.logs.exists() else []
        return [line for line in lines if f" {name} " in line]

    def assert_no_bug(self) -> None:
        text = self.logs.read_text() if self.logs.exists() else ""
        met = _UNFORESEEN.search(text)
        assert met is None, text[max(0, met.start() - 500) : met.start() + 4000]


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def end(*processes: subprocess.Popen[str]) -> None:
    """Stop processes in order; each must drain in time."""
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        assert process.wait(60) == 0


def until(true: Callable[[], bool], what: str, hosts: list[Host], deadline: float = 150) -> None:
    """Wait for something; what the hosts logged is told where it does not come."""
    ends = time.monotonic() + deadline
    while not true():
        if time.monotonic() > ends:
            logs = "\n".join(f"{host.logs.name}: {host.logs.read_text()[-2000:]}" for host in hosts)
            raise AssertionError(f"not within {deadline:g} s: {what}\n{logs}")
        time.sleep(0.02)
