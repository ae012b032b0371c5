"""A private nginx on loopback: given server blocks, TLS by an authority of its own, a folder of its own."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests.servers.certificates import Authority
from tests.servers.mariadb import in_memory, program

CONFIG = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{servers}
}}
"""


class Nginx:
    """A server that lives as long as its ``with`` block. ``authority``: what its clients must trust."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="coldsend-nginx-", dir=in_memory()))
        self.folder.chmod(0o755)  # its workers may be of another user
        self.authority = Authority(self.folder)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, servers: str, port: int) -> None:
        """Serve these blocks, one of which listens on this port."""
        nginx = program("nginx")
        assert nginx, "nginx is not installed; see requirements/servers.txt"
        config = self.folder / "nginx.conf"
        config.write_text(CONFIG.format(folder=self.folder, servers=servers))
        command = [nginx, "-p", str(self.folder), "-c", str(config), "-e", str(self.folder / "error.log")]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.02)  # a real process is waited for
        raise AssertionError(f"nginx did not start:\n{self.log()}")

    def log(self) -> str:
        return "".join(file.read_text() for file in sorted(self.folder.glob("*.log")))

    def __enter__(self) -> Nginx:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        subprocess.run(["rm", "-rf", str(self.folder)], check=False)
