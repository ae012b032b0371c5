"""No secret and no recipient's address is in any log, whatever goes wrong, in either style."""

from __future__ import annotations

import base64
import signal
from collections.abc import Iterator

import pytest

from tests.acceptance.scenario import Scenario
from tests.conftest import Project
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

USER, PASSWORD = "mail-user-7181", "pass-word-9929"


@pytest.fixture
def scenario(sqlite_project: Project) -> Iterator[Scenario]:
    made = Scenario(sqlite_project)
    yield made
    made.close()


def encoded(secret: str) -> set[str]:
    """A secret in the clear and as SMTP writes it."""
    plain = base64.b64encode(f"\0{USER}\0{secret}".encode()).decode()
    return {secret, base64.b64encode(secret.encode()).decode().rstrip("="), plain.rstrip("=")}


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_day_on_which_everything_fails_leaves_no_secret_in_the_log(scenario: Scenario, style: str) -> None:
    project = scenario.project
    scenario.environ |= {"COLDSEND_LOG_LEVEL": "debug", "COLDSEND_LOG_FORMAT": style}
    key = (project.folder / "coldsend.key").read_text().split()[-1]
    with RecordingServer(users={USER: PASSWORD}) as server:
        server.control(
            faults=[
                {
                    "at": "rcpt",
                    "to": "p1@",
                    "do": "reply",
                    "reply": "550 5.1.1 <p1@example.com>: no such user",
                },
                {"at": "final", "to": "p2@", "do": "drop"},
                {"at": "rcpt", "to": "p3@", "do": "reply", "reply": "452 4.2.2 <p3@example.com> is full"},
            ]
        )
        for name in ("guarded", "wrong"):
            project.run(
                "service", "add", name, "--type", "smtp", "--host", "127.0.0.1", "--port", str(server.port),
                "--tls", "none", "--from", f"{name}@sender.example", "--daily-quota", "1000",
                "--throttle-sec", "0.01", "--username", USER, "--password-stdin",
                stdin=(PASSWORD if name == "guarded" else f"{PASSWORD}-wrong") + "\n",
            )  # fmt: skip
        body = project.write("t.html", "<p>Hello {{ contact.nickname }}.</p>")
        project.run("template", "add", "t1", "--subject", "A word", "--body-file", str(body))
        project.run("template-set", "create", "rotation", "--template", "t1")
        scenario.contacts(12)
        project.run("contact", "add", "nameless@example.com", "--tag", "lead")
        scenario.campaign()
        process = scenario.command("scheduler", "run")
        scenario.until(
            lambda: "service_frozen" in scenario.logs.read_text(), "the wrong password was refused"
        )
        scenario.until(lambda: scenario.count("failed_to_send") > 0 < scenario.count("skipped"), "refused")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    log = scenario.logs.read_text()
    for secret in {*encoded(PASSWORD), *encoded(f"{PASSWORD}-wrong"), key}:
        assert secret not in log
    for person in ("p1", "p2", "p3", "nameless"):
        assert f"{person}@" not in log


def test_a_database_out_of_reach_shows_no_password(scenario: Scenario) -> None:
    scenario.environ["COLDSEND_DATABASE_URL"] = "mysql://teller:over-the-hills@127.0.0.1:1/nothing"
    process = scenario.command("scheduler", "run")
    assert process.wait(60) == 5
    assert "over-the-hills" not in scenario.logs.read_text()
