"""The server on a socket: limits against clients that are slow, large or rude."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from coldsend.web import protocol, serving
from coldsend.web.tracking import PIXEL
from tests.web.site import ONE_CLICK, Site, leave, link, pixel


class Served:
    """A site that answers on a port of loopback, from a thread."""

    def __init__(self, site: Site) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        config = serving.configured(site.app, site.settings)
        self.server = serving.Server(config, site.intake, os.getppid())
        self.thread = threading.Thread(target=self.server.run, args=([listener],))
        self.thread.start()

    def end(self) -> None:
        self.server.should_exit = True
        self.thread.join(60)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def say(self, *pieces: bytes) -> bytes:
        """Everything that is answered to these pieces until the server closes the connection."""
        with closing(self.connect()) as client:
            with suppress(ConnectionError):  # it may have been closed before all was said
                for piece in pieces:
                    client.sendall(piece)
            return all_of(client)


def all_of(client: socket.socket) -> bytes:
    answer = b""
    try:
        while data := client.recv(65536):
            answer += data
    except ConnectionResetError:
        pass
    return answer


@pytest.fixture
def served(site: Site) -> Iterator[Served]:
    running = Served(site)
    yield running
    running.end()


def get(path: str, *headers: str, method: str = "GET", close: bool = True) -> bytes:
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: mail.example.com",
        *headers,
        *(["Connection: close"] * close),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def test_pixel_redirect_and_head_over_the_wire(site: Site, served: Served) -> None:
    head, _, body = served.say(get(pixel(1))).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert body == PIXEL
    assert b"server:" not in head.lower()
    assert served.say(get(pixel(2), method="HEAD")).endswith(b"\r\n\r\n")
    assert b"location: https://shop.example/offer" in served.say(get(link(3)))
    post = get(leave(4), f"Content-Length: {len(ONE_CLICK)}", method="POST")
    assert served.say(post + ONE_CLICK).endswith(b"unsubscribed\n")
    served.end()
    assert {hit.row_id for hit in site.hits()} == {1, 2, 3, 4}


def test_several_requests_at_once_on_one_connection(site: Site, served: Served) -> None:
    answer = served.say(get(pixel(1), close=False) + get(pixel(2), close=False) + get(pixel(3)))
    assert answer.count(b"HTTP/1.1 200 OK") == 3


@pytest.mark.costly
def test_a_client_that_drips_its_request_is_let_go(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 0.3)
    began = time.monotonic()
    heads = [
        b"",
        b"GET / HT",
        get("/")[:-2],
        b"POST /u/x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nab",
    ]
    for head in heads:
        with closing(served.connect()) as client:
            client.sendall(head)
            answer = all_of(client)
            assert b"HTTP/1.1 2" not in answer
    assert 4 * 0.25 < time.monotonic() - began < 60, "each waited for its own time and no longer"


@pytest.mark.costly
def test_who_asks_in_time_is_not_let_go(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "REQUEST_SECONDS", 1.5)
    with closing(served.connect()) as client:
        for row in (1, 2):
            client.sendall(get(pixel(row), close=False))
            answer = b""
            while not answer.endswith(PIXEL):
                data = client.recv(4096)
                assert data, "it was let go"
                answer += data
            time.sleep(1.7)  # longer than a request may take, between two of them


@pytest.mark.parametrize(
    "head",
    [
        get("/c/x?u=" + "a" * 40_000),
        get("/", "X-Long: " + "a" * 40_000),
        get("/", *(f"X-{number}: {'a' * 100}" for number in range(400))),
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Endless: " + b"a" * 200_000,
    ],
)
def test_a_giant_head_is_refused(served: Served, head: bytes) -> None:
    answer = served.say(head)
    assert answer.startswith(b"HTTP/1.1 400 ") or answer == b""
    assert served.say(get("/healthz")).endswith(b"ok\n")


@pytest.mark.parametrize(
    "rude",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET http://[::1/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /o/\xff\xfe.gif HTTP/1.1\r\nHost: a\r\n\r\n",
        b"BREW / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\r\n",
    ],
)
def test_rude_clients_harm_nobody(served: Served, rude: bytes) -> None:
    answer = served.say(rude)
    assert not answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 101", b"HTTP/1.1 500"))
    assert served.say(get("/healthz")).endswith(b"ok\n")
