"""``coldsend template-set``: templates that are sent in turn."""

from __future__ import annotations

from shlex import quote
from typing import Annotated, Any

import typer

from coldsend import clock
from coldsend.cli import advice
from coldsend.cli.context import current
from coldsend.cli.noun import changes, noun, reads
from coldsend.composing import template_sets as use
from coldsend.composing.template_sets import TemplateSet
from coldsend.stores import template_sets

app = noun("Sets of templates that a task's recipients get in turn.")

Set = Annotated[str, typer.Argument(metavar="SET", help="Name or id of the template set.")]
Named = Annotated[list[str] | None, typer.Argument(metavar="TEMPLATE..", help="Names or ids of templates.")]
Option = Annotated[
    list[str] | None, typer.Option("--template", metavar="TEMPLATE", help="The same, as an option.")
]


@changes(app, "coldsend template-set create intros --template intro-a --template intro-b")
def create(
    name: Annotated[str, typer.Argument(help="Name of the new set.")],
    templates: Named = None,
    template: Option = None,
) -> None:
    """Create a set; recipients get its templates in turn, in this order."""
    run, now = current(), clock.now()
    actor, wanted = run.actor, _both(templates, template)
    made = run.database.run(lambda connection: use.create(connection, actor, name, wanted, now))
    run.out.done(f"template set {made.name!r} created: {_listed(made)}", _document(made))
    if not made.items:
        advice.next_step(run, f"add templates: coldsend template-set add {quote(made.name)} TEMPLATE..")


@reads(app, "coldsend template-set list", name="list")
def list_sets() -> None:
    """List template sets: an operator's own, or all of them for admins."""
    run = current()
    actor = run.actor
    with run.database.read() as connection:
        rows = template_sets.listed(connection, None if actor.is_admin else actor.id)
        held = {row["id"]: [i["name"] for i in template_sets.items(connection, row["id"])] for row in rows}
    columns = {
        "id": "ID#",
        "name": "SET",
        "templates": "TEMPLATES",
        "created_by": "BY",
        "updated_at": "CHANGED (UTC)",
    }
    shown = [{**row, "templates": held[row["id"]]} for row in rows]
    run.out.table(
        shown,
        columns,
        empty="no template sets yet: coldsend template-set create NAME --template TEMPLATE",
        document=[{key: row[key] for key in columns} for row in shown],
    )


@reads(app, "coldsend template-set show intros")
def show(name: Set) -> None:
    """Show the templates of a set in the order they are sent."""
    run = current()
    actor = run.actor
    with run.database.read() as connection:
        found = use.owned(connection, actor, name)
        tasks = template_sets.tasks_with(connection, found.id)
    rows = [
        {"place": place, "id": item["template_id"], "name": item["name"], "subject": item["subject"]}
        for place, item in enumerate(found.items, start=1)
    ]
    columns = {"place": "PLACE#", "id": "ID#", "name": "TEMPLATE", "subject": "SUBJECT"}
    document = {"id": found.id, "name": found.name, "templates": rows, "tasks": tasks}
    run.out.table(rows, columns, empty=f"template set {found.name!r} is empty", document=document)


@changes(app, "coldsend template-set add intros intro-c")
def add(name: Set, templates: Named = None, template: Option = None) -> None:
    """Add templates at the end of a set that no open task uses."""
    run, now = current(), clock.now()
    actor, wanted = run.actor, _both(templates, template)
    found = run.database.run(lambda connection: use.add(connection, actor, name, wanted, now))
    run.out.done(f"template set {found.name!r} now holds {_listed(found)}", _document(found))


@changes(
    app,
    "coldsend template-set remove intros intro-c",
    "coldsend template-set remove intros",
)
def remove(name: Set, templates: Named = None, template: Option = None) -> None:
    """Take templates out of a set, or remove the whole set where none is named. Templates themselves stay."""
    run, now = current(), clock.now()
    actor, wanted = run.actor, _both(templates, template)
    if wanted:
        found = run.database.run(lambda connection: use.take_out(connection, actor, name, wanted, now))
        run.out.done(f"template set {found.name!r} now holds {_listed(found)}", _document(found))
        return
    with run.database.read() as connection:
        found = use.owned(connection, actor, name)
    run.out.confirm(f"Remove template set {found.name!r}?")
    found = run.database.run(lambda connection: use.remove(connection, actor, name))
    run.out.done(f"template set {found.name!r} removed", {"id": found.id, "name": found.name})


@changes(app, "coldsend template-set reorder intros intro-b intro-a")
def reorder(name: Set, templates: Named = None, template: Option = None) -> None:
    """Change the order of a set: name all of its templates as they shall follow each other."""
    run, now = current(), clock.now()
    actor, wanted = run.actor, _both(templates, template)
    found = run.database.run(lambda connection: use.reorder(connection, actor, name, wanted, now))
    run.out.done(f"template set {found.name!r} now holds {_listed(found)}", _document(found))


def _both(named: list[str] | None, options: list[str] | None) -> list[str]:
    return [*(named or ()), *(options or ())]


def _listed(found: TemplateSet) -> str:
    return ", ".join(found.names) or "nothing"


def _document(found: TemplateSet) -> dict[str, Any]:
    return {"id": found.id, "name": found.name, "templates": found.names}
