"""A campaign as it would go out now, into files: nobody gets anything, and nothing is written down.

The same rule finds the recipients, the same rotation gives them their templates, the same composer and keys
make the messages, and the service is chosen as at the intent, by the share of its day's quota that is left
(where all is used up, as on a day that has just begun). Windows, limits and conditions of follow-ups are not
waited for: who gets a first message here gets all that follows it, too. Tokens in links and Message-IDs are
those of no recipient, so that nothing anybody clicks in a file is recorded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from shlex import quote
from typing import Any, Protocol

from sqlalchemy.engine import Connection, RowMapping

from coldsend.audience import rule
from coldsend.audience.rule_sql import RuleQuery, Span
from coldsend.composing.compose import CannotCompose, Composer, composer
from coldsend.composing.load import load_signer, load_template, load_variables, recipient_of
from coldsend.composing.source import Site
from coldsend.composing.threads import thread_of
from coldsend.config.secrets import KeyRing
from coldsend.domain import sequence
from coldsend.domain.gates import ServiceFacts
from coldsend.domain.message import Message, Thread
from coldsend.domain.service import Service
from coldsend.domain.states import TASK_ENDED, HealthStatus
from coldsend.domain.suppression import keys_for
from coldsend.errors import NotFound, Refused
from coldsend.pacing.choose import Offer, allocate
from coldsend.pacing.facts import service_facts
from coldsend.planning.expand import round_for
from coldsend.stores import chains, dry_run, expansion, sequence_stops, signing_keys, suppressions, tasks

BATCH = 500
_ENDLESS = 10**12


@dataclass(frozen=True, slots=True)
class Wanted:
    """task_id: only this one's messages are kept, None all. limit: at most so many recipients of each task.

    site, keys, expire_days: as messages are composed with.
    """

    campaign: RowMapping
    site: Site
    keys: KeyRing
    expire_days: float
    task_id: int | None = None
    limit: int | None = None


class Keep(Protocol):
    """Where results go: a message, or why there is none."""

    def message(self, task: str, email: str, message: Message, template: str, service: str) -> None: ...

    def skipped(self, task: str, email: str, reason: str, detail: str) -> None: ...


@dataclass(slots=True)
class TaskResult:
    """Counts of one task: messages by template and service, and who gets none by the reason."""

    task: str
    by_template: Counter[str] = field(default_factory=Counter)
    by_service: Counter[str] = field(default_factory=Counter)
    by_reason: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _One:
    """A recipient of one step. follows: the messages before, None for a first one that has none."""

    contact: Mapping[str, Any]
    template_id: int
    keeps: int | None = None
    thread: Thread | None = None


def run(connection: Connection, wanted: Wanted, keep: Keep, now: datetime) -> list[TaskResult]:
    """Compose everything; counts of each task, in order. Refused where nothing could go out: no tasks, no
    service, a template that cannot be compiled."""
    found = [
        tasks.get(connection, row["id"])
        for row in tasks.listed(connection, campaign_id=wanted.campaign["id"])
        if row["status"] not in TASK_ENDED
    ]
    if not found:
        raise Refused(
            f"campaign {wanted.campaign['name']!r} has no task that is still to be sent",
            hint=f"add one: coldsend task create {quote(wanted.campaign['name'])} NAME --template-set TS "
            "--rule ..",
        )
    return _DryRun(connection, wanted, keep, now, {task["id"]: task for task in found}).run()


@dataclass
class _DryRun:
    connection: Connection
    wanted: Wanted
    keep: Keep
    now: datetime
    tasks: dict[int, RowMapping]

    def __post_init__(self) -> None:
        self._results = {task_id: TaskResult(task["name"]) for task_id, task in self.tasks.items()}
        self._rounds = {task_id: round_for(self.connection, task) for task_id, task in self.tasks.items()}
        self._turns = {task_id: task["expanded_count"] or 0 for task_id, task in self.tasks.items()}
        self._variables = load_variables(self.connection)
        self._composers: dict[tuple[int, int], Composer] = {}
        self._names: dict[int, str] = {}
        self._facts = service_facts(self.connection, self.now)
        self._offers: dict[int, Offer] = {}
        self._pepper = _pepper(self.connection, self.wanted.keys)
        self._asked = chains.conditions(self.connection, self.tasks)
        self._stops = bool(sequence_stops.in_force(self.connection, {self.wanted.campaign["id"]}))

    def run(self) -> list[TaskResult]:
        for task_id, task in self.tasks.items():
            if task_id in self._path():
                recipients = islice(self._recipients(task), self.wanted.limit)
                while some := list(islice(recipients, BATCH)):
                    self._step(task, some)
        return [result for task_id, result in self._results.items() if self._is_kept(task_id)]

    def _is_kept(self, task_id: int) -> bool:
        return self.wanted.task_id in (None, task_id)

    def _path(self) -> set[int]:
        """The tasks that must be gone through: for one follow-up, those that it follows as well."""
        if self.wanted.task_id is None:
            return set(self.tasks)
        path, at = set(), self.wanted.task_id
        while at in self.tasks and at not in path:
            path.add(at)
            at = self.tasks[at]["follows_task_id"]
        return path

    # Who.

    def _recipients(self, task: RowMapping) -> Iterator[_One]:
        """Those who wait in the task's list, and, where it follows none, those who are still to come in."""
        after = 0
        services = {service_id: facts.service for service_id, facts in self._facts.items()}
        while rows := dry_run.waiting(self.connection, task["id"], after, BATCH):
            after = rows[-1]["id"]
            earlier = chains.earlier(self.connection, [row["row_id"] for row in rows])
            for row in rows:
                before = earlier.get(row["row_id"])
                thread = thread_of(before, services) if before else None
                yield _One(dict(row), row["template_id"], row["keeps"], thread)
        if task["follows_task_id"] is None and task["expanded_at"] is None:
            yield from self._by_rule(task)

    def _by_rule(self, task: RowMapping) -> Iterator[_One]:
        resolve = rule.task_resolver(self.connection, task["campaign_id"])
        query = RuleQuery(rule.load(task["recipient_rule"]), resolve, self.now)
        after, last = task["expand_cursor"] or 0, expansion.last_contact(self.connection)
        while after < last:
            to, lead = query.lead_between(self.connection, Span(after, last), BATCH)
            recipients = query.recipients(lead, Span(after, to))
            ids = dry_run.of_rule(
                self.connection, recipients, task["id"], listed=task["expand_to"] is not None
            )
            for contact in dry_run.people(self.connection, ids):
                yield _One(dict(contact), self._turn(task["id"]))
            after = to

    def _turn(self, task_id: int) -> int:
        templates, turn = self._rounds[task_id], self._turns[task_id]
        self._turns[task_id] += 1
        return templates[turn % len(templates)]

    # What.

    def _step(self, task: RowMapping, some: Sequence[_One]) -> None:
        """Messages of one task to some recipients, then those that follow them."""
        task_id, result = task["id"], self._results[task["id"]]
        declined = self._declined(task, some)
        going = [one for one in some if one.contact["id"] not in declined]
        for one in some:
            if one.contact["id"] in declined:
                self._skip(task, one, *declined[one.contact["id"]])
        sent: list[tuple[_One, Message, int]] = []
        for one, service in self._with_services(task, going):
            try:
                message = self._compose(one, service)
            except CannotCompose as error:
                self._skip(task, one, error.reason, error.detail)
                continue
            sent.append((one, message, service.id))
            result.by_template[self._names[one.template_id]] += 1
            result.by_service[service.name] += 1
            if self._is_kept(task_id):
                template = self._names[one.template_id]
                self.keep.message(task["name"], one.contact["email"], message, template, service.name)
        for follower in self.tasks.values():
            if follower["follows_task_id"] == task_id and follower["id"] in self._path() and sent:
                self._follow(follower, sent)

    def _follow(self, follower: RowMapping, sent: Sequence[tuple[_One, Message, int]]) -> None:
        resolve = rule.task_resolver(self.connection, follower["campaign_id"])
        query = RuleQuery(rule.load(follower["recipient_rule"]), resolve, self.now)
        condition = query.condition(query.likely_lead())
        ids = [one.contact["id"] for one, _message, _service in sent]
        match = dry_run.matching(self.connection, condition, ids)
        following = []
        for one, message, service_id in sent:
            if one.contact["id"] in match:
                before = one.thread.earlier if one.thread else ()
                subject = one.thread.subject if one.thread else message.heading
                thread = Thread((*before, (0, message.message_id)), subject)
                following.append(_One(one.contact, self._turn(follower["id"]), service_id, thread))
        if following:
            self._step(follower, following)

    def _compose(self, one: _One, service: Service) -> Message:
        key = (one.template_id, service.id)
        if key not in self._composers:
            template = load_template(self.connection, one.template_id)
            signer = load_signer(self.connection, service, self.wanted.keys, self.wanted.expire_days)
            self._names[one.template_id] = template.name
            self._composers[key] = composer(template, self._variables, service, self.wanted.site, signer)
        thread = one.thread
        made = self._composers[key]
        if thread is not None and not thread.subject:
            # It was not noted when the first message was sent: rendered from its template once more.
            first = replace(one, template_id=thread.template_id or one.template_id, thread=None)
            thread = replace(thread, subject=self._compose(first, service).heading)
        return made.compose(replace(recipient_of(one.contact), thread=thread), self.now)

    def _skip(self, task: RowMapping, one: _One, reason: str, detail: str) -> None:
        self._results[task["id"]].by_reason[reason] += 1
        if self._is_kept(task["id"]):
            self.keep.skipped(task["name"], one.contact["email"], reason, detail)

    # Whether, and through what.

    def _declined(self, task: RowMapping, some: Sequence[_One]) -> dict[int, tuple[str, str]]:
        """Contact id -> (reason, what is told of it), as the intent would decline them."""
        found: dict[int, tuple[str, str]] = {}
        keys = {
            one.contact["id"]: keys_for(one.contact["email_key"], one.contact["email_domain"], self._pepper)
            for one in some
        }
        wanted = sorted({key for of_one in keys.values() for key in of_one})
        campaign_id = self.wanted.campaign["id"]
        suppressed = suppressions.matching(self.connection, wanted, campaign_id)
        stopped = sequence_stops.matching(self.connection, campaign_id, wanted) if self._stops else {}
        for one in some:
            contact_id = one.contact["id"]
            because = next((suppressed[key] for key in keys[contact_id] if key in suppressed), None)
            stops = [stopped[key] for key in keys[contact_id] if key in stopped]
            # What is for those who replied goes to them: conditions are not waited for here.
            stop = sequence.stop_that_ends_early(stops, self._asked.get(task["id"], ()))
            if one.contact["deleted_at"] is not None:
                found[contact_id] = ("contact_removed", "the contact was removed")
            elif because is not None:
                found[contact_id] = ("suppressed", f"suppressed: {because}")
            elif stop is not None:
                found[contact_id] = (str(sequence.row_reason(stop)), "a stop ended the sequence")
        return found

    def _with_services(self, task: RowMapping, going: Sequence[_One]) -> Iterator[tuple[_One, Service]]:
        usable = {service.id for service in tasks.usable_services(self.connection, task)}
        for one in going:
            # One that it keeps and that may not be used begins no new day for the others.
            possible = usable if one.keeps is None else usable & {one.keeps}
            for anew in (False, True):
                offers = self._able(possible, anew=anew)
                if given := allocate([(0, one.keeps)], offers, follows=one.thread is not None):
                    yield one, self._facts[next(iter(given))].service
                    break
            else:
                self._skip(task, one, "no_service", self._why_none(one, usable))

    def _able(self, usable: set[int], *, anew: bool = False) -> list[Offer]:
        """What the services would take that are usable now; anew: on a day that has just begun."""
        for service_id in usable:
            facts = self._facts.get(service_id)
            if facts is not None and (anew or service_id not in self._offers):
                self._offers[service_id] = Offer(_without_hours(facts, anew=anew), _ENDLESS)
        return [self._offers[sid] for sid in sorted(usable & self._offers.keys()) if self._is_active(sid)]

    def _is_active(self, service_id: int) -> bool:
        return self._facts[service_id].service.health_status == HealthStatus.ACTIVE

    def _why_none(self, one: _One, usable: set[int]) -> str:
        if one.keeps is not None and one.keeps not in usable:
            return "the service that sent the message before may not be used any more"
        active = [self._facts[sid].service.name for sid in usable if self._is_active(sid)]
        return "no service has a quota" if active else "no service that may be used now is active"


def _without_hours(facts: ServiceFacts, *, anew: bool) -> ServiceFacts:
    """The day's quota counts, not the hour's: nobody waits here."""
    service = replace(facts.service, hourly_quota=None)
    return replace(facts, service=service, used=0 if anew else facts.used, followups_due=0)


def _pepper(connection: Connection, keys: KeyRing) -> bytes | None:
    try:
        return signing_keys.load(connection, keys, "suppression")
    except NotFound:
        return None  # `coldsend init` has not run to its end, so nobody was erased yet
