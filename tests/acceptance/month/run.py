"""Drives an installation through a scripted month: real scheduler, sender, web and mail processes.

The clock jumps to the next moment at which something can happen: the next due time, the next day or hour of
a quota that is used up, the next scripted happening. There it goes on in real time until nothing more can be
sent. Which moment comes next is read from the database; that decides only how fast the month goes by, for
the record of the SMTP server is judged by the script alone (``checker.py``).
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from coldsend import clock
from coldsend.database.tables import campaigns, task_contacts
from coldsend.database.types import UtcDateTime
from coldsend.database.views import snapshot
from coldsend.delivery import view as views
from coldsend.domain.gates import Gate, ServiceFacts, service_gates
from coldsend.domain.states import TaskStatus
from coldsend.pacing.followups import FollowupsDue
from coldsend.planning import followups
from coldsend.stores import ledger
from coldsend.stores import tasks as task_store
from tests.acceptance.month.coming_back import ComingBack, visits
from tests.acceptance.month.evidence import Carried, Evidence, Stand
from tests.acceptance.month.installation import CAMPAIGN, add_people, refusals, set_up
from tests.acceptance.month.record import Message, Reader, refused
from tests.acceptance.month.script import Deed, Happening, Script
from tests.acceptance.scenario import Scenario
from tests.servers.dovecot import Dovecot
from tests.servers.ports import free_port
from tests.servers.smtp import RecordingServer

SLACK = timedelta(seconds=3)  # after the moment that is aimed at
ROUND = timedelta(minutes=15)  # due times are gone to together
PLANNED_EVERY = timedelta(hours=12)  # the scheduler may look for follow-ups in real time once in so long
LOOK = 0.1  # seconds between two looks whether there is more to send
PATIENCE = 20.0  # seconds without any progress before the clock goes on all the same


@dataclass
class Ran:
    """A month that has passed. plans: when they were made, and what they say. refused: when recipients
    were refused for good."""

    script: Script
    messages: list[Message] = field(default_factory=list)
    carried: list[Carried] = field(default_factory=list)
    stands: list[Stand] = field(default_factory=list)
    plans: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)
    refused: list[datetime] = field(default_factory=list)

    @property
    def evidence(self) -> Evidence:
        """What the checker gets to see."""
        return Evidence(self.script, self.messages, self.carried, self.stands)


class Month:
    """See the module."""

    def __init__(self, scenario: Scenario, script: Script, folder: Path) -> None:
        self.scenario, self.project, self.script = scenario, scenario.project, script
        self.ran = Ran(script)
        self._plans = sorted(script.plans)
        self._deeds = sorted(script.deeds, key=lambda deed: deed.at)
        self._coming: list[tuple[datetime, int, Message, Happening]] = []  # by time
        self._store = folder / "mail"
        self._store.mkdir()
        self._refused = folder / "refusals.jsonl"
        self._refused.touch()
        self._planned = script.begins
        self._numbers = itertools.count()
        self._needed = FollowupsDue()

    def run(self) -> Ran:
        """Set up, start, and go on until the campaign has ended or the script has."""
        with contextlib.ExitStack() as stack:
            self.server = stack.enter_context(
                RecordingServer(
                    store=self._store,
                    clock=self.scenario.clock,
                    faults=refusals(self.script.people),
                    refusals=self._refused,
                )
            )
            dovecot, web_port = stack.enter_context(Dovecot()), free_port()
            self._reader = Reader(self.server.record, self._store)
            self._back = ComingBack(self.project, self.script, dovecot, web_port, self._reader.raw)
            self._go_to(self.script.begins)
            set_up(self.scenario, self.script, self.server, dovecot, web_port)
            self._start()
            try:
                while self._stand():
                    moment = self._next()
                    if moment is None or moment > self.script.ends:
                        self.scenario.until(self._has_ended, "the campaign is completed")
                        break
                    self._go_to(max(moment, clock.now()))
                    self._do()
            finally:
                self.scenario.close()
            self.ran.refused = refused(self._refused)
        return self.ran

    def _start(self) -> None:
        self.scenario.command("scheduler", "run", "--workers", str(self.script.workers))
        self.scenario.command("web", "run")
        self.scenario.until(self._back.answers, "the web part answers")
        self.scenario.until(self._is_expanded, "the send list is made")

    def _is_expanded(self) -> bool:
        with self.project.database.read() as connection:
            first = [row for row in task_store.listed(connection) if row["follows_task_id"] is None]
            return all(row["expanded_at"] is not None for row in first)

    # the clock

    def _go_to(self, moment: datetime) -> None:
        self.scenario.set_clock((moment - datetime.now(UTC)).total_seconds())

    def _stand(self) -> bool:
        """Let real time pass until nothing more can be sent; False where the campaign has ended."""
        began = clock.now()
        progress, since = self._progress(), time.monotonic()
        while self._can_send():
            time.sleep(LOOK)
            if (now := self._progress()) != progress:
                progress, since = now, time.monotonic()
            elif time.monotonic() - since > PATIENCE:
                break  # something that is not seen here keeps it; the checker asks what
        self.ran.stands.append(Stand(began, clock.now()))
        self._read()
        return not self._has_ended()

    def _has_ended(self) -> bool:
        with self.project.database.read() as connection:
            status = connection.execute(sa.select(campaigns.c.status)).scalar_one()
        return bool(status == "completed")

    def _can_send(self) -> bool:
        """Whether a row is due that an open service could take, or is under way."""
        now = clock.now()
        # At one moment, or a place that a refused message gives back meanwhile is not seen.
        with snapshot(self.project.database) as connection:
            if connection.execute(_DUE, {"now": now}).first() is None:
                return False
            view = views.read(connection, now, self._needed)
            usable = {sid for sid, facts in view.services.items() if _is_open(facts, now)}
            for task in view.tasks:
                if ledger.has_sending(connection, task.id):
                    return True
                able = [] if task.new_left == 0 else sorted(task.services & usable)
                if not task.goes_first:
                    able = [sid for sid in able if view.services[sid].left_for_first]
                buckets = range(ledger.BUCKETS)
                if able and ledger.candidates(connection, task.id, buckets, able, now, limit=1):
                    return True
        return False

    def _progress(self) -> tuple[int, int]:
        due = sa.select(sa.func.count()).select_from(task_contacts)
        due = due.where(task_contacts.c.status == "pending", task_contacts.c.scheduled_send_at <= clock.now())
        with self.project.database.read() as connection:
            return self.server.record.stat().st_size, int(connection.execute(due).scalar_one())

    def _next(self) -> datetime | None:
        """The next moment at which something can happen; None: nothing will."""
        now = clock.now()
        found = [deed.at for deed in self._deeds[:1]] + self._plans[:1]
        if self._coming:
            found.append(self._coming[0][0])
        self._wait_for_planning()
        with self.project.database.read() as connection:
            pending = task_contacts.c.status == "pending"
            due = task_contacts.c.scheduled_send_at
            later = connection.execute(sa.select(sa.func.min(due)).where(pending, due > now)).scalar_one()
            if later is not None:
                found.append(_rounded(later))
            waits = sa.select(task_contacts.c.task_id, task_contacts.c.sender_service_id).distinct()
            blocked = connection.execute(waits.where(pending, due <= now)).all()
            if blocked:
                view = views.read(connection, now)
                found += [moment for row in blocked for moment in _openings(view, *row, now)]
        return min(found, default=None)

    def _wait_for_planning(self) -> None:
        """Let the scheduler find new follow-ups, which it looks for every second of real time."""
        if clock.now() - self._planned < PLANNED_EVERY:
            return

        def is_behind() -> bool:
            with self.project.database.read() as connection:
                sending = task_store.in_status(connection, TaskStatus.SENDING)
                return any(
                    followups.is_behind(connection, row, clock.now())
                    for row in sending
                    if row["follows_task_id"] is not None
                )

        self.scenario.until(lambda: not is_behind(), "follow-ups are enrolled")
        self._planned = clock.now()

    # what happens

    def _read(self) -> None:
        """Take new messages from the record, and look what will come back of them."""
        for message in self._reader.new():
            self.ran.messages.append(message)
            person = self.script.by_email.get(message.to)
            for happening in person.happenings if person else ():
                if happening.step != message.step:
                    continue
                at = self.script.delivered_at(message.at, happening)
                if at is not None:
                    heapq.heappush(self._coming, (at, next(self._numbers), message, happening))

    def _do(self) -> None:
        """Do what is scripted up to now."""
        now = clock.now()
        while self._plans and self._plans[0] <= now:
            self._plans.pop(0)
            days = ["--days", str(self.script.plan_days)] if self.script.plan_days else []
            self.ran.plans.append((now, self.project.json("campaign", "plan", CAMPAIGN, *days)))
        while self._deeds and self._deeds[0].at <= now:
            self._carry_out(self._deeds.pop(0))
        due: list[tuple[Message, Happening]] = []
        while self._coming and self._coming[0][0] <= now:
            _at, _number, message, happening = heapq.heappop(self._coming)
            due.append((message, happening))
        if due:
            self._back.hand_in(due, now)
            if visits(due):
                # Clicks wait some seconds for others that come together with them.
                self._go_to(clock.now() + timedelta(seconds=10))
                self.scenario.until(lambda: self._back.are_known(due), "visits are noted")
            by = clock.now()
            self.ran.carried += [Carried(what.kind, one.to, one.step, now, by) for one, what in due]

    def _carry_out(self, deed: Deed) -> None:
        at = clock.now()
        if deed.what == "stop":
            self.project.run("campaign", "stop", CAMPAIGN, deed.whom)
        elif deed.what == "add":
            add_people(self.project, self.script.wave(int(deed.whom)), f"people-{deed.whom}.csv")
            self.project.run("task", "expand", f"{CAMPAIGN}/{self.script.steps[0].name}")
        else:
            self.project.run("service", deed.what, deed.whom)
        self.ran.carried.append(Carried(deed.what, deed.whom, 0, at, clock.now()))


_DUE = (
    sa.select(task_contacts.c.id)
    .where(
        sa.or_(
            task_contacts.c.status == "sending",
            sa.and_(
                task_contacts.c.status == "pending",
                task_contacts.c.scheduled_send_at <= sa.bindparam("now", type_=UtcDateTime()),
            ),
        )
    )
    .limit(1)
)


def _is_open(facts: ServiceFacts, now: datetime) -> bool:
    return all(blocked.gate is Gate.THROTTLE for blocked in service_gates(facts, now))


def _openings(view: views.View, task_id: int, keeps: int | None, now: datetime) -> Iterator[datetime]:
    """When what keeps a task's rows from a service, or from any, begins anew."""
    for task in view.tasks:
        if task.id != task_id:
            continue
        if task.new_left == 0:
            yield task.calendar.next_day(now) + SLACK
            continue
        for service_id in task.services if keeps is None else [keeps]:
            facts = view.services[service_id]
            left = facts.quota_left if task.goes_first else facts.quota_left - facts.followups_due
            if left <= 0 and facts.next_quota_day is not None:
                yield facts.next_quota_day + SLACK
            elif not facts.hour_left and facts.next_hour is not None:
                yield facts.next_hour + SLACK


def _rounded(moment: datetime) -> datetime:
    """The end of the quarter of an hour that a moment is in."""
    begins = moment.replace(minute=0, second=0, microsecond=0)
    return begins + ROUND * (1 + (moment - begins) // ROUND) if moment != begins else moment + SLACK
