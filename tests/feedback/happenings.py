"""A campaign whose messages went out, and what comes back about them."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from coldsend.composing.tokens import Kind as TokenKind
from coldsend.composing.tokens import Tokens
from coldsend.database.engine import Database
from coldsend.database.tables import (
    campaigns,
    contacts,
    event_log,
    provider_pauses,
    sender_services,
    suppressions,
    task_contacts,
    unmatched_events,
)
from coldsend.domain.feedback import Feedback, Kind
from coldsend.feedback.applier import Applier
from coldsend.feedback.apply import Applied, apply
from coldsend.feedback.breaker import Limits
from tests.planning.world import NOW, World

TRIED = NOW - timedelta(hours=2)
SENT = TRIED + timedelta(seconds=3)
PEPPER = b"p" * 32
TOKENS = Tokens(b"s" * 32)

FULL = "552 5.2.2 mailbox full"
DISABLED = "550 5.2.1 account disabled"
NOBODY = "550 5.1.1 no such user here"
LISTED = "554 5.7.1 blocked using zen.spamhaus.org"
SUSPENDED = "550 5.7.705 tenant has exceeded threshold"


# What is decided without a database's help is tried on one of them.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Sent(World):
    """Task spring/intro and service main; limits of the breaker out of the way."""

    def __init__(self, database: Database, **limits: Any) -> None:
        super().__init__(database)
        self.service_id = self.service()
        self.campaign_id = self.campaign("spring", "active", resumed_at=NOW - timedelta(days=30))
        self.task_id = self.begun("intro")
        self.applier = Applier(TOKENS, PEPPER, Limits(**(limits or {"least": 10_000})), 30.0)
        self._keys = itertools.count(1)

    def begun(self, name: str, campaign: int | None = None) -> int:
        when = {"actual_start_time": TRIED, "expanded_at": TRIED}
        return self.task(campaign or self.campaign_id, name, "sending", **when)

    def sent(self, count: int = 1, status: str = "sent", task: int | None = None, **values: Any) -> list[int]:
        row = {"sender_service_id": self.service_id, "attempt": 1, "attempt_at": TRIED}
        row |= {"sent_at": SENT} if status not in ("unknown", "sending", "pending") else {}
        return self.rows(task or self.task_id, status, count, **{**row, **values})

    def again(self, row_id: int, task: int, status: str = "sent", **values: Any) -> int:
        """A message of another task to the contact of this row."""
        contact = self.row(task_contacts, row_id)["contact_id"]
        row = {"task_id": task, "contact_id": contact, "status": status, "attempt_at": TRIED}
        row |= {"sender_service_id": self.service_id, "scheduled_send_at": NOW, "sent_at": SENT}
        return self.insert(task_contacts, **{**row, **values})

    def heard(self, kind: Kind, row_id: int | None = None, **values: Any) -> Feedback:
        """A happening one hour ago, told for the first time."""
        values = {"at": NOW - timedelta(hours=1), "source": "web", "key": f"k{next(self._keys)}", **values}
        return Feedback(kind, row_id=row_id, **values)

    def bounce(self, row_id: int, diagnostic: str = NOBODY, **values: Any) -> Feedback:
        return self.heard(Kind.BOUNCE, row_id, diagnostic=diagnostic, **values)

    def apply(self, *items: Feedback, now: Any = NOW) -> Applied:
        return self.database.run(lambda connection: apply(connection, items, now, self.applier))

    def status(self, row_id: int) -> str:
        return str(self.row(task_contacts, row_id)["status"])

    def email(self, row_id: int) -> str:
        return str(self.row(contacts, self.row(task_contacts, row_id)["contact_id"])["email"])

    def message_id(self, row_id: int) -> str:
        return f"<{TOKENS.issue_folded(TokenKind.MESSAGE_ID, row_id)}@main.example>"

    def suppressed(self) -> dict[tuple[str, int], str]:
        """(address, campaign or 0) -> reason."""
        return {(row["value"], row["campaign_id"]): row["reason"] for row in self.all(suppressions)}

    def events(self) -> list[tuple[str, Any]]:
        return [(row["type"], row["ts"]) for row in self.all(event_log)]

    def unmatched(self) -> list[dict[str, Any]]:
        return [dict(row["details"]) for row in self.all(unmatched_events)]

    def campaign_status(self) -> str:
        return str(self.row(campaigns, self.campaign_id)["status"])

    def health(self) -> tuple[str, list[str]]:
        """Of the service: its status, and the providers it is paused for."""
        paused = [str(row["provider"]) for row in self.all(provider_pauses)]
        return str(self.row(sender_services, self.service_id)["health_status"]), paused

    def all(self, table: sa.Table) -> list[sa.RowMapping]:
        ordered = sa.select(table).order_by(*table.primary_key)
        with self.database.read() as connection:
            return list(connection.execute(ordered).mappings())
