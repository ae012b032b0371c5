"""What a forecast begins with: the campaign, whatever else waits for its services, and those services, read
from the database and counted by groups.

A draft is taken as if it were started now, a paused campaign as if it were resumed now; paused tasks stay
paused. Who is not in a send list yet is counted by the task's rule, follow-ups by those who were sent the
message before, or will be.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from coldsend.audience import rule
from coldsend.audience.rule_sql import LOOK, RuleQuery, Span
from coldsend.domain import sequence
from coldsend.domain.gates import Gate
from coldsend.domain.rule import Everyone
from coldsend.domain.sequence import What
from coldsend.domain.states import CampaignStatus, TaskStatus
from coldsend.pacing.calendar import Calendar
from coldsend.planning.forecast_hours import AllHours, GroupHours
from coldsend.planning.forecast_services import Services
from coldsend.planning.forecast_world import Campaign, Line, Step, World
from coldsend.stores import campaigns, expansion, forecast, tasks
from coldsend.stores.forecast import Group, Grouping

# Parts of a day over which messages are spread; of more recipients than MANY fewer, each with enough of them.
PARTS, PARTS_OF_MANY, MANY = 48, 12, 100_000
# Domains whose limits are looked at, those with the most contacts: the others hardly reach one.
DOMAINS, DOMAINS_OF_MANY = 500, 50
_TO_SEND = (TaskStatus.DRAFT, TaskStatus.SCHEDULED, TaskStatus.SENDING, TaskStatus.PAUSED)
_RUNNING = (TaskStatus.SCHEDULED, TaskStatus.SENDING)
# Conditions that hold for nobody as long as nothing comes back.
_OF_ANSWERS = frozenset({What.OPENED, What.CLICKED, What.REPLIED})
# Up to so many recipients: (seconds to which times are rounded, decisions that a stretch may take).
_FINENESS: tuple[tuple[float, tuple[float, int]], ...] = (
    (20_000, (60.0, 2000)),
    (100_000, (300.0, 200)),
    (math.inf, (900.0, 50)),
)


@dataclass(slots=True)
class Demand:
    """What was read. tasks: the campaign's own that send, by id. in_hand: (line, service, messages) on a
    connection at this moment. effort: see :class:`coldsend.planning.forecast_run.Run`.
    """

    world: World
    mine: Campaign
    tasks: dict[int, RowMapping]
    in_hand: list[tuple[Line, int, int]]
    effort: int


@dataclass(slots=True)
class _Found:
    """What was counted for one step. waiting: whose ``at`` is when they are due. sent: whose follow-up is to
    come, ``at`` being when they were sent to."""

    step: Step
    task: RowMapping
    waiting: list[Group] = field(default_factory=list)
    unlisted: list[Group] = field(default_factory=list)
    sent: list[Group] = field(default_factory=list)
    in_hand: list[Group] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(group.number for group in [*self.waiting, *self.unlisted, *self.sent])


class Reader:
    """Reads the demand of one campaign at ``now``."""

    def __init__(self, connection: Connection, campaign: RowMapping, now: datetime) -> None:
        self._connection = connection
        self._now = now
        self._rows = {campaign["id"]: campaign}
        self._campaigns: dict[int, Campaign] = {}
        self._calendars: dict[int, Calendar] = {}
        self._listed: dict[int, list[RowMapping]] = {}
        self._campaign_id = int(campaign["id"])
        self._services = Services(connection, now)
        self._many = False
        self._parts = PARTS

    def read(self) -> Demand:
        mine = [task for task in self._tasks_of(self._campaign_id) if task["status"] in _TO_SEND]
        wanted = self._with_services(mine)
        wanted += self._competitors({one for _, services in wanted for one in services})
        self._many = self._at_most(task for task, _ in wanted) > MANY
        self._parts = PARTS_OF_MANY if self._many else PARTS
        every = {one for _, services in wanted for one in services}
        self._services.load(every, DOMAINS_OF_MANY if self._many else DOMAINS)
        steps = {task["id"]: self._step(task, services) for task, services in wanted}
        self._link(steps, {task["id"]: task for task, _ in wanted})
        found = [self._count(steps[task["id"]], task) for task, _ in wanted]
        return self._fill(found)

    # -- what takes part -----------------------------------------------------------------------------------

    def _at_most(self, wanted: Iterable[RowMapping]) -> int:
        """More recipients than that these tasks do not have; follow-ups have no others."""
        contacts = expansion.last_contact(self._connection)
        return sum(
            task["expanded_count"] if task["expanded_at"] is not None else contacts
            for task in wanted
            if task["follows_task_id"] is None
        )

    def _with_services(self, wanted: Iterable[RowMapping]) -> list[tuple[RowMapping, list[int]]]:
        return [
            (task, [service.id for service in tasks.usable_services(self._connection, task)])
            for task in wanted
        ]

    def _competitors(self, services: set[int]) -> list[tuple[RowMapping, list[int]]]:
        """Tasks of other active campaigns that may use the same services, with those only."""
        running = [
            task
            for task in tasks.in_status(self._connection, *_RUNNING)
            if task["campaign_status"] == CampaignStatus.ACTIVE and task["campaign_id"] != self._campaign_id
        ]
        return [(task, mine) for task, mine in self._with_services(running) if services.intersection(mine)]

    def _step(self, task: RowMapping, services: Sequence[int]) -> Step:
        return Step(
            task["id"],
            task["name"],
            self._campaign(task["campaign_id"]),
            services,
            follows=task["follows_task_id"] is not None,
            days=task["follows_days"],
            business_days=bool(task["follows_business_days"]),
            paused=task["status"] == TaskStatus.PAUSED,
        )

    def _campaign(self, campaign_id: int) -> Campaign:
        if campaign_id not in self._campaigns:
            row = self._rows.setdefault(campaign_id, campaigns.find(self._connection, campaign_id))
            calendar = self._calendars[campaign_id] = Calendar.of(dict(row))
            self._campaigns[campaign_id] = self._services.campaign(row, calendar)
        return self._campaigns[campaign_id]

    def _link(self, steps: Mapping[int, Step], rows: Mapping[int, RowMapping]) -> None:
        """Tell steps which ones follow them, and for how many of their recipients."""
        for task_id, task in rows.items():
            before = steps.get(task["follows_task_id"])
            if before is None:
                continue
            conditions = sequence.read_conditions(task["follows_condition"] or ())
            for_answers = any(one.what in _OF_ANSWERS for one in conditions)
            share = 0.0 if for_answers else self._share(task, rows)
            before.follow_ups.append((steps[task_id], share))

    def _share(self, task: RowMapping, rows: Mapping[int, RowMapping]) -> float:
        """The part of the recipients of the task before that a follow-up's rule takes in."""
        if _takes_everyone(task):
            return 1.0
        chain = [task]
        while (before := rows.get(chain[-1]["follows_task_id"])) is not None:
            chain.append(before)
        before_it = [self._query(one) for one in chain[1:] if not _takes_everyone(one)]
        first = chain[-1]
        all_of_them = self._population(first, before_it)
        if not all_of_them:
            return 1.0
        return self._population(first, [self._query(task), *before_it]) / all_of_them

    def _population(self, task: RowMapping, queries: Sequence[RuleQuery]) -> int:
        condition = sa.and_(sa.true(), *(query.condition(query.likely_lead()) for query in queries))
        if task["expanded_at"] is not None:
            return forecast.population(self._connection, task["id"], condition)
        recipients = self._recipients(task)
        return int(
            self._connection.execute(
                recipients.with_only_columns(sa.func.count()).where(condition)
            ).scalar_one()
        )

    # -- how many there are --------------------------------------------------------------------------------

    def _count(self, step: Step, task: RowMapping) -> _Found:
        found = _Found(step, task)
        by = self._grouping(task["campaign_id"])
        unmet = self._unmet(task)
        if task["status"] != TaskStatus.DRAFT:
            found.waiting = forecast.waiting(self._connection, task, by, unmet)
            found.in_hand = forecast.in_hand(self._connection, task["id"], by)
        if step.follows and task["expanded_at"] is None:
            query = self._query(task)
            rule_holds = query.condition(query.likely_lead())
            found.sent = forecast.unfollowed(self._connection, task, rule_holds, by, unmet)
        elif task["expanded_at"] is None:
            found.unlisted = forecast.matching(self._connection, self._recipients(task), task, by)
        return found

    def _unmet(self, task: RowMapping) -> sa.ColumnElement[bool] | None:
        conditions = sequence.read_conditions(task["follows_condition"] or ())
        if not conditions:
            return None
        before = {row["id"]: row["follows_task_id"] for row in self._tasks_of(task["campaign_id"])}
        chain, one = [], task["follows_task_id"]
        while one is not None and one not in chain:
            chain.append(one)
            one = before.get(one)
        return forecast.unmet(chain, conditions)

    def _grouping(self, campaign_id: int) -> Grouping:
        calendar = self._calendars[campaign_id]
        return Grouping(
            places=not calendar.any_time or self._business_days(campaign_id),
            parts=self._parts if calendar.spread else 1,
            domains=self._services.limited_domains,
            roughly=self._many,
        )

    def _business_days(self, campaign_id: int) -> bool:
        return any(task["follows_business_days"] for task in self._tasks_of(campaign_id))

    def _tasks_of(self, campaign_id: int) -> list[RowMapping]:
        if campaign_id not in self._listed:
            self._listed[campaign_id] = tasks.listed(self._connection, campaign_id=campaign_id)
        return self._listed[campaign_id]

    def _query(self, task: RowMapping) -> RuleQuery:
        resolve = rule.task_resolver(self._connection, task["campaign_id"])
        return RuleQuery(rule.load(task["recipient_rule"]), resolve, self._now)

    def _recipients(self, task: RowMapping) -> sa.Select[int]:
        """Contacts that the expansion of a task will still look at, as far as they match its rule."""
        query = self._query(task)
        last = task["expand_to"] or expansion.last_contact(self._connection)
        span = Span(task["expand_cursor"], last)
        _, lead = query.lead_between(self._connection, span, LOOK)
        return query.recipients(lead, span)

    # -- the world -----------------------------------------------------------------------------------------

    def _fill(self, found: Sequence[_Found]) -> Demand:
        total = sum(one.count for one in found)
        grid, effort = next(values for most, values in _FINENESS if total <= most)
        world = World(grid)
        world.carriers = self._services.carriers
        world.campaigns = self._campaigns
        world.steps = {one.step.id: one.step for one in found}
        filling = _Filling(world, AllHours(grid), self._now, self._parts)
        for one in found:
            campaign_id = one.task["campaign_id"]
            filling.fill(one, self._calendars[campaign_id], business_days=self._business_days(campaign_id))
        mine = {one.task["id"]: one.task for one in found if one.task["campaign_id"] == self._campaign_id}
        return Demand(world, self._campaign(self._campaign_id), mine, filling.in_hand, effort)


class _Filling:
    """Puts what was counted into the world."""

    def __init__(self, world: World, hours: AllHours, now: datetime, parts: int) -> None:
        self._parts = parts
        self._world = world
        self._hours = hours
        self._now = now
        self.in_hand: list[tuple[Line, int, int]] = []

    def fill(self, found: _Found, calendar: Calendar, *, business_days: bool) -> None:
        step, task = found.step, found.task
        parts = self._parts if calendar.spread else 1

        def hours_of(group: Group) -> GroupHours:
            return self._hours.of(
                calendar, group.time_zone, group.country, group.part, parts, business_days=business_days
            )

        begins = self._begins(task)
        for group in found.waiting:
            self._add(step, hours_of(group), group, (group.at or self._now).timestamp())
        for group in found.unlisted:
            hours = hours_of(group)
            self._add(step, hours, group, hours.first(begins))
        for group in found.sent:
            hours = hours_of(group)
            sent_at = (group.at or self._now).timestamp()
            due = hours.follow_up(sent_at, step.days, step.business_days)
            self._add(step, hours, group, max(due, begins))
        for group in found.in_hand:
            if group.service is not None:
                line = self._world.line(step, hours_of(group), group.domain, None)
                self.in_hand.append((line, group.service, group.number))

    def _begins(self, task: RowMapping) -> float:
        times: list[datetime | None] = [task["campaign_start_time"], task["plan_time"], self._now]
        return max(time for time in times if time is not None).timestamp()

    def _add(self, step: Step, hours: GroupHours, group: Group, due: float) -> None:
        gate = Gate(group.gone) if group.gone else self._world.hopeless(step, group.service, group.domain)
        if gate is not None:
            self._world.lost[step.id, gate] += group.number
        else:
            self._world.add(self._world.line(step, hours, group.domain, group.service), due, group.number)


def _takes_everyone(task: RowMapping) -> bool:
    document: Any = task["recipient_rule"]
    return isinstance(rule.load(document), Everyone)
