"""A task as somebody asks for it, and the columns that makes; everything about it is checked here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from shlex import quote
from typing import Any

from sqlalchemy.engine import Connection, RowMapping

from coldsend.audience import rule
from coldsend.domain import sequence
from coldsend.domain.access import Actor, require_owner
from coldsend.domain.experiment import Experiment, as_json
from coldsend.errors import InvalidInput, NotAllowed, Refused
from coldsend.stores import access, services, tasks, template_sets


@dataclass(frozen=True, slots=True)
class Following:
    """What a follow-up follows: the task ``after`` (of its campaign, by name or id), ``days`` after each
    recipient's own message. conditions: as domain/sequence.py reads them."""

    after: str
    days: int
    business_days: bool = False
    conditions: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task as asked for; everything by name or id. No ``services``: all its creator may use.

    rule: of a follow-up it may be "", for everyone who was sent the message before. experiment: a new one,
    see ``domain/experiment.planned``.
    """

    campaign: str
    name: str
    template_set: str
    rule: str
    plan_time: datetime | None = None
    services: Sequence[str] = ()
    follows: Following | None = None
    experiment: Experiment | None = None


def columns(
    connection: Connection,
    actor: Actor,
    campaign: RowMapping,
    wanted: NewTask,
    resolve_task: rule.TaskResolver | None = None,
) -> dict[str, Any]:
    """The columns of a task of this campaign; refused with the reason where it cannot be so.

    resolve_task: finds the tasks its rule names where they are not all there yet; left out: they must be.
    """
    template_set = template_sets.find(connection, wanted.template_set)
    require_owner(actor, template_set["created_by"], f"template set {template_set['name']!r}")
    follows = {} if wanted.follows is None else _following(connection, campaign, wanted.follows)
    text = wanted.rule if wanted.rule or not follows else "everyone"
    parsed = rule.read(text, resolve_task or rule.task_resolver(connection, campaign["id"]))
    return {
        "name": wanted.name,
        "plan_time": wanted.plan_time,
        "recipient_rule": rule.to_json(parsed),
        "template_set_id": template_set["id"],
        "experiment": _experiment(connection, template_set, wanted.experiment),
        **follows,
    }


def _experiment(
    connection: Connection, template_set: RowMapping, wanted: Experiment | None
) -> dict[str, Any] | None:
    """The column of an experiment; Refused where there is nothing to compare."""
    if wanted is None:
        return None
    if len(template_sets.items(connection, template_set["id"])) < 2:
        raise Refused(
            f"template set {template_set['name']!r} has fewer than two templates to compare",
            hint=f"add one: coldsend template-set add {quote(template_set['name'])} TEMPLATE",
        )
    return as_json(wanted)


def _following(connection: Connection, campaign: RowMapping, wanted: Following) -> dict[str, Any]:
    """The columns of a follow-up; Refused where what it follows is of another campaign."""
    given = (
        wanted.after
        if "/" in wanted.after or wanted.after.isdecimal()
        else f"{campaign['id']}/{wanted.after}"
    )
    before = tasks.find(connection, given)
    if before["campaign_id"] != campaign["id"]:
        raise Refused(
            f"task {tasks.reference(before)!r} is of another campaign than {campaign['name']!r}",
            hint=f"see: coldsend task list {quote(campaign['name'])}",
        )
    if not 1 <= wanted.days <= sequence.MOST_DAYS:
        raise InvalidInput(
            f"a follow-up is sent 1 to {sequence.MOST_DAYS} days after the message before, not {wanted.days}"
        )
    return {
        "follows_task_id": before["id"],
        "follows_days": wanted.days,
        "follows_business_days": wanted.business_days,
        "follows_condition": sequence.stored(sequence.read_conditions(wanted.conditions)),
    }


def require_no_limit(wanted: NewTask) -> None:
    """Refused where a follow-up names services: limited to others, its messages would wait for ever for the
    one that they keep."""
    if wanted.follows is not None and wanted.services:
        raise Refused(
            f"task {wanted.name!r} is a follow-up: it goes out through the service of the message before",
            hint="name services for the first task only",
        )


def service_ids(connection: Connection, actor: Actor, given: Sequence[str]) -> list[int]:
    """Ids of services the actor may send through."""
    found = []
    for name in given:
        service = services.find(connection, name)
        if not access.may_use(connection, actor, service["id"]):
            raise NotAllowed(
                f"service {service['name']!r} is not granted to {actor.username!r}",
                hint=f"an admin grants it: coldsend service grant {quote(service['name'])} {actor.username}",
            )
        found.append(int(service["id"]))
    return found
