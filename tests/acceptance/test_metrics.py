"""Metrics of a real scheduler, scraped over HTTP while it sends and its senders are killed."""

from __future__ import annotations

import os
import signal
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from coldsend.metrics.catalogue import METRICS
from tests.acceptance.scenario import Scenario
from tests.conftest import Project
from tests.servers.ports import free_port
from tests.servers.proxy import Proxy
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def get(port: int, path: str = "/metrics") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def scrape(port: int) -> Samples:
    """All samples now; none where nobody listens yet."""
    try:
        status, text = get(port)
    except OSError:
        return {}
    assert status == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    """A sample's value; several that have these labels added up, 0 where there is none."""
    wanted = set(labels.items())
    return sum(number for (each, given), number in samples.items() if each == name and wanted <= given)


class Scraping:
    """Scrapes again and again in a thread; every counter must only ever rise."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.last: Samples = {}
        self.fallen: list[str] = []
        self.scrapes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    @contextmanager
    def running(self) -> Iterator[Scraping]:
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            found = scrape(self.port)
            if found:
                self.scrapes += 1
                self.fallen += [
                    f"{key}: {before} -> {found.get(key)}"
                    for key, before in self.last.items()
                    if key[0].startswith("coldsend_")
                    and key[0].endswith(("_total", "_bucket", "_count"))
                    and found.get(key, 0) < before
                ]
                self.last = found


@pytest.fixture
def embedded(sqlite_project: Project) -> Iterator[Scenario]:
    """A scenario on SQLite only."""
    made = Scenario(sqlite_project)
    yield made
    made.close()


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)  # the database has no part in it
def test_a_scheduler_shows_the_sum_of_its_senders_whatever_becomes_of_them(
    scenario: Scenario, server: RecordingServer
) -> None:
    server.control(latency={"final": 0.01})
    port = free_port()
    scenario.environ["COLDSEND_METRICS_PORT"] = str(port)
    scenario.service("alpha", server, connections=4)
    scenario.service("beta", server, connections=4)
    scenario.templates(1)
    scenario.contacts(3_000)
    scenario.campaign()
    with Scraping(port).running() as scraping:
        scheduler = scenario.command("scheduler", "run", "--workers", "2")
        scenario.until(
            lambda: value(scraping.last, "coldsend_messages_total", outcome="sent") > 300, "counted"
        )
        # One may be up and sending before the other has started.
        scenario.until(lambda: value(scraping.last, "coldsend_sender_processes") == 2, "both are seen")
        scenario.until(lambda: get(port, "/healthz") == (200, "ok\n"), "healthy")
        os.kill(scenario.sender_pids()[0], signal.SIGKILL)
        scenario.until(lambda: scenario.count("pending", "sending") == 0, "all sent", 600)
        recorded = len(server.messages())
        lost = 3_000 / 2  # a second of a killed process cannot be more than all that one process sent
        scenario.until(
            lambda: value(scraping.last, "coldsend_messages_total", outcome="sent") > recorded - lost,
            "counted",
        )
        # The survey may be some seconds old.
        scenario.until(lambda: value(scraping.last, "coldsend_tasks", status="finished") == 1, "seen to end")
        scenario.until(lambda: value(scraping.last, "coldsend_rows_held") == 0, "none is held")
        last = scraping.last
        scheduler.send_signal(signal.SIGTERM)
        assert scheduler.wait(60) == 0
    assert scraping.fallen == []
    assert scraping.scrapes > 3
    sent = value(last, "coldsend_messages_total", outcome="sent")
    assert recorded - lost < sent <= recorded
    assert value(last, "coldsend_send_duration_seconds_count") >= sent
    assert value(last, "coldsend_connections_opened_total", service="alpha") >= 4
    assert value(last, "coldsend_events_total", event="worker_process_ended") == 1
    assert value(last, "coldsend_rows_held") == 0
    assert value(last, "coldsend_database_up") == 1
    assert value(last, "coldsend_scheduler_leads") == 1
    assert value(last, "coldsend_service_quota_used", service="alpha") > 0
    assert value(last, "coldsend_job_runs_total", job="plan", outcome="done") > 0
    families = {name for name, _ in last if name.startswith("coldsend_")}
    assert {name for name in METRICS if not any(name in family for family in families)} <= {
        "coldsend_failures_total",
        "coldsend_transactions_repeated_total",
        # An alert, of the sender that was lost, may come after we looked.
        "coldsend_alert_deliveries_total",
        # Nothing came back, and the web part has a port of its own.
        "coldsend_feedback_total",
        "coldsend_web_hits_total",
        "coldsend_web_spool_bytes",
        "coldsend_web_spool_age_seconds",
    }, "nothing in the catalogue is without numbers but what did not happen"


def test_a_port_in_use_is_a_warning_and_mail_goes_out(embedded: Scenario, server: RecordingServer) -> None:
    scenario = embedded
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        scenario.environ["COLDSEND_METRICS_PORT"] = str(taken.getsockname()[1])
        scenario.service("alpha", server)
        scenario.templates(1)
        scenario.contacts(20)
        scenario.campaign()
        scenario.run_until_idle()
    assert len(server.messages()) == 20
    log = scenario.logs.read_text()
    assert log.count("metrics_unavailable") == 1
    assert "COLDSEND_METRICS_PORT" in log


def test_a_sender_of_its_own_shows_its_numbers(embedded: Scenario, server: RecordingServer) -> None:
    scenario = embedded
    port = free_port()
    scenario.service("alpha", server)
    scenario.templates(1)
    scenario.contacts(50)
    scenario.campaign()
    scenario.command("scheduler", "run", "--workers", "0")
    scenario.environ["COLDSEND_METRICS_PORT"] = str(port)
    worker = scenario.command("worker", "run")
    scenario.until(lambda: value(scrape(port), "coldsend_messages_total", service="alpha") == 50, "counted")
    assert value(scrape(port), "coldsend_sender_processes") == 1
    scenario.until(lambda: get(port, "/healthz")[0] == 200, "healthy")
    assert get(port, "/elsewhere")[0] == 404
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0


@pytest.fixture
def hosted(mariadb_url: str, tmp_path: Path) -> Iterator[Scenario]:
    """A scenario on MariaDB only."""
    project = Project(tmp_path, mariadb_url)
    made = Scenario(project)
    yield made
    made.close()
    project.database.dispose()


def test_a_database_that_hangs_is_shown_as_away_and_the_scrape_is_answered(
    hosted: Scenario, mariadb_url: str
) -> None:
    scenario = hosted
    port = free_port()
    address = mariadb_url.split("@")[1].split("/", maxsplit=1)[0]
    with Proxy(int(address.rpartition(":")[2])) as proxy:
        scenario.environ["COLDSEND_METRICS_PORT"] = str(port)
        scenario.environ["COLDSEND_DATABASE_URL"] = mariadb_url.replace(address, f"127.0.0.1:{proxy.port}")
        scenario.environ["COLDSEND_DELIVERY_LEASE_SECONDS"] = "5"
        scenario.command("scheduler", "run", "--workers", "0")
        # Up, and through with starting: a database that hangs before that ends the process, with an error.
        scenario.until(lambda: value(scrape(port), "coldsend_job_runs_total", outcome="done") > 0, "at work")
        scenario.until(lambda: value(scrape(port), "coldsend_database_up") == 1, "up")
        proxy.hang()
        scenario.until(lambda: get(port, "/healthz")[0] == 503, "the heartbeat is missed")
        scenario.until(lambda: value(scrape(port), "coldsend_database_up") == 0, "away")
        # A loaded machine may take its time, or a connection: it is asked until it has answered.
        scenario.until(lambda: value(scrape(port), "coldsend_job_runs_total") > 0, "served all the same")
