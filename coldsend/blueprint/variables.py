"""``[variables.KEY]``: names that templates use for contact fields, tags and system values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy.engine import RowMapping

from coldsend.blueprint.keys import Key, text
from coldsend.blueprint.kind import Entry, Kind, Names, Portrait, Settled, Stage
from coldsend.composing import definitions
from coldsend.composing.source import Variable
from coldsend.composing.variables import SYSTEM_NAMES, checked_details, checked_key
from coldsend.domain.states import VariableSource
from coldsend.errors import NotFound
from coldsend.stores import variables

# Key in a file -> source, and the key of its details.
SOURCES = {
    "field": (VariableSource.CONTACT_FIELD, "field"),
    "tag": (VariableSource.CONTACT_TAG, "tag"),
    "prefix": (VariableSource.CONTACT_TAG, "prefix"),
    "system": (VariableSource.SYSTEM, "name"),
}


def _detail(target: str) -> Any:
    source, detail = SOURCES[target]
    return lambda given: checked_details(source, {detail: text(given)})[detail]


def _some_text(given: Any) -> str:
    if not text(given):
        raise ValueError("must not be empty")
    return text(given)


class Variables(Kind):
    noun = "variable"
    section = "variables"
    keys = (
        Key("field", "text", "a contact's column or custom field", _detail("field")),
        Key("tag", "text", "true or false: whether a contact carries this tag", _detail("tag")),
        Key("prefix", "text", "the rest of a contact's first tag that begins so", _detail("prefix")),
        Key("system", "text", f"one of {', '.join(f'`{name}`' for name in SYSTEM_NAMES)}", _detail("system")),
        Key("display_name", "text", "what people call it; left out, its key", _some_text),
        Key("description", "text", "a sentence about it", text, clears=True),
    )

    def checked_name(self, name: str) -> str:
        return checked_key(name)

    def problems(self, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        given = [target for target in SOURCES if target in values]
        for other in given[1:]:
            yield other, f"a variable has one source, and {given[0]} is one already"

    def find(self, stage: Stage, names: Names) -> RowMapping | None:
        try:
            return variables.find(stage.connection, names[0])
        except NotFound:
            return None

    def portrait(self, stage: Stage, row: RowMapping) -> Portrait:
        details = row["source_details"] or {}
        stored = {
            target: details.get(detail) if row["source_type"] == source.value else None
            for target, (source, detail) in SOURCES.items()
        }
        return {**stored, "display_name": row["display_name"], "description": row["description"] or None}

    def all(self, stage: Stage) -> list[tuple[Names, RowMapping]]:
        return [((row["variable_key"],), row) for row in variables.listed(stage.connection)]

    def missing(self, values: Mapping[str, Any]) -> list[str]:
        return [] if SOURCES.keys() & values.keys() else [" or ".join(SOURCES)]

    def create(self, stage: Stage, entry: Entry) -> Settled:
        definitions.add(
            stage.connection,
            stage.actor,
            _variable(entry.names[0], entry.values),
            entry.values.get("display_name", ""),
            entry.values.get("description"),
            stage.now,
        )
        return Settled()

    def change(self, stage: Stage, row: RowMapping, entry: Entry, values: Portrait) -> Settled:
        before = self.portrait(stage, row)
        if SOURCES.keys() & values.keys():
            before = {target: value for target, value in before.items() if target not in SOURCES}
        after = {**before, **values}
        definitions.change(
            stage.connection,
            stage.actor,
            _variable(row["variable_key"], after),
            after["display_name"],
            after["description"],
            stage.now,
        )
        return Settled()


def _variable(key: str, values: Mapping[str, Any]) -> Variable:
    target = next(target for target in SOURCES if values.get(target) is not None)
    source, detail = SOURCES[target]
    return Variable(key, source, {detail: values[target]})
