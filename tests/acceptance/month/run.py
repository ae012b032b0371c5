"""Drives an installation through a scripted month: real scheduler, sender, web and mail processes.

The clock jumps to the next moment at which something can happen: the next due time, the next day or hour of
a quota that is used up, the next scripted happening. There it goes on in real time until nothing more can be
sent. Which moment comes next is read from the database; that decides only how fast the month goes by, for
the record of the SMTP server is judged by the script alone (``checker.py``).
"""

from __future__ import annotations

import contextlib
import heapq
import html
import itertools
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from coldsend import clock
from coldsend.database.tables import campaigns, contacts, event_log, suppressions, task_contacts, tasks
from coldsend.database.types import UtcDateTime
from coldsend.delivery import view as views
from coldsend.domain.gates import Gate, ServiceFacts, service_gates
from coldsend.domain.states import TaskStatus
from coldsend.planning import followups
from coldsend.stores import ledger
from coldsend.stores import tasks as task_store
from tests.acceptance.month import mails
from tests.acceptance.month.evidence import Carried, Evidence, Stand
from tests.acceptance.month.record import Message, Reader, refusals
from tests.acceptance.month.script import Deed, Happening, Kind, Person, Script
from tests.acceptance.scenario import Scenario
from tests.servers.dovecot import HOST, PASSWORD, Dovecot
from tests.servers.ports import free_port
from tests.servers.smtp import RecordingServer

SLACK = timedelta(seconds=3)  # after the moment that is aimed at
ROUND = timedelta(minutes=15)  # due times are gone to together
PLANNED_EVERY = timedelta(hours=12)  # the scheduler may look for follow-ups in real time once in so long
LOOK = 0.25  # seconds between two looks whether there is more to send
STUCK = 5.0  # seconds without any progress: what is due waits for something that is not seen here
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:138.0) Gecko/20100101 Firefox/138.0"
SCANNER = "Barracuda Sentinel (EE)"
BASE_URL = "https://mail.example.com"


@dataclass
class Ran:
    """A month that has passed. plans: when they were made, and what they say. stuck: when what was due did
    not go out, for a reason that is not seen here. refused: when recipients were refused for good."""

    script: Script
    messages: list[Message] = field(default_factory=list)
    carried: list[Carried] = field(default_factory=list)
    stands: list[Stand] = field(default_factory=list)
    plans: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)
    stuck: list[datetime] = field(default_factory=list)
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
        self._web_port = free_port()
        self._planned = script.begins
        self._numbers = itertools.count()
        self._by_task: dict[int, int] = {}

    def run(self) -> Ran:
        """Set up, start, and go on until the campaign has ended or the script has."""
        with contextlib.ExitStack() as stack:
            self.server = stack.enter_context(
                RecordingServer(
                    store=self._store,
                    clock=self.scenario.clock,
                    faults=_refusals(self.script.people),
                    refusals=self._refused,
                )
            )
            self.dovecot = stack.enter_context(Dovecot())
            self._reader = Reader(
                self.server.record, self._store, [step.number for step in self.script.steps]
            )
            self._go_to(self.script.begins)
            self._set_up()
            self._start()
            try:
                while self._stand():
                    moment = self._next()
                    if moment is None or moment > self.script.ends:
                        break
                    self._go_to(moment)
                    self._do()
            finally:
                self.scenario.close()
            self.ran.refused = refusals(self._refused)
        return self.ran

    # the installation

    def _set_up(self) -> None:
        project, script = self.project, self.script
        project.config.write_text(
            project.config.read_text()
            + f'port = {self._web_port}\n[inbox]\nca_file = "{self.dovecot.authority.ca_file}"\n'
            "poll_seconds = 86400\n[feedback]\nbounce_rate = 0\ncomplaint_rate = 0\n"
        )
        for sender in script.senders:
            options = {
                "ramp": "{}+{}".format(*sender.ramp),
                "time_zone": sender.zone,
                "throttle_sec": sender.throttle,
                "jitter_sec": sender.jitter or None,
                "hourly_quota": sender.hourly_quota,
                "domain_quota": sender.domain_quota,
            }
            given = {name: value for name, value in options.items() if value is not None}
            self.scenario.service(sender.name, self.server, quota=sender.daily_quota, **given)
        self._templates()
        self._people()
        self._campaign()
        project.run(
            "mailbox", "add", "replies", "--host", HOST, "--port", str(self.dovecot.imaps),
            "--username", "replies", "--service", script.senders[0].name, "--password-stdin",
            stdin=PASSWORD,
        )  # fmt: skip

    def _templates(self) -> None:
        for step in self.script.steps:
            names = []
            for number, subject in enumerate(step.subjects):
                name = f"{step.name}-{number}"
                body = self.project.write(
                    f"{name}.html",
                    f'<p>{step.marker}</p><p>Hello {{{{ contact.nickname }}}}, see <a href="https://offer.example/{name}">'
                    "our offer</a>.</p>",
                )
                written = subject.replace("NAME", "{{ contact.nickname }}")
                self.project.run("template", "add", name, "--subject", written, "--body-file", str(body))
                names += ["--template", name]
            self.project.run("template-set", "create", step.name, *names)

    def _people(self) -> None:
        rows = [
            f"{one.email},{one.nickname},{one.place.time_zone},{one.place.country}"
            for one in self.script.people
        ]
        file = self.project.write("people.csv", "\n".join(["email,nickname,time_zone,country", *rows]) + "\n")
        found = self.project.json("contact", "import", str(file), "--tag", "lead")
        assert found["imported"] == len(rows)

    def _campaign(self) -> None:
        run, script = self.project.run, self.script
        days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
        options = ["--time-zone", script.zone, "--holidays", "recipient"]
        for hours in script.window:
            named = ",".join(days[day] for day in hours.weekdays)
            options += ["--window", f"{named} {hours.start:02}:00-{hours.end:02}:00"]
        if script.new_per_day is not None:
            options += ["--new-per-day", str(script.new_per_day)]
        run("campaign", "create", "month", *options)
        before = ""
        for step in script.steps:
            follows = ["--rule", "tag:lead"]
            if before:
                follows = ["--after", before, "--days", str(step.days)]
                follows += ["--business-days"] if step.business_days else []
                follows += ["--if", "no click"] if step.unless_clicked else []
            run("task", "create", "month", step.name, "--template-set", step.name, *follows)
            before = step.name
        run("campaign", "start", "month")
        with self.project.database.read() as connection:
            rows = connection.execute(sa.select(tasks.c.id, tasks.c.name)).all()
        numbers = {step.name: step.number for step in script.steps}
        self._by_task = {numbers[row.name]: row.id for row in rows}

    def _start(self) -> None:
        self.scenario.command("scheduler", "run", "--workers", str(self.script.workers))
        self.scenario.command("web", "run")
        self.scenario.until(self._answers, "the web part answers")
        self.scenario.until(self._is_expanded, "the send list is made")

    def _answers(self) -> bool:
        try:
            self._visit("/nothing", BROWSER)
        except urllib.error.HTTPError as error:
            error.close()
            return True
        except OSError:
            return False
        return True

    def _is_expanded(self) -> bool:
        with self.project.database.read() as connection:
            return task_store.get(connection, self._by_task[1])["expanded_at"] is not None

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
            elif time.monotonic() - since > STUCK:
                self.ran.stuck.append(clock.now())
                break
        self.ran.stands.append(Stand(began, clock.now()))
        self._read()
        with self.project.database.read() as connection:
            status = connection.execute(sa.select(campaigns.c.status)).scalar_one()
        return bool(status == "active")

    def _can_send(self) -> bool:
        """Whether a row is due that an open service could take, or is under way."""
        now = clock.now()
        with self.project.database.read() as connection:
            if connection.execute(_DUE, {"now": now}).first() is None:
                return False
            view = views.read(connection, now)
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
            self.ran.plans.append((now, self.project.json("campaign", "plan", "month", *days)))
        while self._deeds and self._deeds[0].at <= now:
            self._carry_out(self._deeds.pop(0))
        due: list[tuple[Message, Happening]] = []
        while self._coming and self._coming[0][0] <= now:
            _at, _number, message, happening = heapq.heappop(self._coming)
            due.append((message, happening))
        if due:
            self._come_back(due)

    def _carry_out(self, deed: Deed) -> None:
        at = clock.now()
        if deed.what == "stop":
            self.project.run("campaign", "stop", "month", deed.whom)
        else:
            self.project.run("service", deed.what, deed.whom)
        self.ran.carried.append(Carried(deed.what, deed.whom, 0, at, clock.now()))

    def _come_back(self, due: Sequence[tuple[Message, Happening]]) -> None:
        at = clock.now()
        mail = [raw for message, what in due if (raw := self._mail_of(message, what, at)) is not None]
        if mail:
            self.dovecot.put("replies", *mail, at=at)
            [polled] = self.project.json("inbox", "poll", "replies")
            assert polled["read"] >= len(mail), polled
        stopped = [message.to for message, what in due if what.kind is Kind.STOP]
        if stopped:
            self.project.run("campaign", "stop", "month", *stopped)
        visited = [(message, what.kind) for message, what in due if what.kind in _VISITS]
        for message, kind in visited:
            self._visited(message, kind)
        if visited:
            # Clicks wait some seconds for others that come together with them.
            self._go_to(clock.now() + timedelta(seconds=10))
            self.scenario.until(lambda: self._have_come(visited), "visits are noted")
        by = clock.now()
        self.ran.carried += [Carried(what.kind, message.to, message.step, at, by) for message, what in due]

    def _mail_of(self, about: Message, what: Happening, at: datetime) -> bytes | None:
        match what.kind:
            case Kind.REPLY | Kind.UNSUBSCRIBE_REPLY:
                return mails.reply(about, what.words, at)
            case Kind.AUTO_REPLY:
                return mails.auto_reply(about, self.script.away_until(at, what), at)
            case Kind.BOUNCE:
                return mails.bounce(about, "5.1.1", f"550 5.1.1 <{about.to}>: no such user here", at)
            case Kind.SOFT_BOUNCE:
                return mails.bounce(about, "5.2.2", "552 5.2.2 mailbox full", at)
            case Kind.COMPLAINT:
                return mails.complaint(about, at)
        return None

    def _visited(self, message: Message, kind: Kind) -> None:
        """Do in the web part what the recipient's mail program, browser or scanner does."""
        parsed = message_from_bytes(self._reader.raw(message.number), policy=default)
        assert isinstance(parsed, EmailMessage)
        if kind is Kind.UNSUBSCRIBE:
            found = re.search(rf"<{BASE_URL}(/[^>]+)>", str(parsed["List-Unsubscribe"]))
            assert found
            self._visit(found[1], BROWSER, b"List-Unsubscribe=One-Click")
            return
        part = parsed.get_body(("html",))
        assert part is not None
        found = re.search(rf'href="{BASE_URL}(/c/[^"]+)"', part.get_content())
        assert found, part.get_content()
        self._visit(html.unescape(found[1]), SCANNER if kind is Kind.SCANNER else BROWSER)

    def _visit(self, path: str, agent: str, data: bytes | None = None) -> None:
        url = f"http://127.0.0.1:{self._web_port}{path}"
        request = urllib.request.Request(url, data=data, headers={"User-Agent": agent})
        with _NO_REDIRECT.open(request, timeout=10) as answer:
            assert answer.status < 400

    def _have_come(self, visited: Sequence[tuple[Message, Kind]]) -> bool:
        """Whether each click is in the event log and each unsubscribe in force."""
        with self.project.database.read() as connection:
            return all(self._has_come(connection, message, kind) for message, kind in visited)

    def _has_come(self, connection: sa.Connection, message: Message, kind: Kind) -> bool:
        if kind is Kind.UNSUBSCRIBE:
            found = sa.select(suppressions.c.value).where(suppressions.c.value == message.to)
        else:
            found = (
                sa.select(event_log.c.id)
                .join(contacts, contacts.c.id == event_log.c.contact_id)
                .where(
                    event_log.c.type == "click",
                    event_log.c.task_id == self._by_task[message.step],
                    contacts.c.email == message.to,
                )
            )
        return connection.execute(found.limit(1)).first() is not None


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
_VISITS = frozenset({Kind.UNSUBSCRIBE, Kind.CLICK, Kind.SCANNER})


class _Stay(urllib.request.HTTPRedirectHandler):
    """Where a click leads is none of our business."""

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        fp.code = 200
        return fp


_NO_REDIRECT = urllib.request.build_opener(_Stay)


def _refusals(people: Sequence[Person]) -> list[dict[str, Any]]:
    """What the SMTP server answers to some recipients."""
    found: list[dict[str, Any]] = []
    for one in people:
        if one.refused:
            found.append({"at": "rcpt", "to": one.email, "reply": "550 5.1.1 no such user here"})
        elif one.greylisted:
            reply = "451 4.7.1 greylisted, please try again later"
            found.append({"at": "rcpt", "to": one.email, "times": 1, "reply": reply})
    return found


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
