"""A local HTTP server that takes POSTs, keeps them, and answers as it is told: a receiver of webhooks."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any


@dataclass
class Request:
    """One POST as it came. headers: names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Use as a context manager. ``url``: where to POST.

    statuses: answers to the next requests, one each, then 204. location: of redirects. fault: "hang" answers
    nothing, "drip" sends its answer's head a byte at a time and never ends. on_request: called before the
    answer goes out. certificate, key: of an https server.
    """

    statuses: list[int] = field(default_factory=list)
    location: str = ""
    fault: str = ""
    on_request: Callable[[Request], None] = lambda _request: None
    requests: list[Request] = field(default_factory=list)
    certificate: Path | None = None
    key: Path | None = None
    stopping: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Receiver:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver._answer(self, Request(self.path, headers, self.rfile.read(length)))

            def log_message(self, format: str, *args: Any) -> None:
                """Requests are looked at by the tests."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate, self.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if self.certificate is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, handler: BaseHTTPRequestHandler, request: Request) -> None:
        self.requests.append(request)
        self.on_request(request)
        if self.fault == "hang":
            self.stopping.wait(30)
            return
        if self.fault == "drip":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not self.stopping.wait(0.05):
                handler.wfile.write(b"a")
            return
        handler.send_response(self.statuses.pop(0) if self.statuses else 204)
        if self.location:
            handler.send_header("Location", self.location)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
