"""A host that must not send is stopped before it begins: a wrong clock, a copied state directory."""

from __future__ import annotations

import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coldsend import clock
from coldsend.config.loading import load
from coldsend.config.settings import Settings
from coldsend.daemon import hosts as checks
from coldsend.daemon.hosts import HostUnfit, require_fit
from coldsend.database.engine import Database
from coldsend.delivery import journal as journals
from coldsend.delivery.journal import Journal
from coldsend.installation import hosts
from coldsend.stores import workers
from tests.conftest import Project


@pytest.fixture
def settings(project: Project) -> Settings:
    return load(str(project.config), environ={})


def registered(database: Database, state_dir: Path, host: str = "") -> tuple[int, datetime]:
    """A process of the host that ``state_dir`` names."""
    now = clock.now()
    worker_id = database.run(
        lambda connection: workers.register(
            connection,
            kind="sender",
            host=host or socket.gethostname(),
            host_id=journals.host_id(state_dir),
            pid=1,
            now=now,
            lease_seconds=60,
        )
    )
    return worker_id, now


@contextmanager
def beating(database: Database, worker_id: int) -> Iterator[None]:
    """The process lives, wherever it is."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(0.1):
            database.run(lambda connection: workers.beat(connection, worker_id, clock.now(), 60, {}))

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_copied_state_directory_is_refused_while_the_original_lives(
    project: Project, settings: Settings
) -> None:
    original = settings.state_dir.with_name("original")
    worker_id, started_at = registered(project.database, original, "elsewhere")
    journal = Journal(original, worker_id, started_at)
    shutil.copytree(original, settings.state_dir)
    with beating(project.database, worker_id), pytest.raises(HostUnfit) as raised:
        require_fit(project.database, settings)
    assert "is a copy: sender 1 (host elsewhere, pid 1) lives" in raised.value.message
    journal.close(remove=True)


def test_a_copy_made_before_the_process_started_is_refused_too(project: Project, settings: Settings) -> None:
    original = settings.state_dir.with_name("original")
    journals.host_id(original)
    shutil.copytree(original, settings.state_dir)
    worker_id, started_at = registered(project.database, original, "elsewhere")
    journal = Journal(original, worker_id, started_at)
    with beating(project.database, worker_id), pytest.raises(HostUnfit, match="is a copy"):
        require_fit(project.database, settings)
    journal.close(remove=True)


def test_own_processes_that_live_are_no_strangers(project: Project, settings: Settings) -> None:
    worker_id, started_at = registered(project.database, settings.state_dir)
    journal = Journal(settings.state_dir, worker_id, started_at)
    with beating(project.database, worker_id):
        require_fit(project.database, settings, watch_seconds=1)
    journal.close(remove=True)


def test_after_a_kill_nobody_waits(project: Project, settings: Settings) -> None:
    worker_id, started_at = registered(project.database, settings.state_dir)
    Journal(settings.state_dir, worker_id, started_at).close(remove=False)
    begun = clock.monotonic()
    require_fit(project.database, settings, watch_seconds=200)
    assert clock.monotonic() - begun < 100


@pytest.mark.costly
def test_a_process_that_died_elsewhere_with_this_identity_holds_up_nobody_for_long(
    project: Project, settings: Settings
) -> None:
    registered(project.database, settings.state_dir, "elsewhere")
    require_fit(project.database, settings, watch_seconds=0.5)


@pytest.mark.parametrize("command", [("worker", "run"), ("scheduler", "run")])
def test_a_host_with_a_wrong_clock_does_not_begin(
    mariadb_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, str]
) -> None:
    project = Project(tmp_path, mariadb_url)
    wrong = datetime.now(UTC) + timedelta(hours=1)
    monkeypatch.setattr(hosts.clock_findings, "__defaults__", (lambda: wrong,))
    result = project.run(*command, "--json", check=False)
    assert result.code == 4
    assert result.error["code"] == "host_unfit"
    assert "ahead of the database server" in result.error["message"]
    assert project.json("worker", "list") == []
    project.database.dispose()


def test_what_is_doubtful_is_logged_and_stops_nothing(
    project: Project, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(checks.logbook, "host_doubtful", lambda subject, *_: told.append(subject))
    monkeypatch.setattr(hosts, "file_system", lambda *_: "nfs4")
    require_fit(project.database, settings)
    assert told == ["state_dir"]
