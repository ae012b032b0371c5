"""What benchmarks play on: sinks, reference senders, private databases, projects, and who used how much time.

All on loopback, all started and ended here. smtp-source and smtp-sink come with Postfix; only these two
programs are used, Postfix itself need not run.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.servers.mariadb import MariaDB  # noqa: E402
from tests.servers.ports import free_port  # noqa: E402

PATH = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
CPU_TICK = os.sysconf("SC_CLK_TCK")


def program(name: str) -> str:
    """Path of a program; SystemExit with the way out where it is missing."""
    found = shutil.which(name, path=PATH)
    if found is None:
        raise SystemExit(f"{name} is missing: install the postfix package (it need not run)")
    return found


@contextmanager
def running_sink() -> Iterator[tuple[int, int]]:
    """Postfix's smtp-sink; its port and its process id."""
    port = free_port()
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    with _listening([program("smtp-sink"), *user, f"127.0.0.1:{port}", "1000"], port) as pid:
        yield port, pid


@contextmanager
def running_slow_sink(latency: float) -> Iterator[tuple[int, int]]:
    """A sink of our own that answers every command group after ``latency`` seconds, as a far server does."""
    port = free_port()
    command = [sys.executable, str(ROOT / "benchmarks" / "slow_sink.py"), str(port), str(latency)]
    with _listening(command, port) as pid:
        yield port, pid


@contextmanager
def _listening(command: list[str], port: int) -> Iterator[int]:
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def _wait_for(port: int) -> None:
    ends = time.monotonic() + 10
    while time.monotonic() < ends:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"nothing listens on port {port}")


def source_rate(port: int, *, messages: int, size: int, sessions: int = 10) -> float:
    """Messages a second of ``smtp-source -d``, which reuses its connections; ``size``: octets of a body."""
    command = [program("smtp-source"), "-d", "-s", str(sessions), "-l", str(size), "-m", str(messages)]
    command += ["-f", "sender@example.com", "-t", "recipient@example.com", f"127.0.0.1:{port}"]
    begun = time.perf_counter()
    subprocess.run(command, check=True)
    return messages / (time.perf_counter() - begun)


@contextmanager
def durable_mariadb(memory: int = 256) -> Iterator[MariaDB]:
    """A private MariaDB on disk that makes every commit durable. memory: of its buffer pool, in MB."""
    server = MariaDB(durable=True)
    try:
        if memory > 256:
            server.execute(f"SET GLOBAL innodb_buffer_pool_size={memory * 2**20}")
            # A redo log that is small for its pool would have it write pages out while it is measured.
            server.execute(f"SET GLOBAL innodb_log_file_size={memory // 2 * 2**20}")
        yield server
    finally:
        server.remove()


@contextmanager
def database(kind: str, folder: Path, memory: int = 256) -> Iterator[tuple[str, Mapping[str, int]]]:
    """An empty database, "mariadb" or "sqlite": its URL, and its server's process id where it has one."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/coldsend.db", {}
        return
    with durable_mariadb(memory) as server:
        assert server.process is not None
        server.execute("CREATE DATABASE bench CHARACTER SET utf8mb4 COLLATE utf8mb4_bin")
        yield server.url("bench"), {"mariadbd": server.process.pid}


def cpu_seconds(pid: int) -> float:
    """User and system time a process has used so far, its ended children included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(fields[number]) for number in (11, 12, 13, 14)) / CPU_TICK


def peak_memory(pid: int) -> float:
    """The most memory a living process has had in use, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def forget_peak_memory() -> None:
    """From now on the peak of this process is what it uses from now on."""
    Path("/proc/self/clear_refs").write_text("5")


def machine() -> Mapping[str, str]:
    """Facts that figures mean nothing without."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "unknown",
    )
    return {
        "processor": f"{cpu}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GB",
        "kernel": f"{os.uname().sysname} {os.uname().release}",
        "Python": sys.version.split()[0],
        "MariaDB": _version(["mariadbd", "--version"], r"Ver (\S+)"),
        "SQLite": sqlite3.sqlite_version,
        "Postfix": _version(["postconf", "-d", "mail_version"], r"= (\S+)"),
    }


def _version(command: Sequence[str], pattern: str) -> str:
    """What a program says about its version; "none" where it is missing."""
    found = shutil.which(command[0], path=PATH)
    if found is None:
        return "none"
    said = subprocess.run([found, *command[1:]], check=False, capture_output=True, text=True).stdout
    match = re.search(pattern, said)
    return match[1] if match else "unknown"
