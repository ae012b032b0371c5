"""What operators do with templates: add, change, remove, preview. Everything is checked before it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from shlex import quote
from typing import Any

from sqlalchemy.engine import Connection, RowMapping

from coldsend.composing import lint
from coldsend.composing.compose import composer
from coldsend.composing.dkim import Signer
from coldsend.composing.load import load_variables, recipient_of, sampled_fields, template_of
from coldsend.composing.source import Site, TemplateSource
from coldsend.domain.access import Actor, require_granted, require_owner
from coldsend.domain.finding import Finding
from coldsend.domain.message import Message
from coldsend.domain.service import Service
from coldsend.domain.states import TaskStatus
from coldsend.errors import InvalidInput, Refused, WrongState
from coldsend.stores import access, lookup, services, templates

SUBJECT_COLUMN = 500

# While a task sends, all its recipients get the same text. Paused, a broken template can be mended.
LOCKING = (TaskStatus.SCHEDULED, TaskStatus.SENDING)


@dataclass(frozen=True, slots=True)
class Checked:
    """A template that was looked at (id 0: not stored), what was found, and what coldsend adds to it."""

    template: TemplateSource
    findings: list[Finding]
    notes: list[str]


def add(connection: Connection, actor: Actor, template: TemplateSource, now: datetime) -> Checked:
    """Store a new template; InvalidInput with every error the lint finds."""
    template = replace(template, name=lookup.checked_name(template.name, "template"))
    templates.check_free(connection, template.name)
    checked = check(connection, template)
    _require_sound(checked)
    values = {
        "name": template.name,
        "subject": template.subject,
        "body": template.body,
        "text_body": template.text_body,
        "created_by": actor.id,
    }
    template_id = templates.add(connection, values, now)
    return replace(checked, template=replace(template, id=template_id))


def check(connection: Connection, template: TemplateSource) -> Checked:
    """What the lint says about a template, with the variables and custom fields there are."""
    defined = load_variables(connection)
    return Checked(template, *lint.look(template, defined, sampled_fields(connection)))


def _require_sound(checked: Checked) -> None:
    errors = [finding for finding in checked.findings if finding.severity == "error"]
    if len(checked.template.subject) > SUBJECT_COLUMN:
        raise InvalidInput(f"a subject has at most {SUBJECT_COLUMN} characters, variables included")
    if not errors:
        return
    lines = "\n".join(
        f"  {finding.subject}: {finding.message}" + (f" ({finding.hint})" if finding.hint else "")
        for finding in errors
    )
    noun = "error" if len(errors) == 1 else "errors"
    raise InvalidInput(f"template {checked.template.name!r} has {len(errors)} {noun}:\n{lines}")


def owned(connection: Connection, actor: Actor, given: str) -> RowMapping:
    """The template if ``actor`` may use it; NotFound or NotAllowed otherwise."""
    row = templates.find(connection, given)
    require_owner(actor, row["created_by"], f"template {row['name']!r}")
    return row


def change(
    connection: Connection, actor: Actor, given: str, changes: Mapping[str, Any], now: datetime
) -> Checked:
    """Change subject, body, text_body or name; WrongState while a task sends it."""
    row = owned(connection, actor, given)
    _require_unlocked(connection, row, "be changed")
    if not changes:
        raise InvalidInput("nothing to change was given", hint="for example: --subject or --body-file")
    template = replace(template_of(row), **changes)
    if template.name != row["name"]:
        template = replace(template, name=lookup.checked_name(template.name, "template"))
        templates.check_free(connection, template.name)
    checked = check(connection, template)
    _require_sound(checked)
    values = {
        "name": template.name,
        "subject": template.subject,
        "body": template.body,
        "text_body": template.text_body,
    }
    templates.update(connection, row["id"], values, now)
    return checked


def remove(connection: Connection, actor: Actor, given: str) -> RowMapping:
    """Delete a template; refused while a set holds it, a task sends it, or a send list names it."""
    row = owned(connection, actor, given)
    _require_unlocked(connection, row, "be removed")
    if sets := templates.sets_with(connection, row["id"]):
        raise Refused(
            f"template {row['name']!r} is in {_listed('template set', sets)}",
            hint=f"take it out first: coldsend template-set remove {sets[0]!r} {row['name']!r}",
        )
    if templates.is_in_a_send_list(connection, row["id"]):
        raise Refused(
            f"template {row['name']!r} has been sent: reports name it, and it stays",
            hint=f"give it another name: coldsend template update {row['name']!r} --name NEW",
        )
    templates.remove(connection, row["id"])
    return row


def _require_unlocked(connection: Connection, row: RowMapping, deed: str) -> None:
    tasks = templates.in_tasks(connection, LOCKING).get(row["id"])
    if tasks:
        raise WrongState(
            f"template {row['name']!r} is in use by {_listed('task', tasks)} and cannot {deed} now",
            hint=f"pause the task first: coldsend task pause {quote(tasks[0])}",
        )


def _listed(noun: str, names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{noun}{'s' if len(names) > 1 else ''} {shown}{more}"


def preview(
    connection: Connection,
    template: TemplateSource,
    contact: Mapping[str, Any],
    service: Service,
    site: Site,
    now: datetime,
    signer: Signer | None = None,
) -> Message:
    """The message a contact would get; CannotCompose says what is missing."""
    made = composer(template, load_variables(connection), service, site, signer)
    return made.compose(recipient_of(contact), now)


def preview_service(connection: Connection, actor: Actor, given: str | None) -> Service | None:
    """The service to preview with: the one named, else the first the actor may use, else None."""
    mine = access.granted(connection, actor.id)
    if given is not None:
        row = services.find(connection, given)
        require_granted(actor, mine, row["id"], row["name"])
        return services.as_service(row)
    usable = (s for s in services.all_services(connection) if actor.is_admin or s.id in mine)
    return next(usable, None)
