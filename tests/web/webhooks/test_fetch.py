"""Getting what a checked URL leads to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from coldsend.errors import Unreachable
from coldsend.web.webhooks.sns import FETCH_LIMIT, fetch
from tests.servers.ports import free_port


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = int(self.path.rsplit("/", 1)[-1])
        body = b"x" * (FETCH_LIMIT * 4 if "large" in self.path else 10)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/200")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{made.server_address[1]}"
    made.shutdown()
    made.server_close()
    thread.join()


def test_what_lies_there_is_given(server: str) -> None:
    assert fetch(f"{server}/200") == b"x" * 10


@pytest.mark.parametrize("path", ["302", "403", "404", "500", "large/200"])
def test_anything_but_a_short_200_is_no_answer_and_redirects_are_not_followed(server: str, path: str) -> None:
    with pytest.raises(Unreachable):
        fetch(f"{server}/{path}")


def test_a_host_that_is_not_there_is_out_of_reach() -> None:
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
        fetch(f"http://127.0.0.1:{free_port()}/200")


def test_proxies_of_whoever_started_the_process_are_not_asked(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    assert fetch(f"{server}/200")
