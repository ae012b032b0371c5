"""Builds what planning and reports work on, straight into the tables."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from coldsend.config.settings import Settings, WebSettings
from coldsend.database.engine import Database
from coldsend.database.tables import (
    campaigns,
    contacts,
    sender_services,
    task_contacts,
    tasks,
    template_set_items,
    template_sets,
    templates,
    user_sender_service_access,
)
from coldsend.domain.access import Actor
from coldsend.domain.states import Role
from coldsend.errors import NotFound
from coldsend.stores import users, workers

NOW = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
SETTINGS = Settings(
    postal_address="1 Test Street, 12345 Testville", web=WebSettings(base_url="https://mail.example.com")
)


class World:
    """An installation with an admin (the oldest, else a new one), and verbs that add to it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._numbers = itertools.count(1)
        try:
            with database.read() as connection:
                self.admin = users.acting(connection, None)
        except NotFound:
            self.admin = self.user("admin", Role.ADMIN)

    def insert(self, table: sa.Table, **values: Any) -> int:
        with self.database.begin() as connection:
            key = connection.execute(sa.insert(table).values(**values)).inserted_primary_key
        assert key is not None
        return int(key[0])

    def row(self, table: sa.Table, row_id: int) -> sa.RowMapping:
        with self.database.read() as connection:
            return connection.execute(sa.select(table).where(table.c.id == row_id)).mappings().one()

    def change(self, table: sa.Table, row_id: int, **values: Any) -> None:
        with self.database.begin() as connection:
            connection.execute(sa.update(table).where(table.c.id == row_id).values(**values))

    def user(self, name: str, role: Role = Role.OPERATOR) -> Actor:
        with self.database.begin() as connection:
            return Actor(users.add(connection, name, role, NOW), name, role)

    def service(self, name: str = "main", *, granted: Actor | None = None, **values: Any) -> int:
        row = {"name": name, "type": "console", "from_email": f"{name}@example.com"}
        row |= {"daily_quota": 100, "throttle_sec": 0, **values}
        service_id = self.insert(sender_services, **row)
        if granted:
            self.insert(user_sender_service_access, user_id=granted.id, sender_service_id=service_id)
        return service_id

    def process(self, kind: str = "sender") -> int:
        """A scheduler or sender that is alive at NOW."""
        with self.database.begin() as connection:
            return workers.register(
                connection, kind=kind, host="here", host_id="h", pid=1, now=NOW, lease_seconds=60
            )

    def template_set(
        self, *bodies: str, name: str | None = None, owner: Actor | None = None
    ) -> tuple[int, list[int]]:
        """A set of templates with these bodies: (set id, template ids)."""
        number = next(self._numbers)
        by = (owner or self.admin).id
        set_id = self.insert(template_sets, name=name or f"set{number}", created_by=by)
        made = []
        for order, body in enumerate(bodies):
            values = {"name": f"template{number}.{order + 1}", "subject": "Hello", "body": body}
            made.append(self.insert(templates, **values, created_by=by))
            self.insert(template_set_items, template_set_id=set_id, template_id=made[-1], order=order)
        return set_id, made

    def contacts(self, count: int) -> list[int]:
        made = []
        for _ in range(count):
            email = f"p{next(self._numbers)}@example.com"
            made.append(self.insert(contacts, email=email, email_key=email, email_domain="example.com"))
        return made

    def campaign(self, name: str = "spring", status: str = "draft", **values: Any) -> int:
        by = values.pop("owner", self.admin).id
        return self.insert(campaigns, name=name, status=status, created_by=by, **values)

    def task(self, campaign: int, name: str = "intro", status: str = "draft", **values: Any) -> int:
        by = values.pop("owner", self.admin).id
        set_id = values.pop("template_set_id", None) or self.template_set("<p>Hello.</p>")[0]
        rule = values.pop("recipient_rule", {"everyone": True})
        row = {"campaign_id": campaign, "name": name, "status": status, "recipient_rule": rule}
        return self.insert(tasks, **row, template_set_id=set_id, created_by=by, **values)

    def rows(self, task: int, status: str, count: int = 1, **values: Any) -> list[int]:
        """Rows of a task's send list, each for a new contact."""
        return [
            self.insert(
                task_contacts,
                task_id=task,
                contact_id=contact,
                status=status,
                scheduled_send_at=values.get("scheduled_send_at", NOW),
                bucket=contact % 61,
                **{key: value for key, value in values.items() if key != "scheduled_send_at"},
            )
            for contact in self.contacts(count)
        ]

    def statuses(self, task: int) -> dict[str, int]:
        count = sa.func.count()
        query = sa.select(task_contacts.c.status, count).where(task_contacts.c.task_id == task)
        with self.database.read() as connection:
            found = connection.execute(query.group_by(task_contacts.c.status))
            return {row[0]: row[1] for row in found}
