"""TLS in trouble: certificates that do not hold, servers that do not encrypt; nothing is ever downgraded."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tests.acceptance.scenario import Scenario
from tests.faults import trouble
from tests.faults.oracle import assert_intact
from tests.servers.certificates import Authority
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

HEALTHY_QUOTA = 60
BROKEN_QUOTA = 20
NAMES = ("self-signed", "expired", "wrong name", "plain text", "garbage", "not offered")
RECIPIENTS = HEALTHY_QUOTA + (len(NAMES) - 1) * BROKEN_QUOTA + 5
HOST = "127.0.0.1"


def test_tls_that_fails_sends_nothing_and_comes_back_when_it_is_mended(
    sqlite_scenario: Scenario, server: RecordingServer, tmp_path: Path
) -> None:
    scenario = sqlite_scenario
    authority = Authority(tmp_path)
    good = authority.issue(HOST)
    renewed = tmp_path / "renewed"
    renewed.mkdir()
    other = Authority(renewed)
    starttls = {"tls": "starttls"}
    implicit = {"tls": "implicit"}
    rules = {
        "self-signed": {**starttls, "certificate": other.issue(HOST, self_signed=True)},
        "expired": {**implicit, "certificate": authority.issue(HOST, expired=True)},
        "wrong name": {**starttls, "certificate": authority.issue("mail.other.example")},
        "plain text": {},
        "garbage": {
            **starttls,
            "certificate": good,
            "faults": [{"at": "starttls", "do": "reply", "reply": "220 2.0.0 go ahead"}],
        },
        "not offered": {**starttls, "certificate": good, "offer_starttls": False},
    }
    modes = {name: "implicit" if name in ("expired", "plain text") else "starttls" for name in NAMES}
    # A server without TLS waits for a line, and the client for its handshake, to the end of its patience.
    trouble.impatient(scenario, f'ca_file = "{authority.ca_file}"\n', patience=10)
    with contextlib.ExitStack() as stack:
        broken = {name: stack.enter_context(RecordingServer(**rules[name])) for name in NAMES}
        for name, one in broken.items():
            trouble.add_service(
                scenario, name.replace(" ", "-"), one.port, daily_quota=BROKEN_QUOTA, tls=modes[name]
            )
        trouble.add_service(scenario, "healthy", server.port, daily_quota=HEALTHY_QUOTA)
        trouble.prepare(scenario, RECIPIENTS)
        process = trouble.start(scenario)
        server.wait_for(HEALTHY_QUOTA)
        services = [name.replace(" ", "-") for name in NAMES]
        trouble.until(
            scenario, lambda: all(trouble.troubled(scenario, name) for name in services), "all have failed"
        )
        assert all(one.messages() == [] for one in broken.values())
        said = "\n".join(trouble.log(scenario, "service_cooling_down"))
        for words in ("self-signed certificate", "certificate has expired", "IP address mismatch"):
            assert words in said
        assert "does not offer STARTTLS" in said

        for name, one in broken.items():
            one.stop()
            one.rules |= {"certificate": [str(file) for file in good], "offer_starttls": True, "faults": []}
            one.rules["tls"] = modes[name]
            one.start()
        trouble.keep_going(scenario)
        trouble.stop(process)
        assert_intact(scenario, server, *broken.values(), recipients=RECIPIENTS, quota=HEALTHY_QUOTA)
        for name, one in broken.items():
            assert one.messages(), f"{name} has come back"
            assert all(message.encrypted for message in one.messages())


def test_a_certificate_that_expires_in_mid_run_and_is_replaced(
    sqlite_scenario: Scenario, tmp_path: Path
) -> None:
    scenario = sqlite_scenario
    authority = Authority(tmp_path)
    good = authority.issue(HOST)
    expired = authority.issue(HOST, expired=True)
    trouble.impatient(scenario, f'ca_file = "{authority.ca_file}"\n', patience=trouble.UNHURRIED)
    with RecordingServer(tls="starttls", certificate=good, latency={"final": 0.02}) as server:
        trouble.add_service(scenario, "alpha", server.port, tls="starttls", max_errors=2)
        trouble.prepare(scenario, 300)
        process = trouble.start(scenario)
        server.wait_for(50)
        server.stop()
        server.rules["certificate"] = [str(file) for file in expired]
        server.start()
        for _ in range(20):  # rests of connections that broke come first
            trouble.until(scenario, lambda: trouble.next_event(scenario) is not None, "everything waits")
            if trouble.log(scenario, "service_frozen"):
                break
            scenario.jump(6 * 60)
        count = len(server.messages())
        waiting = next(iter(trouble.addresses_in(scenario, "pending")))
        assert "certificate has expired" in trouble.gates(scenario, waiting)["service_frozen"]
        # It is probed now and then, and each probe says the same: nothing goes out, nobody is lost.
        scenario.jump(31 * 60)
        trouble.until(scenario, lambda: trouble.next_event(scenario) is not None, "the probe has failed")
        assert len(server.messages()) == count
        server.stop()
        server.rules["certificate"] = [str(file) for file in good]
        server.start()
        trouble.keep_going(scenario)
        trouble.stop(process)
        assert_intact(scenario, server, recipients=300, unknown=4)
