"""``[template_sets.NAME]``: templates that a task's recipients get in turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy.engine import RowMapping

from coldsend.blueprint.keys import Key, names, whole
from coldsend.blueprint.kind import Entry, Kind, Names, Portrait, Reference, Settled, Stage
from coldsend.blueprint.templates import Templates, owned
from coldsend.composing import template_sets as use
from coldsend.domain.rotation import require_weights
from coldsend.stores import template_sets
from coldsend.stores.lookup import checked_name


def _weights(given: Any) -> dict[str, int]:
    if not isinstance(given, Mapping):
        raise ValueError(f"must be a table such as {{ intro-a = 3 }}, not {given!r}")  # noqa: TRY004
    found = {name: whole(weight) for name, weight in given.items()}
    require_weights(list(found.values()))
    return {name: weight for name, weight in found.items() if weight != 1}


class TemplateSets(Kind):
    noun = "template set"
    section = "template_sets"
    keys = (
        Key("templates", "list of texts", "names of templates, in the order they take turns", names),
        Key(
            "weights",
            "table",
            "turns of a template in a round, such as `{ intro-a = 3 }`; those that are not named take one",
            _weights,
        ),
    )

    def checked_name(self, name: str) -> str:
        return checked_name(name, self.noun)

    def problems(self, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        held = values.get("templates", ())
        if twice := [name for place, name in enumerate(held) if name in held[:place]]:
            yield "templates", f"template {twice[0]!r} is named twice"
        for name in values.get("weights", {}):
            if "templates" in values and name not in held:
                yield "weights", f"{name!r} is not among its templates"

    def needs(self, entry: Entry) -> Iterator[tuple[str, Reference]]:
        for name in entry.values.get("templates", ()):
            yield "templates", (Templates.section, (name,))

    def find(self, stage: Stage, names: Names) -> RowMapping | None:
        found = owned(use.owned, stage, names[0])
        return template_sets.find(stage.connection, found.name) if found else None

    def portrait(self, stage: Stage, row: RowMapping) -> Portrait:
        items = template_sets.items(stage.connection, row["id"])
        weights = {item["name"]: int(item["weight"]) for item in items}
        return {
            "templates": tuple(weights),
            "weights": {name: weight for name, weight in weights.items() if weight != 1},
        }

    def all(self, stage: Stage) -> list[tuple[Names, RowMapping]]:
        listed = template_sets.listed(stage.connection, None if stage.actor.is_admin else stage.actor.id)
        return [((row["name"],), row) for row in sorted(listed, key=lambda row: str(row["name"]))]

    def create(self, stage: Stage, entry: Entry) -> Settled:
        use.create(stage.connection, stage.actor, entry.names[0], [], stage.now)
        if entry.values.get("templates"):
            self._arrange(stage, entry, (), {})
        return Settled()

    def change(self, stage: Stage, row: RowMapping, entry: Entry, values: Portrait) -> Settled:
        before = self.portrait(stage, row)
        self._arrange(stage, entry, before["templates"], before["weights"])
        return Settled()

    def _arrange(self, stage: Stage, entry: Entry, held: tuple[str, ...], weights: Mapping[str, int]) -> None:
        held = entry.values.get("templates", held)
        weights = entry.values.get("weights", weights)
        wanted = [(name, weights.get(name, 1)) for name in held]
        use.arrange(stage.connection, stage.actor, entry.names[0], wanted, stage.now)
