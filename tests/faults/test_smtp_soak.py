"""A mail server that misbehaves at random, for minutes: at any point, in any way, restarts and silence too.

SOAK_MINUTES (10) says how long, SOAK_SEED repeats a run's decisions.
"""

from __future__ import annotations

import os
import random
import time
from typing import Any

import pytest

from tests.acceptance.scenario import Scenario
from tests.faults import trouble
from tests.faults.oracle import assert_intact
from tests.faults.trouble import (
    CLOSING,
    DRIPPING,
    FLOODING,
    GARBAGE,
    HUNG_UP,
    OVERLONG,
    RESET,
    SILENT,
    Deed,
)
from tests.servers.proxy import Proxy
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.soak]

MINUTES = float(os.environ.get("SOAK_MINUTES", "10"))
CONNECTIONS = 4
SERVICES = ("alpha", "beta")
POINTS = ("connect", "ehlo", "mail", "rcpt", "data", "body", "final")
CUT: tuple[Deed, ...] = (SILENT, RESET, HUNG_UP, CLOSING)
DEEDS: tuple[Deed, ...] = (
    *CUT,
    DRIPPING,
    GARBAGE,
    OVERLONG,
    FLOODING,
    {"do": "reply", "reply": "451 4.3.0 local trouble"},
    {"do": "reply", "reply": "450 4.2.0 greylisted, try again later"},
    {"do": "reply", "reply": "550 5.1.1 no such user"},
    {"do": "late", "seconds": 0.01, "bytes": "421 4.4.2 idle for too long\r\n"},
    {"do": "delay", "seconds": 0.3},
)
LIES: tuple[Deed, ...] = (
    {"do": "reply", "reply": "354 go on"},
    {"do": "raw", "bytes": "250 2.0.0 fine\r\n250 2.0.0 fine\r\n"},
    {"do": "raw", "bytes": "250-well\r\n550 no\r\n"},
)


def deeds_at(point: str) -> tuple[Deed, ...]:
    """What a server may do there. One that answers a body before its end, and then takes it, lies beyond what
    anybody could tell from the wire; and one that forgets what it has accepted makes it look our fault."""
    if point == "body":
        return CUT
    return DEEDS + LIES if point == "final" else DEEDS


class Weather:
    """What happens to the servers, and how many messages it may leave in doubt."""

    def __init__(self, chance: random.Random, servers: list[RecordingServer], proxies: list[Proxy]) -> None:
        self.chance, self.servers, self.proxies = chance, servers, proxies
        self.in_doubt = 0

    def change(self) -> None:
        self.chance.choices([self.misbehave, self.calm, self.restart, self.strand], [8, 4, 1, 1])[0]()

    def misbehave(self) -> None:
        """A few faults, each a few times. One that strikes a message with its dot out leaves it in doubt, and
        one out of step with the envelope behind it may do so with the message before."""
        faults: list[dict[str, Any]] = []
        for _ in range(self.chance.randint(1, 4)):
            times = self.chance.randint(1, 4)
            point = self.chance.choice(POINTS)
            fault = {"at": point, "times": times, "skip": self.chance.randint(0, 20)}
            fault |= self.chance.choice(deeds_at(point))
            if fault["at"] == "final":
                fault["recorded"] = self._recorded(fault)
            self.in_doubt += 2 * times
            faults.append(fault)
        self.chance.choice(self.servers).control(faults=faults)

    def _recorded(self, fault: dict[str, Any]) -> bool:
        """A server that says yes has taken the message, one that says no has not; else either."""
        said = str(fault.get("reply", fault.get("bytes", "")))
        if fault["do"] in ("late", "delay") or said.startswith("250 "):
            return True
        if said[:1] in ("4", "5"):
            return False
        return self.chance.random() < 0.5

    def calm(self) -> None:
        for server in self.servers:
            server.control(faults=[])

    def restart(self) -> None:
        self.in_doubt += 2 * CONNECTIONS
        server = self.chance.choice(self.servers)
        server.stop()
        time.sleep(self.chance.uniform(0, 2))  # the outage itself lasts so long
        server.start()
        server.control(faults=[])

    def strand(self) -> None:
        self.in_doubt += 2 * CONNECTIONS
        self.chance.choice(self.proxies).strand()


def test_servers_that_misbehave_at_random(scenario: Scenario) -> None:
    seed = int(os.environ.get("SOAK_SEED", random.randrange(2**32)))
    print(f"SOAK_SEED={seed}")
    chance = random.Random(seed)
    recipients = int(3_000 * MINUTES) + 500
    trouble.impatient(scenario)
    with (
        RecordingServer(latency={"final": 0.05}) as alpha,
        RecordingServer(latency={"final": 0.05}, pipelining=False) as beta,
        Proxy(alpha.port) as near_alpha,
        Proxy(beta.port) as near_beta,
    ):
        servers = [alpha, beta]
        for name, proxy in zip(SERVICES, (near_alpha, near_beta), strict=True):
            trouble.add_service(scenario, name, proxy.port, connections=CONNECTIONS)
        trouble.prepare(scenario, recipients)
        weather = Weather(chance, servers, [near_alpha, near_beta])
        process = trouble.start(scenario)
        ends = time.monotonic() + 60 * MINUTES
        while time.monotonic() < ends and not trouble.ended(scenario):
            time.sleep(chance.uniform(0.1, 2))  # the pace of the weather
            weather.change()
            moment = trouble.next_event(scenario)
            if moment is not None:
                scenario.jump((moment - trouble.now(scenario)).total_seconds() + 1)
        weather.calm()
        trouble.keep_going(scenario, leaps=500, patience=120)
        trouble.stop(process)
        assert_intact(scenario, *servers, recipients=recipients, unknown=weather.in_doubt)
    assert trouble.log(scenario, "unexpected_error") == []
