"""The public address of the web part."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from coldsend.domain.service import Service
from coldsend.installation.web import findings
from tests.conftest import Project
from tests.servers.ports import free_port


class _Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/t/healthz" else 404)
        self.end_headers()
        self.wfile.write(b"ok\n" if self.path == "/t/healthz" else b"nothing here")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    """Of a server that answers as the web part does under /t."""
    server = http.server.HTTPServer(("127.0.0.1", 0), _Answers)
    threading.Thread(target=server.serve_forever).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.costly
def test_an_address_that_answers_is_fine(address: str) -> None:
    assert list(findings(f"{address}/t/")) == []


@pytest.mark.costly
def test_an_address_that_answers_otherwise_or_not_at_all_is_a_warning(address: str) -> None:
    [other] = findings(address)
    assert (other.severity, "answered 404" in other.message) == ("warning", True)
    [silent] = findings(f"http://127.0.0.1:{free_port()}")
    assert "cannot be reached from here (Connection refused)" in silent.message


def test_names_for_examples_are_not_asked_for() -> None:
    for host in ("mail.example.com", "example.org", "mail.acme.example", "a.b.test", "x.invalid"):
        assert list(findings(f"https://{host}")) == []
    assert list(findings("")) == []


@pytest.mark.costly
def test_a_campaign_starts_with_a_warning_where_its_links_lead_nowhere(
    sqlite_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = sqlite_project
    project.run(
        "service", "add", "main", "--type", "console", "--from", "a@example.com", "--daily-quota", "9"
    )
    project.write("body.html", "<p>Hello</p>")
    project.run("template", "add", "intro", "--subject", "Hi", "--body-file", "body.html")
    project.run("template-set", "create", "set", "--template", "intro")
    project.run("campaign", "create", "spring")
    project.run("task", "create", "spring", "intro", "--template-set", "set", "--rule", '{"everyone":true}')
    monkeypatch.setenv("COLDSEND_WEB_BASE_URL", f"http://127.0.0.1:{free_port()}")
    started = project.json("campaign", "start", "spring")
    assert started["status"] == "active"
    assert any("healthz" in warning["message"] for warning in started["warnings"])


@pytest.mark.costly
def test_a_service_with_an_address_of_its_own_is_asked_too(address: str) -> None:
    silent = f"http://127.0.0.1:{free_port()}"
    known = [
        Service(1, "anna", "smtp", "anna@sender.example", settings={"web_url": silent}),
        Service(2, "ben", "smtp", "ben@sender.example", settings={"web_url": f"{address}/t"}),
        Service(3, "carol", "smtp", "carol@sender.example"),
    ]
    [found] = findings(f"{address}/t", known)
    assert found.subject == "service 'anna'"
    assert silent in found.message
