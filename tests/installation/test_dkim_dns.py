"""Published keys, asked of a real name server: what verifiers would stumble over is said in words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from coldsend.domain.dkim import Algorithm, DkimKey, KeyStatus
from coldsend.installation import dkim_dns, names
from coldsend.installation.dkim import generated
from coldsend.installation.dkim_dns import Verdict
from tests.composing import keys
from tests.servers.dns import DnsServer
from tests.servers.ports import free_port

PAIR = keys.pair()
KEY = DkimKey(
    1, "example.com", "cs1", Algorithm.RSA, 2048, PAIR.public_key, KeyStatus.ACTIVE,
    datetime(2027, 1, 1, tzinfo=UTC), None, None, {},
)  # fmt: skip
PLACE = "cs1._domainkey.example.com"


@pytest.fixture(scope="module")
def running() -> Iterator[DnsServer]:
    with DnsServer() as server:
        yield server


@pytest.fixture
def dns(running: DnsServer) -> DnsServer:
    running.records, running.behave = {PLACE: [KEY.record]}, "well"
    running.asked.clear()
    return running


def verdict(dns: DnsServer, key: DkimKey = KEY) -> Verdict:
    (found,) = dkim_dns.examine([key], dns.address)
    return found


def test_a_key_published_as_shown_is_good(dns: DnsServer) -> None:
    found = verdict(dns)
    assert found.good
    assert found.findings == []
    assert dns.asked == [("udp", PLACE)]


@pytest.mark.parametrize(
    "record",
    [
        "v=DKIM1;k=rsa;p={p}",
        "v=DKIM1; h=sha1:sha256; s=*; t=s; n=made by hand; p={p};",
        "k=rsa; p={p}",
        "p={p}; ",
        "v=DKIM1; k=rsa; p={half} {rest}",
    ],
)
def test_other_spellings_of_a_good_record_are_good(dns: DnsServer, record: str) -> None:
    p = KEY.public_key
    dns.records[PLACE] = [record.format(p=p, half=p[:200], rest=p[200:])]
    assert verdict(dns).good


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ("", "not a DKIM record"),
        ("v=spf1 -all", "not a DKIM record"),
        ("v=DKIM1; k=rsa; p=", "the key is revoked"),
        ("v=DKIM2; k=rsa; p={p}", "v=DKIM1 is not what"),
        ("k=rsa; v=DKIM1; p={p}", "v=DKIM1 is not what"),
        ("v=DKIM1; k=ed25519; p={p}", "k=ed25519 is not the type of the key, which is rsa"),
        ("v=DKIM1; k=rsa; p={half}", "cut off after 200 of 392 characters"),
        ("v=DKIM1; k=rsa; p=A{p}", "another key is published than the one that signs"),
        ("v=DKIM1; k=rsa; p=%%%", "another key is published than the one that signs"),
        ("v=DKIM1; h=sha1; p={p}", "h=sha1 does not allow sha256"),
        ("v=DKIM1; s=tlsrpt; p={p}", "s=tlsrpt does not allow e-mail"),
        ("v=DKIM1; p={p}; p={p}", "cannot be read"),
        ("v=DKIM1 p={p}; x", "cannot be read"),
    ],
)
def test_a_bad_record_is_said_to_be_bad_and_why(dns: DnsServer, record: str, said: str) -> None:
    dns.records[PLACE] = [record.format(p=KEY.public_key, half=KEY.public_key[:200])]
    found = verdict(dns)
    assert not found.good
    assert found.problem is not None
    assert said in found.problem.message
    assert PLACE in found.problem.message
    assert "coldsend dkim show example.com --selector cs1" in found.problem.hint


def test_a_published_key_that_is_too_short_is_named_so(dns: DnsServer) -> None:
    short = (
        "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAMIeox2dVfJdjkEo6Xsw6tYtObE/NzH75Nxpt6pmDX1XXaefBA4MkCa21YJWVaDn"
        "nj148RoKtQoWPaaxUdPiTD0CAwEAAQ=="
    )
    dns.records[PLACE] = [f"v=DKIM1; k=rsa; p={short}"]
    problem = verdict(dns).problem
    assert problem is not None
    assert "another key is published, and its 512 bits are too few" in problem.message


def test_nothing_published_is_an_error_whether_the_name_exists_or_not(dns: DnsServer) -> None:
    for records in ({}, {PLACE: []}):
        dns.records = records
        problem = verdict(dns).problem
        assert problem is not None
        assert "is not published: there is no TXT record" in problem.message


def test_two_records_at_one_place_are_an_error_but_a_stranger_is_not(dns: DnsServer) -> None:
    dns.records[PLACE] = [KEY.record, f"v=DKIM1; k=rsa; p={generated(Algorithm.RSA, None).public_key}"]
    problem = verdict(dns).problem
    assert problem is not None
    assert "2 DKIM records" in problem.message
    dns.records[PLACE] = [KEY.record, "google-site-verification=x"]
    assert verdict(dns).good


def test_the_testing_flag_is_a_warning(dns: DnsServer) -> None:
    dns.records[PLACE] = [KEY.record + "; t=y:s"]
    found = verdict(dns)
    assert found.good
    assert [(one.severity, "t=y (testing)" in one.message) for one in found.findings] == [("warning", True)]


def test_an_answer_too_long_for_udp_is_asked_for_again_over_tcp(dns: DnsServer) -> None:
    dns.records[PLACE] = [KEY.record + "; n=" + "x" * 300]
    assert verdict(dns).good
    assert [way for way, _name in dns.asked] == ["udp", "tcp"]


@pytest.mark.parametrize("behave", ["servfail", "refused", "silent"])
def test_a_server_that_does_not_answer_is_trouble_within_the_limit(
    dns: DnsServer, behave: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "LIMIT_SECONDS", 0.5)
    dns.behave = behave
    began = time.monotonic()
    found = verdict(dns)
    assert time.monotonic() - began < 4.5, "five seconds, by the library's own limit"
    assert found.trouble is not None
    assert not found.good
    assert found.problem is None
    assert f"the DNS cannot be asked for {PLACE}" in found.trouble.message


@pytest.mark.costly
def test_many_keys_are_asked_for_at_once(dns: DnsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "LIMIT_SECONDS", 1.0)
    dns.behave = "silent"
    began = time.monotonic()
    verdicts = dkim_dns.examine([KEY] * dkim_dns.AT_ONCE, dns.address)
    assert all(verdict.trouble is not None for verdict in verdicts)
    assert time.monotonic() - began < dkim_dns.AT_ONCE, "one after the other"


@pytest.mark.costly
def test_a_host_that_is_off_line_gets_one_warning_for_all_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "LIMIT_SECONDS", 0.5)
    found = list(dkim_dns.findings([KEY, KEY], f"127.0.0.1:{free_port()}"))
    assert [(one.severity, one.subject) for one in found] == [("warning", "DKIM")]
    assert "example.com/cs1, example.com/cs1" in found[0].message


def test_no_keys_need_no_dns() -> None:
    assert dkim_dns.examine([], "") == []
