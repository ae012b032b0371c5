"""Workers of three hosts at one MariaDB: they share the work, and one host that is lost costs little."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from coldsend.database.tables import task_contacts, workers
from coldsend.stores.ledger import worker_of
from tests.acceptance.scenario import Scenario
from tests.conftest import Project
from tests.faults.hosts import Host, end, kill, until
from tests.faults.oracle import assert_intact
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

CONNECTIONS = 6
LATENCY = 0.08  # seconds the server takes for a message
LEASE = 8


@pytest.fixture
def scenario(tmp_path: Path, mariadb_url: str) -> Iterator[Scenario]:
    made = Scenario(Project(tmp_path, mariadb_url))
    yield made
    made.close()
    made.project.database.dispose()


def prepared(scenario: Scenario, server: RecordingServer, recipients: int, **service: object) -> list[Host]:
    """A campaign that has started, and three hosts."""
    server.control(latency={"final": LATENCY})
    scenario.service("alpha", server, **{"connections": CONNECTIONS, **service})
    scenario.templates(2)
    scenario.contacts(recipients)
    scenario.campaign()
    return [Host(scenario, number, delivery_lease_seconds=LEASE) for number in (1, 2, 3)]


def taken(server: RecordingServer) -> int:
    return server.record.read_bytes().count(b"\n")


def ended(scenario: Scenario, recipients: int) -> bool:
    return scenario.count("sent") + scenario.count("unknown") == recipients


def sent_by(scenario: Scenario) -> Counter[str]:
    """How many rows each host has sent."""
    with scenario.project.database.read() as connection:
        hosts = {row[0]: row[1] for row in connection.execute(sa.select(workers.c.id, workers.c.host_id))}
        tokens = connection.execute(
            sa.select(task_contacts.c.claim_token).where(task_contacts.c.status == "sent")
        ).scalars()
        return Counter(hosts[worker_of(token)] for token in tokens)


def test_hosts_share_the_work_and_each_row_is_sent_by_one(
    scenario: Scenario, server: RecordingServer
) -> None:
    recipients = 2_000
    hosts = prepared(scenario, server, recipients)
    senders = [host.worker() for host in hosts]
    until(lambda: len(scenario.sender_pids()) == 3, "all hosts are there", hosts)
    scheduler = hosts[0].scheduler()
    until(lambda: ended(scenario, recipients), "everything has ended", hosts)
    end(scheduler, *senders)
    assert_intact(scenario, server, recipients=recipients)
    shares = sent_by(scenario)
    assert len(shares) == 3
    # How much each does is up to the machine: a third where it is fair.
    assert min(shares.values()) > recipients / 50, f"nobody stood by while others worked: {shares}"


def test_a_host_that_is_lost_is_given_up_after_a_lease_and_settled_when_it_comes_back(
    scenario: Scenario, server: RecordingServer
) -> None:
    recipients = 3_500
    hosts = prepared(scenario, server, recipients)
    lost, *others = hosts
    senders = [host.worker() for host in others]
    gone = lost.worker()
    scheduler = others[0].scheduler()
    until(lambda: len(scenario.sender_pids()) == 3, "all hosts are there", hosts)
    begun = taken(server)
    until(lambda: taken(server) > begun + 300, "300 messages", hosts)
    kill(gone)  # and nobody on that host is left to look after it
    until(lambda: others[0].events("worker_rescued") != [], "the lost host's worker is given up", hosts)
    in_doubt = scenario.count("unknown")
    # A host claims up to a second of work, by a rate that may have risen as far as the server lets
    # it; another second is for answers that a busy machine had not written yet.
    second = CONNECTIONS / LATENCY
    assert 0 < in_doubt <= 2 * second, "about a second of its own work, no more"
    assert not ended(scenario, recipients), "the others go on"
    back = lost.worker()  # its journal tells what became of those rows
    until(lambda: scenario.count("unknown") <= CONNECTIONS, "what was answered is known again", hosts)
    until(lambda: ended(scenario, recipients), "what was never sent is sent", hosts)
    end(scheduler, back, *senders)
    assert_intact(scenario, server, recipients=recipients, unknown=CONNECTIONS)
    for host in hosts:
        host.assert_no_bug()


def test_a_throttled_service_of_a_lost_host_goes_on_elsewhere_and_its_gap_is_kept(
    scenario: Scenario, server: RecordingServer
) -> None:
    recipients = 16
    hosts = prepared(scenario, server, recipients, throttle_sec=0.5, connections=1)
    first = hosts[0].worker()
    scheduler = hosts[1].scheduler()
    until(lambda: taken(server) >= 4, "the first host owns the service and sends", hosts)
    second = hosts[1].worker()
    kill(first)
    until(lambda: ended(scenario, recipients), "the other owns it and ends the work", hosts)
    end(scheduler, second)
    assert_intact(scenario, server, recipients=recipients, unknown=1)
    arrived = [message.monotonic for message in server.messages()]
    gaps = [later - earlier for earlier, later in itertools.pairwise(arrived)]
    assert min(gaps) >= 0.5
