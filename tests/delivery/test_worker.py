"""A sender process in trouble: its database away, its rows in doubt, its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pymysql
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from coldsend import clock
from coldsend.config.loading import load
from coldsend.config.secrets import load_key_ring
from coldsend.database.engine import Database
from coldsend.database.tables import task_contacts, workers
from coldsend.delivery.rescue import Rescuer
from coldsend.delivery.view import OpenTask, View
from coldsend.delivery.worker import Worker
from coldsend.planning import lifecycle
from tests.acceptance.scenario import Scenario, assert_nobody_twice
from tests.conftest import Project
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]


class Troubled:
    """An engine that can be told to be away, or to lose the connection at each COMMIT."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self.away = False
        self.loses_commits = False
        self.ends_with: Exception | None = None
        self.asked: list[float] = []  # when, by the steady clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def connect(self) -> Connection:
        self._ask()
        return self._engine.connect()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        self._ask()
        with self._engine.begin() as connection:
            yield connection
        if self.loses_commits:
            raise OperationalError("COMMIT", None, pymysql.err.OperationalError(2013, "lost, for the test"))

    def _ask(self) -> None:
        if self.ends_with is not None:
            raise self.ends_with
        if self.away:
            self.asked.append(clock.monotonic())
            raise OperationalError("connect", None, pymysql.err.OperationalError(2003, "away, for the test"))


class Running:
    """A worker in a thread of its own, with a campaign that is ready to be sent."""

    def __init__(self, project: Project, server: RecordingServer, recipients: int, **service: Any) -> None:
        self.scenario = Scenario(project)
        self.scenario.service("alpha", server, **service)
        self.scenario.templates(1)
        self.scenario.contacts(recipients)
        self.scenario.campaign()
        lifecycle.activate_due(project.database, clock.now())
        lifecycle.expand_due(project.database, clock.now())
        settings = load(str(project.config), environ={})
        self.database = Database(project.url)
        self.trouble = Troubled(self.database.engine)
        self.database.engine = self.trouble  # type: ignore[assignment]
        self.stop = threading.Event()
        self.worker = Worker(settings, load_key_ring(settings), self.database, self.stop.is_set)
        self.ended_with: list[Exception] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.worker.run()
        except Exception as error:
            self.ended_with.append(error)

    def until(self, true: Callable[[], bool]) -> None:
        ends = time.monotonic() + 120
        while not true():
            assert time.monotonic() < ends, f"not within 120 s: {self.scenario.statuses()}"
            time.sleep(0.01)

    def end(self) -> None:
        self.stop.set()
        self._thread.join(120)
        assert not self._thread.is_alive()
        self.database.dispose()
        assert [error for error in self.ended_with if error is not self.trouble.ends_with] == []


def test_a_database_that_is_away_is_asked_now_and_then_and_what_was_answered_is_not_lost(
    project: Project, smtp_server: RecordingServer
) -> None:
    smtp_server.control(latency={"final": 0.05})
    running = Running(project, smtp_server, 120)
    smtp_server.wait_for(20)
    running.trouble.away = True
    running.until(lambda: len(running.trouble.asked) >= 4)
    assert running.trouble.asked[3] - running.trouble.asked[0] > 1, "it does not ask again and again"
    running.trouble.away = False
    running.until(lambda: running.scenario.count("sent") == 120)
    running.end()
    assert_nobody_twice(smtp_server.messages())
    assert len(smtp_server.messages()) == 120


def test_rows_whose_commit_was_in_doubt_are_not_left_behind_at_the_end(
    project: Project, smtp_server: RecordingServer
) -> None:
    running = Running(project, smtp_server, 40, throttle_sec=0)
    running.until(lambda: running.scenario.count("sent") == 40)
    project.run("contact", "add", "late@example.com", "--tag", "lead")
    # Only turns are in trouble: a look at the world that fails every second would leave no time for one.
    running.worker._refreshed = float("inf")
    running.trouble.loses_commits = True
    project.run("task", "expand", "spring/intro")
    running.until(lambda: running.scenario.count("sending") == 1)
    running.stop.set()
    running.until(lambda: bool(running.worker._lanes._closing or not running.worker._lanes._lanes))
    running.trouble.loses_commits = False
    running.end()
    assert running.scenario.count("sending") == 0
    with project.database.read() as connection:
        left = connection.execute(sa.select(workers.c.id).where(workers.c.stopped_at.is_(None))).all()
        assert left == []
        status = sa.select(task_contacts.c.status).where(task_contacts.c.message_id.is_(None))
        assert connection.execute(status).scalars().all() == ["pending"]


def test_a_worker_that_ends_by_an_error_leaves_every_answer_to_its_rescuer(
    project: Project, smtp_server: RecordingServer
) -> None:
    smtp_server.control(latency={"final": 0.5})
    running = Running(project, smtp_server, 60, throttle_sec=0, connections=10)
    smtp_server.wait_for(15)
    running.trouble.ends_with = ArithmeticError("a bug, for the test")
    running.until(lambda: bool(running.ended_with))
    running.end()
    accepted = len(smtp_server.messages())
    assert accepted > 0
    settings = load(str(project.config), environ={})
    rescuer = Rescuer(project.database, settings.state_dir, settings.delivery.lease_seconds, own_id=0)
    assert rescuer.rescue_own_host() == 1
    statuses = running.scenario.statuses()
    assert (statuses["sent"], statuses.get("pending", 0)) == (accepted, 60 - accepted)


@pytest.mark.parametrize("throttle", [0, 0.05])
def test_what_a_stopped_worker_has_not_sent_waits(
    project: Project, smtp_server: RecordingServer, throttle: float
) -> None:
    smtp_server.control(latency={"final": 0.05})
    running = Running(project, smtp_server, 100, throttle_sec=throttle)
    smtp_server.wait_for(5)
    running.end()
    statuses = running.scenario.statuses()
    assert statuses["sent"] == len(smtp_server.messages())
    assert statuses.get("pending", 0) == 100 - statuses["sent"]


def test_a_service_that_was_added_while_the_view_was_read_is_left_for_the_next_one() -> None:
    view = View(services={}, tasks=[OpenTask(1, 1, frozenset({5}))])
    assert view.wanted() == set()
