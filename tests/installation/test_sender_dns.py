"""What receivers find in the DNS, asked of a real name server: trouble is said in words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from coldsend.domain.dkim import Algorithm, DkimKey, KeyStatus
from coldsend.domain.finding import Finding
from coldsend.domain.service import Service
from coldsend.errors import Unreachable
from coldsend.installation import names, sender_dns
from coldsend.installation.asking import ask_all
from coldsend.installation.names import Names
from tests.servers.dns import DnsServer

HERE = "203.0.113.7"
KEY = DkimKey(
    1, "acme.org", "cs1", Algorithm.RSA, 2048, "p", KeyStatus.ACTIVE,
    datetime(2027, 1, 1, tzinfo=UTC), None, None, {},
)  # fmt: skip


@pytest.fixture(scope="module")
def running() -> Iterator[DnsServer]:
    with DnsServer() as server:
        yield server


@pytest.fixture
def dns(running: DnsServer) -> DnsServer:
    """A domain that there is nothing to say against."""
    running.behave = "well"
    running.records = {
        "acme.org": ["google-site-verification=x", f"v=spf1 ip4:{HERE} include:_spf.google.com ~all"],
        "_spf.google.com": ["v=spf1 ip4:192.0.2.0/24 ~all"],
        "_dmarc.acme.org": ["v=DMARC1; p=reject"],
    }
    running.others = {
        ("acme.org", "MX"): ["20 mx2.acme.org.", "10 mx1.acme.org."],
        ("mx1.acme.org", "A"): ["192.0.2.25"],
        ("7.113.0.203.in-addr.arpa", "PTR"): ["out.acme.org."],
        ("out.acme.org", "A"): [HERE],
    }
    return running


def service(from_email: str = "anna@acme.org", **settings: Any) -> Service:
    return Service(1, "main", "smtp", from_email, settings={"host": "127.0.0.1", **settings})


def findings(dns: DnsServer, *services: Service, keys: tuple[DkimKey, ...] = (KEY,)) -> list[Finding]:
    found = sender_dns.senders(services or (service(),), keys, lambda host: host == "127.0.0.1")
    answers = ask_all(sender_dns.questions(found, Names(dns.address), [HERE]), 10).values()
    assert not [answer for answer in answers if isinstance(answer, Unreachable)]
    return [finding for answer in answers if isinstance(answer, list) for finding in answer]


def only(dns: DnsServer, *services: Service, keys: tuple[DkimKey, ...] = (KEY,)) -> Finding:
    (finding,) = findings(dns, *services, keys=keys)
    assert finding.hint
    return finding


def test_a_domain_in_good_order_is_not_spoken_of(dns: DnsServer) -> None:
    assert findings(dns) == []


@pytest.mark.parametrize(
    ("record", "severity", "said"),
    [
        (None, "error", "there is no record"),
        ("v=spf1 inclde:_spf.google.com ~all", "error", "cannot be read: 'inclde:_spf.google.com'"),
        ("v=spf1 include:nowhere.org ~all", "error", "include:nowhere.org leads to a domain without"),
        ("v=spf1 redirect=nowhere.org", "error", "redirect=nowhere.org leads to a domain without"),
        ("v=spf1 include:acme.org ~all", "error", "more than 30 DNS lookups|leads to itself"),
        (f"v=spf1 ip4:{HERE} " + "a:x.org " * 11 + "~all", "error", "takes 11 DNS lookups, 10 are allowed"),
        ("v=spf1 ip4:192.0.2.1 -all", "error", f"does not allow this host, {HERE} (fail)"),
        ("v=spf1 a:mail.acme.org ~all", "warning", f"does not allow this host, {HERE} (softfail)"),
        ("v=spf1 +all", "warning", "allows everybody"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_spf_is_said(dns: DnsServer, record: str | None, severity: str, said: str) -> None:
    dns.records["acme.org"] = [record] if record else []
    found = findings(dns)
    assert {(one.severity, one.subject) for one in found} == {(severity, "SPF of acme.org")}
    assert any(words in found[0].message for words in said.split("|"))


@pytest.mark.parametrize(
    "record",
    [
        "v=spf1 a:out.acme.org -all",
        "v=spf1 mx:other.org -all",
        "v=spf1 a:near.acme.org/28 -all",
        "v=spf1 redirect=_spf.acme.org",
        "v=spf1 exists:%{i}.x.org include:_spf.acme.org -all",
    ],
)
def test_this_host_is_allowed_in_many_ways(dns: DnsServer, record: str) -> None:
    dns.records |= {"acme.org": [record], "_spf.acme.org": [f"v=spf1 ip4:{HERE} -all"]}
    dns.others |= {
        ("other.org", "MX"): ["10 out.acme.org."],
        ("near.acme.org", "A"): ["203.0.113.9"],
        ("near.acme.org", "AAAA"): ["2001:db8::1"],
    }
    assert findings(dns) == []


def test_two_spf_records_are_as_bad_as_none(dns: DnsServer) -> None:
    dns.records["acme.org"] = ["v=spf1 mx -all", "v=spf1 a -all"]
    assert "2 SPF records: there must be one" in only(dns).message


def test_a_provider_that_sends_with_our_return_path_must_be_allowed(dns: DnsServer) -> None:
    assert findings(dns, service(host="smtp.gmail.com")) == []
    finding = only(dns, service(host="smtp.office365.com"))
    assert "does not allow smtp.office365.com, which service 'main' sends through" in finding.message
    assert finding.hint.endswith("include:spf.protection.outlook.com")


def test_spf_is_asked_of_the_return_path_and_its_bounces_must_arrive(dns: DnsServer) -> None:
    found = findings(dns, service(bounce_address="b+{token}@bounces.acme.org"))
    assert [(one.severity, one.subject) for one in found] == [
        ("error", "SPF of bounces.acme.org"),
        ("error", "MX of bounces.acme.org"),
    ]
    assert "bounces are lost" in found[1].message


@pytest.mark.parametrize(
    ("hosts", "said"),
    [([], "there is none"), (["0 ."], "null MX"), (["10 gone.acme.org."], "of which none has an address")],
)
def test_a_domain_that_takes_no_mail_is_an_error(dns: DnsServer, hosts: list[str], said: str) -> None:
    dns.others[("acme.org", "MX")] = hosts
    finding = only(dns)
    assert (finding.severity, finding.subject) == ("error", "MX of acme.org")
    assert said in finding.message


def test_a_domain_without_mx_takes_mail_at_its_address(dns: DnsServer) -> None:
    dns.others |= {("acme.org", "MX"): [], ("acme.org", "AAAA"): ["2001:db8::25"]}
    assert findings(dns) == []


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([], "there is no record"),
        (["v=DMARC1; p=none", "v=DMARC1; p=reject"], "2 records"),
        (["v=DMARC1; p=yes"], "is ignored: p=yes is none of"),
    ],
)
def test_a_policy_that_is_missing_or_ignored_is_a_warning(
    dns: DnsServer, records: list[str], said: str
) -> None:
    dns.records["_dmarc.acme.org"] = records
    finding = only(dns)
    assert (finding.severity, finding.subject) == ("warning", "DMARC of acme.org")
    assert said in finding.message


@pytest.mark.parametrize(
    ("policy", "bounce", "signed", "severity", "said"),
    [
        ("p=reject", "acme.org", True, None, ""),
        ("p=reject", "relay.net", True, None, ""),
        ("p=none", "relay.net", False, "warning", "is not vouched for"),
        ("p=quarantine", "relay.net", False, "error", "is taken for spam"),
        ("p=reject", "relay.net", False, "error", "is rejected: neither its signature nor its return path"),
        ("p=reject", "acme.org", False, "warning", "that is forwarded is rejected"),
        ("p=none", "acme.org", False, None, ""),
    ],
)
def test_mail_must_be_aligned_with_its_from_address(
    dns: DnsServer, policy: str, bounce: str, signed: bool, severity: str | None, said: str
) -> None:
    dns.records |= {"_dmarc.acme.org": [f"v=DMARC1; {policy}"], "relay.net": [f"v=spf1 ip4:{HERE} -all"]}
    dns.others[("relay.net", "MX")] = ["10 mx1.acme.org."]
    sender = service(bounce_address=f"b+{{token}}@{bounce}")
    if severity is None:
        assert findings(dns, sender, keys=(KEY,) * signed) == []
    else:
        finding = only(dns, sender, keys=(KEY,) * signed)
        assert finding.severity == severity
        assert said in finding.message


def test_a_domain_below_is_under_the_policy_of_the_one_above(dns: DnsServer) -> None:
    dns.records["_dmarc.acme.org"] = ["v=DMARC1; p=reject; sp=none"]
    dns.records["news.acme.org"] = [f"v=spf1 ip4:{HERE} -all"]
    dns.others[("news.acme.org", "MX")] = ["10 mx1.acme.org."]
    assert findings(dns, service("anna@news.acme.org"), keys=()) == []
    dns.records["_dmarc.acme.org"] = ["v=DMARC1; p=reject"]
    assert "that is forwarded is rejected" in only(dns, service("anna@news.acme.org"), keys=()).message


def test_what_a_provider_signs_with_is_not_guessed(dns: DnsServer) -> None:
    assert findings(dns, service(dkim="server", bounce_address="b+{token}@acme.org"), keys=()) == []


def test_a_provider_with_a_return_path_of_its_own_is_not_asked_about_ours(dns: DnsServer) -> None:
    dns.records["acme.org"] = []
    assert findings(dns, service(host="email-smtp.eu-west-1.amazonaws.com"), keys=()) == []
    assert (
        "there is no record"
        in only(dns, service(host="smtp.sendgrid.net", bounce_address="b+{token}@acme.org")).message
    )


@pytest.mark.parametrize(
    ("names_of_it", "address", "said"),
    [
        ([], HERE, "has no name"),
        (["out.acme.org."], "192.0.2.99", "its name out.acme.org does not lead back to it"),
    ],
)
def test_this_hosts_address_must_have_a_name_that_leads_back(
    dns: DnsServer, names_of_it: list[str], address: str, said: str
) -> None:
    dns.others[("7.113.0.203.in-addr.arpa", "PTR")] = names_of_it
    dns.others[("out.acme.org", "A")] = [address]
    finding = only(dns)
    assert (finding.severity, finding.subject) == ("error", f"PTR of {HERE}")
    assert said in finding.message
    assert findings(dns, service(host="smtp.gmail.com")) == []  # then it is the provider's business


def test_examples_and_what_sends_nothing_are_left_out(dns: DnsServer) -> None:
    dns.asked.clear()
    console = Service(2, "dry", "console", "anna@acme.org")
    assert findings(dns, service("anna@shop.example"), console) == []
    assert dns.asked == []


@pytest.mark.costly
def test_a_silent_server_is_trouble_not_a_verdict(dns: DnsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "LIMIT_SECONDS", 0.3)
    dns.behave = "silent"
    found = sender_dns.senders([service()], [KEY], lambda _host: False)
    answers = ask_all(sender_dns.questions(found, Names(dns.address), []), 5)
    assert set(answers) == {"SPF of acme.org", "MX of acme.org", "DMARC of acme.org"}
    assert all(isinstance(answer, Unreachable) for answer in answers.values())
