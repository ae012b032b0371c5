"""Certificates of SMTP hosts, looked at over the wire; and the whole of what `doctor` asks the network."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from coldsend import clock
from coldsend.config.settings import DkimSettings, Settings, SmtpSettings
from coldsend.domain.finding import Finding
from coldsend.domain.service import Service
from coldsend.installation import asking, names, network, smtp_hosts
from tests.servers.certificates import Authority
from tests.servers.dns import DnsServer
from tests.servers.ports import free_port
from tests.servers.smtp import HOST, StrictServer


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def examined(port: int, tls: str, authority: Authority, host: str = HOST) -> list[Finding]:
    return list(smtp_hosts.examine(host, port, tls, SmtpSettings(ca_file=str(authority.ca_file))))


@contextmanager
def greeting(line: str, *, drip: bool = False) -> Iterator[int]:
    """A server that greets and says no more; drip: a byte at a time, for ever."""
    with socket.create_server((HOST, 0)) as listening:
        ended = threading.Event()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                while drip and not ended.wait(0.05):
                    connection.sendall(b"2")
                if not drip:
                    connection.sendall(line.encode() + b"\r\n")
                    ended.wait(10)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        ended.set()
        thread.join(timeout=60)


@pytest.mark.costly
@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_server_that_proves_itself_is_not_spoken_of(authority: Authority, tls: str) -> None:
    with StrictServer(tls=tls, certificate=authority.issue(HOST)) as server:
        assert examined(server.port, tls, authority) == []


@pytest.mark.parametrize(
    ("issued", "said"),
    [
        ({"names": ["mail.other.org"]}, "IP address mismatch"),
        ({"names": [HOST], "expired": True}, "certificate has expired"),
        ({"names": [HOST], "self_signed": True}, "self-signed certificate"),
    ],
)
def test_a_certificate_that_is_not_to_be_trusted_is_an_error(
    authority: Authority, issued: dict[str, Any], said: str
) -> None:
    certificate = authority.issue(*issued.pop("names"), **issued)
    with StrictServer(tls="starttls", certificate=certificate) as server:
        (finding,) = examined(server.port, "starttls", authority)
    assert (finding.severity, finding.subject) == ("error", f"{HOST}:{server.port}")
    assert said in finding.message


@pytest.mark.costly
@pytest.mark.parametrize(
    ("line", "severity", "said"),
    [
        ("554 no mail from you", "error", "refuses this host, so nothing is sent: 554 no mail from you"),
        ("421 too busy", "warning", "was not checked"),
    ],
)
def test_a_server_that_refuses_is_an_error_and_one_that_is_busy_a_warning(
    authority: Authority, line: str, severity: str, said: str
) -> None:
    with greeting(line) as port:
        (finding,) = examined(port, "starttls", authority)
    assert (finding.severity, said in finding.message) == (severity, True)


def test_a_server_that_speaks_no_tls_where_it_should_is_an_error(authority: Authority) -> None:
    with greeting("220 plain") as port:
        (finding,) = examined(port, "implicit", authority)
    assert (finding.severity, "TLS failed" in finding.message) == ("error", True)


@pytest.mark.costly
def test_a_certificate_that_ends_soon_is_a_warning(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp_hosts, "EXPIRES_SOON", timedelta(days=31))  # it is good for 30
    with StrictServer(tls="implicit", certificate=authority.issue(HOST)) as server:
        (finding,) = examined(server.port, "implicit", authority)
    assert finding.severity == "warning"
    assert "its certificate ends on" in finding.message


def test_a_server_without_starttls_is_an_error(authority: Authority) -> None:
    with StrictServer() as server:
        (finding,) = examined(server.port, "starttls", authority)
    assert (finding.severity, "offers no STARTTLS" in finding.message) == ("error", True)


def test_a_server_that_cannot_be_reached_was_not_checked(authority: Authority) -> None:
    (finding,) = examined(free_port(), "starttls", authority)
    assert finding.severity == "warning"
    assert "was not checked: it cannot be reached from here (Connection refused)" in finding.message


@pytest.mark.parametrize(("seconds", "count"), [(-120, 1), (120, 1), (3, 0)])
def test_a_server_that_greets_with_the_time_tells_whether_this_clock_is_right(
    seconds: int, count: int
) -> None:
    from coldsend.installation.hosts import told_time

    now = clock.now()
    text = f"mx.acme.org ESMTP ready; {format_datetime(now + timedelta(seconds=seconds))} (UTC)"
    found = list(told_time("mx.acme.org:25", text, now))
    assert [finding.subject for finding in found] == ["clock"] * count
    assert all(("behind" if seconds > 0 else "ahead of") in finding.message for finding in found)
    assert list(told_time("x", "220 ready Mon, 99 Abc 2026 10:00:00 +0000", now)) == []


@pytest.mark.costly
def test_nobody_waits_for_a_server_that_drips(authority: Authority) -> None:
    settings = SmtpSettings(ca_file=str(authority.ca_file))
    with greeting("", drip=True) as port:
        service = Service(
            1, "main", "smtp", "a@acme.org", settings={"host": HOST, "port": port, "tls": "starttls"}
        )
        began = clock.monotonic()
        (answer,) = asking.ask_all(smtp_hosts.questions([service], settings), 0.5).values()
        assert clock.monotonic() - began < 60, "for ever, without a limit"
    assert "no answer within 0.5 s" in str(answer)


@pytest.mark.parametrize(
    "behave", ["silent", "well"]
)  # well: it knows no name at all, as in a closed network
def test_what_does_not_answer_is_told_of_once_and_the_rest_is_told(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, behave: str
) -> None:
    monkeypatch.setattr(names, "LIMIT_SECONDS", 0.3)
    monkeypatch.setattr(network, "own_addresses", lambda: ["192.168.1.7"])
    settings = replace(Settings(), smtp=SmtpSettings(ca_file=str(authority.ca_file)))
    with DnsServer() as dns, StrictServer() as server:
        dns.behave = behave
        settings = replace(settings, dkim=DkimSettings(dns_servers=dns.address))
        service = Service(
            1, "main", "smtp", "a@acme.org", settings={"host": HOST, "port": server.port, "tls": "starttls"}
        )
        found = list(network.findings([service], [], settings))
    assert [(one.severity, one.subject) for one in found] == [
        ("error", f"{HOST}:{server.port}"),
        ("warning", "PTR"),
        ("warning", "network"),
    ]
    assert "SPF of acme.org, MX of acme.org, DMARC of acme.org" in found[2].message
    assert "behind a router" in found[1].message


def test_a_network_that_answers_is_asked_all_of_it(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "own_addresses", list)
    with DnsServer() as dns:
        dns.others[("com", "SOA")] = ["a.gtld-servers.net. nstld.verisign-grs.com. 1 1800 900 604800 900"]
        settings = replace(Settings(), dkim=DkimSettings(dns_servers=dns.address))
        service = Service(1, "main", "smtp", "a@acme.org", settings={"host": HOST, "tls": "none"})
        found = list(network.findings([service], [], settings))
    assert [one.subject for one in found] == [
        "SPF of acme.org", "MX of acme.org", "DMARC of acme.org", "PTR",
    ]  # fmt: skip
