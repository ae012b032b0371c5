"""A sequence of three steps with real processes: by the SMTP server's own record each of its rules holds."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend import clock
from coldsend.config.loading import load
from coldsend.config.secrets import load_key_ring
from coldsend.database.tables import contacts, task_contacts, tasks
from coldsend.domain.feedback import Feedback, Kind
from coldsend.feedback.applier import applier_of
from coldsend.feedback.apply import apply
from tests.acceptance.scenario import Scenario
from tests.servers.smtp import RecordingServer

pytestmark = [pytest.mark.servers, pytest.mark.slow]

HOUR = 3600.0
PEOPLE = {
    "plain": "plain@plain.example",
    "forgotten": "forgotten@away.example",  # whose first subject was lost with a process
    "clicks": "clicks@click.example",
    "bounces": "bounces@full.example",
    "replies": "replies@acme.example",
    "colleague": "colleague@acme.example",
    "free": "free@gmail.com",
    "freed": "freed@gmail.com",  # somebody else at the same provider
    "stopped": "stopped@plain.example",
}


class Steps:
    """Campaign ``spring``: intro, second (two days later, no click), third (three days after that)."""

    def __init__(self, scenario: Scenario, server: RecordingServer, store: Path) -> None:
        self.scenario, self.server, self.store = scenario, server, store
        self.project = scenario.project
        for name in ("alpha", "beta"):
            scenario.service(name, server)
        scenario.templates(3)
        for number in (2, 3):
            self.project.run("template-set", "create", f"only{number}", "--template", f"t{number}")
        lines = ["email,nickname", *(f"{address},Person {name}" for name, address in PEOPLE.items())]
        file = self.project.write("contacts.csv", "\n".join(lines) + "\n")
        assert self.project.json("contact", "import", str(file), "--tag", "lead")["imported"] == len(PEOPLE)
        self.project.run("campaign", "create", "spring")
        create = ("task", "create", "spring")
        self.project.run(*create, "intro", "--template-set", "rotation", "--rule", "tag:lead")
        second = (*create, "second", "--template-set", "only2", "--after", "intro", "--days", "2")
        self.project.run(*second, "--if", "no click")
        self.project.run(*create, "third", "--template-set", "only3", "--after", "second", "--days", "3")
        self.project.run("campaign", "start", "spring")
        settings = load(str(self.project.config), environ={})
        with self.project.database.read() as connection:
            self.applier = applier_of(connection, settings, load_key_ring(settings))

    def go_on(self, days: float = 0.0) -> None:
        """Let so many days and an hour pass, and send what is due then."""
        if days:
            self.scenario.jump(days * 24 * HOUR + HOUR)
        self.scenario.run_until_idle()

    def tell(self, name: str, kind: Kind, **values: Any) -> None:
        """Something comes back from this person about the first message."""
        row = self.row(name, "intro")
        offset = float(self.scenario.clock.read_text())
        now = clock.now() + timedelta(seconds=offset)
        item = Feedback(kind, now, "test", key=f"{name}:{kind}", row_id=row["id"], **values)
        self.project.database.run(lambda connection: apply(connection, [item], now, self.applier))

    def row(self, name: str, task: str) -> sa.RowMapping:
        query = (
            sa.select(task_contacts)
            .join(contacts, contacts.c.id == task_contacts.c.contact_id)
            .join(tasks, tasks.c.id == task_contacts.c.task_id)
            .where(contacts.c.email == PEOPLE[name], tasks.c.name == task)
        )
        with self.project.database.read() as connection:
            return connection.execute(query).mappings().one()

    def ends(self, task: str) -> dict[str, tuple[str, str | None]]:
        """name -> status and reason of everybody who has a row in a task."""
        query = (
            sa.select(contacts.c.email, task_contacts.c.status, task_contacts.c.reason)
            .join_from(task_contacts, contacts, contacts.c.id == task_contacts.c.contact_id)
            .join(tasks, tasks.c.id == task_contacts.c.task_id)
            .where(tasks.c.name == task)
        )
        names = {address: name for name, address in PEOPLE.items()}
        with self.project.database.read() as connection:
            return {names[row[0]]: (str(row[1]), row[2]) for row in connection.execute(query)}

    def mail(self) -> dict[str, list[EmailMessage]]:
        """name -> what the server took for this person, in order."""
        found: dict[str, list[EmailMessage]] = {name: [] for name in PEOPLE}
        names = {address: name for name, address in PEOPLE.items()}
        for received in self.server.messages():
            raw = (self.store / f"{received.number:08}.eml").read_bytes()
            message = email.message_from_bytes(raw, policy=email.policy.default)
            assert isinstance(message, EmailMessage)
            found[names[received.rcpt_to[0]]].append(message)
        return found


@pytest.fixture
def steps(scenario: Scenario, tmp_path: Path) -> Iterator[Steps]:
    store = tmp_path / "mail"
    store.mkdir()
    with RecordingServer(store=store) as server:
        yield Steps(scenario, server, store)


@pytest.mark.parametrize(  # SQLite: the month
    "database_url", ["mariadb", pytest.param("sqlite", marks=pytest.mark.soak)], indirect=True
)
def test_each_step_goes_to_whom_it_should_in_one_thread_through_one_service(steps: Steps) -> None:
    steps.go_on()
    assert {len(messages) for messages in steps.mail().values()} == {1}
    assert set(steps.ends("second").values()) == {("pending", None)}, "enrolled as soon as the first ended"

    steps.tell("clicks", Kind.CLICK)
    steps.tell("bounces", Kind.BOUNCE, diagnostic="452 4.2.2 mailbox full")
    steps.tell("replies", Kind.REPLY, category="interested")
    steps.tell("free", Kind.REPLY)
    steps.tell("plain", Kind.AUTO_REPLY)
    steps.project.run("campaign", "stop", "spring", PEOPLE["stopped"])
    lost = steps.row("forgotten", "intro")["id"]
    with steps.project.database.begin() as connection:
        connection.execute(sa.update(task_contacts).where(task_contacts.c.id == lost).values(subject=None))
    steps.go_on(days=2)
    assert steps.ends("second") == {
        "plain": ("sent", None),
        "forgotten": ("sent", None),
        "freed": ("sent", None),
        "clicks": ("skipped", "condition"),
        "bounces": ("skipped", "bounced"),
        "replies": ("skipped", "replied"),
        "colleague": ("skipped", "replied"),
        "free": ("skipped", "replied"),
        "stopped": ("skipped", "stopped"),
    }
    assert set(steps.ends("third")) == {"plain", "forgotten", "freed"}

    steps.tell("freed", Kind.REPLY)
    steps.go_on(days=3)
    assert steps.ends("third") == {
        "plain": ("sent", None),
        "forgotten": ("sent", None),
        "freed": ("skipped", "replied"),
    }
    mail = steps.mail()
    assert {name: len(messages) for name, messages in mail.items() if len(messages) > 1} == {
        "plain": 3,
        "forgotten": 3,
        "freed": 2,
    }
    for messages in mail.values():
        first = messages[0]
        for number, message in enumerate(messages[1:], start=1):
            assert message["subject"] == f"Re: {first['subject']}"
            assert message["in-reply-to"] == messages[number - 1]["message-id"]
            assert message["references"].split() == [each["message-id"] for each in messages[:number]]
            assert message["from"] == first["from"], "the service of the first message"
    assert {messages[0]["from"] for messages in mail.values()} == {
        "Alpha <alpha@sender.example>",
        "Beta <beta@sender.example>",
    }
    by_step = [[messages[step] for messages in mail.values() if len(messages) > step] for step in range(3)]
    assert [len(of_step) for of_step in by_step] == [9, 3, 2], "and nobody got a step twice"
    assert steps.project.json("campaign", "show", "spring")["status"] == "completed"
