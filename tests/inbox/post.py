"""A campaign that was sent from an installation with a mailbox, and the mail that comes back to it."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from coldsend import clock
from coldsend.composing.tokens import Kind, Tokens
from coldsend.config.loading import load
from coldsend.config.secrets import load_key_ring
from coldsend.config.settings import Settings
from coldsend.database.tables import (
    contacts,
    event_log,
    inbox_messages,
    mailboxes,
    suppressions,
    task_contacts,
    unmatched_events,
)
from coldsend.inbox.polling import Polled, Poller
from coldsend.stores import signing_keys
from tests.conftest import Project
from tests.planning.world import World
from tests.servers.dovecot import HOST, PASSWORD, Dovecot

_numbers = itertools.count(1)


class Post(World):
    """Task spring/intro, service main, and mailbox ``replies``, a new one of the server's."""

    def __init__(self, project: Project, dovecot: Dovecot) -> None:
        super().__init__(project.database)
        self.project, self.dovecot = project, dovecot
        self.user_name = f"user{next(_numbers)}"
        project.config.write_text(
            project.config.read_text() + f'[inbox]\nca_file = "{dovecot.authority.ca_file}"\ntimeout = 60\n'
        )
        self.settings: Settings = load(str(project.config), environ={})
        self.keys = load_key_ring(self.settings)
        self.began = clock.now()
        self.service_id = self.service(from_email="anna@sender.example")
        self.campaign_id = self.campaign("spring", "active")
        times = {"actual_start_time": self.began, "expanded_at": self.began}
        self.task_id = self.task(self.campaign_id, "intro", "sending", **times)
        with self.database.read() as connection:
            self.tokens = Tokens(signing_keys.load(connection, self.keys, "links"))

    def add_mailbox(self, name: str = "replies", *options: str, password: str | None = PASSWORD) -> Any:
        secret = [] if password is None else ["--password-stdin"]
        return self.project.json(
            "mailbox", "add", name, "--host", HOST, "--port", str(self.dovecot.imaps),
            "--username", self.user_name, "--service", "main", *secret, *options,
            stdin=password,
        )  # fmt: skip

    def poller(self, **values: Any) -> Poller:
        return Poller(self.database, self.settings, self.keys, values.pop("now", clock.now), **values)

    def poll(self, **values: Any) -> Polled:
        """Read the one mailbox."""
        [mailbox] = self.all(mailboxes)
        [polled] = self.poller(**values).poll([mailbox["id"]])
        return polled

    def sent(self, count: int = 1, **values: Any) -> list[int]:
        """Rows that were sent three hours ago."""
        at = self.began - timedelta(hours=3)
        row = {"sender_service_id": self.service_id, "attempt": 1, "attempt_at": at, "sent_at": at}
        return self.rows(self.task_id, "sent", count, **{**row, **values})

    def put(self, *messages: bytes, at: datetime | None = None, folder: str = "INBOX") -> None:
        self.dovecot.put(self.user_name, *messages, at=at, folder=folder)

    # what is looked at

    def all(self, table: sa.Table) -> list[sa.RowMapping]:
        with self.database.read() as connection:
            return list(connection.execute(sa.select(table).order_by(*table.primary_key)).mappings())

    def status(self, row_id: int) -> str:
        return str(self.row(task_contacts, row_id)["status"])

    def stored(self) -> list[tuple[str, int | None]]:
        """(kind, row) of the messages that were kept."""
        return [(row["kind"], row["task_contact_id"]) for row in self.all(inbox_messages)]

    def events(self) -> list[str]:
        return [str(row["type"]) for row in self.all(event_log)]

    def traces(self) -> int:
        """Everything that came of the mail."""
        tables = (inbox_messages, event_log, unmatched_events, suppressions)
        return sum(len(self.all(table)) for table in tables)

    # mail

    def email(self, row_id: int) -> str:
        return str(self.row(contacts, self.row(task_contacts, row_id)["contact_id"])["email"])

    def message_id(self, row_id: int) -> str:
        return f"<{self.tokens.issue_folded(Kind.MESSAGE_ID, row_id)}@sender.example>"

    def address(self, row_id: int, kind: Kind = Kind.ADDRESS) -> str:
        return f"anna+{self.tokens.issue_folded(kind, row_id)}@sender.example"

    def reply(self, row_id: int, text: str = "Yes, please call me.", **headers: str) -> bytes:
        named = {
            "From": f"Bob <{self.email(row_id)}>",
            "To": "anna@sender.example",
            "Subject": "Re: Hello",
            "In-Reply-To": self.message_id(row_id),
        }
        return mail(text, **{**named, **headers})

    def out_of_office(self, row_id: int, **headers: str) -> bytes:
        named = {"Auto-Submitted": "auto-replied", "Subject": "Out of office"}
        return self.reply(row_id, "I am away.", **{**named, **headers})

    def bounce(self, row_id: int, status: str = "5.1.1", *, original: bool = True) -> bytes:
        address = self.email(row_id)
        returned = f"Message-ID: {self.message_id(row_id)}\r\nTo: {address}\r\n" if original else ""
        return report(
            "delivery-status",
            "Reporting-MTA: dns; mx.example.com\r\n\r\n"
            f"Final-Recipient: rfc822; {address}\r\nAction: failed\r\nStatus: {status}\r\n"
            f"Diagnostic-Code: smtp; 550 {status} <{address}>: no such user here\r\n",
            returned,
            From="MAILER-DAEMON@mx.example.com",
            Subject="Undelivered Mail Returned to Sender",
        )

    def complaint(self, row_id: int, address: str = "") -> bytes:
        returned = f"Message-ID: {self.message_id(row_id)}\r\nSubject: Hello\r\n" if not address else ""
        whom = f"Original-Rcpt-To: <{address}>\r\n" if address else ""
        return report(
            "feedback-report",
            f"Feedback-Type: abuse\r\nUser-Agent: Example/1.0\r\nVersion: 1\r\n{whom}",
            returned or "Subject: Hello\r\n",
            From="feedback@fbl.example.com",
            Subject="FW: Hello",
        )


def mail(text: str, **headers: str) -> bytes:
    """A message of plain text, with a Message-ID of its own unless it is given."""
    number = next(_numbers)
    named = {
        "From": "Carol <carol@elsewhere.example>",
        "To": "anna@sender.example",
        "Subject": "Lunch",
        "Date": datetime.now(UTC).strftime("%d %b %Y %H:%M:%S +0000"),
        "Message-ID": f"<m{number}@elsewhere.example>",
    }
    lines = [f"{name}: {value}" for name, value in {**named, **headers}.items()]
    return ("\r\n".join([*lines, "", text]) + "\r\n").encode()


def report(kind: str, fields: str, returned: str, **headers: str) -> bytes:
    """A multipart/report (RFC 3464, RFC 5965)."""
    part = "message/rfc822-headers" if kind == "delivery-status" else "message/rfc822"
    body = (
        f"--b\r\nContent-Type: text/plain\r\n\r\nThis is a report.\r\n\r\n"
        f"--b\r\nContent-Type: message/{kind}\r\n\r\n{fields}\r\n"
        + (f"--b\r\nContent-Type: {part}\r\n\r\n{returned}\r\n" if returned else "")
        + "--b--"
    )
    typed = f'multipart/report; report-type={kind}; boundary="b"'
    return mail(body, **{"MIME-Version": "1.0", "Content-Type": typed, **headers})
