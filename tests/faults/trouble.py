"""What the tests of SMTP and network faults share: an impatient configuration, and how a run is watched.

Deeds are what ``RecordingServer`` calls them; each is done for real, on sockets, to a real sender process.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from coldsend.database.tables import contacts, sender_services, task_contacts
from tests.acceptance.scenario import TASK, Scenario
from tests.servers.smtp import RecordingServer

# Long enough for loopback under load, short enough for a test of many faults.
IMPATIENT = """
[smtp]
connect_timeout = 0.8
greeting_timeout = 0.8
mail_timeout = 0.8
rcpt_timeout = 0.8
data_timeout = 0.8
block_timeout = 0.8
final_timeout = 0.8
session_deadline = 4
helo_name = "client.test"
"""
MINUTE = 60.0
RETRY = 6 * MINUTE  # longer than the first wait between two attempts
PROBE = 31 * MINUTE  # longer than the rest of a service that is frozen for errors

FLOOD = "250-more and more of the same, and never an end to it\r\n" * 4000
LONG_LINE = "250 " + "x" * 20_000
SILENT = {"do": "hang"}
RESET = {"do": "rst"}
HUNG_UP = {"do": "drop"}
DRIPPING = {"do": "drip", "interval": 1.0}
GARBAGE = {"do": "raw", "bytes": "\x16\x03\x01\x00 what is this?\r\n"}
OVERLONG = {"do": "raw", "bytes": LONG_LINE}
FLOODING = {"do": "raw", "bytes": FLOOD, "then": "hang"}


def impatient(scenario: Scenario, more: str = "") -> None:
    """Short timeouts; ``more`` is further TOML."""
    config = scenario.project.config
    config.write_text(config.read_text() + IMPATIENT + more)


def prepare(scenario: Scenario, recipients: int, *options: str) -> None:
    """A campaign to so many recipients that begins with the next scheduler. options: of `task create`."""
    scenario.templates(1)
    scenario.contacts(recipients)
    scenario.campaign(*options)


def now(scenario: Scenario) -> datetime:
    """The time that coldsend's processes go by."""
    return datetime.now(UTC) + timedelta(seconds=float(scenario.clock.read_text()))


def due(scenario: Scenario) -> int:
    """Rows that are on their way or could be."""
    rows = task_contacts.c
    statement = (
        sa.select(sa.func.count())
        .select_from(task_contacts)
        .where(
            sa.or_(
                rows.status == "sending",
                sa.and_(rows.status == "pending", rows.scheduled_send_at <= now(scenario)),
            )
        )
    )
    with scenario.project.database.read() as connection:
        return int(connection.execute(statement).scalar_one())


def expanded(scenario: Scenario) -> bool:
    return sum(scenario.statuses().values()) > 0


def start(scenario: Scenario) -> subprocess.Popen[str]:
    return scenario.command("scheduler", "run")


def stop(process: subprocess.Popen[str]) -> None:
    """In good order."""
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0


def wait_until_nothing_is_due(scenario: Scenario, deadline: float = 30) -> None:
    """Every row has ended, or waits for a later time."""
    scenario.until(lambda: expanded(scenario) and due(scenario) == 0, "nothing is due", deadline)


def run_to_the_end(scenario: Scenario, *, jump: float = RETRY, jumps: int = 20, deadline: float = 30) -> None:
    """Send, and move the clock on each time nothing is due, until every row has ended."""
    process = start(scenario)
    wait_until_nothing_is_due(scenario, deadline)
    while scenario.count("pending"):
        assert jumps > 0, f"rows wait for ever: {scenario.statuses()}"
        jumps -= 1
        scenario.jump(jump)
        wait_until_nothing_is_due(scenario, deadline)
    stop(process)


def service(scenario: Scenario, name: str) -> dict[str, Any]:
    return dict(scenario.project.json("service", "show", name))


def column(scenario: Scenario, name: str, column: str) -> Any:
    """One column of a service, as the database has it."""
    statement = sa.select(sender_services.c[column]).where(sender_services.c.name == name)
    with scenario.project.database.read() as connection:
        return connection.execute(statement).scalar_one()


def row(scenario: Scenario, address: str) -> sa.Row[Any]:
    """The send list's row of one recipient."""
    statement = sa.select(task_contacts).select_from(task_contacts.join(contacts))
    with scenario.project.database.read() as connection:
        return connection.execute(statement.where(contacts.c.email_key == address)).one()


def why(scenario: Scenario, address: str) -> dict[str, Any]:
    return dict(scenario.project.json("why", TASK, address))


def log(scenario: Scenario) -> str:
    return scenario.logs.read_text()


def taken_by(servers: Sequence[RecordingServer], address: str) -> int:
    """How often any of the servers took a message for this address."""
    return sum(m.rcpt_to == (address,) for server in servers for m in server.messages())


def until(scenario: Scenario, true: Callable[[], bool], what: str, deadline: float = 30) -> None:
    scenario.until(true, what, deadline)
