"""HTTP: what is answered, a port that is taken, and an end that nothing holds up."""

from __future__ import annotations

import contextlib
import gzip
import io
import socket
import threading
import time
import urllib.error
import urllib.request
from typing import Any
from wsgiref.simple_server import WSGIServer, make_server
from wsgiref.types import WSGIApplication

import pytest

from coldsend import logbook
from coldsend.meter import Counts
from coldsend.metrics import collecting
from coldsend.metrics import listener as listening
from coldsend.metrics.application import application
from coldsend.metrics.listener import Listener
from tests.servers.ports import free_port


@pytest.fixture(autouse=True)
def log() -> io.StringIO:
    """What is logged."""
    stream = io.StringIO()
    with contextlib.redirect_stderr(stream):
        logbook.configure("info", "text")
    return stream


def wait_for(event: str, log: io.StringIO) -> None:
    ends = time.monotonic() + 120
    while event not in log.getvalue():
        assert time.monotonic() < ends
        time.sleep(0.005)  # another thread logs it


def made(ailment: str = "") -> WSGIApplication:
    return application(collecting.registry(Counts), lambda: ailment)


def ask(port: int, path: str, **headers: str) -> tuple[int, str, bytes]:
    """Status, content type and body; waits for the server to listen."""
    ends = time.monotonic() + 120
    while True:
        try:
            request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["Content-Type"], error.read()
        except urllib.error.URLError:
            assert time.monotonic() < ends
            time.sleep(0.01)  # a real socket is waited for


def test_metrics_are_served_in_the_format_that_is_asked_for() -> None:
    port = free_port()
    with Listener("127.0.0.1", port, made):
        status, kind, body = ask(port, "/metrics")
        assert (status, kind.split(";")[0]) == (200, "text/plain")
        assert b"# TYPE coldsend_messages_total counter" in body
        _, kind, body = ask(port, "/metrics", Accept="application/openmetrics-text; version=1.0.0")
        assert kind.startswith("application/openmetrics-text")
        assert body.endswith(b"# EOF\n")
        _, _, body = ask(port, "/metrics", **{"Accept-Encoding": "gzip"})
        assert b"coldsend_messages_total" in gzip.decompress(body)


@pytest.mark.parametrize(("ailment", "status"), [("", 200), ("the database is away", 503)])
def test_health_is_ok_or_a_reason(ailment: str, status: int) -> None:
    port = free_port()
    with Listener("127.0.0.1", port, lambda: made(ailment)):
        assert ask(port, "/healthz") == (status, "text/plain; charset=utf-8", f"{ailment or 'ok'}\n".encode())


def test_an_answer_says_nothing_of_the_one_before() -> None:
    port, state = free_port(), [""]
    with Listener("127.0.0.1", port, lambda: application(collecting.registry(Counts), lambda: state[0])):
        assert ask(port, "/healthz")[2] == b"ok\n"
        state[0] = "the database is away"
        assert ask(port, "/healthz")[2] == b"the database is away\n"


def test_other_paths_are_not_found() -> None:
    port = free_port()
    with Listener("127.0.0.1", port, made):
        assert ask(port, "/")[0] == 404


def test_port_0_is_off() -> None:
    def never() -> WSGIApplication:
        raise AssertionError("made although nothing is served")

    with Listener("127.0.0.1", 0, never):
        pass


def test_a_port_that_becomes_free_is_taken(log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = threading.Semaphore(0)

    def counted(*given: Any) -> WSGIServer:
        tried.release()
        return make_server(*given)

    monkeypatch.setattr(listening, "make_server", counted)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        listener = Listener("127.0.0.1", port, made, again=0.01)
        listener.__enter__()
        for _ in range(4):
            assert tried.acquire(timeout=120)
    assert ask(port, "/healthz")[0] == 200
    listener.__exit__(None, None, None)
    assert log.getvalue().count("metrics_unavailable") == 1, "told once, however often it is tried"
    assert f"port={port}" in log.getvalue()
    assert "metrics_served" in log.getvalue()


def test_an_address_that_is_not_ours_is_a_warning(log: io.StringIO) -> None:
    with Listener("192.0.2.1", free_port(), made):
        wait_for("metrics_unavailable", log)


def test_a_client_that_says_nothing_holds_up_no_other_and_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening._Quiet, "timeout", 200)
    port = free_port()
    with Listener("127.0.0.1", port, made):
        ask(port, "/healthz")
        with socket.create_connection(("127.0.0.1", port)) as silent:
            silent.sendall(b"GET /met")
            assert ask(port, "/healthz")[0] == 200
            began = time.monotonic()
    assert time.monotonic() - began < 100, "until the client is let go"
