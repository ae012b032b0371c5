"""A private MariaDB: temporary data directory, free port, never a server that already runs."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pymysql

from tests.servers.ports import free_port

USER, PASSWORD = "coldsend", "coldsend"
PREFIX = "coldsend-mariadb-"


def program(*names: str) -> str | None:
    """Path of the first of these programs that is installed."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def in_memory() -> str | None:
    """A file system in memory with room for a test run, where this host has one: DDL is ten times as fast."""
    shared = Path("/dev/shm")
    roomy = shared.is_dir() and os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > 4 * 2**30
    return str(shared) if roomy else None


def clear_up_after_killed_runs(where: Path) -> None:
    """End servers, and remove data, of test runs that were killed: folders are named for their run's pid."""
    if not Path("/proc/self").exists():
        return  # no way to tell who lives
    for folder in where.glob(f"{PREFIX}*-*"):
        owner = folder.name.removeprefix(PREFIX).partition("-")[0]
        if not owner.isdecimal() or _command_line(owner) is not None:
            continue
        with contextlib.suppress(OSError, ValueError):
            server = (folder / "data" / "server.pid").read_text().strip()
            if str(folder) in (_command_line(server) or ""):
                os.kill(int(server), signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def _command_line(pid: str) -> str | None:
    """Of a process that runs, else None."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return None


class MariaDB:
    """A server that lives as long as this object says.

    durable: fsync at every commit. where: the folder its own folder is made in. log_megabytes: of redo log,
    which is taken from the disk at the start.
    """

    def __init__(self, *, durable: bool = False, where: str | None = None, log_megabytes: int = 128) -> None:
        where = where or (None if durable else in_memory())
        self._log_megabytes = log_megabytes
        clear_up_after_killed_runs(Path(where or tempfile.gettempdir()))
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=where))
        self.port = free_port()
        self.durable = durable
        self.process: subprocess.Popen[bytes] | None = None
        self._as_user = ["--user=mysql"] if os.geteuid() == 0 else []
        if self._as_user:
            shutil.chown(self.folder, "mysql")
            pwd.getpwnam("mysql")
        self._install()
        self.start()
        self._grant()

    def url(self, database: str) -> str:
        return f"mysql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def _install(self) -> None:
        install = program("mariadb-install-db", "mysql_install_db")
        assert install, "mariadb-install-db is not installed: apt-get install mariadb-server"
        done = subprocess.run(
            [
                install,
                "--no-defaults",
                *self._as_user,
                f"--datadir={self.folder}/data",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{install} failed:\n{done.stdout[-2000:]}")

    def start(self) -> None:
        server = program("mariadbd", "mysqld")
        assert server, "mariadbd is not installed: apt-get install mariadb-server"
        with (self.folder / "error.log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    server,
                    "--no-defaults",
                    *self._as_user,
                    f"--datadir={self.folder}/data",
                    f"--socket={self.folder}/s.sock",
                    f"--port={self.port}",
                    # A server that starts deletes temporary tables of all that share its folder for them.
                    f"--tmpdir={self.folder}",
                    f"--pid-file={self.folder}/data/server.pid",
                    "--bind-address=127.0.0.1",
                    "--skip-name-resolve",
                    "--innodb-buffer-pool-size=256M",
                    f"--innodb-log-file-size={self._log_megabytes}M",
                    f"--innodb-flush-log-at-trx-commit={1 if self.durable else 2}",
                    "--max-connections=200",
                    "--performance-schema=OFF",
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if self._answers():
                return
            time.sleep(0.05)
        raise RuntimeError(f"MariaDB did not start: {(self.folder / 'error.log').read_text()[-2000:]}")

    def _answers(self) -> bool:
        # First a bare socket: PyMySQL leaves its own open when nobody listens yet.
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(f"{self.folder}/s.sock") != 0:
                return False
        with contextlib.suppress(pymysql.err.OperationalError):
            self._root().close()
            return True
        return False

    def stop(self, *, kill: bool = False) -> None:
        """End the server: orderly, or at once as kill -9 does."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        self.process.wait(timeout=60)
        self.process = None

    def remove(self) -> None:
        self.stop(kill=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def execute(self, statement: str) -> None:
        with self._root() as connection, connection.cursor() as cursor:
            cursor.execute(statement)

    def _root(self) -> pymysql.Connection:  # type: ignore[type-arg]
        return pymysql.connect(unix_socket=f"{self.folder}/s.sock", user="root", autocommit=True)

    def _grant(self) -> None:
        self.execute(f"CREATE USER {USER}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")
        self.execute(f"GRANT ALL ON *.* TO {USER}@'127.0.0.1'")
