"""The web part behind a real nginx, configured with the block that docs/web.md gives."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import BytesParser
from pathlib import Path
from urllib.parse import urljoin

import pytest

from coldsend.web.hits import Hit, HitKind
from coldsend.web.tracking import PIXEL
from tests.servers.nginx import Nginx
from tests.servers.ports import free_port
from tests.web.site import BROWSER, FORM, ONE_CLICK, SHOP, Answer, Site, leave, link, pixel
from tests.web.test_protocol import Served, all_of

pytestmark = pytest.mark.servers

NAME = "mail.example.com"
PAGE = Path(__file__).parents[2] / "docs" / "web.md"
# A client of its own network of loopback, where no proxy is trusted.
STRANGER, PROXY = "127.77.0.5", "127.0.0.1"


def documented() -> str:
    """The server block as the page prints it."""
    [block] = re.findall(r"```nginx\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return str(block)


def adapted(block: str, listen: int, upstream: int, certificate: tuple[Path, Path]) -> str:
    """The same block with ports and files of this test in the place of those of the page; each is there."""
    for old, new in (
        ("listen 443 ssl;", f"listen 127.0.0.1:{listen} ssl;"),
        ("listen [::]:443 ssl;", ""),
        ("http://127.0.0.1:8025", f"http://127.0.0.1:{upstream}"),
        (f"/etc/letsencrypt/live/{NAME}/fullchain.pem", str(certificate[0])),
        (f"/etc/letsencrypt/live/{NAME}/privkey.pem", str(certificate[1])),
    ):
        assert block.count(old) == 1, f"docs/web.md does not say {old!r}"
        block = block.replace(old, new)
    return block


@dataclass
class Front:
    """A port of nginx, the site behind it, and the path that its base_url ends in."""

    port: int
    site: Site
    context: ssl.SSLContext
    prefix: str = ""

    def ask(
        self,
        method: str,
        path: str,
        *headers: tuple[str, str],
        body: bytes = b"",
        address: str = STRANGER,
    ) -> Answer:
        given = [("Host", NAME), ("User-Agent", BROWSER), ("Connection", "close"), *headers]
        given += [("Content-Length", str(len(body)))] * bool(body)
        lines = [f"{method} {self.prefix}{path} HTTP/1.1", *(f"{name}: {value}" for name, value in given)]
        plain = socket.create_connection(("127.0.0.1", self.port), 10, source_address=(address, 0))
        with self.context.wrap_socket(plain, server_hostname=NAME) as client:
            client.sendall("\r\n".join([*lines, "", ""]).encode() + body)
            head, _, rest = all_of(client).partition(b"\r\n\r\n")
        status, _, fields = head.partition(b"\r\n")
        told = BytesParser().parsebytes(fields + b"\r\n\r\n", headersonly=True)
        if told["transfer-encoding"] == "chunked":
            rest = _whole(rest)
        return Answer(int(status.split()[1]), {name.lower(): value for name, value in told.items()}, rest)

    def hits(self, row_id: int) -> list[Hit]:
        return [hit for hit in self.site.hits() if hit.row_id == row_id]


def _whole(chunked: bytes) -> bytes:
    found = b""
    while (size := int((line := chunked.partition(b"\r\n"))[0], 16)) > 0:
        found, chunked = found + line[2][:size], line[2][size + 2 :]
    return found


@dataclass
class Fronts:
    root: Front
    passed_on: Front
    taken_off: Front


@pytest.fixture(scope="session")
def fronts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fronts]:
    """One nginx with three ports: a name of its own, and a path that is passed on or taken off."""
    sites = [
        Site(tmp_path_factory.mktemp("spool"), base_url=f"https://{NAME}{path}") for path in ("", "/mail")
    ]
    served = [Served(site) for site in sites]
    ports = [free_port() for _ in range(3)]
    block = documented()
    under = block.replace("location / {", "location /mail/ {")
    off = under.replace("http://127.0.0.1:8025;", "http://127.0.0.1:8025/;")
    assert len({block, under, off}) == 3
    with Nginx() as nginx:
        certificate = nginx.authority.issue(NAME)
        context = ssl.create_default_context(cafile=str(nginx.authority.ca_file))
        behind = [served[0].port, served[1].port, served[1].port]
        blocks = zip((block, under, off), ports, behind, strict=True)
        nginx.start(
            "".join(adapted(one, port, upstream, certificate) for one, port, upstream in blocks), ports[0]
        )
        yield Fronts(
            Front(ports[0], sites[0], context),
            Front(ports[1], sites[1], context, "/mail"),
            Front(ports[2], sites[1], context, "/mail"),
        )
        log = nginx.log()
    for running in served:
        running.end()
    assert "/o/" not in log, "a token stands in a log"


@pytest.fixture(params=["root", "passed_on", "taken_off"])
def front(request: pytest.FixtureRequest, fronts: Fronts) -> Front:
    found = getattr(fronts, request.param)
    assert isinstance(found, Front)
    return found


_rows = iter(range(1000, 2000))


@pytest.fixture
def row() -> int:
    """A row that nothing has happened to."""
    return next(_rows)


def test_an_open_gets_its_pixel_and_is_noted(front: Front, row: int) -> None:
    answer = front.ask("GET", pixel(row))
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, PIXEL, "image/gif")
    assert "no-store" in answer.headers["cache-control"]
    assert [hit.kind for hit in front.hits(row)] == [HitKind.OPEN]


def test_a_click_is_led_to_its_target_and_noted(front: Front, row: int) -> None:
    answer = front.ask("GET", link(row))
    assert answer.status == 302
    assert answer.headers["location"] == "https://shop.example/offer?a=1&b=%C3%A4#top"
    assert [(hit.kind, hit.url) for hit in front.hits(row)] == [(HitKind.CLICK, SHOP)]


def test_a_link_of_the_greatest_length_gets_through(fronts: Fronts, row: int) -> None:
    url = f"https://shop.example/{'x' * 7900}"
    assert fronts.passed_on.ask("GET", link(row, url)).headers["location"] == url


def test_one_click_unsubscribes(front: Front, row: int) -> None:
    answer = front.ask("POST", leave(row), *FORM, body=ONE_CLICK)
    assert (answer.status, answer.body) == (200, b"unsubscribed\n")
    assert [(hit.kind, hit.rest) for hit in front.hits(row)] == [(HitKind.UNSUBSCRIBE, ("all", "one_click"))]


def test_the_page_unsubscribes_where_its_form_leads(front: Front, row: int) -> None:
    answer = front.ask("GET", leave(row))
    assert answer.status == 200
    assert front.hits(row) == []
    form = re.search(r'<form method="post"(?: action="([^"]*)")?', answer.text)
    assert form is not None
    where = urljoin(f"https://{NAME}{front.prefix}{leave(row)}", form[1] or "")
    posted = front.ask(
        "POST", where.removeprefix(f"https://{NAME}{front.prefix}"), *FORM, body=b"scope=campaign"
    )
    assert posted.status == 200
    assert [hit.rest for hit in front.hits(row)] == [("campaign", "page")]


def test_what_is_not_there_is_a_page(front: Front) -> None:
    answer = front.ask("GET", "/nowhere")
    assert (answer.status, answer.headers["content-language"]) == (404, "en")


def test_the_visitor_is_whoever_came_to_the_proxy_and_not_who_they_say(front: Front, row: int) -> None:
    front.ask("GET", pixel(row), ("X-Forwarded-For", "203.0.113.9"))
    assert [hit.network for hit in front.hits(row)] == ["127.77.0.0/24"]


def test_a_trusted_proxy_before_it_is_believed(front: Front, row: int) -> None:
    told = ("X-Forwarded-For", "192.0.2.1, 203.0.113.9")
    front.ask("GET", pixel(row), told, address=PROXY)
    assert [hit.network for hit in front.hits(row)] == ["203.0.113.0/24"]
