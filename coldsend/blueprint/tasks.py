"""``[campaigns.CAMPAIGN.tasks.NAME]``: what a campaign sends to whom, and which task follows which."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy.engine import RowMapping

from coldsend.audience import rule
from coldsend.blueprint.keys import Key, checked, flag, moment, name, names, number, text, texts, whole
from coldsend.blueprint.kind import Entry, Kind, Names, Portrait, Reference, Settled, Stage
from coldsend.blueprint.services import Services
from coldsend.blueprint.template_sets import TemplateSets
from coldsend.domain import sequence
from coldsend.domain.access import require_owner
from coldsend.domain.experiment import Experiment, planned
from coldsend.domain.rule import All, AnyOf, Event, Not, Rule, Sent, leaves
from coldsend.domain.states import TaskStatus
from coldsend.errors import ColdsendError, NotFound
from coldsend.planning import revising
from coldsend.planning import tasks as use
from coldsend.planning.wanted import Following, NewTask
from coldsend.stores import campaigns, experiments, tasks, template_sets
from coldsend.stores.lookup import checked_name

FOLLOWING = ("days", "business_days", "if")


def _rule(given: Any) -> Rule:
    """A rule as text, as JSON in text, or as a TOML table of the same keys."""
    if isinstance(given, Mapping):
        return rule.load(given)
    if not isinstance(given, str):
        raise ValueError(f"must be text such as 'tag:lead', not {given!r}")  # noqa: TRY004
    return rule.read(given)


def rule_text(found: Rule) -> str:
    """The rule as people write it; as JSON where text would not give back the very same."""
    shown = rule.to_text(found)
    try:
        same = rule.read(shown) == found
    except ColdsendError:
        same = False
    return shown if same else json.dumps(rule.to_json(found), ensure_ascii=False)


def _conditions(given: list[str]) -> tuple[str, ...]:
    return tuple(sorted(sequence.stored(sequence.read_conditions(given)) or ()))


def _days(given: Any) -> int:
    if not 1 <= (number := whole(given)) <= sequence.MOST_DAYS:
        raise ValueError(f"must be from 1 to {sequence.MOST_DAYS}, not {number}")
    return number


EXPERIMENT: dict[str, Callable[[Any], Any]] = {
    "goal": text,
    "min_sample": whole,
    "wait_hours": whole,
    "confidence": number,
    "auto": flag,
}


def _experiment(given: Any) -> Experiment:
    if not isinstance(given, Mapping) or "goal" not in given:
        raise ValueError(f'must be a table such as {{ goal = "replies" }}, not {given!r}')
    if strange := [name for name in given if name not in EXPERIMENT]:
        raise ValueError(f"{strange[0]} says nothing about an experiment; possible: {', '.join(EXPERIMENT)}")
    values = {name: EXPERIMENT[name](one) for name, one in given.items()}
    return planned(
        values["goal"],
        values.get("min_sample"),
        values.get("wait_hours"),
        values.get("confidence"),
        auto=values.get("auto", True),
    )


def _experiment_table(found: Experiment) -> dict[str, Any]:
    return {name: getattr(found, name) for name in EXPERIMENT} | {"goal": found.goal.value}


def _experiment_of(row: RowMapping) -> Experiment | None:
    """The experiment of a task as it was asked for; how it stands is not a part of a file."""
    found = experiments.of(row)
    if found is None:
        return None
    return planned(found.goal, found.min_sample, found.wait_hours, found.confidence, auto=found.auto)


class Tasks(Kind):
    noun = "task"
    section = "tasks"
    keys = (
        Key(
            "template_set",
            "text",
            "its recipients get the templates of this set in turn",
            name,
            required=True,
        ),
        Key(
            "rule",
            "text",
            "who gets it, as text or JSON, such as `'tag:lead and not tag:customer'`; of a follow-up it may "
            "be left out",
            _rule,
            write=rule_text,
        ),
        Key(
            "plan_time", "time", "not before this time; without a zone UTC", moment("plan time"), clears=True
        ),
        Key(
            "services",
            "list of texts",
            "only through these sender services; left out: all its creator may use",
            checked(names, lambda found: tuple(sorted(set(found)))),
        ),
        Key("after", "text", "the task of this campaign that it follows", name, clears=True),
        Key("days", "whole number", "so many days after each recipient's own message", _days),
        Key("business_days", "true or false", "count only days on which the recipient's country works", flag),
        Key(
            "if",
            "list of texts",
            'what must hold when it is due, such as `["no reply", "no click"]`',
            checked(texts, _conditions),
        ),
        Key(
            "experiment",
            "table",
            'which template brings more: `{ goal = "replies", min_sample = 200, wait_hours = 72, '
            "confidence = 95, auto = true }`; only `goal` (`replies`, `interested`, `clicks`) must be given",
            _experiment,
            clears=True,
            write=_experiment_table,
        ),
    )

    def checked_name(self, name: str) -> str:
        return checked_name(name, self.noun)

    def problems(self, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if "after" in values and values["after"] is None:
            for target in FOLLOWING:
                if values.get(target):
                    yield target, "is for tasks that follow another one, and after is empty"

    def missing(self, values: Mapping[str, Any]) -> list[str]:
        found = super().missing(values)
        if values.get("after") is None:
            found += ["rule"] if "rule" not in values else []
            found += ["after"] if any(values.get(target) for target in FOLLOWING) else []
        elif "days" not in values:
            found.append("days")
        return found

    def needs(self, entry: Entry) -> Iterator[tuple[str, Reference]]:
        campaign, values = entry.names[0], entry.values
        yield "", ("campaigns", (campaign,))
        if "template_set" in values:
            yield "template_set", (TemplateSets.section, (values["template_set"],))
        for service in values.get("services", ()):
            yield "services", (Services.section, (service,))
        if values.get("after") is not None:
            yield "after", (self.section, (campaign, values["after"]))
        for named in tasks_in(values["rule"]) if "rule" in values else ():
            if not named.isdecimal() and (names := _names(named, campaign)) != entry.names:
                yield "rule", (self.section, names)

    def in_order(self, entries: Sequence[Entry]) -> list[Entry]:
        """What a task follows comes before it; otherwise as they stand."""
        known = {entry.names: entry for entry in entries}
        placed: dict[Names, Entry] = {}

        for entry in entries:
            chain: dict[Names, Entry] = {}
            at: Names = entry.names
            while at in known and at not in placed and at not in chain:
                chain[at] = known[at]
                at = (at[0], known[at].values.get("after") or "")
            placed |= dict(reversed(chain.items()))
        return list(placed.values())

    def problems_together(self, entries: Iterable[Entry]) -> Iterator[tuple[Entry, str, str]]:
        after = {entry.names: entry for entry in entries if entry.values.get("after") is not None}
        circles: set[Names] = set()
        seen: set[Names] = set()
        for entry in after.values():
            path: list[Names] = []
            at: Names = entry.names
            while at in after and at not in seen:
                seen.add(at)
                path.append(at)
                at = (at[0], after[at].values["after"])
            if at in path:
                circles.update(path[path.index(at) :])
        for entry in after.values():
            if entry.names in circles:
                yield entry, "after", "a task cannot follow itself, nor a task that follows it"

    def wanted(self, stage: Stage, entry: Entry) -> Portrait:
        if "rule" not in entry.values:
            return entry.values
        return {**entry.values, "rule": _named(stage, entry.values["rule"], entry.names[0])}

    def find(self, stage: Stage, names: Names) -> RowMapping | None:
        try:
            campaign = campaigns.find(stage.connection, names[0])
            row = tasks.find(stage.connection, f"{campaign['id']}/{names[1]}")
        except NotFound:
            return None
        require_owner(stage.actor, row["owner"], f"campaign {row['campaign']!r}")
        return row

    def portrait(self, stage: Stage, row: RowMapping) -> Portrait:
        connection = stage.connection
        follows = row["follows_task_id"]
        return {
            "template_set": template_sets.find(connection, row["template_set_id"])["name"],
            "rule": _named(stage, rule.load(row["recipient_rule"]), row["campaign"]),
            "plan_time": row["plan_time"],
            "services": tuple(sorted(tasks.service_names(connection, [row["id"]]).get(row["id"], []))),
            "after": None if follows is None else tasks.get(connection, follows)["name"],
            "days": row["follows_days"],
            "business_days": bool(row["follows_business_days"]),
            "if": tuple(sorted(row["follows_condition"] or ())),
            "experiment": _experiment_of(row),
        }

    def all(self, stage: Stage) -> list[tuple[Names, RowMapping]]:
        owner = None if stage.actor.is_admin else stage.actor.id
        rows = tasks.listed(stage.connection, owner=owner)
        return [((row["campaign"], row["name"]), row) for row in rows]

    def create(self, stage: Stage, entry: Entry) -> Settled:
        wanted = _new_task(entry.names, entry.values)
        made = use.add(
            stage.connection, stage.actor, wanted, stage.settings, stage.now, _resolver(stage, entry.names[0])
        )
        scheduled = made.status != TaskStatus.DRAFT
        notes = ("its campaign has been started: it is scheduled at once",) if scheduled else ()
        return Settled(notes, made.warnings)

    def change(self, stage: Stage, row: RowMapping, entry: Entry, values: Portrait) -> Settled:
        wanted = _new_task(entry.names, {**self.portrait(stage, row), **values})
        resolve = _resolver(stage, entry.names[0])
        warnings = revising.revise(
            stage.connection, stage.actor, row["id"], wanted, stage.settings, stage.now, resolve
        )
        return Settled(warnings=tuple(warnings))


def _new_task(names: Names, values: Mapping[str, Any]) -> NewTask:
    follows = None
    if values.get("after") is not None:
        business_days, conditions = values.get("business_days", False), values.get("if", ())
        follows = Following(f"{names[0]}/{values['after']}", values["days"], business_days, conditions)
    rule_as_json = json.dumps(rule.to_json(values["rule"])) if "rule" in values else ""
    return NewTask(
        names[0],
        names[1],
        values["template_set"],
        rule_as_json,
        values.get("plan_time"),
        values.get("services", ()),
        follows,
        values.get("experiment"),
    )


def _resolver(stage: Stage, campaign: str) -> rule.TaskResolver:
    """Finds the tasks a rule names: those there are, and those of the file, whichever comes first."""
    row = campaigns.find(stage.connection, campaign)
    there_are = rule.task_resolver(stage.connection, row["id"])

    def resolve(given: str) -> int:
        try:
            return there_are(given)
        except NotFound:
            if (Tasks.section, _names(given, campaign)) not in stage.declared:
                raise
            return 0  # it comes later; only whether there is one is asked

    return resolve


def tasks_in(found: Rule) -> Iterator[str]:
    """The tasks a rule names, as it names them."""
    for leaf in leaves(found):
        if isinstance(leaf, Event | Sent) and leaf.task is not None:
            yield leaf.task.strip()


def _names(given: str, campaign: str) -> Names:
    """``spring/intro``, or ``intro`` of the rule's own campaign."""
    first, slash, second = given.partition("/")
    return (first.strip(), second.strip()) if slash else (campaign, first.strip())


def _named(stage: Stage, found: Rule, campaign: str) -> Rule:
    """A rule that names every task in one way: by name, without the campaign where it is its own."""
    match found:
        case All(parts):
            return All(tuple(_named(stage, part, campaign) for part in parts))
        case AnyOf(parts):
            return AnyOf(tuple(_named(stage, part, campaign) for part in parts))
        case Not(part):
            return Not(_named(stage, part, campaign))
        case Event(task=str(task)) | Sent(task):
            return replace(found, task=_task_name(stage, task, campaign))
        case _:
            return found


def _task_name(stage: Stage, given: str, campaign: str) -> str:
    here = f"{campaign}/{given}" if "/" not in given and not given.strip().isdecimal() else given
    try:
        here = tasks.reference(tasks.find(stage.connection, here))
    except NotFound:
        here = here.strip()  # of the file, or gone
    return here.removeprefix(f"{campaign}/")
