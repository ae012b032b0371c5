"""A worker signs with the keys in force: all mail verifies, and changes of keys are taken over meanwhile."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from coldsend import clock
from coldsend.config.loading import load
from coldsend.config.secrets import KeyRing, load_key_ring
from coldsend.database.engine import Database
from coldsend.database.tables import dkim_keys
from coldsend.delivery.worker import Worker
from coldsend.planning import lifecycle
from tests.acceptance.scenario import Scenario, assert_nobody_twice
from tests.composing.verifiers import by_dkimpy
from tests.conftest import Project
from tests.servers.smtp import RecordingServer

pytestmark = pytest.mark.slow


class Sending:
    """A campaign that is ready to be sent through a server that keeps the messages."""

    def __init__(self, project: Project, server: RecordingServer, folder: Path, recipients: int) -> None:
        self.project, self.server, self.folder = project, server, folder
        self.records: dict[str, str] = {}
        self.scenario = Scenario(project)
        self.scenario.service("alpha", server, throttle_sec=0.05)
        self.scenario.templates(1)
        self.scenario.contacts(recipients)
        self.scenario.campaign()
        lifecycle.activate_due(project.database, clock.now())
        lifecycle.expand_due(project.database, clock.now())

    def add_key(self, selector: str, *options: str) -> None:
        key = self.project.json("dkim", "add", "sender.example", "--selector", selector, *options)
        self.records[selector] = key["record"]["value"]

    def activate(self, selector: str) -> None:
        self.project.run("dkim", "activate", "sender.example", "--selector", selector, "--unchecked")

    def signed_with(self) -> list[tuple[str, ...]]:
        """Selectors of each message taken, in order; every signature is verified."""
        found = []
        for file in sorted(self.folder.glob("*.eml")):
            data = file.read_bytes()
            selectors = re.findall(r"s=([a-z0-9]+);", data.split(b"\r\nFrom:", 1)[0].decode())
            for number, selector in enumerate(selectors):
                assert by_dkimpy(data, self.records[selector], signature=number), data.decode()
            found.append(tuple(selectors))
        return found


@pytest.fixture
def sending(project: Project, tmp_path: Path) -> Iterator[Sending]:
    folder = tmp_path / "taken"
    folder.mkdir()
    with RecordingServer(store=str(folder)) as server:
        yield Sending(project, server, folder, recipients=150)


@contextmanager
def worker(project: Project, keys: KeyRing | None = None) -> Iterator[None]:
    """A worker in a thread of its own."""
    settings = load(str(project.config), environ={})
    database, stop = Database(project.url), threading.Event()
    running = Worker(settings, keys or load_key_ring(settings), database, stop.is_set)
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=120)
        database.dispose()
        assert not thread.is_alive()


def until(true: Callable[[], bool], what: str, deadline: float = 120) -> None:
    ends = time.monotonic() + deadline
    while not true():
        assert time.monotonic() < ends, what
        time.sleep(0.02)


def test_a_new_key_is_taken_over_while_mail_goes_out(sending: Sending) -> None:
    for selector in ("old", "new"):
        sending.add_key(selector)
    sending.activate("old")
    with worker(sending.project):
        sending.server.wait_for(5)
        sending.activate("new")
        until(lambda: ("new",) in sending.signed_with(), "signed with the new key")
    found = sending.signed_with()
    assert set(found) == {("old",), ("new",)}
    assert found == sorted(found, reverse=True), "once the new key signs, the old one signs no more"
    assert_nobody_twice(sending.server.messages())


def test_a_key_activated_for_a_service_that_sends_unsigned_signs_from_then_on(sending: Sending) -> None:
    sending.add_key("one")
    sending.add_key("two", "--algorithm", "ed25519")
    with worker(sending.project):
        sending.server.wait_for(3)
        sending.activate("one")
        sending.activate("two")
        until(lambda: ("one", "two") in sending.signed_with(), "signed with both keys")
    assert sending.signed_with()[0] == ()


def test_a_key_that_does_not_open_holds_the_mail_back_instead_of_sending_it_unsigned(
    sending: Sending,
) -> None:
    sending.add_key("one")
    sending.activate("one")
    with sending.project.database.begin() as connection:
        (sealed,) = connection.execute(sa.select(dkim_keys.c.private_key)).scalars()
        connection.execute(sa.update(dkim_keys).values(private_key={**sealed, "kid": "00000000"}))

    def resting() -> bool:
        shown = sending.project.json("service", "show", "alpha")
        return "needs key 00000000" in (shown["cool_down_reason"] or "")

    with worker(sending.project):
        until(resting, "the service rests and says why")
    assert sending.server.messages() == []
    assert sending.scenario.statuses() == {"pending": 150}


def test_signatures_expire_where_that_is_configured(
    sending: Sending, monkeypatch: pytest.MonkeyPatch
) -> None:
    sending.add_key("one")
    sending.activate("one")
    settings = load(str(sending.project.config), environ={})
    with_expiry = replace(settings, dkim=replace(settings.dkim, expire_days=14.0))
    monkeypatch.setattr(f"{__name__}.load", lambda *_, **__: with_expiry)
    with worker(sending.project):
        sending.server.wait_for(1)
    (first, *_) = sorted(sending.folder.glob("*.eml"))
    made, expires = map(int, re.findall(rb"[tx]=(\d+)", first.read_bytes().split(b"\r\nFrom:", 1)[0]))
    assert expires - made == 14 * 86_400
