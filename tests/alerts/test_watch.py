"""One round looks and tells; the scheduler, the web part and cron make rounds, and none dies of one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend import clock
from coldsend.alerts import watch
from coldsend.alerts.watch import Watch, beside
from coldsend.config.settings import AlertsSettings, Settings
from coldsend.daemon.jobs import Jobs
from coldsend.database.engine import Database
from coldsend.database.tables import alert_deliveries, alerts, sender_services
from coldsend.domain.alert_targets import written_secret
from tests.conftest import Project
from tests.planning.world import NOW, SETTINGS, World
from tests.servers.http import Receiver, Request

pytestmark = pytest.mark.costly

SECRET = written_secret(bytes(32))


def settings(receiver: Receiver, **values: Any) -> Settings:
    given = {"webhooks": f"ops={receiver.url}", "webhook_secret": SECRET, **values}
    return replace(SETTINGS, alerts=replace(AlertsSettings(), **given))


def told(receiver: Receiver) -> list[tuple[str, str]]:
    documents = [json.loads(request.body) for request in receiver.requests]
    return [(document["type"], document["data"]["title"]) for document in documents]


def test_a_round_sees_what_is_wrong_and_tells_it(world: World, receiver: Receiver) -> None:
    service = world.service("main", health_status="frozen", frozen_code="errors", frozen_reason="535 no")
    moments = [NOW]
    rounds = Watch(world.database, settings(receiver), now=lambda: moments[0])
    first = rounds.round()
    assert (first.seen.raised, first.delivered.done) == (("service 'main' is frozen",), 2)
    world.change(sender_services, service, health_status="active")
    moments[0] += timedelta(minutes=1)
    second = rounds.round()
    assert (second.seen.cleared, second.delivered.done) == (("service 'main' sends again",), 2)
    assert told(receiver) == [
        ("alert.raised", "service 'main' is frozen"),
        ("alert.cleared", "service 'main' sends again"),
    ]
    assert rounds.round() == watch.Round()


def test_the_scheduler_that_leads_makes_rounds_and_no_other(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    World(database).service("main", health_status="frozen", frozen_code="errors")
    given = replace(settings(receiver), state_dir=tmp_path)
    one, two = Jobs(given, database, lambda: False), Jobs(given, database, lambda: False)
    for each in (one, two):
        each.register()
    two.watch()
    assert receiver.requests == []
    one.last_round()
    assert told(receiver) == [("alert.raised", "service 'main' is frozen")]
    assert "alerts" in [name for name, _seconds, _job in one.table()]
    one.sign_off()
    two.sign_off()


def test_beside_something_else_rounds_go_on_though_one_fails(
    quick_world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, failures = Watch.round, []

    def shaky(self: Watch) -> watch.Round:
        if len(failures) < 2:
            failures.append(True)
            raise ZeroDivisionError
        return original(self)

    monkeypatch.setattr(Watch, "round", shaky)
    quick_world.service("main", health_status="frozen", frozen_code="errors")
    with beside(quick_world.database, settings(receiver), seconds=0.01):
        ends = clock.monotonic() + 120
        while not receiver.requests:
            assert clock.monotonic() < ends
    assert len(failures) == 2
    assert told(receiver) == [("alert.raised", "service 'main' is frozen")]


def configure(project: Project, receiver: Receiver) -> None:
    text = project.config.read_text()
    project.config.write_text(
        f'{text}[alerts]\nwebhooks = "ops={receiver.url}"\nwebhook_secret = "{SECRET}"\n'
        'kinds = "service_frozen, campaign_done"\n'
    )


@pytest.mark.slow
def test_whoever_is_killed_while_it_tells_leaves_nothing_untold(
    sqlite_project: Project, receiver: Receiver
) -> None:
    configure(sqlite_project, receiver)
    World(sqlite_project.database).service("main", health_status="frozen", frozen_code="errors")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    victims: list[subprocess.Popen[str]] = []

    def kill(_request: Request) -> None:
        if len(receiver.requests) == 1:
            os.kill(victims[0].pid, signal.SIGKILL)

    receiver.on_request = kill
    victims.append(sqlite_project.start("alert", "check", **quiet))
    assert victims[0].wait(120) == -signal.SIGKILL
    [first] = receiver.requests
    with sqlite_project.database.begin() as connection:
        [status] = connection.execute(
            sa.select(alert_deliveries.c.status).where(alert_deliveries.c.target == "webhook:ops")
        ).scalars()
        assert status == "pending", "it died before it could write that it was taken"
        # What the five minutes of its claim are worth.
        connection.execute(sa.update(alert_deliveries).values(next_at=clock.now()))
    assert sqlite_project.start("alert", "check", **quiet).wait(120) == 0
    again = receiver.requests[1]
    assert again.headers["webhook-id"] == first.headers["webhook-id"]
    assert again.body == first.body
    assert len(sqlite_project.json("alert", "list")) == 1


@pytest.mark.slow
def test_a_scheduler_that_runs_until_idle_tells_that_a_campaign_is_done(
    sqlite_project: Project, receiver: Receiver
) -> None:
    configure(sqlite_project, receiver)
    sqlite_project.write("hello.html", "<p>Hello</p>")
    for line in (
        "service add main --type console --from a@example.com --daily-quota 50 --throttle-sec 0",
        "contact add bob@example.com",
        "template add hello --subject Hello --body-file hello.html",
        "template-set create hellos --template hello",
        "campaign create spring",
        "task create spring intro --template-set hellos --rule everyone",
        "campaign start spring",
    ):
        sqlite_project.run(*line.split())
    with (sqlite_project.folder / "log").open("w") as log:
        process = sqlite_project.start("scheduler", "run", "--until-idle", stdout=log, stderr=log)
    with contextlib.closing(_Ending(process)):
        assert process.wait(240) == 0, (sqlite_project.folder / "log").read_text()
    assert told(receiver) == [("alert.raised", "campaign 'spring' is done")]
    with sqlite_project.database.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(alerts)).scalar() == 1
    assert "alert_raised kind=campaign_done" in (sqlite_project.folder / "log").read_text()


class _Ending:
    """Ends a process that a failed test would leave behind."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def close(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(60)
