"""What operators do with template sets: their templates are sent in turn, in the order of the set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection, RowMapping

from coldsend.composing import templates as template_use
from coldsend.domain.access import Actor, require_owner
from coldsend.domain.states import TaskStatus
from coldsend.errors import InvalidInput, Refused, WrongState
from coldsend.stores import lookup, template_sets

# Rotation is fixed when a task is expanded; what a set shows must be what its open tasks send.
LOCKING = (TaskStatus.SCHEDULED, TaskStatus.SENDING, TaskStatus.PAUSED)


@dataclass(frozen=True, slots=True)
class TemplateSet:
    """A set and the templates in it, in order."""

    id: int
    name: str
    items: Sequence[RowMapping]

    @property
    def names(self) -> list[str]:
        return [item["name"] for item in self.items]


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
    ids = _templates(connection, actor, wanted)
    set_id = template_sets.add(connection, name, actor.id, now)
    if ids:
        template_sets.append(connection, set_id, ids, now)
    return owned(connection, actor, str(set_id))


def add(
    connection: Connection, actor: Actor, given: str, wanted: Sequence[str], now: datetime
) -> TemplateSet:
    """Put templates at the end of a set."""
    found = _changeable(connection, actor, given)
    ids = _templates(connection, actor, _some(wanted))
    present = {item["template_id"]: item["name"] for item in found.items}
    if twice := [present[one] for one in ids if one in present]:
        raise Refused(
            f"template {twice[0]!r} is in template set {found.name!r} already",
            hint=f"change the order with: coldsend template-set reorder {found.name!r} TEMPLATE..",
        )
    template_sets.append(connection, found.id, ids, now)
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


def _templates(connection: Connection, actor: Actor, wanted: Sequence[str]) -> list[int]:
    """Ids of templates the actor may use, in the order given, each once."""
    ids: list[int] = []
    for given in wanted:
        row = template_use.owned(connection, actor, given)
        if row["id"] in ids:
            raise InvalidInput(f"template {row['name']!r} is named twice")
        ids.append(row["id"])
    return ids


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
