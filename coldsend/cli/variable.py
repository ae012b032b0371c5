"""``coldsend variable``: names that templates use for contact fields, tags and system values."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from coldsend import clock
from coldsend.cli.context import current
from coldsend.cli.noun import changes, noun, reads
from coldsend.composing import definitions
from coldsend.composing.source import Variable
from coldsend.composing.variables import CONTACT_COLUMNS, SYSTEM_NAMES
from coldsend.domain.states import VariableSource
from coldsend.errors import InvalidInput
from coldsend.stores import variables

app = noun("Template variables: names for contact fields, tags and system values.")


@changes(
    app,
    """coldsend variable add first_name --source CONTACT_FIELD --details '{"field": "nickname"}'""",
    """coldsend variable add is_vip --source CONTACT_TAG --details '{"tag": "vip"}'""",
    """coldsend variable add city --source CONTACT_TAG --details '{"prefix": "city:"}' --display-name City""",
    """coldsend variable add today --source SYSTEM --details '{"name": "date"}'""",
)
def add(
    key: Annotated[str, typer.Argument(help="As templates write it: first_name or contact.first_name.")],
    source: Annotated[VariableSource, typer.Option(case_sensitive=False, help="Where its value comes from.")],
    details: Annotated[str, typer.Option(metavar="JSON", help="Which field, tag, prefix or system value.")],
    display_name: Annotated[str, typer.Option(help="What people call it.")] = "",
    description: Annotated[str | None, typer.Option(help="A sentence about it.")] = None,
) -> None:
    """Define a variable for templates.

    CONTACT_FIELD {"field": ..}: a column or custom field. CONTACT_TAG {"tag": ..}: true or false;
    {"prefix": ..}: the rest of the first tag that begins so. SYSTEM {"name": ..}: see `variable list`.
    """
    run, now = current(), clock.now()
    actor = run.actor
    variable = Variable(key.strip(), source, _object(details))
    variable_id = run.database.run(
        lambda connection: definitions.add(connection, actor, variable, display_name, description, now)
    )
    document = {"id": variable_id, "key": variable.key, "source": source.value}
    run.out.done(f"variable {variable.key!r} defined: templates write {{{{ {variable.key} }}}}", document)


@reads(app, "coldsend variable list", name="list")
def list_variables() -> None:
    """List the variables templates may use: those defined, then those built in."""
    run = current()
    assert run.actor
    with run.database.read() as connection:
        rows = variables.listed(connection)
    defined = [
        {
            "id": row["id"],
            "key": row["variable_key"],
            "source": row["source_type"],
            "details": row["source_details"],
            "display_name": row["display_name"],
            "description": row["description"],
            "created_by": row["creator"],
        }
        for row in rows
    ]
    shown = [*defined, *(_built_in(key) for key in _built_in_keys())]
    columns = {
        "key": "VARIABLE",
        "source": "SOURCE",
        "details_text": "DETAILS",
        "display_name": "NAME",
        "created_by": "BY",
    }
    lines = [{**row, "details_text": json.dumps(row["details"], ensure_ascii=False)} for row in shown]
    run.out.table(lines, columns, empty="", document=shown)
    if not run.json:
        run.out.note('also {{ contact.FIELD }} for every custom field, tag("vip") and tag_value("city:")')


@changes(app, "coldsend variable remove first_name")
def remove(key: Annotated[str, typer.Argument(help="Key or id of the variable.")]) -> None:
    """Forget a variable that no template uses."""
    run = current()
    actor = run.actor
    with run.database.read() as connection:
        found = variables.find(connection, key)["variable_key"]
    run.out.confirm(f"Remove variable {found!r}?")
    row = run.database.run(lambda connection: definitions.remove(connection, actor, key))
    run.out.done(f"variable {found!r} removed", {"id": row["id"], "key": found})


def _built_in_keys() -> list[str]:
    return [*(f"contact.{column}" for column in CONTACT_COLUMNS), *SYSTEM_NAMES]


def _built_in(key: str) -> dict[str, object]:
    namespace, _, field = key.partition(".")
    contact = namespace == "contact"
    return {
        "id": None,
        "key": key,
        "source": (VariableSource.CONTACT_FIELD if contact else VariableSource.SYSTEM).value,
        "details": {"field": field} if contact else {"name": key},
        "display_name": "",
        "description": None,
        "created_by": "built in",
    }


def _object(text: str) -> dict[str, str]:
    hint = """for example: --details '{"field": "nickname"}'"""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidInput(f"--details is not JSON: {error}", hint=hint) from error
    if not isinstance(value, dict):
        raise InvalidInput("--details is not a JSON object", hint=hint)
    return value
