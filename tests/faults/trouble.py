"""What the tests of SMTP and network faults share: an impatient configuration, and how a run is watched.

Deeds are what ``RecordingServer`` calls them; each is done for real, on sockets, to real sender processes.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from coldsend.database.tables import contacts, sender_services, task_contacts, workers
from coldsend.pacing.facts import service_facts
from tests.acceptance.scenario import TASK, Scenario

PATIENCE = 3.0  # seconds: long enough for loopback under load, short enough for many faults in one test
UNHURRIED = 120.0  # where no server is silent: nothing is lost to a machine that is busy
Deed = Mapping[str, Any]
SILENT: Deed = {"do": "hang"}
RESET: Deed = {"do": "rst"}
HUNG_UP: Deed = {"do": "drop"}
DRIPPING: Deed = {"do": "drip", "interval": 1.0}
GARBAGE: Deed = {"do": "raw", "bytes": "\x16\x03\x01\x00 what is this?\r\n"}
OVERLONG: Deed = {"do": "raw", "bytes": "250 " + "x" * 20_000}
FLOODING: Deed = {"do": "raw", "bytes": "250-more of the same, and never an end to it\r\n", "repeat": 4000}
CLOSING: Deed = {"do": "reply", "reply": "421 4.3.2 closing for repairs"}


def impatient(
    scenario: Scenario,
    smtp: str = "",
    more: str = "",
    *,
    patience: float = PATIENCE,
    final: float = UNHURRIED,
) -> None:
    """Short timeouts, at eight in the morning. smtp: further lines of that section; more: other sections.

    patience: seconds for each answer. final: for the one to a final dot, which leaves a row in doubt when it
    does not come; short only where a test makes it so.
    """
    scenario.jump((32 - datetime.now(UTC).hour) % 24 * 3600)  # quota days do not end while clocks leap
    config = scenario.project.config
    names = ("connect", "greeting", "mail", "rcpt", "data", "block")
    timeouts = "".join(f"{name}_timeout = {patience}\n" for name in names)
    timeouts += f"final_timeout = {final}\nsession_deadline = {4 * patience}\n"
    section = f'[smtp]\nhelo_name = "client.test"\n{timeouts}{smtp}'
    config.write_text(config.read_text() + section + more)


def add_service(
    scenario: Scenario, name: str, port: int, *, password: str | None = None, **options: Any
) -> None:
    """As `service add` takes them; a password logs in as ``u``."""
    given = {"host": "127.0.0.1", "tls": "none", "daily_quota": 100_000, "throttle_sec": 0, "connections": 4}
    words = [
        word
        for key, value in {**given, **options}.items()
        for word in (f"--{key.replace('_', '-')}", str(value))
    ]
    login = ["--username", "u", "--password-stdin"] if password else []
    scenario.project.run(
        "service", "add", name, "--type", "smtp", "--port", str(port),
        "--from", f"{name}@sender.example", *words, *login, stdin=f"{password}\n",
    )  # fmt: skip


def prepare(scenario: Scenario, recipients: int) -> None:
    """A campaign to p0@example.com and so on, which begins with the next scheduler."""
    scenario.templates(1)
    scenario.contacts(recipients)
    scenario.campaign()


def start(scenario: Scenario, *options: str) -> subprocess.Popen[str]:
    return scenario.command("scheduler", "run", *options)


def stop(process: subprocess.Popen[str]) -> None:
    """In good order."""
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def until(scenario: Scenario, true: Callable[[], bool], what: str, patience: float = 150) -> None:
    """Wait for something to become true; asks seldom, because the processors belong to the senders."""
    ends = time.monotonic() + patience
    while not true():
        if time.monotonic() > ends:
            raise AssertionError(f"not within {patience:g} s: {what}\n{scenario.logs.read_text()[-4000:]}")
        time.sleep(0.1)


def ended(scenario: Scenario) -> bool:
    """The send list is there, and nobody on it waits."""
    counted = sa.select(task_contacts.c.status, sa.func.count()).group_by(task_contacts.c.status)
    with scenario.project.database.read() as connection:
        statuses = {row[0] for row in connection.execute(counted)}
    return bool(statuses) and not {"pending", "sending"} & statuses


def run_to_the_end(scenario: Scenario, *, leaps: int = 40, patience: float = 150) -> None:
    """Send until every row has ended; where all is waiting, the clock leaps to the next thing to happen."""
    process = start(scenario)
    keep_going(scenario, leaps=leaps, patience=patience)
    stop(process)


def keep_going(scenario: Scenario, *, leaps: int = 40, patience: float = 150) -> None:
    """The same while a scheduler runs already. patience: seconds, between two leaps."""
    while True:
        until(
            scenario,
            lambda: ended(scenario) or next_event(scenario) is not None,
            "everything ends or waits",
            patience,
        )
        if ended(scenario):
            return
        moment = next_event(scenario)
        if moment is None:
            continue
        assert leaps > 0, f"this goes on for ever: {scenario.statuses()}"
        leaps -= 1
        # A little further, so that what is due at nearly the same time needs no leap of its own.
        scenario.jump((moment - now(scenario)).total_seconds() + 30)


def next_event(scenario: Scenario) -> datetime | None:
    """When something happens next, where all is waiting for its time; None while there is something to do."""
    rows, services = task_contacts.c, sender_services.c
    moment = now(scenario)
    with scenario.project.database.read() as connection:
        waiting = connection.execute(
            sa.select(rows.status, rows.scheduled_send_at, rows.sender_service_id).where(
                rows.status.in_(["pending", "sending"])
            )
        ).all()
        health = connection.execute(
            sa.select(services.id, services.health_status, services.frozen_code, services.cool_down_until)
        ).all()
        facts = service_facts(connection, moment)
    if any(row.status == "sending" for row in waiting) or not waiting:
        return None
    rests = {
        one.id: one.cool_down_until
        for one in health
        if (one.health_status == "active" or one.frozen_code == "errors") and facts[one.id].quota_left
    }
    usable = {key for key, until in rests.items() if until is None or until <= moment}
    for row in waiting:
        carriers = usable if row.sender_service_id is None else usable & {row.sender_service_id}
        if row.scheduled_send_at <= moment and carriers:
            return None
    times = [row.scheduled_send_at for row in waiting] + [until for until in rests.values() if until]
    return min((time for time in times if time > moment), default=None)


def now(scenario: Scenario) -> datetime:
    """The time that coldsend's processes go by."""
    return datetime.now(UTC) + timedelta(seconds=float(scenario.clock.read_text()))


def service(scenario: Scenario, name: str) -> dict[str, Any]:
    return dict(scenario.project.json("service", "show", name))


def troubled(scenario: Scenario, name: str) -> bool:
    """The service has failed, rests or is frozen."""
    statement = sa.select(sender_services).where(sender_services.c.name == name)
    with scenario.project.database.read() as connection:
        row = connection.execute(statement).one()
    return bool(row.consecutive_errors or row.cool_down_until or row.health_status == "frozen")


def heartbeats(scenario: Scenario) -> list[Any]:
    """When each process was last seen, by the clock it goes by."""
    with scenario.project.database.read() as connection:
        return list(connection.execute(sa.select(workers.c.heartbeat_at).order_by(workers.c.id)).scalars())


def rows(scenario: Scenario) -> dict[str, sa.Row[Any]]:
    """The send list by address."""
    statement = sa.select(contacts.c.email_key, task_contacts).select_from(
        task_contacts.join(contacts, contacts.c.id == task_contacts.c.contact_id)
    )
    with scenario.project.database.read() as connection:
        return {row.email_key: row for row in connection.execute(statement)}


def addresses_in(scenario: Scenario, status: str) -> set[str]:
    return {address for address, row in rows(scenario).items() if row.status == status}


def gates(scenario: Scenario, address: str) -> dict[str, str]:
    """Gate -> detail, of everything that holds a recipient back."""
    blocked = scenario.project.json("why", TASK, address)["blocked_by"]
    return {gate["gate"]: gate["detail"] for gate in blocked}


def log(scenario: Scenario, event: str = "") -> list[str]:
    """Log lines, those of one event."""
    return [line for line in scenario.logs.read_text().splitlines() if f" {event}" in line]
