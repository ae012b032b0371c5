"""Serves a WSGI application on one address, in threads of its own, beside what the process is there for.

A port in use is logged once and tried again: a process that is just draining may hold it. Nothing that
happens here stops the process or holds up its end.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import WSGIApplication

from prometheus_client.exposition import ThreadingWSGIServer

from coldsend import logbook

AGAIN_SECONDS = 10.0
LOOK_SECONDS = 0.2  # between two looks whether to stop
SCRAPER_SECONDS = 10.0  # a client that says nothing for so long is let go


class _Quiet(WSGIRequestHandler):
    timeout = SCRAPER_SECONDS

    def log_message(self, format: str, *args: Any) -> None:
        """Scrapes are no events."""


class _Server(ThreadingWSGIServer):
    request_queue_size = 20

    def server_bind(self) -> None:
        # Not HTTPServer's: it would ask the name service for our name, which may take long.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scraper that went away is no event either."""


class _ServerV6(_Server):
    address_family = socket.AF_INET6


class Listener:
    """A context manager; within it the application is served, as soon as the address is free.

    port 0: not at all. again: seconds between tries.
    """

    def __init__(
        self, host: str, port: int, application: Callable[[], WSGIApplication], again: float = AGAIN_SECONDS
    ) -> None:
        self._host = host
        self._port = port
        self._application = application
        self._again = again
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        if self._port:
            threading.Thread(target=self._run, name="metrics", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._stop.set()

    def _run(self) -> None:
        try:
            self._serve(self._application())
        except Exception as error:
            logbook.unexpected_error("metrics", error)

    def _serve(self, application: WSGIApplication) -> None:
        told = False
        kind = _ServerV6 if ":" in self._host else _Server
        while not self._stop.is_set():
            try:
                server = make_server(self._host, self._port, application, kind, _Quiet)
            except OSError as error:
                if not told:
                    logbook.metrics_unavailable(self._host, self._port, error.strerror or str(error))
                told = True
                self._stop.wait(self._again)
                continue
            logbook.metrics_served(self._host, self._port)
            with server:
                server.timeout = LOOK_SECONDS
                while not self._stop.is_set():
                    server.handle_request()
            return
