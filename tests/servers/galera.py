"""A private Galera cluster: three MariaDB nodes on loopback, temporary data, free ports, ended by their pids.

Needs root (the nodes run as user mysql), galera-4 and rsync; :func:`why_not` says what is missing. Time-outs
of the group are short, so that a node that hangs is put out of it within seconds.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pymysql

from tests.servers.mariadb import (
    PASSWORD,
    PREFIX,
    USER,
    clear_up_after_killed_runs,
    in_memory,
    program,
)
from tests.servers.ports import free_port

PROVIDERS = (
    Path("/usr/lib/galera/libgalera_smm.so"),
    Path("/usr/lib64/galera-4/libgalera_smm.so"),
    Path("/usr/lib64/galera/libgalera_smm.so"),
)
GROUP_OPTIONS = {
    "gcache.size": "64M",
    "evs.keepalive_period": "PT0.3S",
    "evs.inactive_check_period": "PT0.3S",
    # Long enough for a node that a busy machine does not let run: it must not be put out for that.
    "evs.suspect_timeout": "PT4S",
    "evs.inactive_timeout": "PT8S",
    "gmcast.peer_timeout": "PT4S",
    "pc.recovery": "false",
}


def why_not() -> str | None:
    """Why no cluster can be started here; None where it can."""
    missing = [name for name in ("mariadbd", "rsync") if program(name) is None]
    if _provider() is None:
        missing.append("galera-4")
    if missing:
        return f"not installed: {', '.join(missing)}"
    return None if os.geteuid() == 0 else "only root may start the nodes as user mysql"


def _provider() -> Path | None:
    return next((path for path in PROVIDERS if path.exists()), None)


class Node:
    """One node. ``process`` is None while it does not run."""

    def __init__(self, number: int, group: dict[int, int]) -> None:
        """number: from 1. group: node number -> port of the group's own protocol."""
        self.number = number
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._transfer_ports = (free_port(), free_port())  # incremental, whole
        self._group = group
        prefix = f"{PREFIX}{os.getpid()}-galera{number}-"
        self.folder = Path(tempfile.mkdtemp(prefix=prefix, dir=in_memory()))
        shutil.chown(self.folder, "mysql", "mysql")
        (self.folder / "my.cnf").write_text(self._configuration())

    def _configuration(self) -> str:
        addresses = ",".join(f"127.0.0.1:{port}" for port in self._group.values())
        own = self._group[self.number]
        options = {
            "base_port": str(own),
            "gmcast.listen_addr": f"tcp://127.0.0.1:{own}",
            "ist.recv_addr": f"127.0.0.1:{self._transfer_ports[0]}",
            **GROUP_OPTIONS,
        }
        settings = {
            "user": "mysql",
            "datadir": self.folder / "data",
            "tmpdir": self.folder / "data",
            "socket": self.folder / "s.sock",
            "pid-file": self.folder / "data" / "server.pid",
            "port": self.port,
            "bind-address": "127.0.0.1",
            "innodb_buffer_pool_size": "128M",
            "innodb_log_file_size": "64M",
            "innodb_autoinc_lock_mode": 2,
            "innodb_flush_log_at_trx_commit": 1,
            "binlog_format": "ROW",
            "performance_schema": "OFF",
            "max_connections": 200,
            "wsrep_on": "ON",
            "wsrep_provider": _provider(),
            "wsrep_cluster_name": f"coldsend-{os.getpid()}",
            "wsrep_cluster_address": f"gcomm://{addresses}",
            "wsrep_node_name": f"n{self.number}",
            "wsrep_node_address": "127.0.0.1",
            "wsrep_node_incoming_address": f"127.0.0.1:{self.port}",
            "wsrep_sst_method": "rsync",
            "wsrep_sst_receive_address": f"127.0.0.1:{self._transfer_ports[1]}",
            "wsrep_slave_threads": 2,
            "wsrep_provider_options": '"'
            + ";".join(f"{name}={value}" for name, value in options.items())
            + '"',
        }
        lines = [f"{name}={value}" for name, value in settings.items()]
        return "\n".join(["[mysqld]", "skip-name-resolve", *lines, ""])

    def start(self, *, new_cluster: bool = False) -> None:
        """Start it and return at once; a node that crashed goes on from where its data ends."""
        assert self.process is None
        extra = ["--wsrep-new-cluster"] if new_cluster else self._recovered_position()
        with (self.folder / "error.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(program("mariadbd")), f"--defaults-file={self.folder}/my.cnf", *extra],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _recovered_position(self) -> list[str]:
        """What the start scripts of MariaDB do after a crash: without it all data is copied anew."""
        state = self.folder / "data" / "grastate.dat"
        if not state.exists() or "seqno:   -1" not in state.read_text():
            return []
        said = subprocess.run(
            [str(program("mariadbd")), f"--defaults-file={self.folder}/my.cnf", "--wsrep-recover"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        found = re.search(r"Recovered position: (\S+)", said.stderr)
        return [f"--wsrep-start-position={found[1]}"] if found else []

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self, *, kill: bool = False) -> None:
        """End it: orderly, or as kill -9 does."""
        if self.process is None:
            return
        self.signal(signal.SIGKILL if kill else signal.SIGTERM)
        self.process.wait(timeout=60)
        self.process = None

    def remove(self) -> None:
        if self.process is not None:
            # The session is ours: scripts that copy data must not outlive their node.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=60)
        shutil.rmtree(self.folder, ignore_errors=True)

    def connect(self) -> pymysql.Connection:  # type: ignore[type-arg]
        """As root, over the node's own socket."""
        return pymysql.connect(
            unix_socket=f"{self.folder}/s.sock",
            user="root",
            autocommit=True,
            connect_timeout=60,
            read_timeout=60,
        )

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def status(self, name: str) -> str:
        """A status variable; empty where the node does not answer."""
        # First a bare socket: PyMySQL leaves its own open when nobody listens.
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(f"{self.folder}/s.sock") != 0:
                return ""
        try:
            found = self.execute(f"SHOW STATUS LIKE '{name}'")
        except pymysql.err.Error:
            return ""
        return str(found[0][1]) if found else ""

    @property
    def synced(self) -> bool:
        return self.status("wsrep_local_state_comment") == "Synced" and self.status("wsrep_ready") == "ON"

    def log(self) -> str:
        file = self.folder / "error.log"
        return file.read_text(errors="replace") if file.exists() else ""


class Galera:
    """Three nodes in one group: ``with Galera() as cluster:``."""

    def __init__(self, count: int = 3) -> None:
        where = in_memory()
        clear_up_after_killed_runs(Path(where or tempfile.gettempdir()))
        group = {number: free_port() for number in range(1, count + 1)}
        self.nodes = [Node(number, group) for number in group]

    def __enter__(self) -> Galera:
        try:
            self._up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.remove()

    def _up(self) -> None:
        first = self.nodes[0]
        subprocess.run(
            [
                str(program("mariadb-install-db")),
                "--no-defaults",
                "--user=mysql",
                f"--datadir={first.folder}/data",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        first.start(new_cluster=True)
        self.until(lambda: first.synced, "node 1 is synced")
        first.execute(f"CREATE USER {USER}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")
        first.execute(f"GRANT ALL ON *.* TO {USER}@'127.0.0.1'")
        for node in self.nodes[1:]:
            data = node.folder / "data"
            data.mkdir(mode=0o700)
            shutil.chown(data, "mysql", "mysql")
            node.start()  # its data comes from the first
            self.until(lambda node=node: node.synced, f"node {node.number} is synced")

    def url(self, database: str, *numbers: int) -> str:
        """A URL that names these nodes in this order."""
        hosts = ",".join(f"127.0.0.1:{self.nodes[number - 1].port}" for number in numbers)
        return f"mysql://{USER}:{PASSWORD}@{hosts}/{database}"

    @property
    def running(self) -> list[Node]:
        return [node for node in self.nodes if node.process is not None]

    def conflicts(self) -> int:
        """Transactions undone because another node had changed the same row, over all nodes that run."""
        names = ("wsrep_local_cert_failures", "wsrep_local_bf_aborts")
        return sum(int(node.status(name) or 0) for node in self.running for name in names)

    def until(self, true: Callable[[], bool], what: str, deadline: float = 150) -> None:
        ends = time.monotonic() + deadline
        while not true():
            if time.monotonic() > ends:
                logs = "\n".join(f"n{node.number}: {node.log()[-1500:]}" for node in self.nodes)
                raise AssertionError(f"not within {deadline:g} s: {what}\n{logs}")
            time.sleep(0.05)
