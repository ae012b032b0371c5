"""What operators do with template sets: their templates are sent in turn, in the order of the set.

A template is given by its name or id, with its weight behind it where that is not 1: ``intro-a=3``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy.engine import Connection, RowMapping

from coldsend.composing import templates as template_use
from coldsend.domain.access import Actor, require_owner
from coldsend.domain.rotation import Turn, require_weights
from coldsend.domain.states import TaskStatus
from coldsend.errors import InvalidInput, Refused, WrongState
from coldsend.stores import lookup, template_sets, templates

# Rotation is fixed when a task is expanded; what a set shows must be what its open tasks send.
LOCKING = (TaskStatus.SCHEDULED, TaskStatus.SENDING, TaskStatus.PAUSED)

WEIGHT_DIGITS = 9


@dataclass(frozen=True, slots=True)
class TemplateSet:
    """A set and the templates in it, in order."""

    id: int
    name: str
    items: Sequence[RowMapping]

    @property
    def names(self) -> list[str]:
        return [item["name"] for item in self.items]

    @property
    def weights(self) -> dict[str, int]:
        """The turns each template takes in a round, by its name."""
        return {item["name"]: int(item["weight"]) for item in self.items}


def owned(connection: Connection, actor: Actor, given: str) -> TemplateSet:
    """The set if ``actor`` may use it; NotFound or NotAllowed otherwise."""
    row = template_sets.find(connection, given)
    require_owner(actor, row["created_by"], f"template set {row['name']!r}")
    return TemplateSet(row["id"], row["name"], template_sets.items(connection, row["id"]))


def create(
    connection: Connection, actor: Actor, name: str, wanted: Sequence[str], now: datetime
) -> TemplateSet:
    """A new set with these templates in this order."""
    name = lookup.checked_name(name, "template set")
    turns = _turns(connection, actor, wanted)
    require_weights([turn.weight for turn in turns])
    set_id = template_sets.add(connection, name, actor.id, now)
    if turns:
        template_sets.append(connection, set_id, turns, now)
    return owned(connection, actor, str(set_id))


def add(
    connection: Connection, actor: Actor, given: str, wanted: Sequence[str], now: datetime
) -> TemplateSet:
    """Put templates at the end of a set."""
    found = _changeable(connection, actor, given)
    turns = _turns(connection, actor, _some(wanted))
    present = {item["template_id"]: item["name"] for item in found.items}
    if twice := [present[turn.template_id] for turn in turns if turn.template_id in present]:
        raise Refused(
            f"template {twice[0]!r} is in template set {found.name!r} already",
            hint=f"change the order with: coldsend template-set reorder {found.name!r} TEMPLATE..",
        )
    require_weights([*found.weights.values(), *(turn.weight for turn in turns)])
    template_sets.append(connection, found.id, turns, now)
    return owned(connection, actor, str(found.id))


def weigh(
    connection: Connection, actor: Actor, given: str, wanted: Sequence[str], now: datetime
) -> TemplateSet:
    """Give templates of a set other weights (``intro-a=3``); those that are not named keep theirs."""
    found = _changeable(connection, actor, given)
    held = {str(known) for item in found.items for known in (item["name"], item["template_id"])}
    pairs = [_weighted(text, held.__contains__) for text in _some(wanted)]
    if bare := [name for name, weight in pairs if weight is None]:
        raise InvalidInput(f"no weight was given for {bare[0]!r}", hint=f"for example: {bare[0]}=3")
    ids = _members(connection, found, [name for name, _weight in pairs])
    turns = [Turn(one, weight) for one, (_name, weight) in zip(ids, pairs, strict=True) if weight is not None]
    after = {item["template_id"]: item["weight"] for item in found.items}
    require_weights(list((after | {turn.template_id: turn.weight for turn in turns}).values()))
    template_sets.set_weights(connection, found.id, turns, now)
    return owned(connection, actor, str(found.id))


def take_out(
    connection: Connection, actor: Actor, given: str, wanted: Sequence[str], now: datetime
) -> TemplateSet:
    """Take templates out of a set; the templates themselves stay."""
    found = _changeable(connection, actor, given)
    ids = _members(connection, found, wanted)
    template_sets.take_out(connection, found.id, ids, now)
    return owned(connection, actor, str(found.id))


def reorder(
    connection: Connection, actor: Actor, given: str, wanted: Sequence[str], now: datetime
) -> TemplateSet:
    """Put the templates of a set in the order given; all of them must be named."""
    found = _changeable(connection, actor, given)
    ids = _members(connection, found, wanted)
    if left := [item["name"] for item in found.items if item["template_id"] not in ids]:
        raise InvalidInput(
            f"the new order of template set {found.name!r} leaves out {', '.join(map(repr, left))}",
            hint=f"name all of its templates: {', '.join(map(repr, found.names))}",
        )
    template_sets.put_in_order(connection, found.id, ids, now)
    return owned(connection, actor, str(found.id))


def arrange(
    connection: Connection, actor: Actor, given: str, wanted: Sequence[tuple[str, int]], now: datetime
) -> TemplateSet:
    """Let a set hold these templates in this order, by name with their weights, and no others."""
    found = _changeable(connection, actor, given)
    turns = [Turn(template_use.owned(connection, actor, name)["id"], weight) for name, weight in wanted]
    require_weights([turn.weight for turn in turns])
    held = {item["template_id"] for item in found.items}
    template_sets.take_out(connection, found.id, list(held - {turn.template_id for turn in turns}), now)
    if added := [turn for turn in turns if turn.template_id not in held]:
        template_sets.append(connection, found.id, added, now)
    template_sets.put_in_order(connection, found.id, [turn.template_id for turn in turns], now)
    template_sets.set_weights(connection, found.id, turns, now)
    return owned(connection, actor, str(found.id))


def remove(connection: Connection, actor: Actor, given: str) -> TemplateSet:
    """Delete a set that no task refers to; its templates stay."""
    found = owned(connection, actor, given)
    if tasks := template_sets.tasks_with(connection, found.id):
        raise Refused(
            f"template set {found.name!r} belongs to task {tasks[0]!r}, whose reports name it",
            hint="sets that a task was made with stay; create another one under a new name",
        )
    template_sets.remove(connection, found.id)
    return found


def _changeable(connection: Connection, actor: Actor, given: str) -> TemplateSet:
    found = owned(connection, actor, given)
    if tasks := template_sets.tasks_with(connection, found.id, LOCKING):
        raise WrongState(
            f"template set {found.name!r} is in use by task {tasks[0]!r} and cannot be changed now",
            hint="create another set and another task, or wait until the task has finished",
        )
    return found


def _turns(connection: Connection, actor: Actor, wanted: Sequence[str]) -> list[Turn]:
    """Templates the actor may use, in the order given, each once."""
    turns: list[Turn] = []
    for given in wanted:
        name, weight = _weighted(given, partial(templates.exists, connection))
        row = template_use.owned(connection, actor, name)
        if row["id"] in [turn.template_id for turn in turns]:
            raise InvalidInput(f"template {row['name']!r} is named twice")
        turns.append(Turn(row["id"], 1 if weight is None else weight))
    return turns


def _weighted(given: str, is_name: Callable[[str], bool]) -> tuple[str, int | None]:
    """``name=3`` as name and weight; None where there is none, or where all of it is a template's name."""
    text = given.strip()
    name, sign, weight = text.rpartition("=")
    if not sign or is_name(text):
        return text, None
    if not (weight.isascii() and weight.isdigit()) or len(weight) > WEIGHT_DIGITS:
        raise InvalidInput(
            f"{weight!r} is not a weight for {name!r}", hint=f"a whole number from 1, such as {name}=3"
        )
    return name, int(weight)


def _members(connection: Connection, found: TemplateSet, wanted: Sequence[str]) -> list[int]:
    """Ids of templates of a set, in the order given, each once."""
    ids: list[int] = []
    for given in _some(wanted):
        matching = [i for i in found.items if given.strip() in {i["name"], str(i["template_id"])}]
        if not matching:
            raise InvalidInput(
                f"template {given!r} is not in template set {found.name!r}",
                hint=f"it holds: {', '.join(map(repr, found.names)) or 'nothing yet'}",
            )
        if matching[0]["template_id"] in ids:
            raise InvalidInput(f"template {given!r} is named twice")
        ids.append(matching[0]["template_id"])
    return ids


def _some(wanted: Sequence[str]) -> Sequence[str]:
    if not wanted:
        raise InvalidInput("no template was named", hint="for example: coldsend template-set add SET intro")
    return wanted
