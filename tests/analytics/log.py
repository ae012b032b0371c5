"""A made-up event log, and what counting it by hand comes to.

The counting here shares nothing with the product: it reads every event, the oldest id first, and keeps sets.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from coldsend.database.engine import Database
from coldsend.database.tables import contacts, event_log, task_contacts
from tests.planning.world import NOW, World

DOMAINS = ("acme.com", "gmail.com", "googlemail.com", "bob.example", "yahoo.co.uk")
LINKS = (
    "https://shop.example/offer?page=1&x=2",
    "https://shop.example/",
    "https://shop.example/for/{n}@b.c?u={n}",
)
BODY = (
    '<a href="https://shop.example/offer?page=1&amp;x=2">a</a> <a href="https://shop.example/">b</a> '
    '<a href="https://shop.example/for/{{ contact.email }}?u={{ contact.id }}">c</a>'
)
# type, details, how often among ten
HAPPENINGS: list[tuple[str, dict[str, Any] | None]] = [
    ("send_api_fail", {"reason": "greylisted", "retry_at": "2027-03-01T09:00:00+00:00"}),
    ("send_api_fail", {"reason": "unknown_recipient", "code": 550}),
    ("send_api_fail", {"reason": "recipient_refused"}),
    ("send_api_fail", {"reason": "expired"}),
    ("send_api_try", None),
    ("send_api_success", {"message_id": "<x@y>"}),
    ("delivered", {"source": "webhook:ses"}),
    ("open", {"actor": "human", "ip": "192.0.2.1"}),
    ("open", {"actor": "human"}),
    ("open", {"actor": "machine"}),
    ("open", {"actor": "own"}),
    ("open", None),
    ("click", {"actor": "human", "url": LINKS[0]}),
    ("click", {"actor": "human", "url": LINKS[1]}),
    ("click", {"actor": "human", "url": LINKS[2]}),
    ("click", {"actor": "machine", "url": LINKS[0]}),
    ("click", {"actor": "human"}),
    ("reply", {"source": "inbox:a"}),
    ("unsubscribe", {}),
    ("bounce", {"rule": "unknown_recipient", "hard": True}),
    ("bounce", {"rule": "mailbox_full", "hard": True}),
    ("bounce", {"rule": "unknown_recipient", "status": "5.1.1"}),
    ("bounce", {"rule": "unknown_recipient", "status": "4.1.1"}),
    ("bounce", {"rule": "recipient_refused", "hard": False}),
    ("bounce", None),
    ("complaint", {"source": "inbox:b"}),
]


def nature_of(kind: str, details: dict[str, Any] | None) -> str:
    told = details or {}
    if kind in ("open", "click"):
        return str(told.get("actor", "human"))
    if kind == "bounce":
        if told.get("rule") == "mailbox_full":
            return "soft"
        if "hard" in told:
            return "hard" if told["hard"] else "soft"
        is_hard = told.get("rule") == "unknown_recipient" and not told.get("status", "").startswith("4")
        return "hard" if is_hard else "soft"
    if kind == "send_api_fail":
        if "retry_at" in told:
            return "retried"
        return {"unknown_recipient": "hard", "recipient_refused": "soft"}.get(told["reason"], "")
    return ""


def link_of(url: str, template: int) -> str:
    if not template:
        return {LINKS[0]: "https://…/…?…&…", LINKS[1]: "https://…/"}.get(url, "https://…/…/…?…")
    return url if "/for/" not in url else "https://shop.example/for/…?u=…"


class Log:
    """Two campaigns of one and two tasks, three templates, two services, people of five domains."""

    def __init__(self, database: Database, seed: int = 7, people: int = 12, **campaign: Any) -> None:
        self.world = World(database)
        self.database = database
        self.random = random.Random(seed)
        set_id, self.templates = self.world.template_set(BODY, BODY, BODY, name="ts")
        self.services = [self.world.service("main"), self.world.service("second")]
        spring = self.world.campaign("spring", "active", **campaign)
        other = self.world.campaign("other", "active")
        made = {"template_set_id": set_id, "template_ids": self.templates, "expanded_at": NOW}
        made |= {"actual_start_time": NOW}
        self.tasks = [
            self.world.task(spring, "intro", "sending", **made),
            self.world.task(spring, "second", "sending", **made),
            self.world.task(other, "else", "sending", **made),
        ]
        self.people = [self._person(number) for number in range(people)]
        self.pairs = [(task, person) for task in self.tasks for person in self.people]
        for place, (task, person) in enumerate(self.pairs[:-1]):  # the last one is in no list
            self._row(task, person, self.templates[place % 3])

    def _person(self, number: int) -> int:
        domain = DOMAINS[number % len(DOMAINS)]
        email = f"n{number}@{domain}"
        return self.world.insert(contacts, email=email, email_key=email, email_domain=domain)

    def _row(self, task: int, person: int, template: int) -> int:
        values = {"status": "pending", "bucket": person % 61, "scheduled_send_at": NOW}
        return self.world.insert(
            task_contacts, task_id=task, contact_id=person, selected_template_id=template, **values
        )

    def some(self, count: int) -> list[dict[str, Any]]:
        """So many events at random, as rows."""
        return [self._event() for _ in range(count)]

    def _event(self) -> dict[str, Any]:
        task, person = self.random.choice(self.pairs)
        kind, details = self.random.choice(HAPPENINGS)
        if details and "url" in details:
            details = {**details, "url": details["url"].format(n=person + 1000)}
        return {
            "task_id": task,
            "contact_id": person,
            "sender_service_id": self.random.choice([*self.services, None]),
            "type": kind,
            "ts": NOW - timedelta(minutes=self.random.randrange(60 * 72), seconds=7.5),
            "details": details,
        }

    def add(self, count: int) -> None:
        with self.database.begin() as connection:
            connection.execute(sa.insert(event_log), self.some(count))

    def by_hand(self) -> Hand:
        return Hand(self.database)


class Hand:
    """The event log counted by hand. Keys of ``counts`` and ``domains`` as the roll-ups have them; values
    [events, recipients, firsts]."""

    def __init__(self, database: Database) -> None:
        with database.read() as connection:
            rows = connection.execute(sa.select(event_log).order_by(event_log.c.id)).mappings().all()
            lists = connection.execute(sa.select(task_contacts)).mappings().all()
            people = connection.execute(sa.select(contacts)).mappings().all()
        template = {(row["task_id"], row["contact_id"]): row["selected_template_id"] for row in lists}
        domain = {row["id"]: row["email_domain"] for row in people}
        seen: set[tuple[Any, ...]] = set()
        self.counts: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
        self.domains: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
        self.links: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0])
        self.reached: dict[tuple[int, str, str], set[int]] = defaultdict(set)
        for row in rows:
            task, person, kind = row["task_id"], row["contact_id"], row["type"]
            if task is None or person is None:
                continue
            nature = nature_of(kind, row["details"])
            numbers = [1, (task, person, kind, nature) not in seen, (task, person, kind) not in seen]
            seen |= {(task, person, kind, nature), (task, person, kind)}
            self.reached[task, kind, nature].add(person)
            hour = row["ts"].replace(minute=0, second=0, microsecond=0)
            of = template.get((task, person)) or 0
            self._add(self.counts[task, hour, kind, nature, of, row["sender_service_id"] or 0], numbers)
            if kind != "send_api_try":
                self._add(self.domains[task, domain[person], kind, nature], numbers)
            url = (row["details"] or {}).get("url")
            if kind == "click" and url:
                name = link_of(url, of)
                self._add(self.links[task, of, nature, name], [1, (task, person, nature, name) not in seen])
                seen.add((task, person, nature, name))

    @staticmethod
    def _add(sums: list[int], numbers: list[Any]) -> None:
        for place, number in enumerate(numbers):
            sums[place] += number

    def people(self, kind: str, tasks: list[int], *natures: str) -> int:
        """How many (task, recipient) have such an event."""
        return sum(
            len(set().union(*(self.reached[task, kind, nature] for nature in natures or ("",))))
            for task in tasks
        )

    def total(self, kind: str, tasks: list[int]) -> Counter[str]:
        """Events of a type by nature."""
        found: Counter[str] = Counter()
        for (task, _hour, of, nature, *_rest), numbers in self.counts.items():
            if of == kind and task in tasks:
                found[nature] += numbers[0]
        return found
