"""A local HTTP server that behaves like the EngageLab e-mail API, and misbehaves on demand.

As documented: HTTP Basic, required fields, limits, headers it refuses, `email_ids`, `{"code", "message"}`
with 400 and 401. Error codes other than 30000 are not published; those here are of our own making.
"""

from __future__ import annotations

import base64
import json
import socket
import struct
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

API_USER, API_KEY = "acme", "correct-horse-battery"

FORBIDDEN_HEADERS = {
    "dkim-signature", "received", "sender", "date", "from", "to", "reply-to", "cc", "bcc", "subject",
    "content-type", "content-transfer-encoding", "x-sendcloud-uuid", "x-sendcloud-log", "x-remote-web-ip",
    "x-smtpapi", "return-path", "x-sendcloud-log-new",
}  # fmt: skip


@dataclass
class Behaviour:
    """What the server does from now on.

    status, body: answer this instead of the documented thing, without taking the message. take: record the
    message first. fault: "hang" never answers, "drop" closes without an answer, "reset" the same with RST,
    "early_drop" closes before it has read the body, "half" answers half a body and closes, "drip" answers
    a byte now and then. rate_limit: messages taken before it answers 429.
    """

    status: int | None = None
    body: Any = None
    take: bool = False
    fault: str = ""
    rate_limit: int | None = None


class EngageLab:
    """Use as a context manager. ``url``: base URL for the channel.

    messages: documents it took. times: when it had taken each, in seconds of the monotonic clock.
    """

    def __init__(self) -> None:
        self.behaviour = Behaviour()
        self.messages: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.requests = 0
        self.connections = 0
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        server = self

        class Handler(_Handler):
            api = server

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> EngageLab:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Let go of the port; nobody listens there afterwards. May be called twice."""
        if not self.stopping.is_set():
            self.stopping.set()
            self._http.shutdown()
            self._http.server_close()
            self._thread.join()

    def behave(self, **values: Any) -> None:
        self.behaviour = Behaviour(**values)

    def judge(self, headers: Any, body: bytes) -> tuple[int, dict[str, Any]]:
        """The documented answer to a request."""
        wanted = base64.b64encode(f"{API_USER}:{API_KEY}".encode()).decode()
        if headers.get("Authorization") != f"Basic {wanted}":
            return 401, {"code": 30000, "message": "Authentication failed."}
        try:
            document = json.loads(body)
        except ValueError:
            return 400, _error("request body is not JSON")
        problem = _problem(document)
        if problem:
            return 400, _error(problem)
        with self.lock:
            if self.behaviour.rate_limit is not None and len(self.messages) >= self.behaviour.rate_limit:
                return 429, _error("too many requests")
            self.messages.append(document)
            self.times.append(time.monotonic())
            number = len(self.messages)
        ids = [
            f"16{number:010}_15555_32350_1.sc-10_9_1_1-inbound{n}${to}" for n, to in enumerate(document["to"])
        ]
        return 200, {"email_ids": ids, "request_id": document.get("request_id", "")}


class _Handler(BaseHTTPRequestHandler):
    api: EngageLab
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body of an answer are two writes
    timeout = 20

    def setup(self) -> None:
        with self.api.lock:
            self.api.connections += 1
        super().setup()

    def do_POST(self) -> None:
        self.api.requests += 1
        behaviour = self.api.behaviour
        if behaviour.fault == "early_drop":
            self.close_connection = True
            return
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:  # the client went away: a request that is not whole is not acted upon
            self.close_connection = True
        elif self.path != "/v1/mail/send":
            self._answer(404, {"code": 30404, "message": "Not Found"})
        elif behaviour.fault:
            if behaviour.take:
                self.api.judge(self.headers, body)
            self._fail(behaviour.fault)
        elif behaviour.status is not None:
            if behaviour.take:
                self.api.judge(self.headers, body)
            self._answer(behaviour.status, behaviour.body)
        else:
            self._answer(*self.api.judge(self.headers, body))

    def _answer(self, status: int, document: Any) -> None:
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _fail(self, fault: str) -> None:
        self.close_connection = True
        if fault == "hang":
            self.api.stopping.wait(20)
        elif fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif fault == "half":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b'{"email_ids": ["1')
        elif fault == "drip":
            try:
                for letter in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 10_000:
                    self.wfile.write(bytes((letter,)))
                    if self.api.stopping.wait(0.05):
                        return
            except OSError:
                return

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # the client went away
            self.close_connection = True

    def finish(self) -> None:
        try:
            super().finish()
        except OSError:
            return

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def _error(message: str) -> dict[str, Any]:
    return {"code": 30400, "message": message}


def _problem(document: Any) -> str:
    if not isinstance(document, dict) or not isinstance(document.get("body"), dict):
        return "body is required"
    body = document["body"]
    if not isinstance(document.get("from"), str) or "@" not in document["from"]:
        return "from is invalid"
    to = document.get("to")
    if not isinstance(to, list) or not 1 <= len(to) <= 100:
        return "to must have 1 to 100 addresses"
    if any(not isinstance(each, str) or not each.isascii() or each.count("@") != 1 for each in to):
        return "to: invalid address format"
    if not isinstance(body.get("subject"), str) or not 1 <= len(body["subject"]) <= 256:
        return "subject is required and has at most 256 characters"
    content = body.get("content")
    if not isinstance(content, dict) or not (content.get("html") or content.get("text")):
        return "content: html or text is required"
    headers = body.get("headers", {})
    if any(name.lower() in FORBIDDEN_HEADERS for name in headers):
        return "headers: forbidden name"
    for name, part in (("headers", headers), ("custom_args", document.get("custom_args", {}))):
        if not isinstance(part, dict) or len(json.dumps(part)) > 1024:
            return f"{name} exceeds the size of 1KB"
    if not isinstance(body.get("reply_to", []), list) or len(body.get("reply_to", [])) > 3:
        return "reply_to has at most 3 addresses"
    return ""
