"""What operators do with variable definitions. They are shared by all users' templates."""

from __future__ import annotations

from datetime import datetime
from shlex import quote
from typing import Any

from sqlalchemy.engine import Connection, RowMapping

from coldsend.composing.build import read
from coldsend.composing.load import load_variables, template_of
from coldsend.composing.source import Variable
from coldsend.composing.templates import LOCKING
from coldsend.composing.variables import Vocabulary, checked_details, checked_key
from coldsend.domain.access import Actor, require_owner
from coldsend.errors import InvalidInput, Refused, WrongState
from coldsend.stores import templates, variables

DISPLAY_NAME_LIMIT = 255
DESCRIPTION_LIMIT = 10_000


def add(
    connection: Connection,
    actor: Actor,
    variable: Variable,
    display_name: str,
    description: str | None,
    now: datetime,
) -> int:
    """Define a variable; refused where it would change what a task is sending. Returns its id."""
    key = checked_key(variable.key)
    values = {"variable_key": key, **_columns(variable, display_name, description)}
    _require_unsent(connection, key, load_variables(connection))
    return variables.add(connection, {**values, "created_by": actor.id}, now)


def change(
    connection: Connection,
    actor: Actor,
    variable: Variable,
    display_name: str,
    description: str | None,
    now: datetime,
) -> None:
    """Give the variable of this key another meaning; refused where a task is sending it."""
    row = variables.find(connection, variable.key)
    key = row["variable_key"]
    require_owner(actor, row["created_by"], f"variable {key!r}")
    values = _columns(variable, display_name, description)
    if any(row[name] != values[name] for name in ("source_type", "source_details")):
        _require_unsent(connection, key, load_variables(connection))
    variables.update(connection, row["id"], values, now)


def _columns(variable: Variable, display_name: str, description: str | None) -> dict[str, Any]:
    details = checked_details(variable.source, variable.details)
    if len(display_name) > DISPLAY_NAME_LIMIT:
        raise InvalidInput(f"a display name has at most {DISPLAY_NAME_LIMIT} characters")
    if len(description or "") > DESCRIPTION_LIMIT:
        raise InvalidInput(f"a description has at most {DESCRIPTION_LIMIT:,} characters")
    return {
        "display_name": display_name or variable.key.strip(),
        "source_type": variable.source.value,
        "source_details": details,
        "description": description,
    }


def remove(connection: Connection, actor: Actor, given: str) -> RowMapping:
    """Forget a definition; refused while a template needs it."""
    row = variables.find(connection, given)
    key = row["variable_key"]
    require_owner(actor, row["created_by"], f"variable {key!r}")
    defined = load_variables(connection)
    _require_unsent(connection, key, defined)
    built_in = Vocabulary(one for one in defined if one.key != key).origin(key) is not None
    users = [] if built_in else _templates_with(connection, key, defined)
    if users:
        raise Refused(
            f"variable {key!r} is used by template {users[0]['name']!r}",
            hint=f"change the template first: coldsend template update {users[0]['name']!r} --body-file FILE",
        )
    variables.remove(connection, row["id"])
    return row


def _require_unsent(connection: Connection, key: str, defined: list[Variable]) -> None:
    """WrongState while a task sends a template with this variable: its recipients must all get the same."""
    sending = templates.in_tasks(connection, LOCKING)
    for row in _templates_with(connection, key, defined) if sending else []:
        if row["id"] in sending:
            task = sending[row["id"]][0]
            raise WrongState(
                f"variable {key!r} is used by template {row['name']!r}, which task {task!r} is sending",
                hint=f"pause the task first: coldsend task pause {quote(task)}",
            )


def _templates_with(connection: Connection, key: str, defined: list[Variable]) -> list[RowMapping]:
    vocabulary = Vocabulary(defined)
    return [row for row in templates.bodies(connection) if key in read(template_of(row), vocabulary).names]
