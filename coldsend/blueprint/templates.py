"""``[templates.NAME]``: what is written to people, in the file itself or in files beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy.engine import RowMapping

from coldsend.blueprint.keys import Key, text
from coldsend.blueprint.kind import Entry, Kind, Names, Portrait, Reference, Settled, Stage
from coldsend.blueprint.variables import Variables
from coldsend.composing import templates as use
from coldsend.composing.source import TemplateSource
from coldsend.errors import InvalidInput, NotFound
from coldsend.stores import templates
from coldsend.stores.lookup import checked_name

FILE_LIMIT = 10_000_000  # bytes: far beyond what a message may have


def _file(given: Any) -> str:
    """The text in a file, its line ends as they are in templates."""
    path = Path(text(given))
    try:
        if path.stat().st_size > FILE_LIMIT:
            raise InvalidInput(f"{path} has more than {FILE_LIMIT:,} bytes: that is no mail")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8: byte {error.start} cannot be read") from error
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be read: {error.strerror}", hint="it is looked for beside the file that names it"
        ) from error


class Templates(Kind):
    noun = "template"
    section = "templates"
    keys = (
        Key("subject", "text", "variables as in the body", text, required=True),
        Key("body", "text", 'the HTML, between `"""`; this or `body_file`', text, required=True),
        Key(
            "body_file",
            "text",
            "a file with the HTML, relative to this one",
            _file,
            path=True,
            stores="body",
            listed=False,
        ),
        Key("text", "text", "the text part; left out: made from the HTML", text, clears=True),
        Key(
            "text_file",
            "text",
            "a file with the text part, relative to this one",
            _file,
            path=True,
            stores="text",
            listed=False,
        ),
    )

    def checked_name(self, name: str) -> str:
        return checked_name(name, self.noun)

    def missing(self, values: Mapping[str, Any]) -> list[str]:
        return ["body or body_file" if name == "body" else name for name in super().missing(values)]

    def may_need(self, entry: Entry, broken: Reference) -> bool:
        section, names = broken
        return section == Variables.section and any(
            names[0] in (part or "") for part in entry.values.values()
        )

    def find(self, stage: Stage, names: Names) -> RowMapping | None:
        found: RowMapping | None = owned(use.owned, stage, names[0])
        return found

    def portrait(self, stage: Stage, row: RowMapping) -> Portrait:
        return {"subject": row["subject"], "body": row["body"], "text": row["text_body"]}

    def all(self, stage: Stage) -> list[tuple[Names, RowMapping]]:
        mine = (
            row
            for row in templates.bodies(stage.connection)
            if stage.actor.is_admin or row["created_by"] == stage.actor.id
        )
        return [((row["name"],), row) for row in sorted(mine, key=lambda row: str(row["name"]))]

    def create(self, stage: Stage, entry: Entry) -> Settled:
        values = entry.values
        template = TemplateSource(0, entry.names[0], values["subject"], values["body"], values.get("text"))
        return _settled(use.add(stage.connection, stage.actor, template, stage.now))

    def change(self, stage: Stage, row: RowMapping, entry: Entry, values: Portrait) -> Settled:
        changes = {"text_body" if target == "text" else target: value for target, value in values.items()}
        return _settled(use.change(stage.connection, stage.actor, row["name"], changes, stage.now))


def owned(find: Callable[..., Any], stage: Stage, name: str) -> Any:
    """What ``find(connection, actor, name)`` finds; None for nothing, NotAllowed for another user's."""
    try:
        return find(stage.connection, stage.actor, name)
    except NotFound:
        return None


def _settled(checked: use.Checked) -> Settled:
    return Settled(warnings=tuple(one for one in checked.findings if one.severity == "warning"))
