"""Somebody about whom there is something in every table that can hold it, and others it must not cost."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from coldsend.audience import contacts as audience
from coldsend.audience import suppressing
from coldsend.database.engine import Database
from coldsend.database.tables import (
    campaigns,
    contacts,
    event_log,
    inbox_messages,
    mailboxes,
    provider_pauses,
    sender_services,
    sequence_stops,
    task_contacts,
    tasks,
    unmatched_events,
    webhook_payloads,
    workers,
)
from coldsend.domain.address import parse
from coldsend.domain.contact import ContactData
from coldsend.domain.states import SuppressionReason
from tests.planning.world import World

NOW = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
EMAIL = "Bob.Smith@Bücher.example"
KEY = "bob.smith@xn--bcher-kva.example"
TRACES = ("bob.smith", "bobby", "secret field", "words of bob")  # nothing of that may be left
PEPPER = b"p" * 32


class People:
    """bob is erased; ann and jimbob stay as they are."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.world = World(database)
        self.service = self.world.service()
        self.campaign = self.world.campaign("spring", "active")
        self.task = self.world.task(
            self.campaign,
            status="sending",
            recipient_rule={"any": [{"email": [EMAIL, "jim" + EMAIL, "ann@x.com"]}, {"tag": "vip"}]},
        )
        self.bob = self._person(
            EMAIL, nickname="Bobby", tags=("vip", "bobby"), fields={"note": "secret field"}, source="a fair"
        )
        self.jimbob = self._person("jim" + EMAIL)
        self.ann = self._person("ann@x.com", fields={"friend": f"knows {EMAIL}"}, tags=(f"by:{EMAIL}", "vip"))
        self.rows = {
            name: self._row(contact)
            for name, contact in (("bob", self.bob), ("jimbob", self.jimbob), ("ann", self.ann))
        }
        self._came_back()
        self._elsewhere()

    def _person(self, email: str, **known: Any) -> int:
        data = ContactData(parse(email), lawful_basis="legitimate_interest", **known)
        return int(audience.add(self.database, data, NOW)["id"])

    def _row(self, contact_id: int) -> int:
        return self.world.insert(
            task_contacts,
            task_id=self.task,
            contact_id=contact_id,
            status="bounced",
            sent_at=NOW,
            bounced_at=NOW,
            scheduled_send_at=NOW,
            sender_service_id=self.service,
            error_message=f"550 <{self.email_of(contact_id)}> unknown",
            subject=f"A word for {self.email_of(contact_id)}",
            reply_category="interested",
            message_id="<token@example.com>",
        )

    def email_of(self, contact_id: int) -> str:
        return str(self.world.row(contacts, contact_id)["email"])

    def _event(self, contact_id: int | None, kind: str, key: str | None = None, **details: Any) -> int:
        return self.world.insert(
            event_log,
            task_id=self.task if contact_id else None,
            contact_id=contact_id,
            type=kind,
            ts=NOW,
            details=details,
            dedup_key=key,
        )

    def _message(self, uid: int, contact_id: int | None, sender: str, text: str) -> int:
        raw = f"From: {sender}\r\nSubject: Re: hello\r\n\r\n{text}\r\n".encode()
        return self.world.insert(
            inbox_messages,
            mailbox_id=1,
            uid_validity=1,
            uid=uid,
            digest=f"{uid:064}",
            kind="reply",
            received_at=NOW,
            created_at=NOW,
            contact_id=contact_id,
            task_contact_id=self.rows["bob"] if contact_id == self.bob else None,
            message_id=f"<{uid}.{sender}>",
            from_email=sender,
            subject="Re: hello",
            text=text,
            raw=raw,
            details={"quoted": text},
        )

    def _came_back(self) -> None:
        self.bounced = self._event(
            self.bob,
            "bounce",
            "bounce:1",
            code=550,
            rule="recipient_unknown",
            hard=True,
            diagnostic=f"550 <{KEY}> words of bob",
        )
        self.clicked = self._event(self.bob, "click", f"click:{KEY}", url="https://x.example/?n=Bobby")
        self._event(self.ann, "bounce", diagnostic=f"forwarded to <{EMAIL}>: refused", code=550)
        self._event(self.jimbob, "bounce", diagnostic=f"<jim{EMAIL}> unknown")
        self.reply = self._message(1, self.bob, EMAIL, "words of bob")
        self.strange = self._message(2, None, EMAIL.upper(), "words of bob, from elsewhere")
        self.anns = self._message(3, self.ann, "ann@x.com", f"Ask {EMAIL}, or jim{EMAIL}.")
        for number, recipient in enumerate((KEY, "jim" + KEY)):
            self.world.insert(
                unmatched_events,
                source="inbox:replies",
                received_at=NOW,
                dedup_key=f"unmatched:{number}",
                details={"kind": "bounce", "recipient": recipient, "diagnostic": f"about {recipient}"},
            )
        self.world.insert(
            sequence_stops, campaign_id=self.campaign, stop_key=f"a:{KEY}", value=KEY, reason="replied"
        )
        told = f'[{{"email":"{KEY}","url":"https://x.example/?m=bob.smith%40xn--bcher-kva.example"}}]'
        self.payload = self.world.insert(
            webhook_payloads, provider="sendgrid", received_at=NOW, digest="0" * 64, body=told.encode()
        )

    def _elsewhere(self) -> None:
        """Where mail servers' words are kept, and suppressions."""
        words = f"451 too much mail for <{KEY}>"
        self.world.change(campaigns, self.campaign, status_reason=words)
        self.world.change(tasks, self.task, status_reason=words, summary_stats={"last": words})
        self.world.change(
            sender_services, self.service, frozen_reason=words, cool_down_reason=words, last_error=words
        )
        with self.database.begin() as connection:
            connection.execute(
                sa.insert(provider_pauses).values(
                    sender_service_id=self.service, provider="gmail", reason=words
                )
            )
        self.world.insert(mailboxes, name="replies", last_error=words)
        process = self.world.process()
        self.world.change(workers, process, details={"last": words})
        admin = self.world.admin
        suppressing.add(self.database, [EMAIL], SuppressionReason.UNSUBSCRIBE, NOW, admin, detail=words)
        suppressing.add(self.database, [EMAIL], SuppressionReason.MANUAL, NOW, admin, list_name="customers")
        suppressing.add(self.database, [EMAIL], SuppressionReason.MANUAL, NOW, admin, campaign="spring")
        suppressing.add(
            self.database, ["@acme.com"], SuppressionReason.MANUAL, NOW, admin, detail=f"asked by {EMAIL}"
        )

    def dump(self) -> str:
        return dump(self.database)


def dump(database: Database) -> str:
    """Every value of every table, as it is stored, in lower case; octets as text and in base64."""
    parts = []
    with database.read() as connection:
        for name in sa.inspect(connection).get_table_names():
            for row in connection.exec_driver_sql(f"SELECT * FROM {name}"):
                parts += [_text(value) for value in row]
    return "\n".join(parts).lower()


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace") + base64.b64encode(value).decode()
    return str(value)
